"""Files with several outputs: NIR and ONNX."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn_deploy.arrays import FloatArray
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.errors import ModelError
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.floating import accumulate, evaluate
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.heads import HeadKind
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.reference import Simulation
from tests.build import images, rng, simulator, trains

nir = pytest.importorskip("nir")
onnx = pytest.importorskip("onnx")
N_IN = 6


def affine(n_in: int, n_out: int, seed: int) -> Any:
    draw = rng(seed)
    return nir.Affine(draw.normal(size=(n_out, n_in)), 0.1 * draw.normal(size=n_out))


def leaky(n: int, tau: float = 2e-3) -> Any:
    ones = np.ones(n)
    return nir.LI(tau=tau * ones, r=ones, v_leak=0 * ones)


def spiking(n: int) -> Any:
    ones = np.ones(n)
    return nir.LIF(tau=2e-3 * ones, r=ones, v_leak=0 * ones, v_threshold=0.3 * ones)


def written(path: Path, ends: dict[str, list[Any]], only: str = "") -> Graph:
    """Write a trunk and what is behind it, all heads or one; read it again."""
    nodes = {
        "input": nir.Input({"input": np.array([N_IN])}),
        "fc": affine(N_IN, 8, 1),
        "hidden": spiking(8),
    }
    edges = [("input", "fc"), ("fc", "hidden")]
    for end, layers in ends.items():
        if only not in ("", end):
            continue
        before = "hidden"
        for i, layer in enumerate(layers):
            nodes[f"{end}_{i}"] = layer
            edges.append((before, f"{end}_{i}"))
            before = f"{end}_{i}"
        n = len(layers[-1].bias if hasattr(layers[-1], "bias") else layers[-1].tau)
        nodes[end] = nir.Output({"output": np.array([n])})
        edges.append((before, end))
    nir.write(path, nir.NIRGraph(nodes, edges, type_check=False))
    return load_model(path, dt=1e-3, reset=Reset.HARD, timesteps=7)


ENDS = {
    "linear": lambda: {"digit": [affine(8, 3, 2)], "angle": [affine(8, 1, 3)]},
    "spikes": lambda: {
        "digit": [affine(8, 3, 2), spiking(3)],
        "angle": [affine(8, 2, 3), spiking(2)],
    },
    "leaky": lambda: {
        "digit": [affine(8, 3, 2), leaky(3)],
        "angle": [affine(8, 1, 3), leaky(1, 5e-3)],
    },
}


def answers(graph: Graph) -> FloatArray:
    stimuli = trains(5, 7, (N_IN,))
    return accumulate(evaluate(graph, stimuli), graph.training.functional)


@pytest.mark.parametrize("kind", ENDS)
def test_two_outputs_of_nir_are_those_of_two_files(kind: str, tmp_path: Path) -> None:
    ends = ENDS[kind]()
    whole = written(tmp_path / "both.nir", ends)
    names = [head.name for head in whole.heads]
    alone = [answers(written(tmp_path / f"{e}.nir", ends, e)) for e in names]

    np.testing.assert_allclose(answers(whole), np.concatenate(alone, -1), atol=1e-12)
    assert names == ["angle", "digit"]  # as HDF5 sorts them
    kinds = {1: HeadKind.VALUES, 2: HeadKind.CLASS, 3: HeadKind.CLASS}
    assert all(head.kind is kinds[head.n_outputs] for head in whole.heads)
    mapped = compile_model(whole, simulator())
    assert mapped.graph.readout.size == sum(h.n_outputs for h in whole.heads)
    simulation = Simulation(mapped.graph, trains(2, 7, (N_IN,)))
    for _ in range(7 + mapped.graph.lag):
        simulation.step()


def test_outputs_of_another_kind_are_refused(tmp_path: Path) -> None:
    ends = {"digit": [affine(8, 3, 2), leaky(3)], "angle": [affine(8, 1, 3)]}

    with pytest.raises(ModelError, match="digit_1: is read out by its voltage, other"):
        written(tmp_path / "both.nir", ends)


def onnx_file(path: Path, outputs: list[str]) -> Graph:
    from onnx import TensorProto, helper, numpy_helper

    def weights(name: str, n_in: int, n_out: int, seed: int) -> list[Any]:
        values: FloatArray = rng(seed).normal(size=(n_in, n_out)).astype(np.float32)
        return [numpy_helper.from_array(values, name)]

    sizes = {"digit": 3, "angle": 1}
    operators = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Clip", ["h", "low", "high"], ["a"]),
        *(helper.make_node("MatMul", ["a", f"w_{n}"], [n]) for n in outputs),
    ]
    constants = [
        *weights("w", N_IN, 8, 1),
        numpy_helper.from_array(np.array(0, np.float32), "low"),
        numpy_helper.from_array(np.array(2, np.float32), "high"),
    ]
    for name in outputs:
        constants += weights(f"w_{name}", 8, sizes[name], sizes[name])
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        operators,
        "two",
        [helper.make_tensor_value_info("x", kind, [1, N_IN])],
        [helper.make_tensor_value_info(n, kind, [1, sizes[n]]) for n in outputs],
        constants,
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return load_model(path)


def test_two_outputs_of_onnx_are_those_of_two_files(tmp_path: Path) -> None:
    whole = onnx_file(tmp_path / "both.onnx", ["digit", "angle"])
    stimuli = images(4, (N_IN,))
    alone = [
        evaluate(onnx_file(tmp_path / f"{name}.onnx", [name]), stimuli, 1)
        for name in ("digit", "angle")
    ]

    found = evaluate(whole, stimuli, 1)

    np.testing.assert_allclose(found, np.concatenate(alone, -1), atol=1e-12)
    assert [(h.name, h.n_outputs, h.is_mean) for h in whole.heads] == [
        ("digit", 3, True),
        ("angle", 1, True),
    ]
    assert compile_model(whole, simulator()).graph.readout.size == 4
