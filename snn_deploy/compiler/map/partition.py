"""Cut populations into pieces that fit a neurocore."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from snn_deploy.arrays import three_axes
from snn_deploy.chip.target import Target
from snn_deploy.compiler.map.blocks import Cut, cuts
from snn_deploy.compiler.map.loads import Bounds, Load, LoadModel, cut_apart
from snn_deploy.ir.mapped import Piece
from snn_deploy.ir.quantized import Population, QuantizedGraph

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Partition:
    """A retimed network and the pieces of its populations."""

    graph: QuantizedGraph
    cuts: Mapping[str, Cut]  # by population
    pieces: tuple[Piece, ...]  # of one population after another
    together: tuple[tuple[int, ...], ...]  # which pieces each neurocore gets
    goal: str = ""  # that it was cut for, if any


def partition(
    graph: QuantizedGraph,
    target: Target,
    *,
    at_least: Mapping[str, int] | None = None,
    bounds: Bounds | None = None,
) -> Partition:
    """Return ``graph`` cut into pieces, each small enough for a neurocore.

    A population is cut into equal blocks of channels, bands of rows and of columns. Of
    all cuts that fit, one is taken with the fewest pieces of this population and of its
    senders, as far as they need more the more blocks their neurons send to; among these
    one with the fewest packets. Populations are cut from the output backward, so that
    the output axons of a piece are known. Where nothing fits, the cut with the fewest
    pieces that have enough compartments is taken, and ``check_rules`` says what is
    over.

    Parameters
    ----------
    graph, target
    at_least : mapping, optional
        How many pieces populations, by name, have at least.
    bounds : Bounds, optional
        Of the same graph and target, where a cut before has found them.
    """
    bounds = bounds or Bounds(LoadModel(graph=graph, target=target))
    return _partition(bounds.loads, _cuts(bounds, at_least or {}))


def partition_as(
    graph: QuantizedGraph, target: Target, cuts: Mapping[str, Cut]
) -> Partition:
    """Return ``graph`` cut as ``cuts`` say, by population; whether it fits or not."""
    return _partition(LoadModel(graph=graph, target=target), cuts)


def _partition(loads: LoadModel, cuts: Mapping[str, Cut]) -> Partition:
    populations = loads.graph.populations
    in_time = sorted(populations, key=lambda population: population.offset)
    pieces = tuple(p for q in in_time for p in _pieces(loads, q, cuts))
    logger.info("%d populations in %d pieces", len(in_time), len(pieces))
    alone = tuple((index,) for index in range(len(pieces)))
    return Partition(graph=loads.graph, cuts=cuts, pieces=pieces, together=alone)


def most_blocks(
    bounds: Bounds,
    population: Population,
    others: Mapping[str, Cut],
    is_allowed: Callable[[Cut], bool],
    wanted: int,
) -> int:
    """Return into how many blocks a population may be cut, up to ``wanted``.

    The other populations are cut as ``others`` say.
    """
    low, high = 1, wanted + 1
    while high - low > 1:
        middle = (low + high) // 2
        may = is_allowed(_cut(bounds, population, others, middle))
        low, high = (middle, high) if may else (low, middle)
    return low


def _cuts(bounds: Bounds, at_least: Mapping[str, int]) -> dict[str, Cut]:
    """Return the cut of each population."""
    loads, found = bounds.loads, dict[str, Cut]()
    in_time = sorted(loads.graph.populations, key=lambda population: population.offset)
    for population in reversed(in_time):
        fewest = max(bounds.least(population), at_least.get(population.name, 1))
        found[population.name] = _cut(bounds, population, found, fewest)
    for population in reversed(in_time):  # what is fed back was not cut by then
        load = loads.of(population, found[population.name], found)
        if not load.fits(loads.target.neurocore):
            fewest = found[population.name].n_blocks
            found[population.name] = _cut(bounds, population, found, fewest)
    return found


def _cut(
    bounds: Bounds,
    population: Population,
    others: Mapping[str, Cut],
    fewest: int,
) -> Cut:
    behind = bounds.loads.receivers(population.name)
    key = population.name, fewest, *(others.get(name) for name in behind)
    if key not in bounds.cuts:
        bounds.cuts[key] = _new_cut(bounds, population, others, fewest)
    return bounds.cuts[key]


def _new_cut(
    bounds: Bounds,
    population: Population,
    others: Mapping[str, Cut],
    fewest: int,
) -> Cut:
    loads = bounds.loads
    limits = loads.target.neurocore
    sizes = three_axes(population.shape)
    apart = cut_apart(population.shape)
    if not loads.of(population, apart, others).fits(limits):
        least = -(-population.size // limits.compartments)
        return next(cuts(sizes, least, limits.compartments), apart)
    best, least_cost, least_packets = apart, float("inf"), 0
    senders = _senders(loads, bounds, population)
    for cut in cuts(sizes, min(fewest, apart.n_blocks), limits.compartments):
        if cut.n_blocks + sum(senders.values()) > least_cost:
            break
        if loads.is_over(population, cut, others):
            continue
        load = loads.of(population, cut, others)
        if not load.fits(limits):
            continue
        cost = cut.n_blocks + _cores_of_senders(bounds, load, senders)
        n_packets = sum(int(arriving.sum()) for arriving in load.n_packets.values())
        if (cost, n_packets) < (least_cost, least_packets):
            best, least_cost, least_packets = cut, cost, n_packets
    return best


def _senders(
    loads: LoadModel, bounds: Bounds, population: Population
) -> dict[str, float]:
    """Return how many neurocores each population that sends here takes at least."""
    return {
        name: bounds.least(loads.graph.population(name))
        for name in loads.senders(population)
        if name not in (loads.graph.source.name, population.name)
    }


def _cores_of_senders(
    bounds: Bounds, load: Load, senders: Mapping[str, float]
) -> float:
    """Return how many neurocores the senders take if they send so many packets."""
    found = 0.0
    for name, least in senders.items():
        sender = bounds.loads.graph.population(name)
        filled = bounds.filled(sender, int(load.n_packets[name].sum()))
        found += max(least, *filled.values())
    return found


def _pieces(
    loads: LoadModel, population: Population, cuts: Mapping[str, Cut]
) -> Iterator[Piece]:
    cut = cuts[population.name]
    load = loads.of(population, cut, cuts)
    for number, neurons in enumerate(cut.neurons()):
        yield Piece(
            population=population.name,
            neurons=neurons,
            synapse_bits=int(load.synapse_bits[number]),
            n_input_axons=int(load.n_input_axons[number]),
            n_output_axons=int(load.n_output_axons[number]),
        )
