"""Cut populations into pieces that fit a neurocore."""

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

    A population is cut into equal blocks of channels and bands of rows; of all cuts
    that fit, the one with the fewest pieces is taken, and among equals that with the
    fewest packets. Populations are cut from the output backward, so that the output
    axons of a piece are known. Where nothing fits, the finest cut is taken and
    ``check_rules`` says what is over.
    """
    pieces: dict[str, list[Piece]] = {}
    places: dict[str, IntArray] = {}
    for population in reversed(graph.order):
        cut = _cut(graph, target, population, places)
        places[population.name] = cut
        pieces[population.name] = _pieces(graph, target, population, cut, places)
    ordered = tuple(piece for p in graph.order for piece in pieces[p.name])
    logger.info("%d populations in %d pieces", len(pieces), len(ordered))
    return Partition(graph=graph, pieces=ordered)


def _cut(
    graph: QuantizedGraph,
    target: Target,
    population: Population,
    places: dict[str, IntArray],
) -> IntArray:
    """Return the number of the piece of each neuron."""
    best: tuple[int, int, IntArray] | None = None
    limit = target.neurocore.compartments
    for n_pieces, cut in _cuts(population.shape, -(-population.size // limit)):
        if best is not None and n_pieces > best[0]:
            break
        pieces = _pieces(graph, target, population, cut, places)
        if all(_fits(piece, target) for piece in pieces):
            n_packets = sum(piece.n_input_axons for piece in pieces)
            if best is None or n_packets < best[1]:
                best = (n_pieces, n_packets, cut)
    return cut if best is None else best[2]


def _cuts(shape: Shape, fewest: int) -> Iterator[tuple[int, IntArray]]:
    """Yield all cuts into blocks of channels and rows, by number of pieces."""
    channels, rows = shape[0], shape[1] if len(shape) > 1 else 1
    numbers = sorted(
        (a * b, a, b)
        for a in range(1, channels + 1)
        for b in range(1, rows + 1)
        if a * b >= fewest and _is_distinct(channels, a) and _is_distinct(rows, b)
    )
    for n_pieces, n_blocks, n_bands in numbers or [(channels * rows, channels, rows)]:
        block = np.arange(channels) * n_blocks // channels
        band = np.arange(rows) * n_bands // rows
        grid = block[:, np.newaxis] * n_bands + band
        rest = int(np.prod(shape[2:]))
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
