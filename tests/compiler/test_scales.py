"""scales: room for what adds up, grids kept, resets that fit."""

from dataclasses import replace

import numpy as np
import pytest

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.pipeline import compile_model, to_spiking
from snn_deploy.errors import FitError
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.neurons import Lif, Reset
from snn_deploy.ir.nodes import Linear
from snn_deploy.ir.quantized import AT_LIMITS, QuantizedGraph
from snn_deploy.ir.ranges import reach_of
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Encoding, Stimulus
from tests.build import chain, conv, lif, linear, simulator

EVENTS = Training(timesteps=1500, encoding=Encoding.EVENTS)


def weighted(name: str, weight: FloatArray) -> Linear:
    return Linear(name=name, weight=weight, bias=np.zeros(len(weight)))


def integrate_and_fire(name: str, n: int, **changes: object) -> Lif:
    settings: dict[str, object] = {
        "voltage_decay": np.array(0.0),
        "reset": Reset.SOFT,
        "threshold": np.array(1.0),
        "reset_amount": np.array(1.0),
    }
    return lif(name, (n,), **{**settings, **changes})


def inhibited(inhibition: float, training: Training = EVENTS) -> Graph:
    """Return one neuron that an input excites by 2, and another inhibits."""
    weight = np.array([[2.0, inhibition]])
    return chain(weighted("fc", weight), integrate_and_fire("a", 1), training=training)


def inhibition_first(n_inhibited: int = 700) -> Stimulus:
    """Return 700 timesteps of inhibition, then 800 of excitation."""
    values = np.zeros((EVENTS.timesteps, 2), np.int32)
    values[:n_inhibited, 1] = values[n_inhibited:, 0] = 1
    return Stimulus(values=values, is_constant=False)


def run(network: QuantizedGraph, stimulus: Stimulus) -> tuple[IntArray, Simulation]:
    simulation = Simulation(network, [stimulus])
    spikes = []
    for _ in range(network.training.timesteps):
        simulation.step()
        spikes.append(simulation.readout()[0])
    return np.array(spikes), simulation


def kinds(network: QuantizedGraph) -> list[str]:
    return [change.kind for change in network.changes]


def test_a_long_inhibition_is_paid_back_in_full() -> None:
    network = quantize(to_spiking(inhibited(-2.0)), simulator())

    spikes, simulation = run(network, inhibition_first())

    # by hand: -1400 after 700 timesteps; +200 after all, of which each spike takes 1:
    # at 0 after 1400, then 2 a timestep and one spike in each of the last 100
    assert spikes.sum() == 100
    assert not spikes[:1400].any()
    assert network.changes == ()  # nothing is lost, nothing can saturate
    assert simulation.states["a"].saturations.tolist() == [0]


def test_what_has_no_room_is_a_lossy_step_and_happens() -> None:
    graph = inhibited(-1.937)  # on no grid: a coarser unit would round the weights

    network = quantize(to_spiking(graph), simulator())

    (change,) = [change for change in network.changes if change.kind in AT_LIMITS]
    assert (change.layer, change.kind, change.count) == ("a", "saturate voltage", 1)
    assert "in 1500 timesteps voltages could go from -" in change.note
    scale = float(network.readout.scale.max())
    lowest = -reach_of(network, network.readout).voltage.low.min()
    assert change.largest == pytest.approx(lowest * scale - (2**23 - 1) * scale)
    _, simulation = run(network, inhibition_first(1500))
    assert simulation.states["a"].saturations[0] > 0


def test_strict_refuses_what_can_saturate_unless_it_is_allowed() -> None:
    graph = inhibited(-1.937)

    with pytest.raises(FitError, match="a: saturate voltage, 1 values"):
        compile_model(graph, simulator(), is_strict=True, allow=["round weights"])
    allowed = ["round weights", "saturate voltage"]
    compile_model(graph, simulator(), is_strict=True, allow=allowed)


def test_short_runs_need_no_room() -> None:
    graph = inhibited(-1.937, replace(EVENTS, timesteps=100))

    network = quantize(to_spiking(graph), simulator())

    assert not {*kinds(network)} & {*AT_LIMITS}
    assert (
        abs(network.projections[0].synapses.weights).max() == 254
    )  # as fine as can be


def test_graded_input_gives_up_bits_that_the_threshold_can_spare() -> None:
    training = Training(timesteps=16, encoding=Encoding.DIRECT)
    neurons = lif("a", (4, 6, 6), voltage_decay=np.array(0.0), threshold=np.array(1.0))
    graph = chain(conv("conv", (1, 6, 6), 4), neurons, training=training)

    network = quantize(to_spiking(graph), simulator())

    assert not {*kinds(network)} & {*AT_LIMITS}
    (projection,) = network.projections
    assert abs(projection.synapses.weights).max() > 127  # all bits of the weights
    assert network.readout.threshold.min() >= 1024


@pytest.mark.parametrize("n_timesteps", [8, 1500])
def test_weights_on_a_coarse_grid_stay_exact(n_timesteps: int) -> None:
    weight = 0.3 * np.array([[1.0, -2, 3, 0], [-3, 1, 1, 2]])
    training = replace(EVENTS, timesteps=n_timesteps)
    neurons = integrate_and_fire("a", 2, threshold=np.array(0.9))
    out = weighted("out", np.array([[1.0, -1], [-1, 3]]))
    neurons = replace(neurons, reset_amount=np.array(0.9))
    graph = chain(weighted("fc", weight), neurons, out, training=training)

    network = quantize(to_spiking(graph), simulator())

    assert kinds(network) == []
    for projection, wanted in zip(
        network.projections, (weight, out.weight), strict=True
    ):
        integers = projection.synapses.weights * 2.0**projection.exponent
        scale = network.population(projection.target).scale
        np.testing.assert_allclose(integers * 64 * scale.reshape(-1, 1), wanted)


def test_a_sum_shifted_right_without_a_remainder_is_no_loss() -> None:
    network = quantize(to_spiking(inhibited(-2.0)), simulator())

    (projection,) = network.projections
    assert projection.synapses.weights.tolist() != [[254, -254]]
    assert "floor sums" not in kinds(network)


@pytest.mark.parametrize("beta", [0.5, 0.05, 0.01, 0.001, 1e-5])
def test_a_reset_behind_a_strong_decay_takes_off_the_threshold(beta: float) -> None:
    neurons = lif(
        "a",
        (8,),
        voltage_decay=np.array(1 - beta),
        threshold=np.array(1.0),
        reset=Reset.SOFT,
        reset_amount=np.array(1 / beta),  # behind the decay: 1
    )
    graph = chain(linear("fc", 16, 8), neurons, training=EVENTS)

    network = quantize(to_spiking(graph), simulator())

    population = network.readout
    kept = 1 - population.voltage_decay / 4096
    taken = population.reset_amount * population.scale * kept
    np.testing.assert_allclose(taken, 1, rtol=2e-3)
    assert population.threshold.min() >= 64  # still fine enough


def test_a_grid_is_found_among_many_values() -> None:
    weight = 0.03 * np.random.default_rng(0).integers(-40, 41, (2, 1500))
    neurons = integrate_and_fire("a", 2, threshold=np.array(3.0))
    graph = chain(weighted("fc", weight), neurons, training=EVENTS)

    network = quantize(to_spiking(graph), simulator())

    assert "round weights" not in kinds(network)
