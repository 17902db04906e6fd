"""quantize: integers that compute nearly the same, and a list of what was lost."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn_deploy.arrays import IntArray
from snn_deploy.chip.target import Target
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.lower.grid import weights_on_grid
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.pipeline import to_spiking
from snn_deploy.errors import FitError, PassError
from snn_deploy.fixedpoint import shift
from snn_deploy.ir.dynamics import SynapticSum
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.nodes import Add, Linear
from snn_deploy.ir.quantized import (
    QuantizedGraph,
)
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Encoding, Stimulus
from tests.build import (
    RATE,
    chain,
    conv,
    graph,
    images,
    lif,
    linear,
    rng,
    simulator,
    trains,
)


def spikes_of(network: QuantizedGraph, stimuli: list[Stimulus]) -> IntArray:
    simulation = Simulation(network, stimuli)
    found = []
    for _ in range(network.training.timesteps):
        simulation.step()
        found.append(simulation.readout())
    return np.stack(found, axis=1)


def small(seed: int, training: Training) -> Graph:
    return chain(
        conv("conv", (2, 5, 5), 4, seed=seed),
        lif("a", (4, 5, 5)),
        conv("conv2", (4, 5, 5), 3, seed=seed + 1, stride=(2, 2)),
        lif("b", (3, 3, 3), reset=Reset.SOFT, voltage_decay=np.array(0.0)),
        training=training,
    )


@pytest.mark.parametrize(
    "training", [RATE, Training(timesteps=6, encoding=Encoding.DIRECT)]
)
def test_nearly_all_spikes_are_those_of_the_float_network(training: Training) -> None:
    before = small(3, training)
    stimuli = (
        images(20, (2, 5, 5)) if training is not RATE else trains(20, 6, (2, 5, 5))
    )

    network = quantize(to_spiking(before), simulator())

    differing = spikes_of(network, stimuli) != evaluate(before, stimuli)
    assert differing.mean() < 0.02


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), size=st.floats(0.01, 100), bias=st.floats(0, 50))
def test_no_input_can_overflow_the_accumulator_or_the_current(
    seed: int, size: float, bias: float
) -> None:
    layer = linear("fc", 30, 4, seed=seed)
    layer = Linear(name="fc", weight=size * layer.weight, bias=bias * layer.bias)
    training = Training(timesteps=6, encoding=Encoding.DIRECT)
    graph_ = to_spiking(chain(layer, lif("a", (4,)), training=training))

    network = quantize(graph_, simulator())

    projection = network.projections[0]
    weights = projection.synapses.weights
    for sign in (1, -1):
        extreme = (np.sign(weights) == sign) * 255
        sums = np.abs(np.sum(weights * extreme, axis=1))
        assert sums.max() < 1 << 23
        assert np.abs(shift(sums, projection.exponent)).max() << 6 < 1 << 23
    assert np.abs(SynapticSum(network, projection)(extreme)).max() << 6 < 1 << 23
    assert np.abs(network.populations[0].bias_mantissa).max() <= 4095
    assert network.populations[0].threshold.max() <= (1 << 17) - 1


def test_weights_are_even_and_fit_eight_bits_and_a_shift() -> None:
    network = quantize(to_spiking(small(5, RATE)), simulator())

    for projection in network.projections:
        weights = projection.synapses.weights
        assert not np.any(weights % 2)
        assert weights.min() >= -256
        assert weights.max() <= 254
        assert np.abs(weights).max() >= 250  # all bits are used


def test_each_channel_has_its_own_scale_but_not_the_read_out() -> None:
    network = quantize(to_spiking(small(5, RATE)), simulator())

    assert len(np.unique(network.population("a").scale)) == 4
    assert len(np.unique(network.population("b").scale)) == 1


def test_thresholds_are_exact_where_each_channel_has_its_scale() -> None:
    network = quantize(to_spiking(small(5, RATE)), simulator())

    a = network.population("a")
    np.testing.assert_allclose(a.threshold * 64 * a.scale, 0.5)


def test_spiking_at_the_threshold_becomes_one_more_initial_voltage() -> None:
    neurons = lif(
        "a",
        (1,),
        voltage_decay=np.array(0.0),
        reset=Reset.SOFT,
        comparison=Comparison.GREATER_EQUAL,
        threshold=np.array(1.0),
        reset_amount=np.array(1.0),
    )
    layer = Linear(name="fc", weight=np.array([[0.5]]), bias=np.zeros(1))
    before = chain(layer, neurons, training=RATE)
    stimulus = [Stimulus(values=np.ones((6, 1), np.int64), is_constant=False)]

    network = quantize(to_spiking(before), simulator())

    found = spikes_of(network, stimulus)[0, :, 0]
    np.testing.assert_array_equal(found, [0, 1, 0, 1, 0, 1])


def test_a_chip_without_soft_reset_refuses_it_by_name() -> None:
    neurons = lif("a", (2,), reset=Reset.SOFT)
    before = chain(linear("fc", 3, 2), neurons, training=RATE)

    with pytest.raises(FitError, match="a: soft reset, which the neurons of loihi1"):
        quantize(to_spiking(before), read_target("loihi1"))


def test_a_chip_without_graded_spikes_refuses_direct_input() -> None:
    with pytest.raises(FitError, match="direct encoding sends graded spikes"):
        quantize(
            to_spiking(chain(linear("fc", 3, 2), lif("a", (2,)))), read_target("loihi1")
        )


def test_two_weight_layers_in_a_row_are_one_projection() -> None:
    before = chain(linear("fc1", 3, 4), linear("fc2", 4, 2), training=RATE)

    network = quantize(to_spiking(before), simulator())

    (projection,) = network.projections
    assert projection.synapses.weights.shape == (2, 3)


def test_branches_that_meet_become_projections_onto_one_population() -> None:
    nodes = [
        linear("fc1", 4, 5, seed=1),
        lif("a", (5,)),
        linear("fc2", 5, 5, seed=2),
        Add(name="sum", shape=(5,)),
        lif("b", (5,)),
    ]
    # the spikes of a reach b through fc2 and past it
    nodes_after = [*nodes, linear("fc3", 5, 3, seed=3)]
    with_skip = graph(
        [
            nodes[0],
            nodes[1],
            nodes[2],
            lif("b", (5,)),
            Add(name="sum", shape=(5,)),
            nodes_after[-1],
        ],
        "input>fc1 fc1>a a>fc2 fc2>b a>sum b>sum sum>fc3",
        shape=(4,),
        training=RATE,
    )
    stimuli = trains(10, 6, (4,))

    network = quantize(to_spiking(with_skip), simulator())

    into = network.projections_into(network.readout)
    assert {projection.source for projection in into} == {"a", "b"}
    scale = network.readout.scale
    float_sum = np.cumsum(evaluate(with_skip, stimuli), axis=1)
    difference = np.abs(spikes_of(network, stimuli) * scale - float_sum)
    assert np.median(difference) < 0.02


def test_bias_behind_a_synaptic_current_with_memory_arrives_as_spikes() -> None:
    neurons = lif("a", (3,), current_decay=np.array(0.3))
    before = chain(linear("fc", 4, 3), neurons, training=RATE)
    stimuli = trains(20, 6, (4,))

    network = quantize(to_spiking(before), simulator())

    assert "a_bias" in [population.name for population in network.populations]
    differing = spikes_of(network, stimuli) != evaluate(before, stimuli)
    assert differing.mean() < 0.02


def test_every_rounding_is_in_the_change_log() -> None:
    network = quantize(to_spiking(small(5, RATE)), simulator())

    found = {(change.layer, change.kind) for change in network.changes}
    assert ("conv", "round weights") in found
    assert ("a", "round bias") in found
    assert all(change.count > 0 and change.largest > 0 for change in network.changes)


def test_values_on_the_grid_of_the_chip_are_not_logged() -> None:
    layer = Linear(name="fc", weight=np.array([[254.0, -2.0]]), bias=np.zeros(1))
    neurons = lif("a", (1,), threshold=np.array(500.0), voltage_decay=np.array(0.25))

    network = quantize(to_spiking(chain(layer, neurons, training=RATE)), simulator())

    assert network.changes == ()


def with_weights_of(n_bits: int) -> Target:
    target = simulator()
    return replace(target, precision=replace(target.precision, weight_bits=n_bits))


@pytest.mark.parametrize("n_bits", range(2, 9))
def test_weights_have_as_many_values_as_bits_hold(n_bits: int) -> None:
    network = quantize(to_spiking(small(3, RATE)), with_weights_of(n_bits))

    step = 2 ** (9 - n_bits)
    for projection in network.projections:
        weights = projection.synapses.weights
        assert not np.any(weights % step)
        assert -256 <= weights.min() < weights.max() <= 256 - step
        assert len(np.unique(weights)) <= 2**n_bits
        # they are used up to the end, where a layer has both signs
        assert max(weights.max() + step, -weights.min()) == 256


def test_fewer_bits_lose_more() -> None:
    means = []
    for n_bits in (8, 6, 4, 2):
        network = quantize(to_spiking(small(3, RATE)), with_weights_of(n_bits))
        means.append([c.mean for c in network.changes if c.kind == "round weights"])

    assert np.all(np.diff(np.array(means), axis=0) > 0)


def test_integers_of_a_file_that_fewer_bits_cannot_hold_are_refused() -> None:
    weight = np.array([[32.0, -64.0, 34.0]])
    layer = Linear(name="dense", weight=weight, bias=np.zeros(1))

    with pytest.raises(PassError, match=r"dense: 1 weights such as 34 are no multip"):
        weights_on_grid(layer, 0, with_weights_of(4).precision)

    assert weights_on_grid(layer, 0, with_weights_of(8).precision).tolist() == [
        [32, -64, 34]
    ]


@pytest.mark.parametrize("n_units", [199, 209, 211, 233])
def test_weights_on_the_grid_of_a_layer_stay_in_single_precision(n_units: int) -> None:
    steps = rng(n_units).integers(-127, 128, (6, 8))
    steps[0, 0] = 127  # the largest weight and the threshold fix the grid
    on_grid = (steps * np.float32(2 / n_units)).astype(np.float32)
    layer = Linear(name="fc", weight=on_grid.astype(np.float64), bias=np.full(6, 0.01))
    network = chain(layer, lif("a", (6,), threshold=np.array(1.0)), training=RATE)

    found = quantize(to_spiking(network), read_target("loihi2-netx"))

    np.testing.assert_array_equal(found.projections[0].synapses.weights, 2 * steps)
    assert "round weights" not in {c.kind for c in found.changes}


def test_senders_of_one_layer_share_the_array_of_its_weights() -> None:
    nodes = [linear("one", 4, 5), lif("a", (5,)), linear("two", 5, 5), lif("b", (5,))]
    add, head = Add(name="sum", shape=(5,)), linear("head", 5, 3)
    both = graph(
        [*nodes, add, head, lif("c", (3,))],
        "input>one one>a a>two two>b a>sum b>sum sum>head head>c",
        shape=(4,),
        training=RATE,
    )

    network = quantize(to_spiking(both), simulator())

    first, second = network.projections_into(network.readout)
    assert first.exponent == second.exponent
    assert first.synapses.weights is second.synapses.weights
    assert [c.count for c in network.changes if c.layer == "head"] == [15, 15]
