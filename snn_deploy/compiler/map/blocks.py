"""Cuts of a population into blocks of channels, rows and columns, all alike."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import pairwise

import numpy as np
from scipy import sparse

from snn_deploy.arrays import IntArray, Shape, n_neurons
from snn_deploy.ir.synapses import ConvSynapses

AXES = 3


Bands = int | tuple[int, ...]  # how many, as equal as can be; or the size of each


def edges_of(size: int, bands: Bands) -> IntArray:
    """Return where the bands of an axis start, and where the last one ends."""
    if isinstance(bands, int):
        return -(-np.arange(bands + 1) * size // bands)
    return np.cumsum([0, *bands])


@dataclass(frozen=True)
class Cut:
    """A grid of blocks over a population."""

    sizes: tuple[int, int, int]
    bands: tuple[Bands, Bands, Bands]  # along each axis

    @property
    def parts(self) -> tuple[int, ...]:
        """How many blocks there are along each axis."""
        return tuple(n if isinstance(n, int) else len(n) for n in self.bands)

    @property
    def n_blocks(self) -> int:
        return n_neurons(self.parts)

    @cached_property
    def edges(self) -> tuple[IntArray, ...]:
        """For each axis where its bands start, and where the last one ends."""
        along = zip(self.sizes, self.bands, strict=True)
        return tuple(edges_of(size, bands) for size, bands in along)

    @cached_property
    def n_neurons(self) -> IntArray:
        """Neurons of each block, ``(n_blocks,)``."""
        return outer(*(np.diff(edges) for edges in self.edges))

    def sums(self, values: tuple[IntArray, ...]) -> IntArray:
        """Return the sum over each block of a value for each neuron.

        ``values`` are the factors along the three axes, or one array of all values.
        """
        if len(values) == AXES:
            along = zip(values, self.edges, strict=True)
            return outer(*(np.add.reduceat(v, edges[:-1]) for v, edges in along))
        total = values[0].reshape(self.sizes)
        for axis, edges in enumerate(self.edges):
            total = np.add.reduceat(total, edges[:-1], axis=axis)
        return total.reshape(-1)

    def neurons(self) -> Iterator[IntArray]:
        """Yield the neurons of each block, positions in the flattened population."""
        bands = [[np.arange(a, b) for a, b in pairwise(edges)] for edges in self.edges]
        _, height, width = self.sizes
        for channels in bands[0]:
            for rows in bands[1]:
                lines = (channels[:, np.newaxis] * height + rows).reshape(-1, 1) * width
                for columns in bands[2]:
                    yield (lines + columns).reshape(-1)

    def places(self) -> IntArray:
        """Return the number of the block of each neuron."""
        found = np.zeros(n_neurons(self.sizes), np.int64)
        for number, neurons in enumerate(self.neurons()):
            found[neurons] = number
        return found


def outer(channels: IntArray, rows: IntArray, columns: IntArray) -> IntArray:
    """Return the product of values of each axis, for each block ``(n_blocks,)``."""
    found: IntArray = np.multiply.outer(np.multiply.outer(channels, rows), columns)
    return found.reshape(-1)


def cuts(sizes: tuple[int, int, int], fewest: int, largest: int) -> Iterator[Cut]:
    """Yield all cuts into ``fewest`` blocks or more, by number of blocks.

    No block has more than ``largest`` neurons, if that is possible.
    """
    parts = [
        np.array([n for n in range(1, s + 1) if _is_distinct(s, n)]) for s in sizes
    ]
    grid = np.stack(np.meshgrid(*parts, indexing="ij"), axis=-1).reshape(-1, AXES)
    n_blocks = grid.prod(axis=1)
    in_block = (-(-np.array(sizes) // grid)).prod(axis=1)
    is_wanted = (n_blocks >= fewest) & (in_block <= largest)
    grid, n_blocks = grid[is_wanted], n_blocks[is_wanted]
    for row in grid[np.argsort(n_blocks, kind="stable")]:
        a, b, c = (int(n) for n in row)
        yield Cut(sizes=sizes, bands=(a, b, c))


def _is_distinct(size: int, n_parts: int) -> bool:
    """Return whether no smaller number of parts has the same largest part."""
    return n_parts == 1 or -(-size // n_parts) < -(-size // (n_parts - 1))


@dataclass(frozen=True, eq=False)
class Window:
    """What bands of output rows, or columns, read of the input's."""

    read: sparse.csc_array  # (n_inputs, n_bands), how often a band reads a row
    by_tap: IntArray  # (n_kernel, n_bands), how often with each row of the kernel

    @cached_property
    def n_reached(self) -> IntArray:
        """Input rows that a band reads, ``(n_bands,)``."""
        found: IntArray = np.diff(self.read.indptr).astype(np.int64)
        return found

    @cached_property
    def n_taps(self) -> IntArray:
        """Pairs of an input row and an output row of a band, ``(n_bands,)``."""
        return np.asarray(self.read.sum(axis=0))

    @cached_property
    def n_readers(self) -> IntArray:
        """Bands that read a row, ``(n_inputs,)``."""
        found: IntArray = np.bincount(self.read.indices, minlength=self.read.shape[0])
        return found

    @cached_property
    def lists(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """By band: taps of a row, and how many rows have so many."""

        @cache
        def tally(*taps: int) -> tuple[tuple[int, int], ...]:
            return tuple(sorted(Counter(taps).items()))

        columns = np.split(self.read.data, self.read.indptr[1:-1])
        return tuple(tally(*column.tolist()) for column in columns)


class Windows:
    """The windows of a convolution, for any bands."""

    def __init__(self, synapses: ConvSynapses, shape: Shape) -> None:
        self.matrices = synapses.taps(shape)
        self.by_tap = synapses.kernel_reads(shape)
        self.window = lru_cache(maxsize=256)(self._window)

    def _window(self, axis: int, bands: Bands) -> Window:
        matrix = self.matrices[axis]
        n_outputs = matrix.shape[1]
        sizes = np.diff(edges_of(n_outputs, bands))
        band = np.repeat(np.arange(len(sizes)), sizes)
        ones = np.ones(n_outputs, np.int64)
        lies_in = sparse.csr_array(
            (ones, (np.arange(n_outputs), band)), shape=(n_outputs, len(sizes))
        )
        return Window(
            read=sparse.csc_array(matrix @ lies_in),
            by_tap=np.asarray(self.by_tap[axis] @ lies_in),
        )
