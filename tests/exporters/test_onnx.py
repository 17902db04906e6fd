"""write_onnx: ONNX Runtime gives every integer of the reference, at every timestep."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from snn_deploy.arrays import IntArray
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.data.datasets import load_split
from snn_deploy.errors import FitError
from snn_deploy.exporters.onnx import write_onnx
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus, encode
from tests.build import dense, integers, population, simulator
from tests.conformance.networks import Case, cases
from tests.recording import record_reference

ort = pytest.importorskip("onnxruntime")
ort.set_default_logger_severity(3)  # a default that an input has is meant


def run(
    path: Path, stimuli: list[Stimulus], n_timesteps: int
) -> list[dict[str, IntArray]]:
    """Return all outputs of each timestep; this is all that a user has to write."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    state: dict[str, Any] = {}
    rows = []
    for timestep in range(1, n_timesteps + 1):
        values = np.stack([s.at(timestep) for s in stimuli]).astype(np.int64)
        found = session.run(
            None, {"input": values, **state, **biases(session, stimuli)}
        )
        rows.append(dict(zip(names, found, strict=True)))
        state = {n[:-5]: v for n, v in rows[-1].items() if n.endswith(".next")}
    return rows


def biases(session: Any, stimuli: list[Stimulus]) -> dict[str, IntArray]:
    """Return the biases that come with the data, for neurons that take some."""
    names = [item.name for item in session.get_overridable_initializers()]
    return {
        name: np.stack([s.bias.reshape(-1) for s in stimuli])  # type: ignore[union-attr]
        for name in names
        if name.endswith(".bias") and stimuli[0].bias is not None
    }


def check(
    graph: QuantizedGraph, rows: list[dict[str, IntArray]], stimuli: list[Stimulus]
) -> None:
    """Compare spikes and states with the reference, which has the pipeline or not."""
    for index, stimulus in enumerate(stimuli):
        wanted = record_reference(
            graph, stimulus, ("spikes", "voltage", "current"), n_timesteps=len(rows)
        )
        for p in graph.populations:
            for quantity in ("spikes", "voltage", "current"):
                name = p.name + (
                    ".spikes" if quantity == "spikes" else f".{quantity}.next"
                )
                if name not in rows[0]:  # integrators send none, some have no memory
                    continue
                found = np.stack([row[name][index] for row in rows])
                expected = wanted[p.name, quantity][p.offset : p.offset + len(rows)]
                np.testing.assert_array_equal(found, expected, err_msg=name)


@given(case=cases(max_timesteps=8, may_be_long=False))
@settings(max_examples=25)
def test_random_networks(case: Case, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    write_onnx(case.graph, path)

    rows = run(path, list(case.stimuli), case.n_timesteps)

    check(case.graph, rows, list(case.stimuli))


@pytest.mark.parametrize("name", ["mnist_lif", "mnist_qcfs", "mnist_counts"])
def test_reference_models(tmp_path: Path, name: str) -> None:
    model = load_model(packaged_folder("models") / name / "model.pt")
    graph = compile_model(model, simulator()).graph
    data, training = load_split("mnist5k").test, graph.training
    stimuli = [
        encode(x, training.encoding, training.timesteps, index=i)
        for i, x in enumerate(data.x[:4])
    ]

    write_onnx(graph, tmp_path / "net.onnx")

    rows = run(tmp_path / "net.onnx", stimuli, training.timesteps)
    check(graph, rows, stimuli)
    outputs = np.stack([row["output"] for row in rows])
    decided = outputs.sum(0) if graph.readout.spikes else outputs[-1]
    assert (decided.argmax(1) == data.y[:4]).all()


def test_sums_that_32_bits_cannot_hold_are_refused(tmp_path: Path) -> None:
    weights = np.ones((1, 70_000), np.int64)
    graph = integers(
        [population("out", (1,))], [dense("input", "out", weights)], shape=(70_000,)
    )

    with pytest.raises(FitError, match="70000 synapses onto one neuron"):
        write_onnx(graph, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
