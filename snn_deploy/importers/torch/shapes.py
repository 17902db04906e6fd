"""What functions of PyTorch make of the items of their arguments: shapes and parts."""

from dataclasses import replace
from typing import Any

import torch

from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.axes import (
    MIXED,
    TimedTensor,
    constant_items,
    joined,
    length,
    permuted,
    refused,
    regrouped,
    repeated,
    stacked,
    with_axis,
    without_axes,
)
from snn_deploy.importers.torch.calls import Maker, Rule, as_tensor, elementwise, into

SHAPES: dict[str, Rule] = {}
_rule = into(SHAPES)


@_rule("view", "flatten", "unflatten", "reshape_as", "view_as", "ravel", "atleast_2d")
def _view(make: Maker, x: Any, *_: Any, **__: Any) -> TimedTensor:
    return regrouped(x, make.result.shape, make)


@_rule()
def _unsqueeze(make: Maker, x: Any, dim: int) -> TimedTensor:
    return with_axis(x, dim % (len(x.axes) + 1))


@_rule()
def _squeeze(make: Maker, x: Any, dim: Any = None) -> TimedTensor:
    n_axes = len(x.axes)
    wanted = range(n_axes) if dim is None else [dim] if isinstance(dim, int) else dim
    ones = [d % n_axes for d in wanted if length(x, d % n_axes) == 1]
    return without_axes(x, ones, make)


@_rule()
def _permute(make: Maker, x: Any, *dims: Any) -> TimedTensor:
    order = dims[0] if len(dims) == 1 else dims
    return permuted(x, [d % len(x.axes) for d in order], make)


@_rule()
def _transpose(make: Maker, x: Any, dim0: int, dim1: int) -> TimedTensor:
    order = list(range(len(x.axes)))
    a, b = dim0 % len(order), dim1 % len(order)
    order[a], order[b] = b, a
    return permuted(x, order, make)


@_rule("t", "T", "mT")
def _turned(make: Maker, x: Any) -> TimedTensor:
    if len(x.axes) < 2:
        return x  # type: ignore[no-any-return]
    return _transpose(make, x, -2, -1)  # type: ignore[no-any-return]


@_rule()
def _movedim(make: Maker, x: Any, source: int, destination: int) -> TimedTensor:
    order = list(range(len(x.axes)))
    order.insert(destination % len(order), order.pop(source % len(order)))
    return permuted(x, order, make)


@_rule("repeat", "expand", "expand_as", "broadcast_to", "tile")
def _repeat(make: Maker, x: Any, *_: Any, **__: Any) -> TimedTensor:
    return repeated(x, make.result.shape, make, tile=True)


@_rule("repeat_interleave")
def _interleave(make: Maker, x: Any, *_: Any, **__: Any) -> TimedTensor:
    return repeated(x, make.result.shape, make, tile=False)


@_rule("stack")
def _stack(make: Maker, tensors: Any, dim: int = 0) -> TimedTensor:
    known = [t for t in tensors if isinstance(t, TimedTensor)]
    n_axes = len(known[0].axes)
    whole = [as_tensor(t, known[0].axes, 1, make.n) for t in tensors]
    return stacked(whole, dim % (n_axes + 1))


@_rule("cat")
def _cat(make: Maker, tensors: Any, dim: int = 0) -> TimedTensor:
    if not all(isinstance(t, TimedTensor) for t in tensors):
        raise refused("joins a constant to a value; leave it out")
    return joined(tensors, dim % len(tensors[0].axes), make)


@_rule("unbind")
def _unbind(make: Maker, x: Any, dim: int = 0) -> list[TimedTensor]:
    axis = dim % len(x.axes)
    return [_item(make, x, axis, i) for i in range(length(x, axis))]


@_rule("chunk", "split", "split_with_sizes", "tensor_split")
def _parts(make: Maker, x: Any, *_: Any, dim: int = 0, **__: Any) -> list[TimedTensor]:
    given = make.call.arguments
    axis = (given[2] if len(given) > 2 else dim) % len(x.axes)
    parts, start = [], 0
    for value in make.results():
        stop = start + value.shape[axis]
        parts.append(_slice(make, x, axis, slice(start, stop)))
        start = stop
    return parts


@_rule("select")
def _select(make: Maker, x: Any, dim: int, index: int) -> TimedTensor:
    return _item(make, x, dim % len(x.axes), index)


@_rule("narrow")
def _narrow(make: Maker, x: Any, dim: int, start: int, length: int) -> TimedTensor:
    return _slice(make, x, dim % len(x.axes), slice(start, start + length))


@_rule("getitem")
def _getitem(make: Maker, x: Any, index: Any) -> TimedTensor:
    axis = 0
    for part in _full_index(index, len(x.axes)):
        if part is None:
            x = with_axis(x, axis)
            axis += 1
        elif isinstance(part, slice):
            x = _slice(make, x, axis, part)
            axis += 1
        else:
            x = _item(make, x, axis, part)
    return x  # type: ignore[no-any-return]


def _full_index(index: Any, n_axes: int) -> list[Any]:
    """Return the parts of an index, one for each axis and each new one."""
    parts = list(index) if isinstance(index, tuple) else [index]
    parts = [_number(part) for part in parts]
    n_given = sum(part is not None and part is not Ellipsis for part in parts)
    full = [slice(None)] * (n_axes - n_given)
    where = [i for i, part in enumerate(parts) if part is Ellipsis]
    at = where[0] if where else len(parts)
    return [*parts[:at], *full, *parts[at + len(where) :]]


def _number(part: Any) -> Any:
    if isinstance(part, torch.Tensor) and part.dim() == 0 and part.dtype != torch.bool:
        return int(part)
    if part is None or part is Ellipsis or isinstance(part, int | slice):
        return part
    raise refused("is given an index that is no number; use numbers and slices")


def _item(make: Maker, x: TimedTensor, axis: int, index: int) -> TimedTensor:
    label = x.axes[axis]
    axes = (*x.axes[:axis], *x.axes[axis + 1 :])
    if label == "T":
        return replace(x, items=(x.items[index],), axes=axes)
    if label == "":
        return replace(x, axes=axes)
    if label != "F":
        raise refused(MIXED)
    i = x.feature(axis)
    shape = (*x.shape[:i], *x.shape[i + 1 :])
    return x.each(lambda p: make("select", (p,), shape, dim=i, index=index), axes=axes)


def _slice(make: Maker, x: TimedTensor, axis: int, part: slice) -> TimedTensor:
    size, label = length(x, axis), x.axes[axis]
    start, stop, step = part.indices(size)
    if (start, stop, step) == (0, size, 1):
        return x
    if label == "T":
        return replace(x, items=x.items[part])
    if label == "TN" and step == 1 and start % x.n == 0 and stop % x.n == 0:
        items = x.items[start // x.n : stop // x.n]
        axes = (*x.axes[:axis], "TN" if len(items) > 1 else "N", *x.axes[axis + 1 :])
        return replace(x, items=items, axes=axes)
    if label != "F":
        raise refused(MIXED)
    i = x.feature(axis)
    shape = (*x.shape[:i], len(range(start, stop, step)), *x.shape[i + 1 :])
    ends = {"start": start, "stop": stop, "step": step}
    return x.each(lambda p: make("slice", (p,), shape, dim=i, **ends))


@_rule("setitem")
def _setitem(make: Maker, x: Any, index: Any, value: Any) -> TimedTensor:
    if isinstance(index, TimedTensor):
        return elementwise(make, "masked_fill", [x, index, value])
    n_axes = x.dim() if isinstance(x, torch.Tensor) else len(x.axes)
    parts = _full_index(index, n_axes)
    numbers = [i for i, part in enumerate(parts) if isinstance(part, int)]
    if len(numbers) != 1 or len(parts) != n_axes or not isinstance(value, TimedTensor):
        raise refused("assigns to a part of a value; compute the whole of it")
    (axis,) = numbers
    axes = (*value.axes[:axis], "T", *value.axes[axis:])
    size = make.result.shape[axis]
    is_full = all(p == slice(None) for i, p in enumerate(parts) if i != axis)
    if isinstance(x, torch.Tensor):
        x = TimedTensor(items=constant_items(x, axes, size), axes=axes, n=make.n)
    if x.axes != axes or not is_full or value.has_time:
        raise refused("assigns to a part of a value; compute the whole of it")
    items = list(x.items)
    items[parts[axis]] = value.items[0]
    return replace(x, items=tuple(items))  # type: ignore[no-any-return]


# what is made of many values


@_rule("sum", "mean", "amax", "amin", "prod")
def _reduce(
    make: Maker, x: Any, dim: Any = None, keepdim: bool = False, **_: Any
) -> TimedTensor:
    name = make.call.operation
    return reduced(make, x, name.removeprefix("a"), dim, keepdim=keepdim)


@_rule("max", "min")
def _extreme(
    make: Maker, x: Any, dim: Any = None, keepdim: bool = False, **options: Any
) -> Any:
    other = options.get("other", dim)
    if isinstance(other, TimedTensor | torch.Tensor):
        return elementwise(make, f"{make.call.operation}imum", [x, other])
    found = reduced(make, x, make.call.operation, dim, keepdim=keepdim)
    return [found, ModelError("is an index, which cannot be deployed; use values")]


def reduced(
    make: Maker, x: TimedTensor, name: str, dim: Any, *, keepdim: bool = False
) -> TimedTensor:
    """Return one value for many: of the timesteps, or of features."""
    n_axes = len(x.axes)
    dims = range(n_axes) if dim is None else [dim] if isinstance(dim, int) else dim
    axes = sorted({d % n_axes for d in dims})
    labels = [x.axes[i] for i in axes]
    if any(label not in ("", "F", "T") for label in labels):
        raise refused(MIXED)
    inner = tuple(x.feature(i) for i in axes if x.axes[i] == "F")
    if inner:
        shape = tuple(
            1 if i in inner else s
            for i, s in enumerate(x.shape)
            if keepdim or i not in inner
        )
        x = x.each(lambda p: make(name, (p,), shape, dims=inner, keepdim=keepdim))
    if "T" in labels:
        whole = make(name, x.items, x.shape, over="timesteps")
        x = replace(x, items=(whole,))
    kept = [
        ("F" if x_axis == "F" else "") if i in axes else x_axis
        for i, x_axis in enumerate(x.axes)
        if keepdim or i not in axes
    ]
    return replace(x, axes=tuple(kept))
