"""meeting: what a forward does with outputs of layers, as neurons and weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from snn_deploy.arrays import FloatArray
from snn_deploy.compiler.pipeline import to_spiking
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.collected import INPUT_NAME, Layers
from snn_deploy.importers.torch.file import save
from snn_deploy.importers.torch.meeting import (
    arithmetic,
    concatenated,
    logic,
    scaled,
)
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Lif
from snn_deploy.ir.nodes import Add, Conv2d, shifted
from snn_deploy.nn.neurons import Qcfs
from tests.build import RATE, conv, lif, trains

SHAPE = (2, 5, 5)
N_TIMESTEPS = 6


def two_layers(**changes: Any) -> tuple[Layers, dict[str, FloatArray]]:
    """Return spikes of two layers, "a" and "b", and which they are."""
    layers = Layers(SHAPE)
    for number, name in enumerate("ab"):
        current = layers.add(conv(f"c{name}", SHAPE, 2, seed=number), (INPUT_NAME,))
        layers.add(lif(name, SHAPE, threshold=np.array(0.1), **changes), (current,))
    spikes = {name: outputs(layers, name) for name in "ab"}
    assert all(0.05 < (s > 0).mean() < 0.95 for s in spikes.values())
    return layers, spikes


def outputs(layers: Layers, end: str) -> FloatArray:
    """Return what a layer gives ``(n, n_timesteps, ...)``, lowered or not."""
    graph = Graph(
        name="graph",
        nodes=tuple(layers.nodes.values()),
        edges=tuple(layers.edges),
        training=RATE,
        output_name=end,
    )
    stimuli = trains(4, N_TIMESTEPS, SHAPE)
    found = evaluate(graph, stimuli)
    lowered = evaluate(to_spiking(graph), stimuli)
    if not isinstance(graph.output, Lif):  # integrators add up
        lowered = np.diff(lowered, axis=1, prepend=0)
    np.testing.assert_allclose(lowered, found, atol=1e-9)
    return found.reshape(4, N_TIMESTEPS, *graph.output.output_shape)


def test_concatenated_outputs_lie_behind_one_another() -> None:
    layers, spikes = two_layers()

    end = concatenated(layers, "cat", ["a", "b", "a"])

    expected = np.concatenate([spikes["a"], spikes["b"], spikes["a"]], axis=2)
    np.testing.assert_array_equal(outputs(layers, end), expected)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("mul", lambda a, b: a * b),
        ("minimum", np.minimum),
        ("maximum", np.maximum),
        ("logical_and", lambda a, b: a * b),
        ("bitwise_or", np.maximum),
    ],
)
@pytest.mark.parametrize("worth", [1.0, 0.5])
def test_logic_of_spikes_is_one_neuron(
    operation: str,
    expected: Callable[[FloatArray, FloatArray], FloatArray],
    worth: float,
) -> None:
    layers, spikes = two_layers(spike_value=worth)
    if worth != 1 and operation in ("logical_and", "bitwise_or"):
        with pytest.raises(ModelError, match=r"worth 0\.5 and 0\.5"):
            logic(layers, "meet", operation, "a", "b")
        return

    end = logic(layers, "meet", operation, "a", "b")

    wanted = expected(spikes["a"], spikes["b"])
    np.testing.assert_allclose(outputs(layers, end), wanted, atol=1e-12)
    assert wanted.any()


def test_spikes_where_another_layer_has_none_are_one_neuron() -> None:
    layers, spikes = two_layers()

    none = scaled(layers, "sub", "a", -1.0, 1.0)
    end = logic(layers, "mul", "mul", none, "b")

    wanted = (1 - spikes["a"]) * spikes["b"]
    np.testing.assert_array_equal(outputs(layers, end), wanted)


def test_logic_of_a_concatenation_and_of_logic() -> None:
    layers, spikes = two_layers()

    both = concatenated(layers, "cat", ["a", "b"])
    other = concatenated(layers, "cat2", ["b", "b"])
    end = logic(layers, "or", "maximum", logic(layers, "x", "mul", both, other), both)

    wanted = np.concatenate([spikes["a"], spikes["b"]], axis=2)
    np.testing.assert_array_equal(outputs(layers, end), wanted)


@pytest.mark.parametrize("operand", ["sum", "ca"])
def test_logic_of_more_than_one_spike_is_refused(operand: str) -> None:
    layers, _ = two_layers()
    layers.add(Add(name="sum", shape=SHAPE), ("a", "b"))

    with pytest.raises(ModelError, match=f"of which {operand} is more than one spike"):
        logic(layers, "mul", "mul", "a", operand)


@pytest.mark.parametrize(
    ("gain", "offset"),
    [
        (10.0, 0.0),
        (np.array([2.0, -3.0]).reshape(1, 2, 1, 1), 0.25),
        (1.0, np.arange(50.0).reshape(2, 5, 5)),
        (np.arange(25.0).reshape(5, 5), -1.0),
    ],
    ids=["number", "channels", "positions", "a factor for each position"],
)
@pytest.mark.parametrize("source", ["a", "ca", INPUT_NAME])
def test_factors_and_constants_are_weights_and_biases(
    gain: Any, offset: Any, source: str
) -> None:
    layers, _ = two_layers()
    before = outputs(layers, source)

    end = scaled(layers, "mul", source, gain, offset)

    wanted = before * gain + offset
    np.testing.assert_allclose(outputs(layers, end), wanted, atol=1e-9)


@pytest.mark.parametrize(
    ("operation", "operands", "expected"),
    [
        ("add", ("a", "cb"), lambda a, b: a + b),
        ("sub", ("a", "cb"), lambda a, b: a - b),
        ("sub", (1.0, "cb"), lambda a, b: 1 - b),
        ("sub", ("cb", 1.0), lambda a, b: b - 1),
        ("div", ("cb", 4.0), lambda a, b: b / 4),
        ("mul", (np.array([[1.0]]), "a"), lambda a, b: a),
        ("neg", ("cb",), lambda a, b: -b),
        ("logical_not", ("a",), lambda a, b: 1 - a),
    ],
)
def test_arithmetic_is_a_weighted_sum(
    operation: str,
    operands: tuple[Any, ...],
    expected: Callable[[FloatArray, FloatArray], FloatArray],
) -> None:
    layers, spikes = two_layers()
    current = outputs(layers, "cb")

    end = arithmetic(layers, "meet", operation, operands)

    wanted = expected(spikes["a"], current)
    np.testing.assert_allclose(outputs(layers, end), wanted, atol=1e-9)


@pytest.mark.parametrize(
    ("operation", "operands", "words"),
    [
        ("div", (1.0, "a"), "div of an output and a constant, which is no"),
        ("div", ("a", 0.0), "div of an output and a constant, which is no"),
        ("maximum", ("a", 0.5), "maximum of an output and a constant"),
        ("div", ("a", "b"), "div of a and b, outputs of"),
        ("mul", ("a", "cb"), "of which cb is more than one spike"),
        ("bitwise_not", ("cb",), "no spikes worth 1"),
    ],
)
def test_other_arithmetic_is_refused(
    operation: str, operands: tuple[Any, ...], words: str
) -> None:
    layers, _ = two_layers()

    with pytest.raises(ModelError, match=words):
        arithmetic(layers, "meet", operation, operands)


def test_factor_of_0_and_constants_of_another_shape_are_refused() -> None:
    layers, _ = two_layers()

    assert scaled(layers, "one", "a") == "a"
    with pytest.raises(ModelError, match="mul: a factor of 0"):
        scaled(layers, "mul", "a", 0.0)
    with pytest.raises(ModelError, match=r"mul: a constant of shape \(3,\)"):
        scaled(layers, "mul", "a", np.ones(3))


@pytest.mark.parametrize("rows", [(1, 2), (2, 0), (-1, 1), (0, -2)])
def test_padding_is_that_of_pytorch(rows: tuple[int, int]) -> None:
    layers, spikes = two_layers()

    end = layers.add(shifted("pad", SHAPE, rows, (0, 1)), ("a",))
    shape = layers.shape_of(end)
    end = layers.add(conv("last", shape, 3, padding=(0, 0)), (end,))

    around = functional.pad(torch.tensor(spikes["a"]), (0, 1, *rows))
    last = layers.nodes["last"]
    assert isinstance(last, Conv2d)
    kernel, bias = (torch.tensor(v.copy()) for v in (last.weight, last.bias))
    wanted = functional.conv2d(around.flatten(0, 1), kernel, bias)
    found = outputs(layers, end)
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, atol=1e-9)


class Net(nn.Module):
    def __init__(self, *rest: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rest = nn.Sequential(nn.Conv2d(2, 4, 3), Qcfs(4, 1.0), *rest)

    def forward(self, x: torch.Tensor) -> Any:
        return self.rest(x)


@pytest.mark.parametrize(
    "rest",
    [
        lambda: [nn.Upsample(scale_factor=(2, 3)), nn.Conv2d(4, 2, 3)],
        lambda: [nn.Upsample(size=(8, 4)), nn.Conv2d(4, 2, 3)],
        lambda: [nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), nn.BatchNorm2d(6)],
        lambda: [nn.AvgPool2d(4), nn.AdaptiveAvgPool2d(3), nn.Conv2d(4, 2, 3)],
        lambda: [nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 3, 1)],
        lambda: [nn.Flatten(), nn.Linear(64, 5), nn.Linear(5, 3), nn.BatchNorm1d(3)],
    ],
    ids=["factor", "size", "transposed", "adaptive", "separable", "linear"],
)
def test_modules_that_spread_are_saved_and_lowered(
    rest: Callable[[], list[nn.Module]], tmp_path: Path
) -> None:
    model = Net(*rest()).eval()

    graph = save(
        model, tmp_path / "n.pt", input_shape=(2, 6, 6), timesteps=3, encoding="rate"
    )

    stimuli = trains(3, 3, (2, 6, 6))
    x = torch.tensor(np.stack([s.at(1) for s in stimuli])).float()
    wanted = model(x).detach().numpy().reshape(3, -1)
    np.testing.assert_allclose(evaluate(graph, stimuli)[:, 0], wanted, atol=1e-5)
    to_spiking(graph)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.Upsample(scale_factor=2, mode="bilinear"), "mode is 'bilinear'"),
        (nn.Upsample(size=(6, 7)), "makes 1.5 x 1.75 of each value"),
    ],
)
def test_upsampling_that_is_no_repetition_is_refused(
    layer: nn.Module, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=words):
        save(Net(layer), tmp_path / "n.pt", input_shape=(2, 6, 6), timesteps=3)
