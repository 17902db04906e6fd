"""Synapses in chip integers: from every neuron, shared over positions, or single.

Each kind knows which neurons it connects and how it adds up; nobody else has to know
the kind, but where weights are laid out for a machine or a file.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from snn_deploy.arrays import (
    AnyArray,
    BoolArray,
    IntArray,
    Shape,
    n_neurons,
)
from snn_deploy.errors import PassError
from snn_deploy.ir.connecting import AnySynapses, Reaching, Summing
from snn_deploy.ir.convolve import Convolution
from snn_deploy.ir.counted import along_both, counted, product
from snn_deploy.ir.kinds import Axes, all_alike, each_its_own, labels_of, neurons_at

Read = tuple[IntArray, IntArray, IntArray, tuple[int, int, int]]  # see ``_reads``
LARGEST_STEP = 1 << 24  # of a convolution; no input is wider


@dataclass(frozen=True, kw_only=True, eq=False)
class DenseSynapses(AnySynapses):
    """A weight from every source neuron to every target neuron.

    The weights are ``(n_out, n_in)``, each source and target in a row.
    """

    kind = "dense"
    reaches_all = True

    @property
    def fan_in(self) -> int:
        return int(self.weights.shape[1])

    def output_shape(self, shape: Shape) -> Shape | None:
        fits = self.weights.ndim == 2 and self.weights.shape[1] == n_neurons(shape)
        return self.weights.shape[:1] if fits else None

    def fan_ins(self, shape: Shape) -> IntArray:
        return np.full(len(self.weights), self.fan_in)

    def fan_outs(self, shape: Shape) -> IntArray:
        return np.full(self.fan_in, len(self.weights))

    def effective_fan_outs(self, shape: Shape) -> IntArray:
        return np.asarray(np.count_nonzero(self.weights, axis=0))

    def sums_onto(self, values: IntArray) -> IntArray:
        sums: IntArray = values.sum(axis=1)
        return sums

    def sums_from(self, values: IntArray, shape: Shape) -> IntArray:
        sums: IntArray = values.sum(axis=0)
        return sums

    def alike(self, places: IntArray, shape: Shape) -> Axes:
        return all_alike(shape)

    def read_on(
        self, places: IntArray, n_places: int, shape: Shape, at: Axes | None = None
    ) -> sparse.csr_array:
        per_place = np.bincount(places, minlength=n_places)[np.newaxis]
        n_read = n_neurons(tuple(map(len, at or each_its_own(shape))))
        return product(np.ones((n_read, 1), np.int64), per_place)

    def _effective_read_on(
        self, places: IntArray, n_places: int, shape: Shape, at: Axes
    ) -> sparse.csr_array:
        order = np.argsort(places, kind="stable")
        used, starts = np.unique(places[order], return_index=True)
        is_weight = (self.weights != 0)[np.ix_(order, neurons_at(at, shape))]
        sums = np.add.reduceat(is_weight, starts, axis=0, dtype=np.int64)
        columns = counted(np.arange(len(used)), used, (len(used), n_places))
        return sparse.csr_array(sparse.csr_array(sums.T) @ columns)

    def summing(self, weights: AnyArray, shape: Shape) -> Summing:
        return lambda spikes: np.asarray(spikes @ weights.T)

    def reaching(self, shape: Shape) -> Reaching:
        def reached(spikes: AnyArray) -> BoolArray:
            any_fired = spikes.any(axis=1, keepdims=True)
            return np.broadcast_to(any_fired, (len(spikes), len(self.weights)))

        return reached

    def dense(self, shape: Shape) -> IntArray:
        return self.weights


@dataclass(frozen=True, kw_only=True, eq=False)
class ConvSynapses(Convolution, AnySynapses):
    """The weights of a convolution, shared over positions.

    They are ``(out_channel, in_channel / groups, height, width)``.
    """

    kind = "conv"

    @property
    def kernel(self) -> Shape:
        return self.weights.shape[2:]

    @property
    def fan_in(self) -> int:
        return int(np.prod(self.weights.shape[1:]))

    def output_shape(self, shape: Shape) -> Shape | None:
        if self.weights.ndim != 4 or len(shape) != 3 or self.groups < 1:
            return None
        n_out, n_in = self.weights.shape[:2]
        if n_in * self.groups != shape[0] or n_out % self.groups:
            return None
        smallest = min(*self.stride, *self.dilation)
        if smallest < 1 or min(*self.padding, *self.cropped) < 0:
            return None
        if max(*self.stride, *self.dilation, *self.padding) > LARGEST_STEP:
            return None
        return self.convolved_shape(shape, self.weights.shape)

    def taps(self, shape: Shape) -> tuple[sparse.csr_array, sparse.csr_array]:
        """Return how often an output row, and column, reads an input one.

        Returns
        -------
        rows, columns : sparse arrays, (n_inputs, n_outputs)
        """
        rows, columns = (
            counted(inputs, outputs, (n_inputs, n_outputs))
            for _, inputs, outputs, (_, n_inputs, n_outputs) in self._reads(shape)
        )
        return rows, columns

    def kernel_reads(self, shape: Shape) -> tuple[IntArray, IntArray]:
        """Return how often an output row, and column, reads with a kernel one.

        Returns
        -------
        rows, columns : arrays, (n_kernel, n_outputs)
        """
        rows, columns = (
            counted(kernel, outputs, (n_kernel, n_outputs)).toarray()
            for kernel, _, outputs, (n_kernel, _, n_outputs) in self._reads(shape)
        )
        return rows, columns

    def _meetings(self, shape: Shape) -> tuple[sparse.csr_array, sparse.csr_array]:
        """Return how often a kernel row, and column, meets an input one.

        Returns
        -------
        rows, columns : sparse arrays, (n_kernel, n_inputs)
        """
        rows, columns = (
            counted(kernel, inputs, (n_kernel, n_inputs))
            for kernel, inputs, _, (n_kernel, n_inputs, _) in self._reads(shape)
        )
        return rows, columns

    def _reads(self, shape: Shape) -> list[Read]:
        """Return what is read along both axes, and the sizes of what is read."""
        out_shape = self.convolved_shape(shape, self.weights.shape)
        sizes = zip(self.kernel, shape[1:], out_shape[1:], strict=True)
        return [(*self.reads(axis, *size), size) for axis, size in enumerate(sizes)]

    def fan_ins(self, shape: Shape) -> IntArray:
        rows, columns = (np.asarray(taps.sum(axis=0)) for taps in self.taps(shape))
        of_channel = self.weights.shape[1] * np.multiply.outer(rows, columns)
        return np.tile(of_channel.reshape(-1), len(self.weights))

    def sums_onto(self, values: IntArray) -> IntArray:
        sums: IntArray = values.sum(axis=(1, 2, 3))
        return sums

    def sums_from(self, values: IntArray, shape: Shape) -> IntArray:
        groups = values.reshape(self.groups, -1, *values.shape[1:])
        kernels = groups.sum(axis=1).reshape(shape[0], *self.kernel)
        return along_both(kernels, *self._meetings(shape)).reshape(-1)

    def alike(self, places: IntArray, shape: Shape) -> Axes:
        rows, columns = self._alike_lines(places, shape)
        return np.arange(shape[0]) // self.weights.shape[1], rows, columns

    def _effectively_alike(self, places: IntArray, shape: Shape) -> Axes:
        return np.arange(shape[0]), *self._alike_lines(places, shape)

    def _alike_lines(self, places: IntArray, shape: Shape) -> tuple[IntArray, IntArray]:
        """Return labels of rows, and columns, that lines which lie alike read."""
        grid = places.reshape(self.convolved_shape(shape, self.weights.shape))
        found = []
        for axis, (kernel, inputs, outputs, size) in enumerate(self._reads(shape)):
            lines = np.moveaxis(grid, 1 + axis, 0)
            lies = labels_of(lines.reshape(len(lines), -1))
            read = np.full((size[1], size[0]), -1)
            read[inputs, kernel] = lies[outputs]
            found.append(labels_of(read))
        return found[0], found[1]

    def read_on(
        self, places: IntArray, n_places: int, shape: Shape, at: Axes | None = None
    ) -> sparse.csr_array:
        channels, down, along = at or each_its_own(shape)
        rows, columns = self.taps(shape)
        windows = product(rows[down], columns[along])  # (positions, target positions)
        n_positions = windows.shape[1]
        parts = places.reshape(self.groups, -1)
        where = np.arange(parts.shape[1]) % n_positions
        labels = labels_of(parts)  # groups that lie alike are read alike
        read = [
            windows @ counted(where, parts[first], (n_positions, n_places))
            for first in np.unique(labels, return_index=True)[1]
        ]
        found = [read[labels[group]] for group in channels // self.weights.shape[1]]
        return sparse.csr_array(sparse.vstack(found, format="csr"))

    def _effective_read_on(
        self, places: IntArray, n_places: int, shape: Shape, at: Axes
    ) -> sparse.csr_array:
        # channels that lie alike are taken together: their weights by kernel position,
        # times the places that each input position meets there
        meets = self._meets(shape, at)
        n_taps = n_neurons(self.kernel)
        n_in = len(at[1]) * len(at[2])
        is_weight = (self.weights != 0).astype(np.int64)
        group, inner = np.divmod(at[0], self.weights.shape[1])
        found = []
        for number, (of_group, channels) in enumerate(
            zip(
                np.split(is_weight, self.groups),
                np.split(places.reshape(len(is_weight), -1), self.groups),
                strict=True,
            )
        ):
            weights = of_group[:, inner[group == number]]
            alike = labels_of(channels)
            maps = channels[np.unique(alike, return_index=True)[1]]
            total = sparse.csr_array((weights.shape[1], n_in * n_places), dtype=int)
            for label, here in enumerate(maps):
                lies = counted(np.arange(len(here)), here, (len(here), n_places))
                of_map = weights[alike == label].sum(axis=0)
                there = sparse.csr_array(meets @ lies).reshape(n_taps, -1)
                of_taps = sparse.csr_array(of_map.reshape(-1, n_taps))
                total = total + of_taps @ sparse.csr_array(there)
            found.append(total.reshape(-1, n_places))
        return sparse.csr_array(sparse.vstack(found, format="csr"))

    def _meets(self, shape: Shape, at: Axes) -> sparse.csr_array:
        """Return which output position a kernel position reads an input one for.

        Returns
        -------
        sparse array, (n_taps * n_inputs, n_outputs)
            Inputs are the rows and columns of ``at``.
        """
        rows, columns = (
            _only(read, lines)
            for read, lines in zip(self._reads(shape), at[1:], strict=True)
        )
        row, y, out_y, (_, height, out_height) = rows
        column, x, out_x, (kernel_width, width, out_width) = columns
        tap = np.add.outer(row * kernel_width, column)
        position = np.add.outer(y * width, x)
        start = (tap * (height * width) + position).reshape(-1)
        end = np.add.outer(out_y * out_width, out_x).reshape(-1)
        n_starts = n_neurons(self.kernel) * height * width
        return counted(start, end, (n_starts, out_height * out_width))

    def summing(self, weights: AnyArray, shape: Shape) -> Summing:
        def sums(spikes: AnyArray) -> AnyArray:
            found = self.convolve(spikes.reshape(-1, *shape), weights)
            return found.reshape(len(spikes), -1)

        return sums

    def reaching(self, shape: Shape) -> Reaching:
        rows, columns = (taps.astype(np.bool_) for taps in self.taps(shape))
        per_group = len(self.weights) // self.groups

        def reached(spikes: AnyArray) -> BoolArray:
            n = len(spikes) * self.groups
            groups = spikes.reshape(n, shape[0] // self.groups, *shape[1:])
            hit = along_both(np.any(groups, axis=1), rows, columns)
            maps = hit.reshape(len(spikes), self.groups, -1)
            return np.repeat(maps, per_group, axis=1).reshape(len(spikes), -1)

        return reached

    def dense(self, shape: Shape) -> IntArray:
        one_by_one = np.eye(n_neurons(shape), dtype=np.int64)
        return self.summing(self.weights, shape)(one_by_one).T


@dataclass(frozen=True, kw_only=True, eq=False)
class SparseSynapses(AnySynapses):
    """Single weights ``(n_synapses,)``, each from one source neuron to one target."""

    targets: IntArray  # (n_synapses,), positions in the flattened population
    sources: IntArray  # (n_synapses,)
    size: tuple[int, int]  # (n_out, n_in)

    kind = "sparse"

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.size) < 1:
            raise PassError(f"sparse synapses of size {self.size}; give sizes over 0")
        shapes = {self.targets.shape, self.sources.shape, self.weights.shape}
        if len(shapes) != 1 or self.weights.ndim != 1:
            raise PassError("sparse synapses need as many targets, sources and weights")
        for positions, size in zip(
            (self.targets, self.sources), self.size, strict=True
        ):
            if positions.size and not 0 <= positions.min() <= positions.max() < size:
                raise PassError(f"a sparse synapse lies outside of {self.size}")

    @property
    def n_positions(self) -> int:
        return self.targets.size + self.sources.size

    @property
    def fan_in(self) -> int:
        return int(np.bincount(self.targets, minlength=1).max())

    def output_shape(self, shape: Shape) -> Shape | None:
        return self.size[:1] if self.size[1] == n_neurons(shape) else None

    def fan_ins(self, shape: Shape) -> IntArray:
        return np.bincount(self.targets, minlength=self.size[0])

    def sums_of(self, function: Callable[[IntArray], IntArray]) -> IntArray:
        return self.sums_onto(function(self.weights))

    def sums_onto(self, values: IntArray) -> IntArray:
        return _added(values, self.targets, self.size[0])

    def sums_from(self, values: IntArray, shape: Shape) -> IntArray:
        return _added(values, self.sources, self.size[1])

    def read_on(
        self, places: IntArray, n_places: int, shape: Shape, at: Axes | None = None
    ) -> sparse.csr_array:
        size = self.size[1], n_places
        found = counted(self.sources, places[self.targets], size)
        return found if at is None else found[neurons_at(at, shape)]

    def _effective_read_on(
        self, places: IntArray, n_places: int, shape: Shape, at: Axes
    ) -> sparse.csr_array:
        is_weight = self.weights != 0
        sources, targets = self.sources[is_weight], self.targets[is_weight]
        found = counted(sources, places[targets], (self.size[1], n_places))
        return found[neurons_at(at, shape)]

    def summing(self, weights: AnyArray, shape: Shape) -> Summing:
        matrix = self._matrix(weights)
        return lambda spikes: np.asarray((matrix @ spikes.T).T)

    def reaching(self, shape: Shape) -> Reaching:
        sums = self.summing(np.ones(self.weights.shape, np.bool_), shape)
        return lambda spikes: sums(spikes != 0)

    def dense(self, shape: Shape) -> IntArray:
        matrix: IntArray = self._matrix(self.weights).toarray()
        return matrix

    def _matrix(self, weights: AnyArray) -> sparse.csr_array:
        positions = (self.targets, self.sources)
        return sparse.csr_array((weights, positions), shape=self.size)


Synapses = DenseSynapses | ConvSynapses | SparseSynapses


def _only(read: Read, lines: IntArray) -> Read:
    """Return what is read of some of the inputs, numbered anew."""
    kernel, inputs, outputs, (n_kernel, n_inputs, n_outputs) = read
    numbers = np.full(n_inputs, -1)
    numbers[lines] = np.arange(len(lines))
    kept = numbers[inputs] >= 0
    size = n_kernel, len(lines), n_outputs
    return kernel[kept], numbers[inputs[kept]], outputs[kept], size


def _added(values: IntArray, positions: IntArray, size: int) -> IntArray:
    """Return the sums of the values at each position."""
    sums = np.zeros(size, np.int64)
    np.add.at(sums, positions, values)
    return sums
