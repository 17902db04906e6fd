"""What the exported network must give for some inputs, from the NumPy reference."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.exporters.c.decision import IsSettled
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Encoding, Stimulus, encode


@dataclass(frozen=True, kw_only=True, eq=False)
class Vector:
    """Inputs, and what comes of them at every timestep."""

    stimuli: tuple[Stimulus, ...]
    scores: IntArray  # (n, n_timesteps, n_outputs), accumulated
    spikes: IntArray  # (n, n_timesteps, n_layers), how many neurons spiked
    answers: IntArray  # (n,), at the stop
    timesteps: IntArray  # (n,), of the stop


def run(
    graph: QuantizedGraph, stimuli: Sequence[Stimulus], is_settled: IsSettled
) -> Vector:
    """Return what a network, whose layers act within one timestep, gives."""
    n, n_timesteps = len(stimuli), graph.training.timesteps
    simulation = Simulation(graph, stimuli)
    scores = np.zeros((n, n_timesteps, graph.readout.size), np.int64)
    spikes = np.zeros((n, n_timesteps, len(graph.populations)), np.int64)
    stops = np.full(n, n_timesteps)
    for t in range(n_timesteps):
        simulation.step()
        new = simulation.readout()
        if t and graph.training.functional is Functional.SUM:
            new = scores[:, t - 1] + new
        elif t and graph.training.functional is Functional.MAX:
            new = np.maximum(scores[:, t - 1], new)
        scores[:, t] = new
        for place, population in enumerate(graph.order):
            sent = simulation.sent[-1][population.name]
            spikes[:, t, place] = np.count_nonzero(sent, axis=1)
        is_first = (stops == n_timesteps) & is_settled(new, t + 1)
        stops[is_first] = t + 1
    last = scores[np.arange(n), stops - 1]
    return Vector(
        stimuli=tuple(stimuli),
        scores=scores,
        spikes=spikes,
        answers=last.argmax(axis=1),
        timesteps=stops,
    )


def drawn_stimuli(graph: QuantizedGraph, n: int) -> list[Stimulus]:
    """Return inputs drawn at random, the same in each call."""
    rng = np.random.default_rng(0)
    source, training = graph.source, graph.training
    if training.encoding is Encoding.BIAS:
        scale, offset = training.input_scale, training.input_offset
        drawn = np.rint(scale * rng.uniform(-1, 1, (n, *source.shape)) + offset)
        return [encode(x, training.encoding, training.timesteps) for x in drawn]
    is_constant = training.encoding is Encoding.DIRECT
    n_rows = 1 if is_constant else training.timesteps
    found = []
    for _ in range(n):
        size = (n_rows, *source.shape)
        values = rng.integers(0, source.largest_value + 1, size)
        values *= rng.random(size) < (0.5 if is_constant else 0.1)
        found.append(Stimulus(values=values, is_constant=is_constant))
    return found
