"""Files with several inputs: NIR, ONNX and torch.export."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from snn_deploy.arrays import AnyArray, FloatArray
from snn_deploy.compiler.pipeline import compile_model, to_spiking
from snn_deploy.convert import write_graph, write_integers
from snn_deploy.errors import ModelError
from snn_deploy.importers.onnx.reader import read_onnx
from snn_deploy.importers.registry import load_model
from snn_deploy.importers.torch.pt2 import read_pt2
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.inputs import in_a_row, listed
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.stimuli import Stimulus
from tests.build import rng, simulator

nir = pytest.importorskip("nir")
onnx = pytest.importorskip("onnx")
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


class Rated(nn.Module):
    """A conventional network of two inputs; a seed draws how they meet."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.meets = ("cat", "add", "maps")[seed % 3]
        self.normalizes = seed % 2
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.eye, self.ear = nn.Linear(48, 6), nn.Linear(N_EAR, 6)
        self.maps = nn.Linear(N_EAR, 48)
        self.last = nn.Linear(12 if self.meets == "cat" else 6, 4)

    def forward(self, eye: torch.Tensor, ear: torch.Tensor) -> Any:
        if self.normalizes:
            eye = (eye - 0.3) / 0.5
        seen = self.conv(eye).flatten(1)
        if self.meets == "maps":
            seen = seen + self.maps(ear)
        seen = self.eye(torch.relu(seen))
        if self.meets == "maps":
            return self.last(torch.relu(seen))
        if self.meets == "add":
            return self.last(torch.relu(seen + self.ear(ear)))
        both = torch.cat([torch.relu(seen), torch.relu(self.ear(ear))], 1)
        return self.last(both)


def exported(model: nn.Module, path: Path) -> Path:
    example = torch.rand(2, *N_EYE), torch.rand(2, N_EAR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            example,
            str(path),
            dynamo=False,
            input_names=["eye", "ear"],
            dynamic_axes={name: {0: "n"} for name in ("eye", "ear")},
        )
    return path


def byte_inputs(seed: int, n: int = 20) -> dict[str, AnyArray]:
    draw = rng(seed)
    eye = draw.integers(0, 256, (n, *N_EYE)).astype(np.uint8)
    return {"eye": eye, "ear": draw.integers(0, 256, (n, N_EAR)).astype(np.uint8)}


def whole(graph: Graph, x: dict[str, AnyArray]) -> FloatArray:
    """Return what a graph gives for both in a row, of the one pass of a network."""
    rows = in_a_row("x", graph.training.inputs, x, is_events=False)
    stimuli = [Stimulus(values=row[np.newaxis], is_constant=True) for row in rows]
    return evaluate(graph, stimuli, 1)[:, 0]


@pytest.mark.parametrize("seed", range(6))
def test_onnx_of_two_inputs_is_what_its_runtime_computes(
    seed: int, tmp_path: Path
) -> None:
    ort = pytest.importorskip("onnxruntime")
    path, x = exported(Rated(seed), tmp_path / "two.onnx"), byte_inputs(seed)

    graph = read_onnx(path)

    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = {name: (v / 255).astype(np.float32) for name, v in x.items()}
    expected = session.run(None, feed)[0]
    np.testing.assert_allclose(whole(graph, x), expected, atol=1e-5)
    assert listed(graph.training.inputs) == "eye (1, 4, 4), ear (5,)"
    balanced = load_model(path, balance_on=x, timesteps=8)
    rated = to_spiking(balanced)
    rows = in_a_row("x", rated.training.inputs, x, is_events=False)
    stimuli = [Stimulus(values=row[np.newaxis], is_constant=True) for row in rows]
    mean = evaluate(rated, stimuli, 64)[:, -1] / 64
    assert np.corrcoef(mean.ravel(), expected.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("seed", range(3))
def test_an_exported_program_of_two_inputs_is_its_module(
    seed: int, tmp_path: Path
) -> None:
    model, x = Rated(seed).eval(), byte_inputs(seed)
    example = torch.rand(2, *N_EYE), torch.rand(2, N_EAR)
    n = torch.export.Dim("n")
    program = torch.export.export(model, example, dynamic_shapes=({0: n}, {0: n}))
    torch.export.save(program, tmp_path / "two.pt2")

    graph = read_pt2(tmp_path / "two.pt2")

    eye, ear = (torch.as_tensor(values / 255).double() for values in x.values())
    expected = model.double()(eye, ear).detach().numpy()
    np.testing.assert_allclose(whole(graph, x), expected, atol=1e-6)
    assert listed(graph.training.inputs) == "eye (1, 4, 4), ear (5,)"


def test_an_input_of_onnx_that_nothing_uses_is_refused(tmp_path: Path) -> None:
    model = onnx.load(exported(Rated(0), tmp_path / "two.onnx"))
    more = onnx.helper.make_tensor_value_info("nose", 1, ["n", 3])
    model.graph.input.append(more)
    onnx.save(model, tmp_path / "three.onnx")

    with pytest.raises(ModelError, match="nothing is computed from the input nose"):
        read_onnx(tmp_path / "three.onnx")
