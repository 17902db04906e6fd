"""convert_max_pooling: neurons that spike when any of a window does."""

from typing import Any

import numpy as np
import pytest

from snn_deploy.compiler.lower.convert_max_pooling import convert_max_pooling
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.pipeline import to_spiking
from snn_deploy.errors import PassError
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.neurons import Qcfs, Reset
from snn_deploy.ir.nodes import Flatten, MaxPool2d, Node
from snn_deploy.ir.stimuli import Encoding
from tests.build import chain, conv, lif, linear, simulator, trains
from tests.compiler.test_abilities import integer_spikes

LONG = Training(timesteps=20, encoding=Encoding.RATE)
SHAPE = (2, 8, 8)


def pool(name: str, shape: tuple[int, ...], **changes: Any) -> MaxPool2d:
    settings: dict[str, Any] = {
        "kernel": (2, 2),
        "stride": (2, 2),
        "padding": (0, 0),
        "dilation": (1, 1),
    }
    return MaxPool2d(name=name, shape=shape, **{**settings, **changes})


def behind(pooling: MaxPool2d, neurons: Node) -> Graph:
    first = conv("conv", SHAPE, 4)
    shape = pooling.output_shape
    rest = (Flatten(name="flat", shape=shape), linear("fc", int(np.prod(shape)), 3))
    return chain(first, neurons, pooling, *rest, training=LONG)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kernel": (3, 2), "stride": (1, 2)},
        {"kernel": (3, 3), "padding": (1, 1)},
        {"dilation": (2, 3), "stride": (1, 1)},
    ],
    ids=str,
)
@pytest.mark.parametrize("spike_value", [1.0, 0.3])
def test_max_pooling_of_spikes_is_that_of_neurons(
    changes: dict[str, Any], spike_value: float
) -> None:
    pooling = pool("pool", (4, 8, 8), **changes)
    before = behind(pooling, lif("lif", (4, 8, 8), spike_value=spike_value))
    stimuli = trains(4, LONG.timesteps, SHAPE)

    after = convert_max_pooling(before)

    assert not after.nodes_of(MaxPool2d)
    expected = evaluate(before, stimuli)
    np.testing.assert_allclose(evaluate(after, stimuli), expected)
    assert np.ptp(expected) > 0.5


def test_poolings_of_poolings_and_of_the_input_are_exact_on_the_chip() -> None:
    nodes = (pool("p1", SHAPE), pool("p2", (2, 4, 4)), pool("p3", (2, 2, 2)))
    before = chain(*nodes, training=LONG)
    stimuli = trains(5, LONG.timesteps, SHAPE)

    quantized = quantize(to_spiking(before), simulator())

    found = integer_spikes(quantized, stimuli)
    np.testing.assert_array_equal(found, evaluate(before, stimuli))
    assert not quantized.changes


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (chain(pool("pool", SHAPE)), r"pool: max pooling of input \(Input\)"),
        (
            behind(
                pool("pool", (4, 8, 8)),
                Qcfs(name="act", shape=(4, 8, 8), threshold=1.0, levels=4),
            ),
            r"max pooling of act \(Qcfs\)",
        ),
        (
            behind(
                pool("pool", (4, 8, 8)),
                lif("lif", (4, 8, 8), max_spikes=2, reset=Reset.SOFT),
            ),
            r"max pooling of lif \(Lif\)",
        ),
    ],
    ids=["direct input", "activations", "several spikes"],
)
def test_what_is_pooled_must_be_single_spikes(before: Graph, words: str) -> None:
    with pytest.raises(PassError, match=words):
        convert_max_pooling(before)
