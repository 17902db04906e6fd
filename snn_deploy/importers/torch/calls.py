"""What the functions and methods of PyTorch make of the items of their arguments.

A rule has the signature of the function, behind what makes its items.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from snn_deploy.arrays import Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.frameworks.framework import TimeAxis
from snn_deploy.importers.torch.record import LAYER, Call, TracedValue, values_in
from snn_deploy.importers.torch.signals import (
    MIXED,
    Part,
    Signal,
    aligned_items,
    common_axes,
    constant_items,
    joined,
    length,
    permuted,
    refused,
    regrouped,
    repeated,
    shape_of,
    stacked,
    with_axis,
    without_axes,
)
from snn_deploy.importers.torch.timestep import Item

Rule = Callable[..., Any]
FLATTEN = nn.Flatten()  # all of one timestep
_RULES: dict[str, Rule] = {}
# what is computed from each element alone; of the first argument, or of the others too
_OPERANDS = {
    1: "abs atan ceil cos erf exp floor log logical_not bitwise_not reciprocal round "
    "rsqrt sigmoid sign sin sqrt square tanh zeros_like ones_like relu relu6 trunc "
    "softplus silu gelu elu selu",
    2: "atan2 bitwise_and bitwise_or bitwise_xor eq fmod ge gt heaviside le "
    "logical_and logical_or logical_xor lt maximum minimum mul ne pow remainder "
    "full_like",
    3: "addcmul addcdiv lerp masked_fill where",
}


class Maker:
    """Makes the items of one call."""

    def __init__(self, items: list[Item], call: Call, n: int) -> None:
        self.items = items  # so far
        self.call = call
        self.n = n  # inputs in the batch

    def __call__(
        self, operation: str, sources: Sequence[Part], shape: Shape, **options: Any
    ) -> Item:
        """Return a new item."""
        item = Item(
            operation=operation,
            sources=tuple(sources),
            options=options,
            module=self.call.module if operation == LAYER else None,
            path=self.call.path,
            shape=tuple(shape),
        )
        self.items.append(item)
        return item

    def results(self) -> Iterator[TracedValue]:
        """Return the values that the call gives."""
        return values_in(self.call.results)

    @property
    def result(self) -> TracedValue:
        """Return the one value that the call gives."""
        return next(values_in(self.call.results))

    def flatten_of(self, module: nn.Module) -> Callable[..., Item]:
        """Return what makes items of a module that flattens."""

        def make(name: str, sources: Sequence[Part], shape: Shape) -> Item:
            item = self(LAYER, sources, shape)
            item.module = FLATTEN if name == "flatten" else module
            return item

        return make

    def as_dtype(self, signal: Signal) -> Signal:
        """Return a tensor as it is in another type, which may round its values."""
        dtype = self.result.dtype
        (given, *_) = self.call.values
        keeps = dtype.is_floating_point or not given.dtype.is_floating_point
        if keeps and not (dtype is torch.bool and given.dtype is not torch.bool):
            return signal
        return signal.each(lambda p: self("to", (p,), signal.shape, dtype=dtype))


def rule_of(operation: str) -> Rule | None:
    """Return the rule of an operation, if there is one."""
    return _RULES.get(operation)


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def add(function: Rule) -> Rule:
        for name in names or (function.__name__.strip("_"),):
            _RULES[name] = function
        return function

    return add


# element by element


def elementwise(
    make: Maker, operation: str, operands: Sequence[Any], **options: Any
) -> Signal:
    """Return what is computed from each element of the operands alone."""
    signals = [x for x in operands if isinstance(x, Signal)]
    axes = common_axes(signals)
    longest = max(signals, key=lambda s: len(s.items))
    n_items = len(longest.items)
    whole = [_as_signal(x, axes, n_items, make.n) for x in operands]
    shape = _features(make.result.shape, axes)
    made: dict[tuple[int, ...], Part] = {}
    items = []
    for parts in aligned_items(whole):
        key = tuple(id(part) for part in parts)
        if key not in made:
            made[key] = make(operation, parts, shape, **options)
        items.append(made[key])
    result = Signal(items=tuple(items), axes=axes, n=make.n)
    return result


def _features(shape: Shape, axes: tuple[str, ...]) -> Shape:
    return tuple(size for size, axis in zip(shape, axes, strict=True) if axis == "F")


def _as_signal(x: Any, axes: tuple[str, ...], n_items: int, n: int) -> Signal:
    if isinstance(x, Signal):
        return x
    if not isinstance(x, torch.Tensor):
        return Signal(items=(float(x),), axes=axes, n=n)
    items = constant_items(x, axes, n_items)
    return Signal(items=items if n_items > 1 else items[:1], axes=axes, n=n)


def _add_rules() -> None:
    for n, names in _OPERANDS.items():
        for name in names.split():
            _RULES[name] = _of_operands(name, n)


def _of_operands(name: str, n: int) -> Rule:
    def rule(make: Maker, *operands: Any, **options: Any) -> Signal:
        named = [k for k in options if k in ("other", "exponent", "values", "value")]
        operands += tuple(options.pop(k) for k in named)
        options.pop("inplace", None)
        given, rest = operands[:n], operands[n:]
        if rest and rest != (False,) and rest != (True,):  # of relu: in place
            options["rest"] = rest
        return elementwise(make, name, given, **options)

    return rule


_add_rules()


@_rule("add", "sub")
def _sum(make: Maker, x: Any, other: Any, alpha: float = 1) -> Signal:
    if alpha != 1:
        if isinstance(other, Signal):
            other = other.each(lambda p: make("mul", (p, float(alpha)), shape_of(p)))
        else:
            other = other * alpha
    return elementwise(make, make.call.operation, [x, other])


@_rule("rsub")
def _rsub(make: Maker, x: Any, other: Any, alpha: float = 1) -> Signal:
    if alpha != 1:
        raise refused("has a factor; write it as a product")
    return elementwise(make, "sub", [other, x])


@_rule("div")
def _div(make: Maker, x: Any, other: Any, rounding_mode: Any = None) -> Signal:
    options = {} if rounding_mode is None else {"rounding_mode": rounding_mode}
    return elementwise(make, "div", [x, other], **options)


@_rule("rdiv", "rpow")
def _reversed(make: Maker, x: Any, other: Any) -> Signal:
    return elementwise(make, make.call.operation[1:], [other, x])


@_rule("neg")
def _neg(make: Maker, x: Any) -> Signal:
    return elementwise(make, "neg", [x])


@_rule("clamp")
def _clamp(make: Maker, x: Any, min: Any = None, max: Any = None) -> Signal:
    return elementwise(make, "clamp", [x], min=min, max=max)


@_rule("clamp_min")
def _clamp_min(make: Maker, x: Any, min: Any) -> Signal:
    return elementwise(make, "clamp", [x], min=min, max=None)


@_rule("clamp_max")
def _clamp_max(make: Maker, x: Any, max: Any) -> Signal:
    return elementwise(make, "clamp", [x], min=None, max=max)


@_rule("hardtanh")
def _hardtanh(
    make: Maker,
    x: Any,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> Signal:
    return elementwise(make, "hardtanh", [x], min_val=min_val, max_val=max_val)


@_rule("detach")
def _detach(make: Maker, x: Any, *_: Any, **__: Any) -> Signal:
    return x  # type: ignore[no-any-return]


@_rule("to")
def _to(make: Maker, x: Any, *_: Any, **__: Any) -> Signal:
    return make.as_dtype(x)


@_rule("dropout", "dropout1d", "dropout2d", "feature_dropout", "alpha_dropout")
def _dropout(
    make: Maker,
    x: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    train: bool | None = None,
) -> Signal:
    if training if train is None else train:
        raise refused("draws numbers; give it training=self.training")
    return x  # type: ignore[no-any-return]


@_rule("rand_like", "bernoulli")
def _draw(make: Maker, x: Any, *_: Any, **__: Any) -> Signal:
    draws = tuple(
        make(make.call.operation, (item,), x.shape) for item in x.items
    )  # each timestep its own
    return replace(x, items=draws)


@_rule("softmax", "log_softmax")
def _softmax(make: Maker, x: Any, dim: Any = None, *_: Any, **__: Any) -> Signal:
    axis = None if dim is None else dim % len(x.axes)
    if axis is not None and x.axes[axis] != "F":
        raise refused(f"over axis {dim} {MIXED}")
    inner = None if axis is None else x.feature(axis) + 1
    name = make.call.operation
    return x.each(lambda p: make(name, (p,), x.shape, dim=inner))  # type: ignore[no-any-return]


# layers


def layer(make: Maker, x: Signal, module: nn.Module, result: Shape) -> Signal:
    """Return what a module that is taken whole gives."""
    n_axes = len(x.axes) - len(x.shape)
    if "F" in x.axes[:n_axes] or any(a != "F" for a in x.axes[n_axes:]):
        raise refused(f"takes {MIXED}")
    shape = result[n_axes:]
    return x.each(
        lambda item: make(LAYER, (item,), shape),
        axes=(*x.axes[:n_axes], *("F" for _ in shape)),
    )


def other_time(axis: TimeAxis, advice: str) -> str:
    """Return what is wrong where neurons are given other axes than they take."""
    if axis is TimeAxis.NONE:
        return (
            "is one timestep, and is given all of them at once, so that it has no "
            f"memory; {advice or 'give it one timestep after the other'}"
        )
    return f"takes ({axis.value}, ...), and is given other axes; it {MIXED}"


@_rule("linear")
def _linear(make: Maker, x: Any, weight: Any, bias: Any = None) -> Signal:
    _check_constant(weight, bias)
    if x.axes[-1] != "F" or "F" in x.axes[:-1]:
        raise refused(f"needs a row of features; {MIXED}")
    shape = (weight.shape[0],)
    return x.each(  # type: ignore[no-any-return]
        lambda item: make("linear", (item,), shape, weight=weight, bias=bias)
    )


@_rule("matmul", "mm", "bmm")
def _matmul(make: Maker, x: Any, other: Any) -> Signal:
    if not isinstance(x, Signal) or not isinstance(other, torch.Tensor):
        raise refused("multiplies two values of the forward; use constant weights")
    if other.dim() != 2:
        raise refused("needs a matrix of weights; use nn.Linear")
    return _linear(make, x, other.t())


@_rule("addmm")
def _addmm(make: Maker, bias: Any, x: Any, weight: Any) -> Signal:
    _check_constant(weight, bias)
    return _linear(make, x, weight.t(), bias)


def _check_constant(*weights: Any) -> None:
    if any(isinstance(weight, Signal) for weight in weights):
        raise refused("has weights that depend on the input; use constant ones")


_MAPS = {
    "conv1d": ("weight", "bias", "stride", "padding", "dilation", "groups"),
    "conv2d": ("weight", "bias", "stride", "padding", "dilation", "groups"),
    "conv_transpose2d": (
        "weight",
        "bias",
        "stride",
        "padding",
        "output_padding",
        "groups",
        "dilation",
    ),
    "batch_norm": (
        "running_mean",
        "running_var",
        "weight",
        "bias",
        "training",
        "momentum",
        "eps",
    ),
    "avg_pool1d": (
        "kernel_size",
        "stride",
        "padding",
        "ceil_mode",
        "count_include_pad",
    ),
    "avg_pool2d": (
        "kernel_size",
        "stride",
        "padding",
        "ceil_mode",
        "count_include_pad",
        "divisor_override",
    ),
    "max_pool1d": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "max_pool2d": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "adaptive_avg_pool1d": ("output_size",),
    "adaptive_avg_pool2d": ("output_size",),
    "adaptive_max_pool2d": ("output_size",),
    "interpolate": ("size", "scale_factor", "mode", "align_corners"),
    "pad": ("pad", "mode", "value"),
}


def _of_maps(names: tuple[str, ...]) -> Rule:
    def rule(make: Maker, x: Any, *arguments: Any, **options: Any) -> Signal:
        given = {**dict(zip(names, arguments, strict=False)), **options}
        _check_constant(*given.values())
        result = make.result.shape
        if "F" in x.axes[:1] or any(a != "F" for a in x.axes[1:]):
            raise refused(f"takes (batch, channel, ...); {MIXED}")
        name = make.call.operation
        return x.each(lambda item: make(name, (item,), result[1:], **given))  # type: ignore[no-any-return]

    return rule


_RULES |= {name: _of_maps(names) for name, names in _MAPS.items()}


# shapes


@_rule("view", "flatten", "unflatten", "reshape_as", "view_as", "ravel", "atleast_2d")
def _view(make: Maker, x: Any, *_: Any, **__: Any) -> Signal:
    return regrouped(x, make.result.shape, make)


@_rule()
def _unsqueeze(make: Maker, x: Any, dim: int) -> Signal:
    return with_axis(x, dim % (len(x.axes) + 1))


@_rule()
def _squeeze(make: Maker, x: Any, dim: Any = None) -> Signal:
    n_axes = len(x.axes)
    wanted = range(n_axes) if dim is None else [dim] if isinstance(dim, int) else dim
    ones = [d % n_axes for d in wanted if length(x, d % n_axes) == 1]
    return without_axes(x, ones, make)


@_rule()
def _permute(make: Maker, x: Any, *dims: Any) -> Signal:
    order = dims[0] if len(dims) == 1 else dims
    return permuted(x, [d % len(x.axes) for d in order], make)


@_rule()
def _transpose(make: Maker, x: Any, dim0: int, dim1: int) -> Signal:
    order = list(range(len(x.axes)))
    a, b = dim0 % len(order), dim1 % len(order)
    order[a], order[b] = b, a
    return permuted(x, order, make)


@_rule("t", "T", "mT")
def _turned(make: Maker, x: Any) -> Signal:
    if len(x.axes) < 2:
        return x  # type: ignore[no-any-return]
    return _transpose(make, x, -2, -1)


@_rule()
def _movedim(make: Maker, x: Any, source: int, destination: int) -> Signal:
    order = list(range(len(x.axes)))
    order.insert(destination % len(order), order.pop(source % len(order)))
    return permuted(x, order, make)


@_rule("repeat", "expand", "expand_as", "broadcast_to", "tile")
def _repeat(make: Maker, x: Any, *_: Any, **__: Any) -> Signal:
    return repeated(x, make.result.shape, make, tile=True)


@_rule("repeat_interleave")
def _interleave(make: Maker, x: Any, *_: Any, **__: Any) -> Signal:
    return repeated(x, make.result.shape, make, tile=False)


@_rule("stack")
def _stack(make: Maker, tensors: Any, dim: int = 0) -> Signal:
    known = [t for t in tensors if isinstance(t, Signal)]
    n_axes = len(known[0].axes)
    whole = [_as_signal(t, known[0].axes, 1, make.n) for t in tensors]
    return stacked(whole, dim % (n_axes + 1))


@_rule("cat")
def _cat(make: Maker, tensors: Any, dim: int = 0) -> Signal:
    if not all(isinstance(t, Signal) for t in tensors):
        raise refused("joins a constant to a value; leave it out")
    return joined(tensors, dim % len(tensors[0].axes), make)


@_rule("unbind")
def _unbind(make: Maker, x: Any, dim: int = 0) -> list[Signal]:
    axis = dim % len(x.axes)
    return [_item(make, x, axis, i) for i in range(length(x, axis))]


@_rule("chunk", "split", "split_with_sizes", "tensor_split")
def _parts(make: Maker, x: Any, *_: Any, dim: int = 0, **__: Any) -> list[Signal]:
    given = make.call.arguments
    axis = (given[2] if len(given) > 2 else dim) % len(x.axes)
    parts, start = [], 0
    for value in make.results():
        stop = start + value.shape[axis]
        parts.append(_slice(make, x, axis, slice(start, stop)))
        start = stop
    return parts


@_rule("select")
def _select(make: Maker, x: Any, dim: int, index: int) -> Signal:
    return _item(make, x, dim % len(x.axes), index)


@_rule("narrow")
def _narrow(make: Maker, x: Any, dim: int, start: int, length: int) -> Signal:
    return _slice(make, x, dim % len(x.axes), slice(start, start + length))


@_rule("getitem")
def _getitem(make: Maker, x: Any, index: Any) -> Signal:
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


def _item(make: Maker, x: Signal, axis: int, index: int) -> Signal:
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


def _slice(make: Maker, x: Signal, axis: int, part: slice) -> Signal:
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
def _setitem(make: Maker, x: Any, index: Any, value: Any) -> Signal:
    if isinstance(index, Signal):
        return elementwise(make, "masked_fill", [x, index, value])
    n_axes = x.dim() if isinstance(x, torch.Tensor) else len(x.axes)
    parts = _full_index(index, n_axes)
    numbers = [i for i, part in enumerate(parts) if isinstance(part, int)]
    if len(numbers) != 1 or len(parts) != n_axes or not isinstance(value, Signal):
        raise refused("assigns to a part of a value; compute the whole of it")
    (axis,) = numbers
    axes = (*value.axes[:axis], "T", *value.axes[axis:])
    size = make.result.shape[axis]
    is_full = all(p == slice(None) for i, p in enumerate(parts) if i != axis)
    if isinstance(x, torch.Tensor):
        x = Signal(items=constant_items(x, axes, size), axes=axes, n=make.n)
    if x.axes != axes or not is_full or value.has_time:
        raise refused("assigns to a part of a value; compute the whole of it")
    items = list(x.items)
    items[parts[axis]] = value.items[0]
    return replace(x, items=tuple(items))


# what is made of many values


@_rule("sum", "mean", "amax", "amin", "prod")
def _reduce(
    make: Maker, x: Any, dim: Any = None, keepdim: bool = False, **_: Any
) -> Signal:
    name = make.call.operation
    return reduced(make, x, name.removeprefix("a"), dim, keepdim=keepdim)


@_rule("max", "min")
def _extreme(
    make: Maker, x: Any, dim: Any = None, keepdim: bool = False, **options: Any
) -> Any:
    other = options.get("other", dim)
    if isinstance(other, Signal | torch.Tensor):
        return elementwise(make, f"{make.call.operation}imum", [x, other])
    found = reduced(make, x, make.call.operation, dim, keepdim=keepdim)
    return [found, ModelError("is an index, which cannot be deployed; use values")]


def reduced(
    make: Maker, x: Signal, name: str, dim: Any, *, keepdim: bool = False
) -> Signal:
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
