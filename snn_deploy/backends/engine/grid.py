"""Where neurons and weights lie in the compiled engine: channels last, padded."""

from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import IntArray, Shape, n_neurons
from snn_deploy.errors import BackendError
from snn_deploy.ir.synapses import SparseSynapses


class UnsupportedError(BackendError):
    """The engine cannot run this network exactly; the reference can."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """Where the neurons of a population, or of the input, lie."""

    height: int
    width: int
    channels: int  # padded
    index: IntArray  # (n_neurons,), the place of each neuron

    @property
    def size(self) -> int:
        """How many places there are, padding included."""
        return self.height * self.width * self.channels

    def placed(self, values: IntArray, padding: int = 0) -> IntArray:
        """Return values of each neuron, by place."""
        found = np.full(self.size, padding, np.int64)
        found[self.index] = values
        return found


def grid_of(shape: Shape, padded_to: int) -> Grid:
    """Return the grid of neurons of ``shape``: channels, height, width, or a row."""
    channels, height, width = shape if len(shape) == 3 else (n_neurons(shape), 1, 1)
    padded = -(-channels // padded_to) * padded_to
    places = np.arange(height * width * padded).reshape(height, width, padded)
    index = places[:, :, :channels].transpose(2, 0, 1).reshape(-1)
    return Grid(height=height, width=width, channels=padded, index=index)


def packed(values: IntArray, dtype: type) -> IntArray:
    """Return ``values`` as a contiguous array of a type of the engine."""
    info = np.iinfo(dtype)
    if values.size and (values.min() < info.min or values.max() > info.max):
        raise UnsupportedError(f"numbers of more than {info.bits} bits")
    return np.ascontiguousarray(values, dtype=dtype)


def packed_weights(weights: IntArray, may_be_narrow: bool) -> tuple[IntArray, int]:
    """Return weights in 8 bits where they fit, halved if all are even, else in 16.

    The second value is 1 for halved weights: their sum is to be shifted once more.
    """
    if may_be_narrow:
        is_even = not np.any(weights & 1)
        narrow = weights // 2 if is_even else weights
        if not narrow.size or (narrow.min() >= -128 and narrow.max() <= 127):
            return narrow.astype(np.int8), int(is_even)
    if weights.size and (weights.min() < -(1 << 15) or weights.max() >= 1 << 15):
        raise UnsupportedError("weights of more than 16 bits")
    return weights.astype(np.int16), 0


def placed_dense(weights: IntArray, source: Grid, target: Grid) -> IntArray:
    """Return dense weights ``(n_in, n_out)``, places of padding included."""
    placed = np.zeros((source.size, target.size), weights.dtype)
    placed[np.ix_(source.index, target.index)] = weights.T
    return placed


def placed_conv(
    weights: IntArray, groups: int, source: Grid, target: Grid, is_direct: bool
) -> IntArray:
    """Return weights ``(kernel row, column, group, in, out)`` of a convolution.

    The output channels of an input channel are those of its group; for direct sums,
    which know no groups, all, padding included.
    """
    n_out, group_in, height, width = weights.shape
    if is_direct:
        shape = (height, width, 1, source.channels, target.channels)
        placed = np.zeros(shape, weights.dtype)
        placed[:, :, 0, :group_in, :n_out] = weights.transpose(2, 3, 1, 0)
        return placed
    grouped = weights.reshape(groups, n_out // groups, group_in, height, width)
    return np.ascontiguousarray(grouped.transpose(3, 4, 0, 2, 1))


def placed_sparse(
    weights: IntArray, synapses: SparseSynapses, source: Grid, target: Grid
) -> tuple[IntArray, IntArray, IntArray]:
    """Return weights by source place, where those of each begin, and their targets."""
    places = source.index[synapses.sources]
    order = np.argsort(places, kind="stable")
    counts = np.bincount(places, minlength=source.size)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return (
        np.ascontiguousarray(weights[order]),
        packed(starts, np.int32),
        packed(target.index[synapses.targets[order]], np.int32),
    )
