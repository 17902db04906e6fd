"""Array aliases, and the copy that makes an array safe to share."""

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
IntArray: TypeAlias = npt.NDArray[np.integer[Any]]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
AnyArray: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]


def read_only(array: npt.ArrayLike, dtype: npt.DTypeLike) -> AnyArray:
    """Return a contiguous copy of ``array`` that cannot be written to."""
    copy = np.array(array, dtype=dtype, order="C")
    copy.setflags(write=False)
    return copy


def spread(parameter: AnyArray, shape: Shape) -> AnyArray:
    """Return a neuron parameter, scalar, per channel or per neuron, for each neuron.

    ``parameter`` broadcasts against ``shape``; one per channel is ``(channel, 1, 1)``.
    """
    return np.ascontiguousarray(np.broadcast_to(parameter, shape)).reshape(-1)


def n_neurons(shape: Shape) -> int:
    """Return how many neurons a group of ``shape`` has."""
    return math.prod(shape)
