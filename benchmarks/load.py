"""Profile 10,000 to 1,000,000 inputs of a small network: rows per second and memory.

``python -m benchmarks.load [--workers 1,2] [--inputs 10000,100000,1000000]`` runs
``snn-deploy profile`` in a process of its own and looks at its memory, and that of its
workers, ten times a second.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

import snn_deploy
from snn_deploy.artifact import pack, write_artifact
from snn_deploy.pipeline import compile_model
from snn_deploy.target_file import read_target

SHAPE = (1, 4, 4)
LOOK_S = 0.1


def write_network(path: Path) -> None:
    """Write a network of 16 inputs, 32 neurons and 3 outputs."""
    import torch
    from torch import nn

    from snn_deploy.training.neurons import Qcfs

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        Qcfs(levels=4, threshold=1.0),
        nn.Flatten(),
        nn.Linear(32, 3),
    )
    model_path = path.with_suffix(".pt")
    graph = snn_deploy.save(model, model_path, input_shape=SHAPE, timesteps=4)
    write_artifact(pack(compile_model(graph, read_target("loihi-sim"))), path)


def measure(folder: Path, n: int, workers: int) -> tuple[float, list[int]]:
    """Return seconds, and the largest memory of each process [bytes], largest first."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (n, *SHAPE)).astype(np.uint8)
    np.savez(folder / "data.npz", x=x, y=rng.integers(0, 3, n))
    del x
    command = [sys.executable, "-m", "snn_deploy", "profile", folder / "model.snn"]
    options = ["--data", folder / "data.npz", "--backend", "cpu", "-o", folder / "out"]
    spread = ["--workers", str(workers)] if workers > 1 else []
    started = time.monotonic()
    run = subprocess.Popen(
        [*map(str, command), *map(str, options), *spread],
        stdout=subprocess.DEVNULL,
    )
    largest: dict[int, int] = {}
    while run.poll() is None:
        family = [psutil.Process(run.pid)]
        family += family[0].children(recursive=True)
        for process in family:
            try:
                memory = process.memory_info()
            except psutil.NoSuchProcess:
                continue
            mine = memory.rss - memory.shared  # a mapped file can be written back
            largest[process.pid] = max(largest.get(process.pid, 0), mine)
        time.sleep(LOOK_S)
    if run.returncode:
        raise SystemExit(f"profile of {n} inputs ended with status {run.returncode}")
    return time.monotonic() - started, sorted(largest.values(), reverse=True)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", default="10000,100000,1000000")
    parser.add_argument("--workers", default="1,2")
    options = parser.parse_args()
    print("   inputs  workers   seconds   rows/s  memory of each process [MB]")
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_network(folder / "model.snn")
        for n in map(int, options.inputs.split(",")):
            for workers in map(int, options.workers.split(",")):
                seconds, memory = measure(folder, n, workers)
                mb = " ".join(str(size >> 20) for size in memory[: workers + 1])
                print(
                    f"{n:9}  {workers:7}  {seconds:8.1f}  {n / seconds:7.0f}  {mb}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
