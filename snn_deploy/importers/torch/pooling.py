"""Read the poolings of PyTorch; those of rows are poolings of maps of height 1."""

from typing import Any

from torch import nn

from snn_deploy.arrays import Shape
from snn_deploy.errors import ModelError
from snn_deploy.ir.nodes import AvgPool2d, MaxPool2d, Node

Pair = tuple[int, int]


def pair(value: int | tuple[int, ...], along_height: int) -> Pair:
    """Return the setting of both axes; 1d layers have their own for the height."""
    if isinstance(value, int):
        return value, value
    return (along_height, value[0]) if len(value) == 1 else (value[0], value[1])


def check_axes(module: nn.Module, name: str, shape: Shape) -> None:
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
    check_axes(module, name, shape)
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
    return pair(value, along_height)


def read_average(module: nn.AvgPool1d | nn.AvgPool2d, name: str, shape: Shape) -> Node:
    """Return the means of windows."""
    _needs(module, name, "divisor_override", None)
    windows = _windows(module, name, shape)
    if any(windows["padding"]):
        _needs(module, name, "count_include_pad", True)
    return AvgPool2d(**windows)


def read_largest(module: nn.MaxPool1d | nn.MaxPool2d, name: str, shape: Shape) -> Node:
    """Return the largest values of windows."""
    _needs(module, name, "return_indices", False)
    windows = _windows(module, name, shape)
    return MaxPool2d(**windows, dilation=_sizes(module, module.dilation, 1))


def read_adaptive(
    module: nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d, name: str, shape: Shape
) -> Node:
    """Return the means of as many windows as are wanted."""
    check_axes(module, name, shape)
    wanted: Any = _sizes(module, module.output_size, 1)
    pairs = list(zip(shape[1:], wanted, strict=True))
    sizes = [(size, size if number is None else number) for size, number in pairs]
    if any(size % number for size, number in sizes):
        raise ModelError(
            f"{name}: output_size {module.output_size} does not divide an input of "
            f"{shape}, so its windows differ in size; choose a divisor, such as 1"
        )
    kernel = (sizes[0][0] // sizes[0][1], sizes[1][0] // sizes[1][1])
    return AvgPool2d(name=name, shape=shape, kernel=kernel, stride=kernel)


def read_sums(module: nn.LPPool2d, name: str, shape: Shape) -> Node:
    """Return the sums of windows, as sinabs' ``SumPool2d`` gives them."""
    _needs(module, name, "norm_type", 1)
    check_axes(module, name, shape)
    _needs(module, name, "ceil_mode", False)
    kernel = pair(module.kernel_size, 1)
    stride = kernel if module.stride is None else pair(module.stride, 1)
    return AvgPool2d(name=name, shape=shape, kernel=kernel, stride=stride, is_sum=True)
