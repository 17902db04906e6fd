"""The layers of PyTorch that calls of functions are."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from snn_deploy.importers.torch.timestep import Item


def clamped(
    min: float | None = None, max: float | None = None, inplace: bool = False
) -> nn.Module:
    """Return the layer that cuts values to a range, open where there is no number."""
    low = -math.inf if min is None else float(min)
    if max is None and low == 0:
        return nn.ReLU(inplace)
    return nn.Hardtanh(low, math.inf if max is None else float(max), inplace)


def layer_of(item: Item) -> nn.Module | None:
    """Return the layer that an item is, for calls that are one.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong.
    """
    given = {name: _plain(value) for name, value in item.options.items()}
    if item.operation in _WEIGHTED:
        return _WEIGHTED[item.operation](given)
    if item.operation in _PLAIN:
        layer: nn.Module = _PLAIN[item.operation](**given)
        return layer
    if item.operation == "mean" and set(given.get("dims", ())) == {1, 2}:
        return nn.AdaptiveAvgPool2d(1)
    return None


def _plain(value: Any) -> Any:
    """Return sizes as the constructors of layers take them."""
    if not isinstance(value, list | torch.Size):
        return value
    return value[0] if len(value) == 1 else tuple(value) or None


def _linear(given: dict[str, Any]) -> nn.Module:
    weight = given["weight"]
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    return _with(layer, given)


def _convolution(given: dict[str, Any]) -> nn.Module:
    weight, groups = given["weight"], int(given.get("groups", 1))
    make: Any = nn.Conv1d if weight.ndim == 3 else nn.Conv2d
    layer = make(
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),
        **{k: given[k] for k in ("stride", "padding", "dilation") if k in given},
        groups=groups,
        bias=False,
        device="meta",
    )
    return _with(layer, given)


def _transposed(given: dict[str, Any]) -> nn.Module:
    weight, groups = given["weight"], int(given.get("groups", 1))
    names = ("stride", "padding", "output_padding", "dilation")
    layer = nn.ConvTranspose2d(
        weight.shape[0],
        weight.shape[1] * groups,
        tuple(weight.shape[2:]),
        **{k: given[k] for k in names if k in given},
        groups=groups,
        bias=False,
        device="meta",
    )
    return _with(layer, given)


def _batch_norm(given: dict[str, Any]) -> nn.Module:
    mean = given["running_mean"]
    if mean is None or given.get("training"):
        return nn.BatchNorm2d(1, track_running_stats=False)  # refused by name
    layer = nn.BatchNorm2d(
        len(mean), eps=float(given.get("eps", 1e-5)), affine=False, device="meta"
    )
    layer.running_mean, layer.running_var = mean, given["running_var"]
    return _with(layer, given)


def _with(layer: nn.Module, given: dict[str, Any]) -> nn.Module:
    """Return the layer with the given parameters."""
    for name in ("weight", "bias"):
        value = given.get(name)
        if value is not None:
            layer.register_parameter(name, nn.Parameter(value, requires_grad=False))
    return layer


def _resized(**given: Any) -> nn.Module:
    names = ("size", "scale_factor", "mode", "align_corners")
    return nn.Upsample(**{k: v for k, v in given.items() if k in names})


def _padded(
    pad: tuple[int, ...], mode: str = "constant", value: float | None = None
) -> nn.Module:
    if mode != "constant" or len(pad) not in (2, 4):
        raise ValueError(f"mode {mode}, {len(pad)} numbers")
    make: Any = nn.ConstantPad1d if len(pad) == 2 else nn.ConstantPad2d
    layer: nn.Module = make(pad, value or 0.0)
    return layer


_WEIGHTED: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "linear": _linear,
    "conv1d": _convolution,
    "conv2d": _convolution,
    "conv_transpose2d": _transposed,
    "batch_norm": _batch_norm,
}
_PLAIN: dict[str, Callable[..., nn.Module]] = {
    "adaptive_avg_pool1d": nn.AdaptiveAvgPool1d,
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
    "avg_pool1d": nn.AvgPool1d,
    "avg_pool2d": nn.AvgPool2d,
    "clamp": clamped,
    "flatten": nn.Flatten,
    "hardtanh": nn.Hardtanh,
    "interpolate": _resized,
    "log_softmax": nn.LogSoftmax,
    "max_pool1d": nn.MaxPool1d,
    "max_pool2d": nn.MaxPool2d,
    "pad": _padded,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "sigmoid": nn.Sigmoid,
    "softmax": nn.Softmax,
}
