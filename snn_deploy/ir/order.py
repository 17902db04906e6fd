"""The order of a graph's nodes, each after those it depends on."""

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from heapq import heapify, heappop, heappush


class LoopError(Exception):
    """Nodes depend on one another; ``loop`` names them, each before its target."""

    def __init__(self, loop: list[str]) -> None:
        super().__init__(" -> ".join(loop))
        self.loop = loop


def in_order(names: Iterable[str], edges: Iterable[tuple[str, str]]) -> list[str]:
    """Return names so that each edge leads forward; of those that may, the first.

    Raises
    ------
    LoopError
        If there is no such order.
    """
    names = [*names]
    place = {name: i for i, name in enumerate(names)}
    sorter = _sorter(names, edges)
    waiting = [place[name] for name in sorter.get_ready()]
    heapify(waiting)
    found: list[str] = []
    while waiting:
        found.append(names[heappop(waiting)])
        sorter.done(found[-1])
        for name in sorter.get_ready():
            heappush(waiting, place[name])
    return found


def by_depth(names: Iterable[str], edges: Iterable[tuple[str, str]]) -> list[str]:
    """Return names so that each edge leads forward, those with the fewest before first.

    Raises
    ------
    LoopError
        If there is no such order.
    """
    sorter, found = _sorter(names, edges), list[str]()
    while ready := sorter.get_ready():
        found += ready
        sorter.done(*ready)
    return found


def _sorter(
    names: Iterable[str], edges: Iterable[tuple[str, str]]
) -> "TopologicalSorter[str]":
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name in names:
        sorter.add(name)
    for source, target in edges:
        sorter.add(target, source)
    try:
        sorter.prepare()
    except CycleError as error:
        raise LoopError(error.args[1][:-1]) from None
    return sorter
