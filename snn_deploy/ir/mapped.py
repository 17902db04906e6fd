"""A network on neurocores: which neurons lie where, and which packets that causes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snn_deploy.arrays import IntArray, read_only
from snn_deploy.errors import PassError
from snn_deploy.ir.quantized import (
    Projection,
    QuantizedGraph,
)
from snn_deploy.ir.synapses import (
    ConvSynapses,
    DenseSynapses,
    SparseSynapses,
)
from snn_deploy.target import Target


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """Neurons of one population that lie on one neurocore."""

    population: str
    neurons: IntArray  # (n,), positions in the flattened population, ascending
    synapse_bits: int
    n_input_axons: int
    n_output_axons: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "neurons", read_only(self.neurons, np.int64))


@dataclass(frozen=True, kw_only=True, eq=False)
class Neurocore:
    """One core of the chip and what it holds."""

    index: int
    x: int  # of its tile
    y: int
    pieces: tuple[Piece, ...]

    @property
    def name(self) -> str:
        return (
            f"neurocore {self.index} ({', '.join(p.population for p in self.pieces)})"
        )

    @property
    def n_compartments(self) -> int:
        return sum(len(piece.neurons) for piece in self.pieces)

    @property
    def synapse_bits(self) -> int:
        return sum(piece.synapse_bits for piece in self.pieces)

    @property
    def n_input_axons(self) -> int:
        return sum(piece.n_input_axons for piece in self.pieces)

    @property
    def n_output_axons(self) -> int:
        return sum(piece.n_output_axons for piece in self.pieces)


@dataclass(frozen=True, kw_only=True, eq=False)
class Routes:
    """Where the spikes of one population, or of the input, go.

    The rows are its neurons; the columns of ``synapses`` are all neurocores.
    """

    synapses: IntArray  # (n_neurons, n_cores), synapses read there by one spike
    core: IntArray  # (n_neurons,), where the neuron lies; 0 for the input

    @cached_property
    def packets(self) -> IntArray:
        """Packets that one spike sends: 1 for each neurocore with a synapse of it."""
        return np.minimum(self.synapses, 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class MappedNetwork:
    """A retimed network, every neuron on a neurocore."""

    graph: QuantizedGraph
    target: Target
    cores: tuple[Neurocore, ...]

    def __post_init__(self) -> None:
        _ = self.core_of

    @cached_property
    def core_of(self) -> dict[str, IntArray]:
        """For each population the position in ``cores`` of each of its neurons."""
        found: dict[str, IntArray] = {
            p.name: np.full(p.size, -1, np.int64) for p in self.graph.populations
        }
        for position, core in enumerate(self.cores):
            for piece in core.pieces:
                places = found.get(piece.population, np.zeros(0, np.int64))
                neurons = piece.neurons
                if np.any((neurons < 0) | (neurons >= len(places))):
                    raise PassError(
                        f"{core.name}: holds neurons that {piece.population} has not"
                    )
                if np.any(places[neurons] >= 0):
                    raise PassError(
                        f"{piece.population}: some neurons lie on two neurocores"
                    )
                places[neurons] = position
        for name, cores in found.items():
            if np.any(cores < 0):
                raise PassError(f"{name}: some neurons lie on no neurocore")
        return found

    @cached_property
    def routes(self) -> dict[str, Routes]:
        """The routes of the input and of every population that sends."""
        graph = self.graph
        found = {}
        for name in (graph.source.name, *(p.name for p in graph.populations)):
            leaving = [p for p in graph.projections if p.source == name]
            size = int(np.prod(graph.shape_of(name)))
            synapses = np.zeros((size, len(self.cores)), np.int64)
            for projection in leaving:
                cores = self.core_of[projection.target]
                synapses += synapses_on(graph, projection, cores, len(self.cores))
            core = self.core_of.get(name, np.zeros(size, np.int64))
            found[name] = Routes(synapses=synapses, core=core)
        return found

    @property
    def n_tiles(self) -> int:
        """How many tiles hold a neurocore in use."""
        return len({(core.x, core.y) for core in self.cores})


def synapses_on(
    graph: QuantizedGraph, projection: Projection, cores: IntArray, n_cores: int
) -> IntArray:
    """Return how many synapses one spike reads, by source neuron and place.

    Parameters
    ----------
    graph, projection
        The synapses; stored zeros count.
    cores : array, (n_target_neurons,)
        The place of each target neuron, 0 to ``n_cores`` - 1.

    Returns
    -------
    array, (n_source_neurons, n_cores)
    """
    synapses = projection.synapses
    if isinstance(synapses, DenseSynapses):
        per_core = np.bincount(cores, minlength=n_cores)
        return np.tile(per_core, (synapses.weights.shape[1], 1))
    if isinstance(synapses, SparseSynapses):
        found = np.zeros((synapses.size[1], n_cores), np.int64)
        np.add.at(found, (synapses.sources, cores[synapses.targets]), 1)
        return found
    return _conv_synapses_on(graph, projection, synapses, cores, n_cores)


def _conv_synapses_on(
    graph: QuantizedGraph,
    projection: Projection,
    synapses: ConvSynapses,
    cores: IntArray,
    n_cores: int,
) -> IntArray:
    shape = graph.shape_of(projection.source)
    out_shape = graph.shape_of(projection.target)
    n_groups = synapses.groups
    # target neurons per group of channels, position and place
    places = cores.reshape(n_groups, -1, *out_shape[1:])
    here = np.stack([(places == core).sum(axis=1) for core in range(n_cores)], axis=-1)
    counts = np.zeros((n_groups, *shape[1:], n_cores), np.int64)
    for (top, left), window in conv_windows(synapses, shape, out_shape):
        rows, columns = window
        counts[:, top, left] += here[:, rows, columns]
    per_channel = np.repeat(counts, shape[0] // n_groups, axis=0)
    return per_channel.reshape(-1, n_cores)


def conv_windows(
    synapses: ConvSynapses, shape: tuple[int, ...], out_shape: tuple[int, ...]
) -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Return, for each kernel position, the input and output positions it connects."""

    def along(axis: int, offset: int) -> tuple[slice, slice] | None:
        stride, padding = synapses.stride[axis], synapses.padding[axis]
        shifted = offset * synapses.dilation[axis] - padding
        size, out_size = shape[axis + 1], out_shape[axis + 1]
        first = max(0, -(shifted // stride))  # smallest output that stays inside
        last = min(out_size - 1, (size - 1 - shifted) // stride)
        if last < first:
            return None
        start = first * stride + shifted
        stop = last * stride + shifted + 1
        return slice(start, stop, stride), slice(first, last + 1)

    windows = []
    height, width = synapses.weights.shape[2:]
    for row in range(height):
        for column in range(width):
            vertical, horizontal = along(0, row), along(1, column)
            if vertical is not None and horizontal is not None:
                inside = (vertical[0], horizontal[0])
                windows.append((inside, (vertical[1], horizontal[1])))
    return windows
