"""abilities: spikes at the threshold, several in a timestep, and who has them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snn_deploy.arrays import IntArray
from snn_deploy.chip.target import Target
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.fit import fit
from snn_deploy.compiler.lower.abilities import largest_count
from snn_deploy.compiler.lower.collect import collect
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.pipeline import to_spiking
from snn_deploy.errors import FitError, ModelError
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Edge, Graph, Training
from snn_deploy.ir.neurons import Comparison, Lif, Reset
from snn_deploy.ir.nodes import Conv2d, Flatten, Input, Linear
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Encoding, Stimulus
from tests.build import chain, conv, lif, linear, rng, simulator, trains
from tests.build import graph as build

# as long as halves of halves lie on the grid of the voltage
SHORT = Training(timesteps=6, encoding=Encoding.RATE)


LOW = {"lowest_voltage": np.array(-0.75)}


def whole(name: str, n_in: int, n_out: int, seed: int) -> Linear:
    """Return a layer whose weights are whole numbers, so that voltages meet ties."""
    weight = rng(seed).integers(-2, 4, (n_out, n_in)).astype(np.float64)
    return Linear(name=name, weight=weight, bias=np.zeros(n_out))


def neurons(name: str, n: int, **changes: Any) -> Lif:
    settings = {
        "voltage_decay": np.array(0.5),
        "threshold": np.array(2.0),
        "reset_amount": np.array(2.0),
        "comparison": Comparison.GREATER_EQUAL,
    }
    return lif(name, (n,), **{**settings, **changes})


def network(**changes: Any) -> Graph:
    first, second = neurons("a", 8, **changes), neurons("b", 5, **changes)
    layers = (whole("fc1", 6, 8, 1), first, whole("fc2", 8, 5, 2), second)
    return replace(chain(*layers, training=SHORT), is_on_grid=True)


def without_greater_equal() -> Target:
    target = simulator()
    return replace(target, precision=replace(target.precision, greater_equal=False))


def integer_spikes(network: QuantizedGraph, stimuli: list[Stimulus]) -> IntArray:
    simulation = Simulation(network, stimuli)
    found = []
    for _ in range(network.training.timesteps):
        simulation.step()
        found.append(simulation.readout())
    return np.stack(found, axis=1)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"reset": Reset.SOFT},
        {"voltage_decay": np.array(0.0)},
        {"voltage_decay": np.array(0.0), "reset": Reset.SOFT},
        {"reset": Reset.SOFT, "reset_amount": np.array(0.0)},
        {"reset": Reset.SOFT, "max_spikes": 3},
        {"reset": Reset.SOFT, "max_spikes": 100},
        {"reset": Reset.SOFT, "max_spikes": 9, "voltage_decay": np.array(0.0)},
        {
            "reset": Reset.SOFT,
            "max_spikes": 100,
            "comparison": Comparison.GREATER,
            "reset_amount": np.array(1.0),
        },
        LOW,
        {**LOW, "reset": Reset.SOFT, "max_spikes": 9},
        {**LOW, "reset": Reset.SOFT, "voltage_decay": np.array(0.0)},
        {**LOW, "reset": Reset.SOFT, "reset_amount": np.array(3.0)},
    ],
    ids=str,
)
def test_integers_spike_as_the_float_graph_does_ties_included(
    changes: dict[str, Any],
) -> None:
    before = network(**changes)
    stimuli = trains(200, SHORT.timesteps, (6,))

    found = integer_spikes(quantize(to_spiking(before), simulator()), stimuli)

    expected = evaluate(before, stimuli)
    np.testing.assert_array_equal(found, expected)
    assert expected.max() > 1 or changes.get("max_spikes", 1) == 1
    strict = replace_comparison(before)
    if changes.get("comparison") is not Comparison.GREATER:
        assert np.any(evaluate(strict, stimuli) != expected)  # there were ties


def test_a_lowest_voltage_changes_spikes_and_is_kept_by_neurons_that_start_higher() -> (
    None
):
    stimuli = trains(200, SHORT.timesteps, (6,))
    settings = {"reset": Reset.SOFT, "voltage_decay": np.array(0.0)}
    low, free = network(**LOW, **settings), network(**settings)

    found = quantize(to_spiking(low), without_greater_equal()).populations[0]

    assert np.any(evaluate(low, stimuli) != evaluate(free, stimuli))
    assert found.comparison is Comparison.GREATER
    assert np.all(found.lowest_voltage == found.initial_voltage - 48)  # 0.75 * 64


def test_a_target_without_a_lowest_voltage_refuses_it() -> None:
    before = to_spiking(network(**LOW))

    with pytest.raises(FitError, match=r"a: a lowest voltage of -0.75, which the neur"):
        quantize(before, read_target("loihi1"))
    with pytest.raises(ModelError, match=r"lowest_voltage is 0.5, allowed is up to 0"):
        network(lowest_voltage=np.array(0.5))


def test_a_lowest_voltage_off_the_grid_is_rounded_and_said() -> None:
    before = replace(network(lowest_voltage=np.array(-0.3456789)), is_on_grid=False)

    found = quantize(to_spiking(before), simulator()).changes

    assert {c.layer for c in found if c.kind == "round lowest voltage"} == {"a", "b"}


def replace_comparison(before: Graph) -> Graph:
    for node in before.nodes_of(Lif):
        before = before.replace(node, replace(node, comparison=Comparison.GREATER))
    return before


def test_without_leak_and_with_soft_reset_every_target_can_spike_at_the_threshold() -> (
    None
):
    before = network(voltage_decay=np.array(0.0), reset=Reset.SOFT)

    quantized = quantize(to_spiking(before), without_greater_equal())

    assert quantized.populations[0].comparison is Comparison.GREATER
    assert np.all(quantized.populations[0].initial_voltage == 1)


def test_a_target_without_graded_spikes_refuses_several_in_a_timestep() -> None:
    target = read_target("loihi1")
    soft = replace(target, precision=replace(target.precision, soft_reset=True))

    with pytest.raises(FitError, match="a: up to 3 spikes in one timestep, but loihi1"):
        quantize(to_spiking(network(reset=Reset.SOFT, max_spikes=3)), soft)


def test_the_count_of_spikes_is_bounded_by_what_can_arrive() -> None:
    before = to_spiking(network(reset=Reset.SOFT, max_spikes=1000))
    node = before.node("b")
    assert isinstance(node, Lif)
    weight = before.node("fc2").weight  # type: ignore[attr-defined]
    most = np.maximum(weight, 0).sum(axis=1).max() * 7

    found = largest_count(node, collect(before, node), {"a": 7}, np.zeros(5))

    assert most / 2 <= found <= most / 2 * 1.02 + 1


def test_neurons_that_feed_themselves_are_bounded_by_their_own_limit() -> None:
    nodes = [
        Input(name="input", shape=(4,)),
        whole("fc", 4, 3, 1),
        neurons("a", 3, reset=Reset.SOFT, max_spikes=6),
        whole("back", 3, 3, 2),
    ]
    ends = [("input", "fc", 0), ("fc", "a", 0), ("a", "back", 1), ("back", "a", 0)]
    before = Graph(
        name="loop",
        nodes=tuple(nodes),
        edges=tuple(Edge(source=a, target=b, delay=delay) for a, b, delay in ends),
        training=SHORT,
        is_on_grid=True,
        output_name="a",
    )
    stimuli = trains(100, SHORT.timesteps, (4,))

    quantized = quantize(to_spiking(before), simulator())

    assert quantized.populations[0].max_spikes == 6
    expected = evaluate(before, stimuli)
    np.testing.assert_array_equal(integer_spikes(quantized, stimuli), expected)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_spikes": 2, "reset": Reset.HARD}, "several spikes in one timestep need"),
        (
            {"max_spikes": 2, "reset": Reset.SOFT, "reset_amount": np.array(0.0)},
            "several spikes in one timestep need",
        ),
        ({"max_spikes": 0}, "max_spikes is 0"),
    ],
)
def test_neurons_that_could_spike_for_ever_do_not_exist(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        neurons("a", 3, **changes)


# a chip that lava-dl's netx programs: hard reset, one of each parameter in a layer


def netx() -> Target:
    return read_target("loihi2-netx")


def floats(**changes: Any) -> Graph:
    """Return two layers of neurons in float, which netx's can be."""
    layers = (
        conv("conv", (2, 6, 6), 4),
        lif("a", (4, 6, 6), **changes),
        Flatten(name="flat", shape=(4, 6, 6)),
        linear("fc", 144, 5),
        lif("b", (5,)),
    )
    return chain(*layers, training=SHORT)


def test_a_chip_of_netx_has_one_of_each_parameter_and_biases_on_a_grid() -> None:
    quantized = quantize(to_spiking(floats()), netx())

    for population in quantized.populations:
        assert population.threshold.size == population.scale.size == 1 or (
            np.ptp(population.threshold) == np.ptp(population.scale) == 0
        )
        assert population.bias_exponent == 6
        assert population.bias_mantissa.any()
    assert {p.exponent for p in quantized.projections} == {0}
    free = quantize(to_spiking(floats()), simulator())
    assert np.ptp(free.populations[0].threshold) > 0
    rounded = [c.largest for c in quantized.changes if c.kind == "round bias"]
    unit = max(64 * p.scale.max() for p in quantized.populations)
    assert 0 < max(rounded) <= unit / 2


def test_biases_that_only_large_registers_hold_make_the_units_larger() -> None:
    graph = floats()
    first = graph.node("conv")
    assert isinstance(first, Conv2d)
    drive = graph.replace(first, replace(first, bias=np.full(4, 300.0)))

    quantized = quantize(to_spiking(drive), netx())

    a = quantized.population("a")
    assert 3000 < a.bias_mantissa.max() <= 4095
    kept = a.bias_mantissa * 64 * a.scale
    np.testing.assert_allclose(kept.ravel(), 300, rtol=1e-3)


def joined() -> Graph:
    """Return a layer that receives what two others send."""
    nodes = (
        linear("fc", 6, 6),
        lif("a", (6,)),
        linear("around", 6, 6),
        linear("next", 6, 6),
        lif("b", (6,)),
    )
    arrows = "input>fc fc>a a>next next>b input>around around>b"
    return build(nodes, arrows, shape=(6,), training=SHORT)


def late(into: str) -> Graph:
    """Return a layer that receives spikes of delayed axons."""
    delayed = {"axon_delay": np.array(2.0)}
    layer = conv("next", (4, 6, 6), 2) if into == "conv" else linear("next", 144, 2)
    flat = () if into == "conv" else (Flatten(name="flat", shape=(4, 6, 6)),)
    last = lif("b", layer.output_shape)
    first = (conv("conv", (2, 6, 6), 4), lif("a", (4, 6, 6), **delayed))
    return chain(*first, *flat, layer, last, training=SHORT)


def looped(delay: int, late: int = 0) -> Graph:
    """Return neurons that send to themselves, and an output."""
    back = Linear(name="back", weight=linear("", 4, 4).weight, bias=np.zeros(4))
    nodes = (linear("fc", 6, 4), lif("a", (4,)), back, linear("out", 4, 2))
    arrows = f"input>fc:{late} fc>a a>back:{delay} back>a a>out out>b"
    return build((*nodes, lif("b", (2,))), arrows, shape=(6,), training=SHORT)


COUNTS = Training(timesteps=4, encoding=Encoding.EVENTS, largest_count=5)


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (floats(reset=Reset.SOFT), "a: soft reset, which the neurons of loihi2-netx"),
        (
            floats(threshold=np.linspace(0.4, 0.5, 4).reshape(4, 1, 1)),
            "a: 4 thresholds in one layer, loihi2-netx has one for all neurons of a",
        ),
        (
            floats(voltage_decay=np.array([0.1, 0.1, 0.2, 0.2]).reshape(4, 1, 1)),
            "a: 2 voltage decays in one layer, loihi2-netx has one for all neurons",
        ),
        (
            floats(refractory=2),
            "a: rests 2 timesteps after a spike, loihi2-netx allows 0",
        ),
        (floats(initial_voltage=np.array(0.2)), "a: starts at a voltage of 0.2, the"),
        (
            floats(current_decay=np.array(0.5)),
            "a: receives what input and a_bias send, and a layer of loihi2-netx "
            "takes the spikes of only one other; train without a current that lasts "
            "over timesteps",
        ),
        (joined(), "b: receives what a and input send, and a layer of loihi2-netx "),
        (
            late("conv"),
            "b: receives the spikes of a up to 2 timesteps late, loihi2-netx",
        ),
        (looped(2), "a: sends to itself otherwise than by one matrix of weights one"),
        (looped(1, 2), "a: sends to itself otherwise than by one matrix of weights"),
    ],
)
def test_what_netx_has_not_is_refused_with_what_to_train(
    graph: Graph, words: str
) -> None:
    with pytest.raises(FitError) as caught:
        quantize(to_spiking(graph), netx())
    assert str(caught.value).startswith(words)
    assert "; train " in str(caught.value)
    assert words in "\n".join(map(str, fit(graph, netx()).problems))

    quantize(to_spiking(graph), simulator())


@pytest.mark.parametrize(
    "graph", [late("dense"), looped(1), replace(floats(), training=COUNTS)]
)
def test_what_netx_has_is_compiled(graph: Graph) -> None:
    assert quantize(to_spiking(graph), netx()).precision == netx().precision
    assert not fit(graph, netx()).problems


def test_a_target_with_one_threshold_a_layer_refuses_several() -> None:
    several = floats(threshold=np.linspace(0.4, 0.5, 4).reshape(4, 1, 1))

    with pytest.raises(FitError, match="a: 4 thresholds in one layer, loihi1 has one"):
        quantize(to_spiking(several), read_target("loihi1"))
