"""Every stage of a network as text: a line for each layer, population or neurocore.

For tables, golden files and ``diff``: the order is that of the network, and no line
depends on another one. Arrays show their shape, their range and a checksum, so that a
value that changes changes its line.
"""

import zlib
from collections.abc import Iterator
from dataclasses import fields
from enum import Enum
from functools import singledispatch

import numpy as np

from snn_deploy.arrays import AnyArray, IntArray, Shape
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.heads import Head
from snn_deploy.ir.mapped import MappedNetwork, Piece
from snn_deploy.ir.nodes import Node
from snn_deploy.ir.quantized import Change, Population, Projection, QuantizedGraph

SHOWN_ELSEWHERE = ("name", "shape")
HEADS = ("heads",)  # have lines of their own

Stage = Graph | QuantizedGraph | MappedNetwork


@singledispatch
def as_text(stage: Stage) -> str:
    """Return a stage of the compilation as lines of text."""
    raise AssertionError(f"{type(stage).__name__} is not a stage")


@as_text.register
def _of_graph(graph: Graph) -> str:
    lines = [f"graph {graph.name}: {_fields(graph.training, HEADS)}"]
    lines += map(_head, graph.training.heads)
    for node in graph.order:
        sources = [
            edge.source + (f" (delay {edge.delay})" if edge.delay else "")
            for edge in graph.edges
            if edge.target == node.name
        ]
        origin = f" <- {', '.join(sources)}" if sources else ""
        lines.append(
            f"{node.name}: {type(node).__name__} {shape_text(node.output_shape)}"
            f"{origin}; {_fields(node, SHOWN_ELSEWHERE)}".rstrip("; ")
        )
    return _joined(lines)


@as_text.register
def _of_quantized(graph: QuantizedGraph) -> str:
    return _joined(_quantized_lines(graph))


@as_text.register
def _of_mapped(network: MappedNetwork) -> str:
    lines = [
        f"target {network.target.name}: {len(network.cores)} neurocores",
        *_quantized_lines(network.graph),
    ]
    for core in network.cores:
        pieces = "; ".join(map(_piece, core.pieces))
        lines.append(f"neurocore {core.index} at {core.x},{core.y}: {pieces}")
    return _joined(lines)


def _quantized_lines(graph: QuantizedGraph) -> Iterator[str]:
    source = graph.source
    yield f"integers {graph.name}: {_fields(graph.training, HEADS)}"
    yield from map(_head, graph.training.heads)
    yield f"precision: {_fields(graph.precision, ())}"
    yield (
        f"{source.name}: input {shape_text(source.shape)}, up to {source.largest_value}"
    )
    for population in graph.order:
        yield _population(population, is_output=population.name == graph.output)
        yield from map(_projection, graph.projections_into(population))
    yield from map(_change, graph.changes)


def _head(head: Head) -> str:
    return f"head {head.name or 'of all outputs'}: {_fields(head, ('name',))}"


def _population(population: Population, *, is_output: bool) -> str:
    what = "population" if population.spikes else "integrators"
    return (
        f"{population.name}: {what} {shape_text(population.shape)}"
        f"{', read out' if is_output else ''}; "
        f"{_fields(population, (*SHOWN_ELSEWHERE, 'spikes'))}"
    )


def _projection(projection: Projection) -> str:
    synapses = projection.synapses
    return (
        f"  {projection.source} -> {projection.target}: {type(synapses).__name__} "
        f"{_fields(synapses, ())}; exponent {projection.exponent}, delay "
        f"{projection.delay}, axon_delay {value_text(projection.axon_delay)}"
    )


def _change(change: Change) -> str:
    note = f"; {change.note}" if change.note else ""
    return (
        f"lossy: {change.layer}: {change.kind}, {change.count} values, up to "
        f"{change.largest:.3g}, mean {change.mean:.3g}{note}"
    )


def _piece(piece: Piece) -> str:
    return (
        f"{piece.population} {_positions(piece.neurons)}, {piece.synapse_bits} synapse "
        f"bits, {piece.n_input_axons} input axons, {piece.n_output_axons} output axons"
    )


def _positions(neurons: IntArray) -> str:
    """Return ascending positions as their number and where they lie."""
    first, last = int(neurons[0]), int(neurons[-1])
    scattered = "" if last - first + 1 == len(neurons) else f" {_checksum(neurons)}"
    return f"{len(neurons)} neurons {first}..{last}{scattered}"


def node_parameters(node: Node) -> str:
    """Return the parameters of a layer in one line; arrays by shape or by value."""
    return ", ".join(
        f"{field.name} {_short(getattr(node, field.name))}"
        for field in fields(node)
        if field.name not in SHOWN_ELSEWHERE
    )


def _short(value: object) -> str:
    if isinstance(value, np.ndarray) and value.size > 1:
        if value.ndim > 1 and value.size == len(value):
            return f"{value.min():g} to {value.max():g}"
        return shape_text(value.shape)
    return value_text(value)


def _fields(value: object, hidden: tuple[str, ...]) -> str:
    return ", ".join(
        f"{field.name} {value_text(getattr(value, field.name))}"
        for field in fields(value)  # type: ignore[arg-type]
        if field.name not in hidden
    )


def value_text(value: object) -> str:
    """Return a value in a few characters; of an array shape, range and checksum."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, np.ndarray):
        if value.size == 1:
            return f"{value.item():g}"
        if not value.size:
            return "none"
        return (
            f"{shape_text(value.shape)} from {value.min():g} to {value.max():g} "
            f"{_checksum(value)}"
        )
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def shape_text(shape: Shape) -> str:
    """Return ``2x3`` for ``(2, 3)``."""
    return "x".join(map(str, shape))


def _checksum(array: AnyArray) -> str:
    # single precision, since sums of the last bits differ between processors
    kind = np.float32 if array.dtype.kind == "f" else np.int64
    return f"#{zlib.crc32(np.ascontiguousarray(array, kind).tobytes()):08x}"


def _joined(lines: Iterator[str] | list[str]) -> str:
    return "\n".join(lines) + "\n"
