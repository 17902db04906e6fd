"""Let pieces share neurocores, or cut them finer: few neurocores, or least effort.

The effort, what time a timestep takes and what energy, is that of a model of the layers
alone. Its counts are expected ones, from how many neurons spike; the ways of packets
are left out, since nothing has a place yet, and so is what they cost where they arrive
and on links between chips. A price that nobody knows counts as 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray, n_neurons
from snn_deploy.chip.target import Target
from snn_deploy.compiler.map.blocks import Cut
from snn_deploy.compiler.map.loads import LoadModel, cut_whole
from snn_deploy.compiler.map.partition import Partition, partition
from snn_deploy.compiler.map.place import packets_of
from snn_deploy.ir.quantized import Population, QuantizedGraph
from snn_deploy.ir.stimuli import Encoding

STEPS = 6  # of the search for the finest cut
ACTIVITY = 0.1  # neurons that spike in a timestep, where no profile says


def pack(cut: Partition, target: Target) -> Partition:
    """Return the pieces on as few neurocores as they share without being over a limit.

    The fullest piece comes first, each on the first neurocore with room for it.
    """
    limits = target.neurocore
    allowed = np.array([*limits.room.values()])
    taken = np.array([[*piece.taken(limits).values()] for piece in cut.pieces])
    used: IntArray = np.zeros((len(taken), len(allowed)), np.int64)
    held: list[list[int]] = [[] for _ in taken]
    for number in np.argsort(-(taken / allowed).max(axis=1), kind="stable"):
        is_over = (used + taken[number] > allowed).any(axis=1)
        core = int(np.argmin(is_over & used.any(axis=1)))  # an empty one at the latest
        used[core] += taken[number]
        held[core].append(int(number))
    return together(cut, sorted(sorted(group) for group in held if group))


def together(cut: Partition, groups: Sequence[Sequence[int]]) -> Partition:
    """Return the pieces with each group of them on one neurocore."""
    shared = replace(cut, together=tuple(map(tuple, groups)))
    n_sent = packets_of(shared).sum(axis=1)  # fewer, where receivers are together
    pieces = tuple(
        replace(piece, n_output_axons=int(n))
        for piece, n in zip(cut.pieces, n_sent, strict=True)
    )
    return replace(shared, pieces=pieces)


def spread(
    graph: QuantizedGraph,
    target: Target,
    goal: str,
    spikes: Mapping[str, float] | None = None,
) -> Partition:
    """Return a cut for which a timestep is modelled to take the least of ``goal``.

    It uses the chips that are needed anyway, whose static power is paid anyway: the
    busiest layers get more pieces.

    Parameters
    ----------
    graph, target
    goal : str
        ``"energy"`` or ``"latency"``.
    spikes : mapping, optional
        How many spikes each population sends for an input; a tenth of the neurons at
        every timestep if it is not given.
    """
    efforts = Efforts(graph, target, spikes)
    found = [partition(graph, target)]
    per_chip = target.mesh.neurocores
    room = min(target.neurocores, -(-len(found[0].pieces) // per_chip) * per_chip)
    busy = {
        p.name: float(efforts.layer(p, cut_whole(p.shape), {})[0].sum())
        for p in graph.populations
    }
    if not sum(busy.values()):
        return found[0]  # no time has a price: nothing says what finer cuts would save
    low, high = 1, room  # neurocores that the work is divided by
    for _ in range(STEPS):
        n = (low + high) // 2
        most = sum(busy.values()) / n
        at_least = {name: ceil(time / most) for name, time in busy.items()}
        finer = partition(graph, target, at_least=at_least)
        if len(finer.pieces) > room:
            high = n
        else:
            low = n
            found.append(finer)
    if goal == "latency":
        return min(found, key=lambda cut: efforts.of(cut.cuts).time_s)
    return min(found, key=lambda cut: efforts.of(cut.cuts).energy_j)


@dataclass(frozen=True, kw_only=True)
class Effort:
    """What a timestep takes if all layers are at work."""

    time_s: float
    energy_j: float


class Efforts:
    """The efforts of a network, however it is cut."""

    def __init__(
        self,
        graph: QuantizedGraph,
        target: Target,
        spikes: Mapping[str, float] | None = None,
    ) -> None:
        self.loads = LoadModel(graph=graph, target=target)
        self.shares = _shares(graph, spikes or {})

    def layer(
        self, population: Population, cut: Cut, cuts: Mapping[str, Cut]
    ) -> tuple[FloatArray, float]:
        """Return the time of each block [s], and the energy of all [J]."""
        load = self.loads.of(population, cut, cuts)
        share = self.shares[population.name]
        read = np.zeros(cut.n_blocks)
        for sender in self.loads.senders(population):
            part = self.loads.part(sender, population, cut)
            read += part.synapses * self.shares[sender]
        counts = {
            "access": load.n_neurons,
            "update": load.n_neurons,
            "fire": load.n_neurons * share,
            "packet": load.n_output_axons * share,
            "synaptic_operation": read,
        }
        energy = sum(n.sum() * self._price(e, "energy_j") for e, n in counts.items())
        times = {e: n * self._price(e, "time_s") for e, n in counts.items()}
        receiving = times.pop("synaptic_operation")
        generating = np.sum([*times.values()], axis=0)
        return np.maximum(generating, receiving), float(energy)

    def of(self, cuts: Mapping[str, Cut]) -> Effort:
        """Return the effort of a timestep, each block on a neurocore of its own."""
        target = self.loads.target
        layers = [
            self.layer(population, cuts[population.name], cuts)
            for population in self.loads.graph.populations
        ]
        n_cores = sum(len(times) for times, _ in layers)
        n_chips = -(-n_cores // target.mesh.neurocores)
        slowest = max(float(times.max()) for times, _ in layers)
        n_tiles = -(-n_cores // target.mesh.neurocores_per_tile)
        barrier = target.barrier.time(n_tiles)
        if n_chips > 1:
            barrier = self._price("barrier_of_chips", "time_s")
        time = slowest + barrier
        power = n_chips * self._price("static", "power_w")
        power += self._price("host", "power_w")
        dynamic = sum(energy for _, energy in layers)
        return Effort(time_s=time, energy_j=dynamic + power * time)

    def _price(self, name: str, quantity: str) -> float:
        return getattr(self.loads.target.cost(name), quantity) or 0.0


def _shares(graph: QuantizedGraph, spikes: Mapping[str, float]) -> dict[str, float]:
    """Return how many of each layer's neurons spike in a timestep."""
    found = {}
    for name in (graph.source.name, *(p.name for p in graph.populations)):
        n = n_neurons(graph.shape_of(name)) * graph.training.timesteps
        found[name] = spikes[name] / n if name in spikes else ACTIVITY
    if graph.training.encoding == Encoding.DIRECT:
        found[graph.source.name] = 1.0  # every value at every timestep
    return found
