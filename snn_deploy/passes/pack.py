"""Let pieces share neurocores, or cut them finer: fewest neurocores, or least work."""

from dataclasses import replace

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.passes.loads import Loads, cut_whole
from snn_deploy.passes.partition import Partition, partition
from snn_deploy.passes.place import packets_of
from snn_deploy.target import Target

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


def spread(graph: QuantizedGraph, target: Target) -> Partition:
    """Return a cut that uses all neurocores of the chips that are needed anyway.

    The layers that read the most synapses, if every neuron spikes, get more pieces, so
    that the busiest neurocore has less to do.
    """
    coarse = best = partition(graph, target)
    per_chip = target.mesh.neurocores
    room = min(target.neurocores, -(-len(coarse.pieces) // per_chip) * per_chip)
    loads = Loads(graph=graph, target=target)
    work = {
        p.name: int(loads.of(p, cut_whole(p.shape), {}).n_synapses[0])
        for p in graph.populations
    }
    low, high = 1, room  # neurocores that the work is divided by
    for _ in range(STEPS):
        n = (low + high) // 2
        most = max(1, sum(work.values()) // n)
        at_least = {name: -(-found // most) for name, found in work.items()}
        finer = partition(graph, target, at_least=at_least)
        if len(finer.pieces) > room:
            high = n
        else:
            low, best = n, finer
    return best
