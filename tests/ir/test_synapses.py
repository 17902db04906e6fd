"""synapses: every answer of every kind is that of its synapses, one by one."""

from dataclasses import replace

import numpy as np
from hypothesis import given

from snn_deploy.arrays import n_neurons
from snn_deploy.ir.dynamics import SynapticSum
from snn_deploy.ir.kinds import Kinds
from snn_deploy.ir.synapses import ConvSynapses, SparseSynapses
from tests.build import dense, integers, population, rng
from tests.conformance.networks import Case, cases
from tests.conformance.oracle import synapses_of
from tests.conformance.tally import examples


@given(case=cases(max_timesteps=1, may_be_long=False))
@examples(150)
def test_synapses_answer_what_single_ones_count(case: Case) -> None:
    graph = case.graph
    for projection in graph.projections:
        synapses, shape = projection.synapses, graph.shape_of(projection.source)
        size = (graph.population(projection.target).size, n_neurons(shape))
        number, weights = np.zeros(size, np.int64), np.zeros(size, np.int64)
        effective, largest = np.zeros(size, np.int64), np.zeros(size, np.int64)
        for source, target, weight in synapses_of(graph, projection):
            number[target, source] += 1
            weights[target, source] += weight
            effective[target, source] += weight != 0
            largest[target, source] += abs(weight)
        generator = rng(1)
        places = generator.integers(0, 3, size[0])
        spikes = generator.integers(-1, 3, (4, size[1]))
        spikes[0] = 0

        np.testing.assert_array_equal(synapses.dense(shape), weights)
        np.testing.assert_array_equal(synapses.fan_ins(shape), number.sum(axis=1))
        np.testing.assert_array_equal(synapses.fan_outs(shape), number.sum(axis=0))
        np.testing.assert_array_equal(
            synapses.effective_fan_outs(shape), effective.sum(axis=0)
        )
        assert synapses.fan_in >= number.sum(axis=1).max()
        assert synapses.largest_sum >= largest.sum(axis=1).max()
        read = synapses.read_on(places, 3, shape).toarray().T
        for place, found in enumerate(read):
            np.testing.assert_array_equal(found, number[places == place].sum(axis=0))
        read = synapses.effective_read_on(places, 3, shape).toarray().T
        for place, found in enumerate(read):
            np.testing.assert_array_equal(found, effective[places == place].sum(axis=0))
        axes = synapses.alike(places, shape)
        at, of_neurons = Kinds(axes).at, Kinds(axes).of_neurons
        found = synapses.read_on(places, 3, shape, at)[of_neurons]
        np.testing.assert_array_equal(
            found.toarray(), synapses.read_on(places, 3, shape).toarray()
        )
        axes = synapses.effectively_alike(places, shape)
        at, of_neurons = Kinds(axes).at, Kinds(axes).of_neurons
        found = synapses.effective_read_on(places, 3, shape, at)[of_neurons]
        np.testing.assert_array_equal(
            found.toarray(), synapses.effective_read_on(places, 3, shape).toarray()
        )
        sums = synapses.summing(synapses.weights, shape)(spikes)
        np.testing.assert_array_equal(sums, spikes @ weights.T)
        reached = synapses.reaching(shape)(spikes)
        assert reached.dtype == np.bool_
        np.testing.assert_array_equal(reached, (spikes != 0) @ number.T > 0)


def test_sums_of_a_channel_are_those_of_a_neuron_that_misses_nothing() -> None:
    kernels = rng(2).integers(-4, 5, (6, 2, 3, 2))
    synapses = ConvSynapses(
        weights=kernels, stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2
    )

    dense = synapses.dense((4, 5, 7)).reshape(6, 3 * 5, -1)

    inside = dense[:, 1 * 5 + 2]  # of the middle row
    np.testing.assert_array_equal(synapses.sums_onto(kernels), inside.sum(axis=1))
    assert synapses.largest_sum == np.abs(inside).sum(axis=1).max()


def test_sums_are_exact_whatever_the_spikes_carry() -> None:
    one = SparseSynapses(
        targets=np.zeros(2, np.int64),
        sources=np.arange(2),
        weights=np.array([255, 1]),
        size=(1, 2),
    )
    graph = integers(
        [population("out", (1,), offset=1)],
        [replace(dense("input", "out", [[1, 1]], delay=1), synapses=one)],
        shape=(2,),
    )
    for large in (1 << 16, 1 << 30, 1 << 50):
        sums = SynapticSum(graph, graph.projections[0], large)

        found = sums(np.array([[large, -1], [large - 1, 1]]))

        assert found.tolist() == [[255 * large - 1], [255 * (large - 1) + 1]]


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
    first, second = (p.synapses for p in graph.projections)

    assert first.fan_outs((3,)).tolist() == [2, 0, 2]
    assert first.effective_fan_outs((3,)).tolist() == [1, 0, 2]
    assert second.fan_outs((2,)).tolist() == [2, 2]
    assert second.effective_fan_outs((2,)).tolist() == [2, 0]
    assert graph.n_connections == 8
