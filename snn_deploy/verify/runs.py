"""The forms of a whole network on one batch of inputs, aligned to input timesteps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray
from snn_deploy.backends.engine.trace import Trace, trace
from snn_deploy.fixedpoint import to_integers
from snn_deploy.ir.floating import FloatRun, accumulate
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Lif
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.verify.layer import Layer
from snn_deploy.verify.simulate import Known, Response, Trains, respond, run, weigh


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
    known: Known | None = None,
) -> tuple[Recorded, dict[str, tuple[int, int]]]:
    """Return what the chip does, and its saturations and wraps.

    The whole network runs in the compiled engine where it can, else in the reference.
    Each layer is computed once more by itself, in NumPy, with the voltages before the
    reset: that must be the same.
    """
    recorded = trace(graph, stimuli, n_timesteps)
    counts = {p.name: (0, 0) for p in graph.populations}  # where nothing can meet any
    if recorded is None:
        recorded, counts = _in_reference(graph, stimuli, n_timesteps)
    source = np.stack([_given(s, n_timesteps) for s in stimuli])
    trains = {p.name: recorded[p.name, "spikes"] for p in graph.populations}
    trains[graph.source.name] = source
    responses = {
        name: respond(layer, weigh(layer, trains, n_timesteps, known))
        for name, layer in layers.items()
    }
    for (name, quantity), values in recorded.items():
        mine = getattr(responses[name], quantity)
        if not np.array_equal(mine, values[:, :n_timesteps]):
            raise AssertionError(
                f"{name}: by itself it is not what it is in the network"
            )
    return Recorded(responses=responses, sent=trains), counts


def _given(stimulus: Stimulus, n_timesteps: int) -> IntArray:
    rows = [stimulus.at(row + 1).reshape(-1) for row in range(n_timesteps)]
    return np.stack(rows)


def _in_reference(
    graph: QuantizedGraph, stimuli: Sequence[Stimulus], n_timesteps: int
) -> tuple[Trace, dict[str, tuple[int, int]]]:
    """Return voltages, spikes (for longer), and how often populations met a limit."""
    simulation = Simulation(graph, stimuli, n_timesteps=n_timesteps)
    found: dict[tuple[str, str], list[IntArray]] = {
        (p.name, quantity): []
        for p in graph.populations
        for quantity in ("spikes", "voltage")
    }
    counts: dict[str, tuple[int, int]] = {}
    for _ in range(n_timesteps + graph.lag):
        simulation.step()
        for name, state in simulation.states.items():
            found[name, "spikes"].append(state.spikes)
            if len(found[name, "voltage"]) < n_timesteps:
                counts[name] = int(state.saturations.sum()), int(state.wraps.sum())
                found[name, "voltage"].append(state.voltage)
    return {key: np.stack(rows, axis=1) for key, rows in found.items()}, counts


def record_floats(
    graph: Graph,
    layers: Mapping[str, Layer],
    stimuli: Sequence[Stimulus],
    chip_input: AnyArray,
    known: Known | None = None,
) -> Recorded:
    """Return what the float graph does, in the units of the chip's voltages.

    Each layer is computed once more by itself, from the spikes of the graph, for its
    voltages before the reset. ``sent`` is the graph's own, and ``chip_input`` itself
    where that is the same.
    """
    n_timesteps = chip_input.shape[1]
    running = FloatRun(graph, stimuli)
    for _ in range(n_timesteps):
        running.step()
    n = len(stimuli)
    own_input = np.stack(
        [now[graph.input.name].reshape(n, -1) for now in running.sent], axis=1
    )
    is_same = np.array_equal(own_input, chip_input)
    sent: dict[str, AnyArray] = {graph.input.name: chip_input if is_same else own_input}
    for name, layer in layers.items():
        if name not in running.sent[0]:  # sends a bias, at every timestep
            sent[name] = np.ones((n, n_timesteps, layer.size), np.int32)
            continue
        rows = [_counts(graph, name, now[name]).reshape(n, -1) for now in running.sent]
        sent[name] = np.stack(rows, axis=1) * layer.spikes
    responses = {
        name: respond(layer, weigh(layer, sent, n_timesteps, known))
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
    known: Known | None = None,
) -> dict[str, Response]:
    """Return the responses of a network some of whose layers have another form.

    Only those and what they lead to are computed; the rest is ``recorded``.
    """
    reached = _downstream(layers, changed)
    again = [layers[name] for name in order if name in reached]
    given = {name: s for name, s in recorded.sent.items() if name not in reached}
    given[source] = recorded.sent[source]
    return {**recorded.responses, **run(again, given, n_timesteps, known)}


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
    z = z.reshape(*z.shape[:2], -1)[..., graph.part].astype(np.float64)
    return accumulate(z, graph.training.functional)
