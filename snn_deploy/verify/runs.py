"""The forms of a whole network on one batch of inputs, aligned to input timesteps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray
from snn_deploy.fixedpoint import to_integers
from snn_deploy.ir.floating import FloatRun, accumulate
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Lif
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.verify.layer import Layer
from snn_deploy.verify.simulate import Response, Trains, respond, run, weigh


@dataclass(frozen=True, kw_only=True, eq=False)
class Recorded:
    """What a network did: each layer's response, and what each sender sent."""

    responses: Mapping[str, Response]
    sent: Trains  # of the input too; may last longer than the responses


def record_integers(
    graph: QuantizedGraph,
    layers: Mapping[str, Layer],
    stimuli: Sequence[Stimulus],
    n_timesteps: int,
) -> tuple[Recorded, dict[str, tuple[int, int]]]:
    """Return what the chip does, by the reference, and its saturations and wraps.

    Each layer is computed once more by itself, with the voltages before the reset.
    """
    simulation = Simulation(graph, stimuli, n_timesteps=n_timesteps)
    sent: dict[str, list[IntArray]] = {
        name: [] for name in (graph.source.name, *(p.name for p in graph.populations))
    }
    counts: dict[str, tuple[int, int]] = {}
    voltages: dict[str, IntArray] = {}
    for _ in range(n_timesteps + graph.lag):
        simulation.step()
        for name, spikes in simulation.sent[-1].items():
            sent[name].append(spikes)
        for name, state in simulation.states.items():
            if len(sent[name]) == n_timesteps:
                counts[name] = int(state.saturations.sum()), int(state.wraps.sum())
                voltages[name] = state.voltage
    trains = {name: np.stack(spikes, axis=1) for name, spikes in sent.items()}
    responses = {
        name: respond(layer, weigh(layer, trains, n_timesteps))
        for name, layer in layers.items()
    }
    for name, response in responses.items():
        is_same = np.array_equal(response.spikes, trains[name][:, :n_timesteps])
        if not is_same or not np.array_equal(response.voltage[:, -1], voltages[name]):
            raise AssertionError(
                f"{name}: by itself it is not what it is in the network"
            )
    return Recorded(responses=responses, sent=trains), counts


def record_floats(
    graph: Graph,
    layers: Mapping[str, Layer],
    stimuli: Sequence[Stimulus],
    n_timesteps: int,
) -> Recorded:
    """Return what the float graph does, in the units of the chip's voltages.

    Each layer is computed once more by itself, from the spikes of the graph, for its
    voltages before the reset. ``sent`` is the graph's own.
    """
    running = FloatRun(graph, stimuli)
    for _ in range(n_timesteps):
        running.step()
    n = len(stimuli)
    sent: dict[str, AnyArray] = {
        graph.input.name: np.stack(
            [now[graph.input.name].reshape(n, -1) for now in running.sent], axis=1
        )
    }
    for name, layer in layers.items():
        if name not in running.sent[0]:  # sends a bias, at every timestep
            sent[name] = np.ones((n, n_timesteps, layer.size), np.int32)
            continue
        rows = [_counts(graph, name, now[name]).reshape(n, -1) for now in running.sent]
        sent[name] = np.stack(rows, axis=1) * layer.spikes
    responses = {
        name: respond(layer, weigh(layer, sent, n_timesteps))
        for name, layer in layers.items()
    }
    return Recorded(responses=responses, sent=sent)


def _counts(graph: Graph, name: str, sent: FloatArray) -> AnyArray:
    """Return how often neurons spiked, from what their spikes are worth together."""
    node = graph.node(name)
    if isinstance(node, Lif) and node.max_spikes > 1:
        return to_integers(sent / node.spike_value)
    return np.asarray(sent != 0)


def run_hybrid(
    layers: Mapping[str, Layer],
    order: Sequence[str],
    recorded: Recorded,
    source: str,
    changed: Sequence[str],
    n_timesteps: int,
) -> dict[str, Response]:
    """Return the responses of a network some of whose layers have another form.

    Only those and what they lead to are computed; the rest is ``recorded``.
    """
    reached = _downstream(layers, changed)
    again = [layers[name] for name in order if name in reached]
    given = {name: s for name, s in recorded.sent.items() if name not in reached}
    given[source] = recorded.sent[source]
    return {**recorded.responses, **run(again, given, n_timesteps)}


def _downstream(layers: Mapping[str, Layer], changed: Sequence[str]) -> set[str]:
    reached = set(changed)
    while True:
        more = {
            name
            for name, layer in layers.items()
            if any(inflow.source in reached for inflow in layer.inflows)
        }
        if more <= reached:
            return reached
        reached |= more


def answers(graph: QuantizedGraph, response: Response) -> IntArray:
    """Return the answer after each timestep, ``(n, n_timesteps)``."""
    found: IntArray = outputs(graph, response).argmax(axis=-1)
    return found


def outputs(graph: QuantizedGraph, response: Response) -> FloatArray:
    """Return the accumulated outputs, ``(n, n_timesteps, n_outputs)``."""
    z = response.spikes if graph.readout.spikes else response.voltage
    return accumulate(z.astype(np.float64), graph.training.functional)
