"""Compile the reference models, and check elsewhere that they run the same.

    python -m tests.conformance.replay record FOLDER    # needs torch
    python -m tests.conformance.replay check FOLDER     # on any Python, with Lava

``check`` needs none of the packages that read or train models: what snn-deploy alone
brings, and Lava, are enough.
"""

import sys
from pathlib import Path

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.artifact import pack, read_artifact, write_artifact
from snn_deploy.backends.registry import open_backend
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.data.data import read_data

MODELS = ("mnist_counts", "mnist_lif", "mnist_qcfs")
N_DIGITS = 50


def record(folder: Path) -> None:
    """Write each model compiled, digits, and what the cpu backend gives for them."""
    from snn_deploy.chip.target_file import read_target
    from snn_deploy.compiler.pipeline import compile_model
    from snn_deploy.data.datasets import load_split
    from snn_deploy.files.writing import packaged_folder
    from snn_deploy.importers.registry import load_model

    folder.mkdir(parents=True, exist_ok=True)
    test = load_split("mnist5k").test
    np.savez(folder / "digits.npz", x=test.x[:N_DIGITS], y=test.y[:N_DIGITS])
    for name in MODELS:
        graph = load_model(packaged_folder("models") / name / "model.pt")
        network = compile_model(graph, read_target("loihi-sim"))
        write_artifact(pack(network), folder / f"{name}.snn")
        found = outputs(folder, name, "cpu")
        np.savez(
            folder / f"{name}.npz",
            scores=found["scores"],
            cores=found["cores"],
            chip=found["chip"],
        )


def outputs(folder: Path, name: str, backend: str) -> dict[str, IntArray]:
    """Return scores and counts of all digits and timesteps on a backend."""
    network = read_artifact(folder / f"{name}.snn").network
    graph = network.graph
    data = read_data(folder / "digits.npz", graph.source.shape, graph.training)
    program = open_backend(backend).load(network)
    try:
        results = list(run_inputs(program, network, data.stimuli(), never))
    finally:
        program.close()
    return {
        "scores": np.stack([r.scores for r in results]),
        "cores": np.stack([r.activity.cores for r in results]),
        "chip": np.stack([r.activity.chip for r in results]),
    }


def check(folder: Path) -> list[str]:
    """Return a line for each model; raise if a backend gives anything else."""
    lines = []
    for name in MODELS:
        expected = np.load(folder / f"{name}.npz", allow_pickle=False)
        for backend in ("cpu", "lava"):
            found = outputs(folder, name, backend)
            for key, values in found.items():
                np.testing.assert_array_equal(values, expected[key], err_msg=name)
        n, n_timesteps, n_out = expected["scores"].shape
        lines.append(
            f"{name}: {n} digits x {n_timesteps} timesteps x {n_out} outputs and "
            f"{expected['cores'].size} counts equal on cpu and Lava"
        )
    return lines


def main() -> None:
    """Run one of the two commands."""
    command, folder = sys.argv[1], Path(sys.argv[2])
    if command == "record":
        record(folder)
    else:
        for line in check(folder):
            sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
