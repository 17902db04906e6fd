"""connections: as many as single spikes reach, one neuron at a time."""

from dataclasses import replace

import numpy as np
import pytest

from snn_deploy.ir.connections import connections, effective_connections, n_connections
from snn_deploy.ir.convolve import convolve
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.synapses import ConvSynapses, SparseSynapses
from tests.build import dense, integers, population, rng

SHAPE = (4, 6, 5)


def convolution(**settings: object) -> QuantizedGraph:
    weights = 2 * rng(1).integers(-2, 3, (6, 4 // int(str(settings["groups"])), 3, 2))
    synapses = ConvSynapses(weights=weights, **settings)  # type: ignore[arg-type]
    shape = synapses.output_shape(SHAPE)
    assert shape is not None
    return integers(
        [population("out", shape, offset=1)],
        [replace(dense("input", "out", [[1]], delay=1), synapses=synapses)],
        shape=SHAPE,
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1},
        {"stride": (2, 3), "padding": (0, 2), "dilation": (2, 1), "groups": 2},
        {"stride": (3, 1), "padding": (4, 0), "dilation": (1, 3), "groups": 1},
    ],
)
@pytest.mark.parametrize("counted", [connections, effective_connections])
def test_a_convolution_reaches_what_it_computes(
    settings: dict[str, object], counted: object
) -> None:
    graph = convolution(**settings)
    (projection,) = graph.projections
    synapses = projection.synapses
    assert isinstance(synapses, ConvSynapses)
    kept = np.ones_like(synapses.weights)
    if counted is effective_connections:
        kept = np.asarray(synapses.weights != 0, np.int64)

    assert callable(counted)
    found = counted(graph, projection)

    size = int(np.prod(SHAPE))
    one_by_one = np.eye(size).reshape(size, *SHAPE)
    reached = convolve(one_by_one, kept.astype(float), **settings)  # type: ignore[arg-type]
    expected = reached.reshape(size, -1).sum(axis=1)
    np.testing.assert_array_equal(found, expected)
    assert 0 < found.sum() < 6 * 4 * 3 * 2 * size


def test_single_synapses_and_dense_ones() -> None:
    sparse = SparseSynapses(
        targets=np.array([0, 1, 1, 1]),
        sources=np.array([0, 0, 2, 2]),
        weights=np.array([2, 0, 4, 6]),
        size=(2, 3),
    )
    graph = integers(
        [population("mid", (2,), offset=1), population("out", (2,), offset=2)],
        [
            replace(dense("input", "mid", [[1]], delay=1), synapses=sparse),
            dense("mid", "out", [[2, 0], [4, 0]], delay=1),
        ],
        shape=(3,),
    )
    first, second = graph.projections

    assert connections(graph, first).tolist() == [2, 0, 2]
    assert effective_connections(graph, first).tolist() == [1, 0, 2]
    assert connections(graph, second).tolist() == [2, 2]
    assert effective_connections(graph, second).tolist() == [2, 0]
    assert n_connections(graph) == 8
