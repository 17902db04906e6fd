"""Let pieces share neurocores: as few of them as hold the network."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.chip.target import Target
from snn_deploy.compiler.map.partition import Partition
from snn_deploy.compiler.map.place import packets_of


def pack(cut: Partition, target: Target) -> Partition:
    """Return the pieces on as few neurocores as they share without being over a limit.

    The fullest piece comes first, each on the first neurocore with room for it.
    """
    limits = target.neurocore
    allowed = np.array([*limits.room.values()])
    taken = np.array([[*piece.taken(limits).values()] for piece in cut.pieces])
    if (taken.sum(axis=0) > target.neurocores * allowed).any():
        return cut  # more than all neurocores hold, however they are shared
    used: IntArray = np.zeros((len(taken), len(allowed)), np.int64)
    held: list[list[int]] = [[] for _ in taken]
    n_used = 0
    for number in np.argsort(-(taken / allowed).max(axis=1), kind="stable"):
        has_room = (used[:n_used] + taken[number] <= allowed).all(axis=1)
        core = int(np.argmax(has_room)) if has_room.any() else n_used
        n_used = max(n_used, core + 1)
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
