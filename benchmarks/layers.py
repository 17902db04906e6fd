"""Synaptic operations per second of single layers, by the activity of their input."""

from collections.abc import Callable

import numpy as np

from benchmarks.contender import Setting, clock_of, shortest
from benchmarks.networks import TIMESTEPS, Layer, conv, dense, mapped, network
from benchmarks.ours import fastest, run_engine
from snn_deploy.arrays import Shape
from snn_deploy.backends.engine.compiled import Engine
from snn_deploy.fixedpoint import INPUT_SHIFT, THRESHOLD_BITS
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Stimulus

RATES = (0.01, 0.05, 0.15, 0.5)
N_INPUTS = 4
FIRING = 0.1  # of the layer's neurons
STEPS_TO_FIRE = 2
NEVER = (1 << THRESHOLD_BITS) - 1  # a threshold
LAYERS: dict[str, tuple[Shape, Callable[[np.random.Generator], Layer]]] = {
    "conv 64x32x32 -> 64": ((64, 32, 32), lambda rng: conv(rng, 64, 64, 1)),
    "conv 128x16x16 -> 128": ((128, 16, 16), lambda rng: conv(rng, 128, 128, 1)),
    "conv 256x8x8 -> 256": ((256, 8, 8), lambda rng: conv(rng, 256, 256, 1)),
    "conv 16x28x28 -> 32": ((16, 28, 28), lambda rng: conv(rng, 16, 32, 2)),
    "dense 2048 -> 2048": ((2048,), lambda rng: dense(rng, 2048, 2048, 2)),
}


def layer_rates(seconds: float) -> dict[str, dict[str, float]]:
    """Return giga synaptic operations per second, one thread, by layer and activity.

    The time is that of the whole run of a network of one layer: it finds the input's
    spikes, sums, updates the neurons and writes their spikes.
    """
    return {
        name: {f"{rate:.0%}": _rate(name, rate, seconds) for rate in RATES}
        for name in LAYERS
    }


def _rate(name: str, rate: float, seconds: float) -> float:
    shape, make = LAYERS[name]
    rng = np.random.default_rng(0)
    layer = make(rng)
    size = (N_INPUTS, TIMESTEPS, *shape)
    stimuli = [
        Stimulus(values=values, is_constant=False)
        for values in (rng.random(size) < rate).astype(np.int32)
    ]
    threshold = _threshold(network(name, shape, [layer], [NEVER]), stimuli[0])
    engine = Engine(mapped(network(name, shape, [layer], [threshold])), fastest())
    betas = np.full(TIMESTEPS, np.inf)
    counted = run_engine(engine, Setting(fastest(), mode="counted"), stimuli, betas)
    each = (counted.activity(i) for i in range(len(counted)))
    operations = sum(activity.total("synaptic_operation") for activity in each)
    plain = Setting(fastest())
    found = shortest(
        clock_of(plain), seconds, lambda _: run_engine(engine, plain, stimuli, betas)
    )
    return operations / found / 1e9


def _threshold(graph: QuantizedGraph, stimulus: Stimulus) -> int:
    """Return the threshold that about the wanted share of the neurons reaches."""
    simulation = Simulation(graph, [stimulus])
    for _ in range(STEPS_TO_FIRE):
        simulation.step()
    voltage = simulation.states[graph.output].voltage >> INPUT_SHIFT
    return max(1, int(np.quantile(voltage, 1 - FIRING)))
