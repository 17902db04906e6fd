"""What functions of PyTorch make of the items of their arguments: values and layers.

A rule has the signature of the function, behind what makes its items.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from snn_deploy.arrays import Shape
from snn_deploy.importers.torch.axes import (
    MIXED,
    Part,
    TimedTensor,
    aligned_items,
    common_axes,
    constant_items,
    named,
    refused,
    shape_of,
)
from snn_deploy.importers.torch.filters import TIMED, filtered, options_of, padded
from snn_deploy.importers.torch.frameworks.framework import TimeAxis
from snn_deploy.importers.torch.record import LAYER, Call, TracedValue, values_in
from snn_deploy.importers.torch.timestep import Item

Rule = Callable[..., Any]
FLATTEN = nn.Flatten()  # all of one timestep
RULES: dict[str, Rule] = {}
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
            item = self(LAYER, sources, shape, is_of_timestep=True)
            item.module = FLATTEN if name == "flatten" else module
            return item

        return make

    def as_dtype(self, signal: TimedTensor) -> TimedTensor:
        """Return a tensor as it is in another type, which may round its values."""
        dtype = self.result.dtype
        (given, *_) = self.call.values
        keeps = dtype.is_floating_point or not given.dtype.is_floating_point
        if keeps and not (dtype is torch.bool and given.dtype is not torch.bool):
            return signal
        return signal.each(lambda p: self("to", (p,), signal.shape, dtype=dtype))


def into(
    table: dict[str, Rule],
) -> Callable[..., Callable[[Rule], Rule]]:
    """Return a decorator that puts rules into a table, by the names it is given."""

    def named(*names: str) -> Callable[[Rule], Rule]:
        def add(function: Rule) -> Rule:
            for name in names or (function.__name__.strip("_"),):
                table[name] = function
            return function

        return add

    return named


_rule = into(RULES)


# element by element


def elementwise(
    make: Maker, operation: str, operands: Sequence[Any], **options: Any
) -> TimedTensor:
    """Return what is computed from each element of the operands alone."""
    signals = [x for x in operands if isinstance(x, TimedTensor)]
    axes = common_axes(signals)
    longest = max(signals, key=lambda s: len(s.items))
    n_items = len(longest.items)
    whole = [as_tensor(x, axes, n_items, make.n) for x in operands]
    shape = _features(make.result.shape, axes)
    made: dict[tuple[int, ...], Part] = {}
    items = []
    for parts in aligned_items(whole):
        key = tuple(id(part) for part in parts)
        if key not in made:
            made[key] = make(operation, parts, shape, **options)
        items.append(made[key])
    result = TimedTensor(items=tuple(items), axes=axes, n=make.n)
    return result


def _features(shape: Shape, axes: tuple[str, ...]) -> Shape:
    return tuple(size for size, axis in zip(shape, axes, strict=True) if axis == "F")


def as_tensor(x: Any, axes: tuple[str, ...], n_items: int, n: int) -> TimedTensor:
    """Return an operand in a layout, a constant as it meets each timestep."""
    if isinstance(x, TimedTensor):
        return x
    if not isinstance(x, torch.Tensor):
        return TimedTensor(items=(float(x),), axes=axes, n=n)
    items = constant_items(x, axes, n_items)
    return TimedTensor(items=items if n_items > 1 else items[:1], axes=axes, n=n)


def _add_rules() -> None:
    for n, names in _OPERANDS.items():
        for name in names.split():
            RULES[name] = _of_operands(name, n)


def _of_operands(name: str, n: int) -> Rule:
    def rule(make: Maker, *operands: Any, **options: Any) -> TimedTensor:
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
def _sum(make: Maker, x: Any, other: Any, alpha: float = 1) -> TimedTensor:
    if alpha != 1:
        if isinstance(other, TimedTensor):
            other = other.each(lambda p: make("mul", (p, float(alpha)), shape_of(p)))
        else:
            other = other * alpha
    return elementwise(make, make.call.operation, [x, other])


@_rule("rsub")
def _rsub(make: Maker, x: Any, other: Any, alpha: float = 1) -> TimedTensor:
    if alpha != 1:
        raise refused("has a factor; write it as a product")
    return elementwise(make, "sub", [other, x])


@_rule("div")
def _div(make: Maker, x: Any, other: Any, rounding_mode: Any = None) -> TimedTensor:
    options = {} if rounding_mode is None else {"rounding_mode": rounding_mode}
    return elementwise(make, "div", [x, other], **options)


@_rule("rdiv", "rpow")
def _reversed(make: Maker, x: Any, other: Any) -> TimedTensor:
    return elementwise(make, make.call.operation[1:], [other, x])


@_rule("neg")
def _neg(make: Maker, x: Any) -> TimedTensor:
    return elementwise(make, "neg", [x])


@_rule("clamp")
def _clamp(make: Maker, x: Any, min: Any = None, max: Any = None) -> TimedTensor:
    return elementwise(make, "clamp", [x], min=min, max=max)


@_rule("clamp_min")
def _clamp_min(make: Maker, x: Any, min: Any) -> TimedTensor:
    return elementwise(make, "clamp", [x], min=min, max=None)


@_rule("clamp_max")
def _clamp_max(make: Maker, x: Any, max: Any) -> TimedTensor:
    return elementwise(make, "clamp", [x], min=None, max=max)


@_rule("hardtanh")
def _hardtanh(
    make: Maker,
    x: Any,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> TimedTensor:
    return elementwise(make, "hardtanh", [x], min_val=min_val, max_val=max_val)


@_rule("detach")
def _detach(make: Maker, x: Any, *_: Any, **__: Any) -> TimedTensor:
    return x  # type: ignore[no-any-return]


@_rule("to")
def _to(make: Maker, x: Any, *_: Any, **__: Any) -> TimedTensor:
    return make.as_dtype(x)


@_rule("dropout", "dropout1d", "dropout2d", "feature_dropout", "alpha_dropout")
def _dropout(
    make: Maker,
    x: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    train: bool | None = None,
) -> TimedTensor:
    if training if train is None else train:
        raise refused("draws numbers; give it training=self.training")
    return x  # type: ignore[no-any-return]


@_rule("rand_like", "bernoulli")
def _draw(make: Maker, x: Any, *_: Any, **__: Any) -> TimedTensor:
    draws = tuple(
        make(make.call.operation, (item,), x.shape) for item in x.items
    )  # each timestep its own
    return replace(x, items=draws)  # type: ignore[no-any-return]


@_rule("softmax", "log_softmax")
def _softmax(make: Maker, x: Any, dim: Any = None, *_: Any, **__: Any) -> TimedTensor:
    axis = None if dim is None else dim % len(x.axes)
    if axis is not None and x.axes[axis] != "F":
        raise refused(f"over axis {dim} {MIXED}")
    inner = None if axis is None else x.feature(axis) + 1
    name = make.call.operation
    return x.each(lambda p: make(name, (p,), x.shape, dim=inner))  # type: ignore[no-any-return]


# layers


def layer(make: Maker, x: TimedTensor, module: nn.Module, result: Shape) -> TimedTensor:
    """Return what a module that is taken whole gives."""
    if x.axes == TIMED and type(module) is nn.Conv1d:
        return filtered(make, x, options_of(module))
    n_axes = len(x.axes) - len(x.shape)
    if "F" in x.axes[:n_axes] or any(a != "F" for a in x.axes[n_axes:]):
        raise refused(f"takes (batch, channel, ...), not ({named(x.axes)}): it {MIXED}")
    shape = result[n_axes:]
    return x.each(
        lambda item: make(LAYER, (item,), shape),
        axes=(*x.axes[:n_axes], *("F" for _ in shape)),
    )


def softmax(make: Maker, x: TimedTensor, module: Any) -> TimedTensor:
    """Return what a module that is taken whole gives, which is a softmax."""
    axis = None if module.dim is None else module.dim % len(x.axes)
    if axis is not None and x.axes[axis] != "F":
        raise refused(f"over axis {module.dim} {MIXED}")
    inner = type(module)(None if axis is None else x.feature(axis) + 1)

    def made(part: Part) -> Part:
        item = make(LAYER, (part,), x.shape, is_of_timestep=True)
        item.module = inner
        return item

    return x.each(made)


def other_time(axis: TimeAxis, axes: Sequence[str], advice: str) -> str:
    """Return what is wrong where neurons are given other axes than they take."""
    if axis is TimeAxis.NONE:
        return (
            "is one timestep, and is given all of them at once, so that it has no "
            f"memory; {advice or 'give it one timestep after the other'}"
        )
    return f"takes ({axis.value}, ...), not ({named(axes)}): it {MIXED}"


@_rule("linear")
def _linear(make: Maker, x: Any, weight: Any, bias: Any = None) -> TimedTensor:
    _check_constant(weight, bias)
    if x.axes[-1] != "F" or "F" in x.axes[:-1]:
        raise refused(f"needs a row of features; {MIXED}")
    shape = (weight.shape[0],)
    return x.each(  # type: ignore[no-any-return]
        lambda item: make("linear", (item,), shape, weight=weight, bias=bias)
    )


@_rule("matmul", "mm", "bmm")
def _matmul(make: Maker, x: Any, other: Any) -> TimedTensor:
    if not isinstance(x, TimedTensor) or not isinstance(other, torch.Tensor):
        raise refused("multiplies two values of the forward; use constant weights")
    if other.dim() != 2:
        raise refused("needs a matrix of weights; use nn.Linear")
    return _linear(make, x, other.t())  # type: ignore[no-any-return]


@_rule("addmm")
def _addmm(make: Maker, bias: Any, x: Any, weight: Any) -> TimedTensor:
    _check_constant(weight, bias)
    return _linear(make, x, weight.t(), bias)  # type: ignore[no-any-return]


@_rule("einsum")
def _einsum(make: Maker, equation: str, *operands: Any) -> TimedTensor:
    if len(operands) == 1 and isinstance(operands[0], tuple | list):
        operands = tuple(operands[0])
    given, _, result = equation.replace(" ", "").partition("->")
    of, *others = given.split(",")
    is_product = len(operands) == 2 and len(others) == 1 and len(others[0]) == 2
    if is_product and isinstance(operands[1], torch.Tensor):
        x, weight = operands
        if (of[-1] + result[-1], of[:-1]) == (others[0], result[:-1]):
            return _linear(make, x, weight.t())  # type: ignore[no-any-return]
        if (result[-1] + of[-1], of[:-1]) == (others[0], result[:-1]):
            return _linear(make, x, weight)  # type: ignore[no-any-return]
    raise refused("is no product with a matrix of constant weights; use nn.Linear")


@_rule("adaptive_avg_pool3d")
def _pooled_maps(make: Maker, x: Any, output_size: Any) -> TimedTensor:
    """Return means over height and width, of channels taken for the depth."""
    sizes = tuple(output_size) if not isinstance(output_size, int) else ()
    if x.axes[-3:] != ("F", "F", "F") or sizes[1:] != (1, 1) or "F" in x.axes[:-3]:
        raise refused("cannot be deployed; use adaptive_avg_pool2d")
    if sizes[0] not in (None, x.shape[0]):
        raise refused("pools channels; use adaptive_avg_pool2d")
    shape = (x.shape[0], 1, 1)
    return x.each(  # type: ignore[no-any-return]
        lambda p: make("adaptive_avg_pool2d", (p,), shape, output_size=(1, 1))
    )


def _check_constant(*weights: Any) -> None:
    if any(isinstance(weight, TimedTensor) for weight in weights):
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
    def rule(make: Maker, x: Any, *arguments: Any, **options: Any) -> TimedTensor:
        given = {**dict(zip(names, arguments, strict=False)), **options}
        _check_constant(*given.values())
        result, name = make.result.shape, make.call.operation
        if x.axes == TIMED and name == "conv1d":
            return filtered(make, x, given)
        if x.axes == TIMED and name == "pad":
            mode, value = given.get("mode", "constant"), given.get("value")
            return padded(x, given["pad"], mode, value)
        if "F" in x.axes[:1] or any(a != "F" for a in x.axes[1:]):
            raise refused(
                f"takes (batch, channel, ...), not ({named(x.axes)}): it {MIXED}"
            )
        return x.each(lambda item: make(name, (item,), result[1:], **given))  # type: ignore[no-any-return]

    return rule


RULES |= {name: _of_maps(names) for name, names in _MAPS.items()}
