"""move_flatten: the same function, neurons behind a map in the shape of the map."""

import numpy as np
import pytest

from snn_deploy.backends.engine.cpu import CpuBackend
from snn_deploy.compiler.lower.move_flatten import move_flatten
from snn_deploy.compiler.pipeline import compile_model, to_spiking
from snn_deploy.errors import PassError
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.nodes import Add, AvgPool2d, Flatten, Node
from tests.build import chain, conv, graph, images, lif, linear, rng, simulator

SHAPE = (2, 6, 6)
FLAT = Flatten(name="flat", shape=(3, 4, 4))


def first() -> Node:
    return conv("conv", SHAPE, 3, padding=(0, 0))


def varied() -> Node:
    """Return flat neurons that differ from channel to channel."""
    threshold = np.repeat(rng(1).uniform(0.2, 0.6, 3), 16)
    return lif("lif", (48,), threshold=threshold, reset_amount=threshold)


def pooled() -> tuple[Node, ...]:
    pool = AvgPool2d(name="pool", shape=(3, 4, 4), kernel=(2, 2), stride=(2, 2))
    flat = Flatten(name="flat", shape=(3, 2, 2))
    return first(), lif("before", (3, 4, 4)), pool, flat, lif("lif", (12,))


NETWORKS = {
    "inside": chain(first(), FLAT, varied(), linear("fc", 48, 4)),
    "neurons before": chain(
        first(), lif("a", (3, 4, 4)), FLAT, lif("b", (48,)), linear("fc", 48, 4)
    ),
    "behind a pooling": chain(*pooled(), linear("fc", 12, 4)),
    "at the end": chain(first(), FLAT, varied()),
    "a current at the end": chain(first(), FLAT),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_function_stays_and_can_be_compiled(name: str) -> None:
    before = NETWORKS[name]
    stimuli = images(3, SHAPE)

    after = move_flatten(before)

    np.testing.assert_allclose(evaluate(after, stimuli), evaluate(before, stimuli))
    session = CpuBackend().load(compile_model(before, simulator())).start(stimuli)
    record = session.step()
    assert record is not None
    assert record.readout.shape == (3, evaluate(before, stimuli, 1).shape[2])


def test_a_flatten_before_weights_stays() -> None:
    before = chain(first(), lif("lif", (3, 4, 4)), FLAT, linear("fc", 48, 4))

    assert move_flatten(before) is before


def test_a_flatten_whose_values_meet_others_is_refused_where_it_cannot_stay() -> None:
    nodes = [first(), FLAT, linear("fc", 48, 48), Add(name="sum", shape=(48,))]
    more = [Flatten(name="row", shape=SHAPE), linear("in", 72, 48), lif("lif", (48,))]
    arrows = "input>conv conv>flat flat>sum input>row row>in in>sum sum>lif"
    network: Graph = graph(
        [n for n in (*nodes, *more) if n.name != "fc"], arrows, shape=SHAPE
    )

    with pytest.raises(PassError, match="lif: takes the map of conv in a row, beside"):
        compile_model(network, simulator())
    assert to_spiking(network).node("flat")
