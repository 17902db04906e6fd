"""Constants that an ONNX graph computes from others: shapes and pads, a few numbers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray
from snn_deploy.importers.onnx.file import Operator

MOST = 64  # numbers; weights are stored, not computed
Attributes = dict[str, Any]


def computed(item: Operator, inputs: Sequence[AnyArray]) -> AnyArray | None:
    """Return what an operator makes of a few constants, ``None`` if that is unknown."""
    compute = _OPERATORS.get(item.op_type)
    if compute is None or sum(value.size for value in inputs) > MOST:
        return None
    if item.op_type in _OF_SIZES and any(np.any(value < 0) for value in inputs):
        return None  # of the batch
    found = compute(item.attributes, *inputs)
    return None if found is None else np.asarray(found)


def shape_of(item: Operator, sizes: Sequence[int | str]) -> AnyArray | None:
    """Return a value's shape with -1 for the batch, as Reshape takes it, if known."""
    found = item.attributes
    rest = [size for size in sizes[1:] if isinstance(size, int) and size > 0]
    if not sizes or len(rest) != len(sizes) - 1:
        return None
    return np.array([-1, *rest])[found.get("start", 0) : found.get("end", len(sizes))]


def _concat(attributes: Attributes, *parts: AnyArray) -> AnyArray:
    return np.concatenate(parts, attributes["axis"])


def _of_shape(attributes: Attributes, shape: AnyArray) -> AnyArray | None:
    if np.prod(shape, dtype=np.float64) > MOST:
        return None
    value = np.asarray(attributes.get("value", 0.0)).reshape(-1)[0]
    return np.full(shape.astype(np.int64), value)


def _slice(
    attributes: Attributes,
    data: AnyArray,
    starts: AnyArray,
    ends: AnyArray,
    axes: AnyArray | None = None,
    steps: AnyArray | None = None,
) -> AnyArray:
    found = [slice(None)] * data.ndim
    axes = np.arange(len(starts)) if axes is None else axes
    steps = np.ones(len(starts), np.int64) if steps is None else steps
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        is_whole = step < 0 and end < -data.shape[axis]  # down to the first
        stop = None if is_whole else int(end)
        found[int(axis)] = slice(int(start), stop, int(step))
    return data[tuple(found)]


def _unsqueeze(attributes: Attributes, data: AnyArray, axes: AnyArray) -> AnyArray:
    return np.expand_dims(data, tuple(int(axis) for axis in axes.reshape(-1)))


def _squeeze(
    attributes: Attributes, data: AnyArray, axes: AnyArray | None = None
) -> AnyArray:
    along = None if axes is None else tuple(int(axis) for axis in axes.reshape(-1))
    return np.squeeze(data, along)


def _gather(attributes: Attributes, data: AnyArray, at: AnyArray) -> AnyArray:
    return np.take(data, at.astype(np.int64), attributes.get("axis", 0))


_OF_SIZES = ("Mul",)
_OPERATORS: dict[str, Callable[..., AnyArray | None]] = {
    "Cast": lambda attributes, data: data,
    "Concat": _concat,
    "ConstantOfShape": _of_shape,
    "Gather": _gather,
    "Mul": lambda attributes, a, b: a * b,
    "Reshape": lambda attributes, data, shape: data.reshape(shape.astype(np.int64)),
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": lambda attributes, data: np.transpose(data, attributes.get("perm")),
}
