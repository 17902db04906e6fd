"""A closer look at some inputs: how they look, and what the network does with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import AnyArray, BoolArray, IntArray
from snn_deploy.backends.protocol import Backend
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import decide_inputs
from snn_deploy.cutoff.oracle import answers, gaps
from snn_deploy.data.data import Data
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Encoding, Stimulus, to_gray
from snn_deploy.profile.profile import Profile

N_CLOSE = 9  # inputs that are looked at closely
N_NEURONS = 480  # whose spikes are kept, of all layers together
FEWEST_NEURONS, MOST_NEURONS = 24, 40  # of a layer, for rows that one can tell apart
LARGEST_SIDE = (
    64  # pixels of a picture; of larger ones every second, third, ... is kept
)
BRIGHT = 0.9  # of the pixels with events: those beyond are as bright as a pixel can be
PICTURE_BYTES = 1 << 21  # of all pictures


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerSpikes:
    """The spikes of some neurons of a layer, in the layer's own timesteps."""

    layer: str
    n_neurons: int  # of the layer
    spikes: BoolArray  # (n_timesteps, n_shown), neurons at equal distances
    counts: IntArray  # (n_timesteps,), spikes of all its neurons


@dataclass(frozen=True, kw_only=True, eq=False)
class Closeup:
    """One input at all timesteps."""

    position: int
    gaps: IntArray  # (n_timesteps,), best less second best accumulated output
    answers: IntArray  # (n_timesteps,)
    layers: tuple[LayerSpikes, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Closeups:
    """Pictures of inputs worth a look, and a few of these inputs in every detail."""

    positions: IntArray  # (n,), of the pictures
    pictures: AnyArray  # (n, height, width) gray, or (n, height, width, 3); uint8
    inputs: tuple[Closeup, ...]


def look_closer(profile: Profile, data: Data, backend: Backend) -> Closeups:
    """Run a few inputs of a profile again, for all timesteps, and watch every layer."""
    rows = profile.rows
    chosen = worth_a_look(profile, N_CLOSE)
    indices = rows.column("index")
    stimuli = [data.stimulus(i) for i in indices[chosen].tolist()]
    n_bytes = picture(data, 0).size
    shown = worth_a_look(profile, PICTURE_BYTES // n_bytes) if n_bytes else chosen[:0]
    return Closeups(
        positions=shown,
        pictures=np.array([picture(data, i) for i in indices[shown]], np.uint8),
        inputs=tuple(_closeups(profile, stimuli, backend, chosen.tolist())),
    )


def worth_a_look(profile: Profile, n: int) -> IntArray:
    """Return the positions of up to ``n`` inputs, the most telling ones first.

    In turn one whose answer is wrong, one that costs most, one whose answer stopping
    early changed, one that costs least; then all others.
    """
    rows, fixed = profile.rows, profile.fixed_rows
    cost = rows.energy()
    if np.isnan(cost).any():
        cost = np.nan_to_num(rows.column("latency_s")) + 1e-9 * rows.column("timesteps")
    gap = rows.column("gap")
    is_changed = rows.column("prediction") != fixed.column("prediction")
    is_wrong = ~rows.is_right & rows.has_labels
    lists = (
        _largest(gap, n, is_wrong),
        _largest(cost, n),
        _largest(gap, n, is_changed),
        _largest(-cost, n),
    )
    turns = np.full((min(n, len(rows)), len(lists)), -1, np.int64)
    for column, found in enumerate(lists):
        turns[: len(found), column] = found
    flat = turns[turns >= 0]
    _, first = np.unique(flat, return_index=True)
    order: IntArray = flat[np.sort(first)][:n]
    return order


def _largest(values: AnyArray, n: int, among: BoolArray | None = None) -> IntArray:
    """Return the positions of the largest values, of equal ones the first."""
    found = np.arange(len(values)) if among is None else np.flatnonzero(among)
    if len(found) > n:  # sorting all of millions takes memory
        last = np.partition(values[found], len(found) - n)[len(found) - n]
        found = found[values[found] >= last]
    return found[np.argsort(-values[found], kind="stable")][:n]


def picture(data: Data, index: int) -> AnyArray:
    """Return an input as 8-bit pixels, gray or in color; empty if it is none."""
    shape = data.x.shape[2 if data.has_timesteps else 1 :]
    if len(shape) == 2:
        shape = (1, *shape)
    if len(shape) != 3 or shape[0] not in (1, 2, 3) or min(shape[1:]) < 2:
        return np.zeros((0, 0), np.uint8)
    step = -(-max(shape[1:]) // LARGEST_SIDE)
    if data.training.encoding is Encoding.EVENTS:
        counts = data.x[index].reshape(-1, *shape).sum(axis=0, dtype=np.int64)
        some = counts[counts > 0] if counts.any() else np.ones(1)
        bright = np.quantile(some, BRIGHT, method="higher")
        pixels = np.rint(255 * np.minimum(counts / bright, 1)).astype(np.int64)
    else:
        values = _gray(data, index).reshape(-1, *shape)
        pixels = np.rint(values.mean(axis=0)).astype(np.int64)
    pixels = pixels[:, ::step, ::step]
    if len(pixels) == 1:
        gray: AnyArray = pixels[0].astype(np.uint8)
        return gray
    if len(pixels) == 2:  # on and off, in red and blue
        pixels = np.stack([pixels[0], np.zeros_like(pixels[0]), pixels[1]])
    colors: AnyArray = np.moveaxis(pixels, 0, -1).astype(np.uint8)
    return colors


def _gray(data: Data, index: int) -> AnyArray:
    """Return the values of an input as 0 to 255; biases from the least to the most."""
    x = data.x[index : index + 1]
    if data.training.encoding is not Encoding.BIAS:
        return to_gray(x)[0]
    shares = (x - x.min()) / max(1, int(np.ptp(x)))
    return to_gray(shares)[0]


def _closeups(
    profile: Profile,
    stimuli: Sequence[Stimulus],
    backend: Backend,
    chosen: Sequence[int],
) -> Iterator[Closeup]:
    network = profile.artifact.network
    program = backend.load(network)
    try:
        decided = decide_inputs(program, network, enumerate(stimuli), never)
        scores = [found for _, found in decided]
    finally:
        program.close()
    spikes = _spikes(network.graph, stimuli)
    for i, position in enumerate(chosen):
        yield Closeup(
            position=position,
            gaps=gaps(scores[i]),
            answers=answers(scores[i]),
            layers=tuple(
                LayerSpikes(
                    layer=name,
                    n_neurons=network.graph.population(name).size,
                    spikes=shown[i, : len(scores[i])],
                    counts=counts[i, : len(scores[i])],
                )
                for name, (shown, counts) in spikes.items()
            ),
        )


def _spikes(
    graph: QuantizedGraph, stimuli: Sequence[Stimulus]
) -> dict[str, tuple[BoolArray, IntArray]]:
    """Return for each layer that spikes some neurons' spikes, and all counts.

    They are ``(n, n_timesteps, n_shown)`` and ``(n, n_timesteps)``.
    """
    layers = [p for p in graph.order if p.spikes]
    n, n_timesteps = len(stimuli), graph.training.timesteps
    most = int(np.clip(N_NEURONS // max(len(layers), 1), FEWEST_NEURONS, MOST_NEURONS))
    shown = {p.name: _at_equal_distances(p.size, most) for p in layers}
    found: dict[str, tuple[BoolArray, IntArray]] = {
        name: (
            np.zeros((n, n_timesteps, len(neurons)), np.bool_),
            np.zeros((n, n_timesteps), np.int64),
        )
        for name, neurons in shown.items()
    }
    simulation = Simulation(graph, stimuli)
    for chip_timestep in range(1, n_timesteps + graph.lag + 1):
        simulation.step()
        for population in layers:
            t = chip_timestep - population.offset - 1
            if 0 <= t < n_timesteps:
                spikes = simulation.states[population.name].spikes
                some, counts = found[population.name]
                some[:, t] = spikes[:, shown[population.name]] > 0
                counts[:, t] = spikes.sum(axis=1)
    return found


def _at_equal_distances(n: int, most: int) -> IntArray:
    return np.linspace(0, n - 1, min(n, most)).round().astype(np.int64)
