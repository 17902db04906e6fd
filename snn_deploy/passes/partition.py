"""Cut populations into pieces that fit a neurocore."""

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import IntArray, Shape
from snn_deploy.ir.mapped import Piece, synapses_on
from snn_deploy.ir.quantized import (
    Population,
    QuantizedGraph,
)
from snn_deploy.ir.synapses import (
    ConvSynapses,
)
from snn_deploy.target import Target

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Partition:
    """A retimed network and the pieces of its populations."""

    graph: QuantizedGraph
    pieces: tuple[Piece, ...]


def partition(graph: QuantizedGraph, target: Target) -> Partition:
    """Return ``graph`` cut into pieces, each small enough for a neurocore.

    A population is cut into equal blocks of channels, bands of rows and of columns; of
    all cuts that fit, one with the fewest pieces is taken, and among these that with
    the fewest packets. Populations are cut from the output backward, so that the output
    axons of a piece are known. Where nothing fits, the cut with the fewest pieces that
    have enough compartments is taken, and ``check_rules`` says what is over.
    """
    places: dict[str, IntArray] = {}
    in_time = sorted(graph.populations, key=lambda population: population.offset)
    for population in reversed(in_time):
        places[population.name] = _cut(graph, target, population, places)
    ordered = tuple(
        piece
        for population in in_time
        for piece in _pieces(graph, target, population, places[population.name], places)
    )
    logger.info("%d populations in %d pieces", len(in_time), len(ordered))
    return Partition(graph=graph, pieces=ordered)


def whole(graph: QuantizedGraph, target: Target, population: Population) -> Piece:
    """Return a population in one piece, whatever a neurocore holds."""
    one = np.zeros(population.size, np.int64)
    others: dict[str, IntArray] = {
        p.name: np.zeros(p.size, np.int64) for p in graph.populations
    }
    (piece,) = _pieces(graph, target, population, one, others)
    return piece


def one_neuron(cut: Partition, target: Target, population: Population) -> Piece:
    """Return the piece that a neuron amid the population is alone."""
    alone = np.zeros(population.size, np.int64)
    alone[_middle(population)] = 1
    places: dict[str, IntArray] = {
        p.name: np.zeros(p.size, np.int64) for p in cut.graph.populations
    }
    numbers: dict[str, int] = {}
    for piece in cut.pieces:
        numbers[piece.population] = numbers.get(piece.population, -1) + 1
        places[piece.population][piece.neurons] = numbers[piece.population]
    return _pieces(cut.graph, target, population, alone, places)[1]


def _middle(population: Population) -> int:
    """Return a neuron that no border of the population is near."""
    middle = tuple(size // 2 for size in population.shape)
    return int(np.ravel_multi_index(middle, population.shape))


def _cut(
    graph: QuantizedGraph,
    target: Target,
    population: Population,
    places: dict[str, IntArray],
) -> IntArray:
    """Return the number of the piece of each neuron."""
    limits = target.neurocore
    best: tuple[int, int, IntArray] | None = None
    coarsest: IntArray | None = None
    fewest = -(-population.size // limits.compartments)
    for n_pieces, cut in _cuts(population.shape, fewest):
        if best is not None and n_pieces > best[0]:
            break
        if np.bincount(cut).max() > limits.compartments:
            continue
        coarsest = cut if coarsest is None else coarsest
        if not _middle_fits(graph, target, population, cut, places):
            continue
        if n_pieces > target.mesh.neurocores:  # ``check_rules`` refuses it anyway
            return cut
        n_packets = _packets_if_it_fits(graph, target, population, cut, places)
        if n_packets is not None and (best is None or n_packets < best[1]):
            best = (n_pieces, n_packets, cut)
    if best is not None:
        return best[2]
    return np.zeros(population.size, np.int64) if coarsest is None else coarsest


def _middle_fits(
    graph: QuantizedGraph,
    target: Target,
    population: Population,
    cut: IntArray,
    places: dict[str, IntArray],
) -> bool:
    """Return whether the piece in the middle fits, which no border makes smaller."""
    middle = (cut == cut[_middle(population)]).astype(np.int64)
    return _fits(_pieces(graph, target, population, middle, places)[-1], target)


def _packets_if_it_fits(
    graph: QuantizedGraph,
    target: Target,
    population: Population,
    cut: IntArray,
    places: dict[str, IntArray],
) -> int | None:
    """Return the packets that reach all pieces if every sender spikes once."""
    pieces = _pieces(graph, target, population, cut, places)
    if not all(_fits(piece, target) for piece in pieces):
        return None
    return sum(piece.n_input_axons for piece in pieces)


def _cuts(shape: Shape, fewest: int) -> Iterator[tuple[int, IntArray]]:
    """Yield all cuts into blocks of channels, rows and columns, by number of pieces."""
    sizes = (*shape, 1, 1)[:3]
    parts = [[n for n in range(1, s + 1) if _is_distinct(s, n)] for s in sizes]
    numbers = sorted(
        (a * b * c, a, b, c)
        for a, b, c in itertools.product(*parts)
        if a * b * c >= fewest
    )
    rest = int(np.prod(shape[3:]))
    for n_pieces, *counts in numbers:
        grid = np.zeros(sizes, np.int64)
        for axis, (size, count) in enumerate(zip(sizes, counts, strict=True)):
            band = np.arange(size) * count // size
            grid = grid * count + np.expand_dims(
                band, [other for other in range(3) if other != axis]
            )
        yield n_pieces, np.repeat(grid.reshape(-1), rest)


def _is_distinct(size: int, n_parts: int) -> bool:
    """Return whether no smaller number of parts has the same largest part."""
    return n_parts == 1 or -(-size // n_parts) < -(-size // (n_parts - 1))


def _pieces(
    graph: QuantizedGraph,
    target: Target,
    population: Population,
    cut: IntArray,
    places: dict[str, IntArray],
) -> list[Piece]:
    n_pieces = int(cut.max()) + 1
    bits = np.zeros(n_pieces, np.int64)
    axons = np.zeros(n_pieces, np.int64)
    reaching: dict[str, IntArray] = {}
    for projection in graph.projections_into(population):
        synapses = synapses_on(graph, projection, cut, n_pieces)
        reaching[projection.source] = reaching.get(projection.source, 0) + synapses
        stored = synapses.sum(axis=0)
        if target.neurocore.shares_kernels and isinstance(
            projection.synapses, ConvSynapses
        ):
            stored = _kernels(projection.synapses, cut, n_pieces)
        bits += stored * target.precision.weight_bits
    for synapses in reaching.values():
        axons += (synapses > 0).sum(axis=0)
    leaving = _output_axons(graph, population, places)
    return [
        Piece(
            population=population.name,
            neurons=np.flatnonzero(cut == number),
            synapse_bits=int(bits[number]),
            n_input_axons=int(axons[number]),
            n_output_axons=int(leaving[cut == number].sum()),
        )
        for number in range(n_pieces)
    ]


def _kernels(synapses: ConvSynapses, cut: IntArray, n_pieces: int) -> IntArray:
    """Return the weights of the kernels that each piece uses."""
    per_channel = cut.reshape(len(synapses.weights), -1)
    used = [int((per_channel == n).any(axis=1).sum()) for n in range(n_pieces)]
    return np.array(used) * synapses.fan_in


def _output_axons(
    graph: QuantizedGraph, population: Population, places: dict[str, IntArray]
) -> IntArray:
    """Return the pieces that each neuron sends to, as far as they are cut by now."""
    total = np.zeros(population.size, np.int64)
    for projection in graph.projections:
        if projection.source == population.name and projection.target in places:
            cut = places[projection.target]
            n_pieces = int(cut.max()) + 1
            total += (synapses_on(graph, projection, cut, n_pieces) > 0).sum(axis=1)
    return total


def _fits(piece: Piece, target: Target) -> bool:
    limits = target.neurocore
    return (
        len(piece.neurons) <= limits.compartments
        and piece.synapse_bits <= limits.synaptic_memory_bits
        and piece.n_input_axons <= limits.input_axons
        and piece.n_output_axons <= limits.output_axons
    )
