"""Lay a network out as a file says: which neurons lie on which neurocore, and where.

The file is TOML. A table for each layer gives the sizes of the bands into which its
channels, rows and columns are cut; a single size is repeated, and an axis that is left
out stays whole. Each block lies on a neurocore of its own, in the order of layers and
blocks, unless all layers say on which (``neurocores``). ``x`` and ``y`` give the tile
of each neurocore; left out, they are searched for as always::

    x = [0, 0, 0]
    y = [0, 0, 1]

    [[layer]]
    name = "conv"
    rows = [8]
    neurocores = [0, 1]

    [[layer]]
    name = "out"
    neurocores = [2]
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from snn_deploy.arrays import IntArray, three_axes
from snn_deploy.chip.target import Target
from snn_deploy.compiler.map.blocks import Cut
from snn_deploy.compiler.map.pack import together
from snn_deploy.compiler.map.partition import Partition, partition_as
from snn_deploy.errors import DataError
from snn_deploy.files.schema import Natural, PositiveInt, Schema, hint, read_toml
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import Population, QuantizedGraph
from snn_deploy.names import shown

AXES = ("channels", "rows", "columns")
LARGEST = 1 << 20  # bytes; a board has thousands of neurocores


@dataclass(frozen=True, kw_only=True)
class LayerPlacement:
    """How one layer is cut: sizes of the bands along each axis; whole if empty."""

    name: str
    channels: tuple[PositiveInt, ...] = ()
    rows: tuple[PositiveInt, ...] = ()
    columns: tuple[PositiveInt, ...] = ()
    neurocores: tuple[Natural, ...] = ()  # of each block; empty: one of its own


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Which neurons lie on which neurocore, and on which tile that is."""

    layers: tuple[LayerPlacement, ...] = field(metadata={"key": "layer"})
    x: tuple[Natural, ...] = ()  # of each neurocore; empty: to be searched for
    y: tuple[Natural, ...] = ()


def read_placement(path: Path) -> Placement:
    """Return what the TOML file at ``path`` says.

    Raises
    ------
    DataError
        If it is not TOML, lacks a key, or has an unknown one.
    """
    table = read_toml(path, DataError, largest=LARGEST)
    layers = table.get("layer")
    for layer in layers if isinstance(layers, list) else ():
        for axis in AXES:  # one number is a list of one
            if isinstance(layer, dict) and type(layer.get(axis)) is int:
                layer[axis] = [layer[axis]]
    return Schema(file=str(path), error=DataError).build(Placement, table)


def cut_by(placement: Placement, graph: QuantizedGraph, target: Target) -> Partition:
    """Return ``graph`` cut, and its pieces on neurocores, as ``placement`` says.

    Raises
    ------
    DataError
        If it names other layers, other sizes, or neurocores with gaps.
    """
    by_name = {layer.name: layer for layer in placement.layers}
    _check_names(placement, [p.name for p in graph.populations])
    cuts = {p.name: _cut(by_name[p.name], p) for p in graph.populations}
    alone = partition_as(graph, target, cuts)
    layers = [
        by_name[name] for name in dict.fromkeys(p.population for p in alone.pieces)
    ]
    numbers = [n for layer in layers for n in layer.neurocores]
    if not numbers:
        return alone
    for layer in layers:
        n = cuts[layer.name].n_blocks
        if len(layer.neurocores) != n:
            raise _fault(
                layer.name,
                f"{n} blocks, but {len(layer.neurocores)} neurocores; give one for "
                "each block of every layer, or leave them out everywhere",
            )
    gaps = sorted({*range(max(numbers))} - {*numbers})
    if gaps:
        raise DataError(
            f"placement: neurocore {gaps[0]} holds nothing; number those in use from 0"
        )
    groups: list[list[int]] = [[] for _ in {*numbers}]
    for piece, number in enumerate(numbers):
        groups[number].append(piece)
    return together(alone, groups)


def slots_by(placement: Placement, target: Target, n_cores: int) -> IntArray | None:
    """Return the tile of each neurocore ``(n_cores, 2)``; ``None`` if it is open.

    Raises
    ------
    DataError
        If they are too many or too few, or lie past the edge or on one another.
    """
    if not placement.x and not placement.y:
        return None
    for axis in ("x", "y"):
        if len(getattr(placement, axis)) != n_cores:
            raise DataError(
                f"placement: {axis!r} has {len(getattr(placement, axis))} numbers for "
                f"{n_cores} neurocores; give x and y of each, or leave both out"
            )
    mesh, board = target.mesh, target.board
    width, height = mesh.width * board.width, mesh.height * board.height
    slots = [*zip(placement.x, placement.y, strict=True)]
    for number, (x, y) in enumerate(slots):
        if x >= width or y >= height:
            raise DataError(
                f"placement: neurocore {number} lies on tile {x}, {y}; {target.name} "
                f"has {width} x {height}, counted from 0"
            )
    chips = [(x // mesh.width, y // mesh.height) for x, y in slots]
    for what, places, most in (
        ("tile", slots, mesh.neurocores_per_tile),
        ("chip", chips, mesh.neurocores),
    ):
        (x, y), n = Counter(places).most_common(1)[0]
        if n > most:
            raise DataError(
                f"placement: {n} neurocores on {what} {x}, {y}, allowed are {most}; "
                "move some"
            )
    return np.array(slots)


def placement_text(network: MappedNetwork) -> str:
    """Return the file that lays a network out as it is, to start from.

    Raises
    ------
    DataError
        If the neurons of a layer do not lie in blocks of channels, rows and columns.
    """
    lines = [
        f"x = {[core.x for core in network.cores]}",
        f"y = {[core.y for core in network.cores]}",
    ]
    for population in network.graph.populations:
        lines += ["", "[[layer]]", *_lines(network, population)]
    return "\n".join(lines) + "\n"


def cut_as_it_lies(
    network: MappedNetwork, population: Population
) -> tuple[Cut, list[int]]:
    """Return the cut of a population, and the neurocore of each block.

    Raises
    ------
    DataError
        If its neurons do not lie in blocks of channels, rows and columns.
    """
    sizes = three_axes(population.shape)
    pieces = [
        (core.index, piece.neurons)
        for core in network.cores
        for piece in core.pieces
        if piece.population == population.name
    ]
    corners = np.array([np.unravel_index(neurons[0], sizes) for _, neurons in pieces])
    starts = [np.unique(along) for along in corners.T]
    bands = [
        tuple(np.diff([*start, size]).tolist())
        for start, size in zip(starts, sizes, strict=True)
    ]
    cut = Cut(sizes=sizes, bands=(bands[0], bands[1], bands[2]))
    number_of = {neurons.tobytes(): number for number, neurons in pieces}
    blocks = [neurons.tobytes() for neurons in cut.neurons()]
    if len(blocks) != len(pieces) or any(block not in number_of for block in blocks):
        raise _fault(
            population.name,
            "its neurons do not lie in blocks of channels, rows and columns, which "
            "is all that such a file can say",
        )
    return cut, [number_of[block] for block in blocks]


def _lines(network: MappedNetwork, population: Population) -> Iterator[str]:
    """Yield the lines that say how a layer lies."""
    cut, numbers = cut_as_it_lies(network, population)
    yield f"name = {json.dumps(population.name, ensure_ascii=False)}"
    for axis, edges in zip(AXES, cut.edges, strict=True):
        if len(edges) > 2:
            yield f"{axis} = {np.diff(edges).tolist()}"
    yield f"neurocores = {numbers}"


def _check_names(placement: Placement, known: list[str]) -> None:
    found = Counter(layer.name for layer in placement.layers)
    for name, n in found.items():
        if name not in known:
            raise _fault(name, f"the network has no such layer; {hint(name, known)}")
        if n > 1:
            raise _fault(name, f"has {n} tables; give one")
    for name in known:
        if name not in found:
            raise _fault(name, "nothing says where it lies; add a [[layer]] for it")


def _cut(layer: LayerPlacement, population: Population) -> Cut:
    sizes = three_axes(population.shape)
    channels, rows, columns = (
        _bands(layer, axis, size) for axis, size in zip(AXES, sizes, strict=True)
    )
    return Cut(sizes=sizes, bands=(channels, rows, columns))


def _bands(layer: LayerPlacement, axis: str, size: int) -> tuple[int, ...]:
    """Return the sizes of all bands: a single one is repeated, up to the edge."""
    given: tuple[int, ...] = getattr(layer, axis)
    if not given:
        return (size,)
    if len(given) == 1 and given[0] <= size:
        n, rest = divmod(size, given[0])
        return given * n + (rest,) * bool(rest)
    if sum(given) != size:
        raise _fault(
            layer.name,
            f"bands of {sum(given)} {axis} in all, it has {size}; give sizes that sum "
            "to that, or a single one to repeat",
        )
    return given


def _fault(layer: str, text: str) -> DataError:
    return DataError(f"placement: {shown(layer)}: {text}")
