"""Read the layers of PyTorch, one function for each type.

Poolings of rows are poolings of maps of height 1.
"""

from functools import singledispatch
from typing import Any

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.ir import nodes as ir
from snn_deploy.ir.neurons import Qcfs, Relu
from snn_deploy.ir.nodes import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    Node,
)
from snn_deploy.ir.scatter import ConvTranspose2d, Upsample2d
from snn_deploy.nn import neurons as training
from snn_deploy.nn.tebn import Tebn

DEPLOYABLE = (
    "nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d",
    "nn.BatchNorm1d, nn.BatchNorm2d, nn.AvgPool1d, nn.AvgPool2d, nn.MaxPool1d",
    "nn.MaxPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.Upsample",
    "nn.ZeroPad1d, nn.ZeroPad2d",
    "nn.Flatten, nn.Dropout, nn.Identity, nn.ReLU, nn.ReLU6, nn.Hardtanh(0, ...)",
    "snn_deploy.nn.neurons.Qcfs",
)

Pair = tuple[int, int]


def is_known(module: nn.Module) -> bool:
    """Return whether there is a counterpart for layers of this type."""
    return read_layer.dispatch(type(module)) is not read_layer.dispatch(nn.Module)


def array(tensor: torch.Tensor) -> FloatArray:
    """Return a tensor's values."""
    values: FloatArray = tensor.detach().cpu().double().numpy()
    return values


@singledispatch
def read_layer(module: nn.Module, name: str, shape: Shape) -> Node | None:
    """Return the layer of one module, for an input of ``shape``; ``None`` for no layer.

    Raises
    ------
    ModelError
        If a parameter has no counterpart.
    """
    return None


@read_layer.register
def _linear(module: nn.Linear, name: str, shape: Shape) -> Node:
    if len(shape) != 1:
        raise ModelError(
            f"{name}: the input has shape {shape}, a Linear takes a row; put an "
            "nn.Flatten before it"
        )
    weight = array(module.weight)
    return Linear(name=name, weight=weight, bias=_bias(module.bias, len(weight)))


@read_layer.register(nn.Conv1d)
@read_layer.register(nn.Conv2d)
def _convolution(module: nn.Conv1d | nn.Conv2d, name: str, shape: Shape) -> Node:
    if module.padding_mode != "zeros":
        raise ModelError(
            f"{name}: padding_mode is {module.padding_mode!r}, which cannot be "
            "deployed; use 'zeros'"
        )
    _check_axes(module, name, shape)
    weight = array(module.weight)
    if weight.ndim == 3:  # a row is a map of height 1
        weight = weight[:, :, np.newaxis]
    dilation = _pair(module.dilation, 1)
    if isinstance(module.padding, str):
        padding = _same_padding(name, weight.shape, dilation, module.padding)
    else:
        padding = _pair(module.padding, 0)
    return Conv2d(
        name=name,
        weight=weight,
        bias=_bias(module.bias, len(weight)),
        stride=_pair(module.stride, 1),
        padding=padding,
        dilation=dilation,
        groups=module.groups,
        shape=shape,
    )


@read_layer.register(nn.ConvTranspose1d)
@read_layer.register(nn.ConvTranspose2d)
def _transposed(
    module: nn.ConvTranspose1d | nn.ConvTranspose2d, name: str, shape: Shape
) -> Node:
    _check_axes(module, name, shape)
    weight = array(module.weight)
    if weight.ndim == 3:
        weight = weight[:, :, np.newaxis]
    padding: Any = module.padding  # numbers, as PyTorch itself has seen to
    return ConvTranspose2d(
        name=name,
        weight=weight,
        bias=_bias(module.bias, weight.shape[1] * module.groups),
        stride=_pair(module.stride, 1),
        padding=_pair(padding, 0),
        output_padding=_pair(module.output_padding, 0),
        dilation=_pair(module.dilation, 1),
        groups=module.groups,
        shape=shape,
    )


@read_layer.register
def _upsample(module: nn.Upsample, name: str, shape: Shape) -> Node:
    """Return a repetition of each value; a scale between whole ones is refused."""
    if module.mode not in ("nearest", "nearest-exact"):
        raise ModelError(
            f"{name}: mode is {module.mode!r}, which cannot be deployed; use 'nearest'"
        )
    if len(shape) != 3:
        raise ModelError(f"{name}: the input has shape {shape}; upsampling needs a map")
    is_row = shape[1] == 1
    if module.size is None:
        factors = _each_axis(module.scale_factor, 1, is_row=is_row)
    else:
        sizes = _each_axis(module.size, shape[1], is_row=is_row)
        factors = sizes[0] / shape[1], sizes[1] / shape[2]
    if any(factor != int(factor) or factor < 1 for factor in factors):
        raise ModelError(
            f"{name}: makes {factors[0]:g} x {factors[1]:g} of each value, which "
            "cannot be deployed; use whole factors"
        )
    return Upsample2d(name=name, shape=shape, factor=(int(factors[0]), int(factors[1])))


@read_layer.register(nn.ConstantPad1d)
@read_layer.register(nn.ConstantPad2d)
def _padded(
    module: nn.ConstantPad1d | nn.ConstantPad2d, name: str, shape: Shape
) -> Node:
    if module.value:
        raise ModelError(
            f"{name}: pads with {module.value:g}, which cannot be deployed; use 0"
        )
    left, right, top, bottom = (*module.padding, 0, 0)[:4]
    return ir.shifted(name, shape, (top, bottom), (left, right))


def _each_axis(value: Any, of_rows: float, *, is_row: bool) -> tuple[float, float]:
    if not isinstance(value, tuple | list):
        value = (value,) if is_row else (value, value)
    return (of_rows, value[0]) if len(value) == 1 else (value[0], value[1])


def _same_padding(name: str, shape: Shape, dilation: Pair, padding: str) -> Pair:
    if padding == "valid":
        return 0, 0
    height, width = (d * (k - 1) for d, k in zip(dilation, shape[2:], strict=True))
    if height % 2 or width % 2:
        raise ModelError(
            f"{name}: padding 'same' with an even kernel pads one side more; give the "
            "padding as numbers"
        )
    return height // 2, width // 2


@read_layer.register(nn.BatchNorm1d)
@read_layer.register(nn.BatchNorm2d)
def read_batch_norm(module: Any, name: str, shape: Shape) -> BatchNorm:
    """Return a batch normalization, as it is once trained."""
    if module.running_mean is None or module.running_var is None:
        raise ModelError(
            f"{name}: a batch normalization without running statistics depends on the "
            "batch; train with track_running_stats=True"
        )
    mean = array(module.running_mean)
    scale = np.ones_like(mean) if module.weight is None else array(module.weight)
    return BatchNorm(
        name=name,
        shape=shape,
        mean=mean,
        variance=array(module.running_var),
        scale=scale,
        shift=_bias(module.bias, len(mean)),
        epsilon=float(module.eps),
    )


@read_layer.register
def _tebn(module: Tebn, name: str, shape: Shape) -> Node:
    norm = read_batch_norm(module.norm, name, shape)
    return ir.Tebn(name=name, shape=shape, norm=norm, factors=array(module.factors))


@read_layer.register
def _qcfs(module: training.Qcfs, name: str, shape: Shape) -> Node:
    threshold = float(module.threshold.detach())
    if module.levels != int(module.levels):
        raise ModelError(f"{name}: levels is {module.levels}; give a whole number")
    levels = int(module.levels)
    return Qcfs(name=name, shape=shape, threshold=threshold, levels=levels)


@read_layer.register
def _cut_off(module: nn.Hardtanh, name: str, shape: Shape) -> Node:
    if module.min_val != 0:
        raise ModelError(
            f"{name}: cuts values to {module.min_val:g} ... {module.max_val:g}; only a "
            "ReLU, 0 ... some maximum, can be deployed"
        )
    return Relu(name=name, shape=shape, maximum=float(module.max_val))


@read_layer.register
def _flatten(module: nn.Flatten, name: str, shape: Shape) -> Node:
    if (module.start_dim, module.end_dim) != (1, -1):
        raise ModelError(
            f"{name}: flatten from axis {module.start_dim} to {module.end_dim} cannot "
            "be deployed; use 1 to -1 (the first axis is the batch)"
        )
    return Flatten(name=name, shape=shape)


def _bias(bias: torch.Tensor | None, n: int) -> FloatArray:
    return np.zeros(n) if bias is None else array(bias)


def _pair(value: int | tuple[int, ...], along_height: int) -> Pair:
    """Return the setting of both axes; 1d layers have their own for the height."""
    if isinstance(value, int):
        return value, value
    return (along_height, value[0]) if len(value) == 1 else (value[0], value[1])


def _check_axes(module: nn.Module, name: str, shape: Shape) -> None:
    """Raise an error unless a 1d layer has rows and a 2d layer maps before it."""
    is_row = type(module).__name__.endswith("1d")
    if len(shape) != 3 or (is_row and shape[1] != 1):
        needed = "(channel, length)" if is_row else "(channel, height, width)"
        raise ModelError(
            f"{name}: the input has shape {shape}; {type(module).__name__} needs "
            f"{needed}"
        )


def _needs(module: Any, name: str, parameter: str, needed: object) -> None:
    found = getattr(module, parameter, needed)
    if found != needed:
        raise ModelError(
            f"{name}: {parameter} is {found}, which cannot be deployed; use {needed}"
        )


def _windows(module: Any, name: str, shape: Shape) -> dict[str, Any]:
    """Return name, shape, kernel, stride and padding of a pooling."""
    _check_axes(module, name, shape)
    _needs(module, name, "ceil_mode", False)
    return {
        "name": name,
        "shape": shape,
        "kernel": _sizes(module, module.kernel_size, 1),
        "stride": _sizes(module, module.stride, 1),
        "padding": _sizes(module, module.padding, 0),
    }


def _sizes(module: nn.Module, value: Any, along_height: int) -> Pair:
    is_row = type(module).__name__.endswith("1d")
    if is_row and isinstance(value, int):
        value = (value,)
    return _pair(value, along_height)


@read_layer.register(nn.AvgPool1d)
@read_layer.register(nn.AvgPool2d)
def _average(module: nn.AvgPool1d | nn.AvgPool2d, name: str, shape: Shape) -> Node:
    """Return the means of windows."""
    if len(shape) == 1 and isinstance(module, nn.AvgPool1d):
        return _means_of_row(module, name, shape)
    _needs(module, name, "divisor_override", None)
    windows = _windows(module, name, shape)
    if any(windows["padding"]):
        _needs(module, name, "count_include_pad", True)
    return AvgPool2d(**windows)


def _means_of_row(module: nn.AvgPool1d, name: str, shape: Shape) -> Linear:
    """Return the means of groups of a row, as of a population for each class."""
    sizes = _windows(module, name, (1, 1, *shape))
    (_, size), (_, stride) = sizes["kernel"], sizes["stride"]
    if (size, sizes["padding"]) != (stride, (0, 0)) or shape[0] % size:
        raise ModelError(
            f"{name}: windows of {size}, {stride} apart, in a row of {shape[0]} "
            "outputs; only groups side by side that divide it can be deployed"
        )
    return means_of_groups(name, shape[0], size)


def means_of_groups(name: str, n: int, size: int) -> Linear:
    """Return the means over groups, each of ``size`` outputs in a row of ``n``."""
    weight = np.repeat(np.eye(n // size), size, axis=1) / size
    return Linear(name=name, weight=weight, bias=np.zeros(n // size))


@read_layer.register(nn.MaxPool1d)
@read_layer.register(nn.MaxPool2d)
def _largest(module: nn.MaxPool1d | nn.MaxPool2d, name: str, shape: Shape) -> Node:
    """Return the largest values of windows."""
    _needs(module, name, "return_indices", False)
    windows = _windows(module, name, shape)
    return MaxPool2d(**windows, dilation=_sizes(module, module.dilation, 1))


@read_layer.register(nn.AdaptiveAvgPool1d)
@read_layer.register(nn.AdaptiveAvgPool2d)
def _adaptive(
    module: nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d, name: str, shape: Shape
) -> Node:
    """Return the means of as many windows as are wanted."""
    _check_axes(module, name, shape)
    wanted: Any = _sizes(module, module.output_size, 1)
    pairs = list(zip(shape[1:], wanted, strict=True))
    sizes = [(size, size if number is None else number) for size, number in pairs]
    is_larger = any(number > size for size, number in sizes)
    if is_larger and all(number % size == 0 for size, number in sizes):
        factor = sizes[0][1] // sizes[0][0], sizes[1][1] // sizes[1][0]
        return Upsample2d(name=name, shape=shape, factor=factor)
    if any(size % number for size, number in sizes):
        raise ModelError(
            f"{name}: output_size {module.output_size} does not divide an input of "
            f"{shape}, so its windows differ in size; choose a divisor, such as 1"
        )
    kernel = (sizes[0][0] // sizes[0][1], sizes[1][0] // sizes[1][1])
    return AvgPool2d(name=name, shape=shape, kernel=kernel, stride=kernel)


@read_layer.register
def _sums(module: nn.LPPool2d, name: str, shape: Shape) -> Node:
    """Return the sums of windows."""
    _needs(module, name, "norm_type", 1)
    _check_axes(module, name, shape)
    _needs(module, name, "ceil_mode", False)
    kernel = _pair(module.kernel_size, 1)
    stride = kernel if module.stride is None else _pair(module.stride, 1)
    return AvgPool2d(name=name, shape=shape, kernel=kernel, stride=stride, is_sum=True)
