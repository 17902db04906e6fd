"""Let pieces share neurocores, or cut them finer: few neurocores, or least effort."""

from collections.abc import Mapping
from dataclasses import replace
from math import ceil

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.chip.target import Target
from snn_deploy.compiler.map.effort import Efforts
from snn_deploy.compiler.map.loads import cut_whole
from snn_deploy.compiler.map.partition import Partition, partition
from snn_deploy.compiler.map.place import packets_of
from snn_deploy.ir.quantized import QuantizedGraph

STEPS = 6  # of the search for the finest cut


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
    groups = sorted(tuple(sorted(group)) for group in held if group)
    shared = replace(cut, together=tuple(groups))
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
