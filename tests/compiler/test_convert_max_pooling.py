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
from snn_deploy.ir.nodes import Add, Flatten, MaxPool2d, Node
from snn_deploy.ir.scatter import Channels
from snn_deploy.ir.stimuli import Encoding
from tests.build import chain, conv, graph, integrator, lif, linear, simulator, trains
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


def blocks(worth: float) -> Graph:
    """Return two blocks, each pooling behind a sum; the sum of sums grows."""
    nodes: list[Node] = [
        conv("c0", SHAPE, 2, seed=1),
        lif("s0", SHAPE, spike_value=worth),
        conv("c1", SHAPE, 2, seed=2),
        lif("s1", SHAPE, spike_value=worth),
        Add(name="sum1", shape=SHAPE),
        pool("p1", SHAPE),
        conv("c2", (2, 4, 4), 2, seed=3),
        lif("s2", (2, 4, 4), spike_value=worth),
        Add(name="sum2", shape=(2, 4, 4)),
        pool("p2", (2, 4, 4), kernel=(3, 3), padding=(1, 1)),
        Flatten(name="flat", shape=(2, 2, 2)),
        linear("fc", 8, 3),
        integrator("out", (3,)),
    ]
    arrows = (
        "input>c0 c0>s0 s0>c1 c1>s1 s0>sum1 s1>sum1 sum1>p1 p1>c2 c2>s2 p1>sum2 "
        "s2>sum2 sum2>p2 p2>flat flat>fc fc>out"
    )
    return graph(nodes, arrows, shape=SHAPE, training=LONG)


@pytest.mark.parametrize("worth", [1.0, 0.7])
def test_pooling_behind_a_sum_of_spikes_has_neurons_for_each_level(
    worth: float,
) -> None:
    before = blocks(worth)
    stimuli = trains(6, LONG.timesteps, SHAPE)

    after = convert_max_pooling(before)

    assert not after.nodes_of(MaxPool2d)
    assert {"p1_1", "p1_2", "p2_3"} <= {node.name for node in after.nodes}
    expected = evaluate(before, stimuli)
    np.testing.assert_allclose(evaluate(after, stimuli), expected, atol=1e-9)
    quantize(to_spiking(before), simulator())


def test_pooling_of_a_concatenation_needs_one_level() -> None:
    parts = [
        Channels(name="left", shape=SHAPE, first=0, n_channels=4),
        Channels(name="right", shape=SHAPE, first=2, n_channels=4),
    ]
    nodes = [
        conv("a", SHAPE, 2, seed=1),
        lif("one", SHAPE),
        conv("b", SHAPE, 2, seed=2),
        lif("two", SHAPE),
        *parts,
        Add(name="cat", shape=(4, 8, 8)),
        pool("pool", (4, 8, 8)),
        integrator("out", (4, 4, 4)),
    ]
    arrows = (
        "input>a a>one input>b b>two one>left two>right left>cat right>cat cat>pool "
        "pool>out"
    )
    before = graph(nodes, arrows, shape=SHAPE, training=LONG)
    stimuli = trains(4, LONG.timesteps, SHAPE)

    after = convert_max_pooling(before)

    assert after.node("pool").output_shape == (4, 4, 4)
    expected = evaluate(before, stimuli)
    np.testing.assert_allclose(evaluate(after, stimuli), expected)


def test_pooling_of_a_sum_of_unlike_spikes_is_refused() -> None:
    nodes = [
        lif("a", SHAPE),
        lif("b", SHAPE, spike_value=0.3),
        Add(name="sum", shape=SHAPE),
        pool("pool", SHAPE),
        integrator("out", (2, 4, 4)),
    ]
    arrows = "input>a input>b a>sum b>sum sum>pool pool>out"

    with pytest.raises(PassError, match="worth the same"):
        convert_max_pooling(graph(nodes, arrows, shape=SHAPE, training=LONG))


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
