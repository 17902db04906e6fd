"""Array aliases, and the copy that makes an array safe to share."""

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
IntArray: TypeAlias = npt.NDArray[np.integer[Any]]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
AnyArray: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]


BLOCK = 1 << 17  # values that are worked on at once, where a layer has very many


def read_only(array: npt.ArrayLike, dtype: npt.DTypeLike) -> AnyArray:
    """Return ``array``, contiguous, so that it cannot be written to.

    It is a copy, unless nobody can write to ``array`` as it is.
    """
    if (
        isinstance(array, np.ndarray)
        and array.dtype == dtype
        and array.flags.c_contiguous
        and _is_frozen(array)
    ):
        return array
    copy = np.array(array, dtype=dtype, order="C")
    copy.setflags(write=False)
    return copy


def _is_frozen(array: AnyArray) -> bool:
    """Return whether neither an array nor those that it is a view of are writable."""
    owner: object = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        owner = owner.base
    return owner is None


def row_blocks(array: AnyArray) -> Iterator[slice]:
    """Yield slices of the rows of an array, of about ``BLOCK`` values each."""
    n = max(1, BLOCK * len(array) // max(array.size, 1))
    for start in range(0, len(array), n):
        yield slice(start, start + n)


def spread(parameter: AnyArray, shape: Shape) -> AnyArray:
    """Return a neuron parameter, scalar, per channel or per neuron, for each neuron.

    ``parameter`` broadcasts against ``shape``; one per channel is ``(channel, 1, 1)``.
    """
    return np.ascontiguousarray(np.broadcast_to(parameter, shape)).reshape(-1)


def n_neurons(shape: Shape) -> int:
    """Return how many neurons a group of ``shape`` has."""
    return math.prod(shape)


def three_axes(shape: Shape) -> tuple[int, int, int]:
    """Return a shape as channels, rows and columns; further axes join the columns."""
    channels, rows, *rest = (*shape, 1)
    return channels, rows, n_neurons(tuple(rest))
