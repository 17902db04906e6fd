"""Links between the chips of a board, and which of them packets pass."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from snn_deploy.arrays import IntArray

if TYPE_CHECKING:
    from snn_deploy.ir.mapped import MappedNetwork, Routes

Chip = tuple[int, int]  # column and row on the board
HOST: Chip = (0, 0)  # where inputs come from, and outputs go to


@dataclass(frozen=True, order=True)
class Link:
    """One direction of the border between two chips side by side."""

    start: Chip
    end: Chip


@dataclass(frozen=True, kw_only=True, eq=False)
class Crossings:
    """The links that one spike's packets pass, by sender."""

    links: tuple[Link, ...]  # that any route of the network passes
    of: Mapping[str, sparse.csr_array]  # each (n_neurons, n_links), packets


def way(start: Chip, end: Chip) -> Iterator[Link]:
    """Yield the links from one chip to another, along x, then y, as packets travel."""
    here = start
    for axis in (0, 1):
        step = 1 if end[axis] > here[axis] else -1
        while here[axis] != end[axis]:
            x, y = here
            there = (x + step, y) if axis == 0 else (x, y + step)
            yield Link(here, there)
            here = there


def crossings_of(network: "MappedNetwork") -> Crossings:
    """Return which links the packets of each neuron's spike pass."""
    places: list[Chip] = [(x, y) for x, y in network.chips.tolist()]
    chips = sorted({HOST, *places})
    number = {chip: i for i, chip in enumerate(chips)}
    of_core = np.array([number[chip] for chip in places], np.int64)
    trips = {
        name: _trips(network, name, routes, of_core, number[HOST], len(chips))
        for name, routes in network.routes.items()
    }
    used = np.unique(np.concatenate([found.indices for found in trips.values()]))
    ways = {
        int(pair): [*way(chips[pair // len(chips)], chips[pair % len(chips)])]
        for pair in used
    }
    links = tuple(sorted({link for passed in ways.values() for link in passed}))
    column = {link: i for i, link in enumerate(links)}
    entries = [(pair, column[link]) for pair, way in ways.items() for link in way]
    shape = (len(chips) ** 2, len(links))
    passes = _counted(np.array(entries, np.int64).reshape(-1, 2), shape)
    return Crossings(
        links=links, of={name: found @ passes for name, found in trips.items()}
    )


def _trips(
    network: "MappedNetwork",
    name: str,
    routes: "Routes",
    of_core: IntArray,
    host: int,
    n_chips: int,
) -> sparse.csr_array:
    """Return the packets of one spike, ``(n_neurons, n_chips ** 2)``: from, to."""
    graph = network.graph
    packets = sparse.coo_array(routes.packets)
    home = of_core[routes.core]
    if name == graph.source.name:
        home = np.full_like(home, host)
    senders, ends = packets.row, of_core[packets.col]
    if name == graph.output and graph.readout.spikes:  # one more packet to the host
        senders = np.concatenate([senders, np.arange(len(home))])
        ends = np.concatenate([ends, np.full_like(home, host)])
    pairs = np.stack([senders, home[senders] * n_chips + ends], axis=1)
    return _counted(pairs, (len(home), n_chips**2))


def _counted(pairs: IntArray, shape: tuple[int, int]) -> sparse.csr_array:
    """Return how often each pair of row and column comes."""
    ones = np.ones(len(pairs), np.int64)
    return sparse.csr_array((ones, (pairs[:, 0], pairs[:, 1])), shape=shape)
