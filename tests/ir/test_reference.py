"""reference: the integer neuron, step by step, against numbers worked out by hand."""

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.ir.graph import Training
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import (
    QuantizedGraph,
)
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Encoding, Stimulus
from tests.build import dense, images, integers, population, rng, simulator, trains

ONE_STEP = np.array([[1]])


def run(graph: QuantizedGraph, stimuli: list[Stimulus], n: int) -> list[IntArray]:
    simulation = Simulation(graph, stimuli)
    found = []
    for _ in range(n):
        simulation.step()
        found.append(simulation.readout())
    return found


def test_input_and_threshold_are_shifted_and_the_bias_is_not() -> None:
    neurons = population("a", (1,), threshold=np.array(10), bias_mantissa=np.array(5))
    graph = integers([neurons], [dense("input", "a", [[4]])], shape=(1,))
    stimulus = Stimulus(values=np.array([[1], [0], [1]]), is_constant=False)
    simulation = Simulation(graph, [stimulus])

    simulation.step()

    assert simulation.states["a"].voltage.item() == 4 * 64 + 5


def test_hard_reset_goes_to_zero_and_soft_reset_keeps_the_rest() -> None:
    for reset, left in ((Reset.HARD, 0), (Reset.SOFT, 50 * 64)):
        neurons = population(
            "a", (1,), voltage_decay=np.array(0), reset=reset
        )  # threshold 100
        graph = integers([neurons], [dense("input", "a", [[150]])], shape=(1,))
        simulation = Simulation(graph, [Stimulus(values=ONE_STEP, is_constant=False)])

        simulation.step()

        assert simulation.readout().item() == 1
        assert simulation.states["a"].voltage.item() == left


def test_a_voltage_equal_to_the_threshold_spikes_only_if_asked_to() -> None:
    for comparison, spikes in ((Comparison.GREATER, 0), (Comparison.GREATER_EQUAL, 1)):
        neurons = population("a", (1,), comparison=comparison)
        graph = integers([neurons], [dense("input", "a", [[100]])], shape=(1,))

        found = run(graph, [Stimulus(values=ONE_STEP, is_constant=False)], 1)

        assert found[0].item() == spikes


def test_current_decays_before_the_input_is_added() -> None:
    neurons = population(
        "a", (1,), current_decay=np.array(2047), spikes=False
    )  # with the offset, half is lost
    graph = integers([neurons], [dense("input", "a", [[10]])], shape=(1,))
    stimulus = Stimulus(values=np.array([[1], [1], [0]]), is_constant=False)
    simulation = Simulation(graph, [stimulus])

    currents = []
    for _ in range(3):
        simulation.step()
        currents.append(simulation.states["a"].current.item())

    assert currents == [640, 960, 480]


def test_exponents_shift_the_whole_sum_and_round_down() -> None:
    neurons = population("a", (1,), spikes=False, voltage_decay=np.array(0))
    weights = np.array([[3, 4]])
    graph = integers([neurons], [dense("input", "a", weights, exponent=-1)], shape=(2,))
    stimulus = Stimulus(values=np.array([[1, 1]]), is_constant=False)

    assert run(graph, [stimulus], 1)[0].item() == 3 * 64


def test_delayed_spikes_arrive_later_and_none_after_the_last_timestep() -> None:
    neurons = population("a", (1,), spikes=False, voltage_decay=np.array(0))
    graph = integers(
        [neurons],
        [dense("input", "a", [[2]], delay=2)],
        shape=(1,),
        training=Training(timesteps=3, encoding=Encoding.DIRECT),
    )
    stimulus = Stimulus(values=ONE_STEP, is_constant=True)

    voltages = [int(v.item()) for v in run(graph, [stimulus], 7)]

    assert voltages == [0, 0, 128, 256, 384, 384, 384]


def test_a_held_population_neither_adds_its_bias_nor_spikes() -> None:
    neurons = population(
        "a", (1,), bias_mantissa=np.array(4000), bias_exponent=1, offset=2
    )
    graph = integers([neurons], [dense("input", "a", [[2]], delay=2)], shape=(1,))
    simulation = Simulation(graph, trains(1, 6, (1,)))

    simulation.step()
    simulation.step()

    assert "a" not in simulation.states
    simulation.step()
    assert simulation.readout().item() == 1  # 8000 > 6400


def test_dropped_inputs_do_not_change_the_others() -> None:
    draw = rng()
    layers = [population("a", (20,)), population("b", (5,))]
    projections = [
        dense("input", "a", 2 * draw.integers(-20, 40, (20, 8))),
        dense("a", "b", 2 * draw.integers(-20, 40, (5, 20))),
    ]
    graph = integers(layers, projections, shape=(8,))
    stimuli = trains(6, 6, (8,))
    alone = [np.array(run(graph, [s], 6))[:, 0] for s in stimuli]
    simulation = Simulation(graph, stimuli)
    running = np.arange(6)

    for t in range(5):
        simulation.step()
        for position, index in enumerate(running):
            np.testing.assert_array_equal(
                simulation.readout()[position], alone[index][t]
            )
        simulation.keep(np.arange(1, len(running)))
        running = running[1:]


def test_constant_input_computed_once_is_the_same_as_every_timestep() -> None:
    draw = rng()
    layers = [population("a", (10,), voltage_decay=np.array(0), reset=Reset.SOFT)]
    projections = [dense("input", "a", draw.integers(-9, 9, (10, 4)))]
    graph = integers(
        layers,
        projections,
        shape=(4,),
        largest_value=255,
        training=Training(timesteps=6, encoding=Encoding.DIRECT),
    )
    constant = images(3, (4,))
    repeated = [
        Stimulus(values=np.repeat(s.values, 6, axis=0), is_constant=False)
        for s in constant
    ]

    np.testing.assert_array_equal(run(graph, constant, 8), run(graph, repeated, 8))


def test_the_pipelined_network_computes_the_same_later() -> None:
    draw = rng()
    layers = [population("a", (9,)), population("b", (7,)), population("c", (5,))]
    projections = [
        dense("input", "a", 2 * draw.integers(-30, 60, (9, 6))),
        dense("a", "b", 2 * draw.integers(-30, 60, (7, 9))),
        dense("a", "c", 2 * draw.integers(-30, 60, (5, 9)), name="skip"),
        dense("b", "c", 2 * draw.integers(-30, 60, (5, 7)), delay=3),
        dense("c", "c", 2 * draw.integers(-30, 60, (5, 5)), delay=1),
    ]
    graph = integers(layers, projections, shape=(6,))
    pipelined = retime(graph, simulator())

    now = run(graph, trains(4, 6, (6,)), 6)
    later = _from_depth(pipelined, trains(4, 6, (6,)))

    np.testing.assert_array_equal(now, later)
    assert np.any(now)


def _from_depth(graph: QuantizedGraph, stimuli: list[Stimulus]) -> list[IntArray]:
    simulation = Simulation(graph, stimuli)
    for _ in range(graph.depth):
        simulation.step()
    found = []
    for _ in range(6):
        simulation.step()
        found.append(simulation.readout())
    return found
