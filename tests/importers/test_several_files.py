"""Files with several inputs: NIR and ONNX."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn_deploy.arrays import FloatArray
from snn_deploy.compiler.pipeline import compile_model, to_spiking
from snn_deploy.convert import write_graph, write_integers
from snn_deploy.errors import ModelError
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.inputs import listed
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.stimuli import Stimulus
from tests.build import rng, simulator

nir = pytest.importorskip("nir")
T, N_EYE, N_EAR = 24, (1, 4, 4), 5


def affine(n_in: int, n_out: int, seed: int) -> Any:
    draw = rng(seed)
    return nir.Affine(draw.normal(size=(n_out, n_in)), 0.1 * draw.normal(size=n_out))


def spiking(*shape: int, threshold: float = 0.3) -> Any:
    ones = np.ones(shape)
    zero = 0 * ones
    return nir.LIF(tau=2e-3 * ones, r=ones, v_leak=zero, v_threshold=threshold * ones)


def convolution(seed: int) -> Any:
    draw = rng(seed)
    return nir.Conv2d(
        input_shape=N_EYE[1:],
        weight=draw.normal(size=(2, 1, 3, 3)),
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=0.1 * draw.normal(size=2),
    )


def meeting(seed: int, meets: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return an eye and an ear that meet in currents, in spikes, or in a loop."""
    flatten = nir.Flatten({"input": np.array([2, 2, 2])}, 0, -1)
    nodes = {
        "eye": nir.Input({"input": np.array(N_EYE)}),
        "conv": convolution(seed),
        "seen": spiking(2, 2, 2),
        "flat": flatten,
        "ear": nir.Input({"input": np.array([N_EAR])}),
        "heard": affine(N_EAR, 6, seed + 1),
        "see": affine(8, 6, seed + 2),
        "met": spiking(6),
        "last": affine(6, 3, seed + 3),
        "out": spiking(3),
        "output": nir.Output({"output": np.array([3])}),
    }
    edges = [("eye", "conv"), ("conv", "seen"), ("seen", "flat"), ("flat", "see")]
    edges += [("ear", "heard"), ("see", "met"), ("met", "last"), ("last", "out")]
    edges += [("out", "output")]
    if meets == "spikes":
        nodes["ears"], nodes["hear"] = spiking(6), affine(6, 6, seed + 4)
        edges += [("heard", "ears"), ("ears", "hear"), ("hear", "met")]
    else:
        edges += [("heard", "met")]
    if meets == "loop":
        nodes["back"] = affine(6, 6, seed + 5)
        edges += [("met", "back"), ("back", "met")]
    return nodes, edges


def lif(voltage: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    voltage = voltage + 0.5 * (x - voltage)
    spikes = (voltage > 0.3).astype(float)
    return voltage * (1 - spikes), spikes


def truth(nodes: dict[str, Any], meets: str, eye: FloatArray, ear: FloatArray) -> Any:
    """Return what NIR's equations give in steps of half a time constant."""
    states: dict[str, FloatArray]
    states = {name: np.zeros(n) for name, n in (("seen", 8), ("ears", 6), ("met", 6))}
    states["out"] = np.zeros(3)
    before: FloatArray = np.zeros(6)
    found = []

    def weighted(name: str, x: FloatArray) -> Any:
        return nodes[name].weight @ x + nodes[name].bias

    def fired(name: str, x: FloatArray) -> FloatArray:
        states[name], spikes = lif(states[name], x)
        return spikes

    kernel, bias = nodes["conv"].weight[:, 0], nodes["conv"].bias
    for image, sound in zip(eye, ear, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(image[0], (3, 3))
        current = np.einsum("cij,yxij->cyx", kernel, windows) + bias[:, None, None]
        met = weighted("see", fired("seen", current.ravel()))
        heard = weighted("heard", sound)
        met = met + (
            weighted("hear", fired("ears", heard)) if meets == "spikes" else heard
        )
        if meets == "loop":
            met = met + weighted("back", before)
        before = fired("met", met)
        found.append(fired("out", weighted("last", before)))
    return np.stack(found)


def drawn(seed: int) -> tuple[FloatArray, FloatArray]:
    draw = rng(seed)
    return (
        (draw.random((T, *N_EYE)) < 0.5).astype(float),
        (draw.random((T, N_EAR)) < 0.5).astype(float),
    )


def in_rows(graph: Graph, eye: FloatArray, ear: FloatArray) -> list[Stimulus]:
    """Return both in the order that a graph has them."""
    given = {"eye": eye.reshape(T, -1), "ear": ear}
    rows = [given[one.name] for one in graph.training.inputs]
    values = np.concatenate(rows, axis=1).astype(int)
    return [Stimulus(values=values, is_constant=False)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("meets", ["currents", "spikes", "loop"])
def test_nir_of_two_inputs_is_what_its_equations_say(
    meets: str, seed: int, tmp_path: Path
) -> None:
    nodes, edges = meeting(10 * seed, meets)
    eye, ear = drawn(seed)
    nir.write(tmp_path / "two.nir", nir.NIRGraph(nodes, edges, type_check=False))

    graph = load_model(tmp_path / "two.nir", dt=1e-3, reset=Reset.HARD, timesteps=T)

    assert listed(graph.training.inputs) == "ear (5,), eye (1, 4, 4)"
    expected = truth(nodes, meets, eye, ear)
    assert 0 < expected.mean() < 1
    for same in (graph, to_spiking(graph)):
        found = evaluate(same, in_rows(same, eye, ear))[0]
        np.testing.assert_array_equal(found, expected)


def test_two_inputs_are_written_to_nir_and_read_again(tmp_path: Path) -> None:
    nodes, edges = meeting(0, "spikes")
    nir.write(tmp_path / "two.nir", nir.NIRGraph(nodes, edges, type_check=False))
    graph = load_model(tmp_path / "two.nir", dt=1e-3, reset=Reset.HARD, timesteps=T)

    notes = write_graph(graph, tmp_path / "again.nir")
    again = load_model(tmp_path / "again.nir")

    written = nir.read(tmp_path / "again.nir")
    kinds = {name: type(node).__name__ for name, node in written.nodes.items()}
    assert [name for name, kind in kinds.items() if kind == "Input"] == ["ear", "eye"]
    assert all("was not tried with several inputs (ear, eye)" in n for n in notes[:2])
    assert again.training.inputs == graph.training.inputs
    rows = in_rows(graph, *drawn(1))
    np.testing.assert_array_equal(evaluate(again, rows), evaluate(graph, rows))


def test_integers_of_two_inputs_are_single_synapses_that_onnx_has(
    tmp_path: Path,
) -> None:
    nodes, edges = meeting(0, "spikes")
    nir.write(tmp_path / "two.nir", nir.NIRGraph(nodes, edges, type_check=False))
    graph = load_model(tmp_path / "two.nir", dt=1e-3, reset=Reset.HARD, timesteps=T)
    compiled = compile_model(graph, simulator()).graph

    write_integers(compiled, tmp_path / "integers.onnx")

    assert (tmp_path / "integers.onnx").stat().st_size
    with pytest.raises(ModelError, match="single"):
        write_integers(compiled, tmp_path / "integers.nir")


def test_an_input_of_nir_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    nodes, edges = meeting(0, "currents")
    edges = [edge for edge in edges if edge != ("ear", "heard")]
    nir.write(tmp_path / "two.nir", nir.NIRGraph(nodes, edges, type_check=False))

    with pytest.raises(ModelError, match=r"(ear: leads nowhere|heard: nothing leads)"):
        load_model(tmp_path / "two.nir", dt=1e-3, reset=Reset.HARD)
