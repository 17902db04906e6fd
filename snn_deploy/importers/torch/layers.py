"""Read the layers of PyTorch, one function for each type."""

from functools import singledispatch
from typing import Any

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.pooling import (
    Pair,
    check_axes,
    pair,
    read_adaptive,
    read_average,
    read_largest,
    read_sums,
)
from snn_deploy.importers.torch.spikingjelly import is_threshold_norm, repeats
from snn_deploy.ir import tebn as ir
from snn_deploy.ir.neurons import Qcfs, Relu
from snn_deploy.ir.nodes import BatchNorm, Conv2d, Flatten, Linear, Node
from snn_deploy.nn import neurons as training
from snn_deploy.nn.tebn import Tebn

DEPLOYABLE = (
    "nn.Linear, nn.Conv1d, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.AvgPool1d",
    "nn.AvgPool2d, nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveAvgPool1d",
    "nn.AdaptiveAvgPool2d, nn.Flatten, nn.Dropout, nn.Identity, nn.ReLU, nn.ReLU6",
    "nn.Hardtanh(0, ...)",
    "snn_deploy.nn.neurons.Qcfs",
    "neurons of Norse, snnTorch, SpikingJelly and sinabs",
)


def is_known(module: nn.Module) -> bool:
    """Return whether there is a counterpart for layers of this type."""
    return read_layer.dispatch(type(module)) is not read_layer.dispatch(nn.Module)


def check_unchanged(module: nn.Module, name: str) -> None:
    """Raise a ``ModelError`` if a known layer has been made to do something else."""
    kinds = [kind for kind in type(module).__mro__ if kind in read_layer.registry]
    known: Any = kinds[0]
    if known is object:  # of no known type: refused, or handled, by name
        return
    is_other = getattr(type(module), "forward", None) is not known.forward
    if known is not nn.Module and is_other and not repeats(module, known):
        raise ModelError(
            f"{name}: {type(module).__name__} is a {known.__name__} with a forward of "
            f"its own, which cannot be deployed; use {known.__name__}"
        )
    if module._forward_hooks or module._forward_pre_hooks:
        raise ModelError(
            f"{name}: hooks change what this layer does; remove them (as "
            "torch.nn.utils.remove_weight_norm does) before saving"
        )


def array(tensor: torch.Tensor) -> FloatArray:
    """Return a tensor's values."""
    values: FloatArray = tensor.detach().cpu().double().numpy()
    return values


@singledispatch
def read_layer(module: nn.Module, name: str, shape: Shape) -> Node:
    """Return the layer of one module, for an input of ``shape``.

    Raises
    ------
    ModelError
        If the type or a parameter has no counterpart.
    """
    if is_threshold_norm(module):
        return _batch_norm(module, name, shape)
    raise ModelError(
        f"{name}: {type(module).__name__} cannot be deployed; use one of "
        f"{', '.join(DEPLOYABLE)}"
    )


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
    check_axes(module, name, shape)
    weight = array(module.weight)
    if weight.ndim == 3:  # a row is a map of height 1
        weight = weight[:, :, np.newaxis]
    dilation = pair(module.dilation, 1)
    if isinstance(module.padding, str):
        padding = _same_padding(name, weight.shape, dilation, module.padding)
    else:
        padding = pair(module.padding, 0)
    return Conv2d(
        name=name,
        weight=weight,
        bias=_bias(module.bias, len(weight)),
        stride=pair(module.stride, 1),
        padding=padding,
        dilation=dilation,
        groups=module.groups,
        shape=shape,
    )


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
def _batch_norm(module: Any, name: str, shape: Shape) -> BatchNorm:
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
    norm = _batch_norm(module.norm, name, shape)
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


read_layer.register(nn.AvgPool1d, read_average)
read_layer.register(nn.AvgPool2d, read_average)
read_layer.register(nn.MaxPool1d, read_largest)
read_layer.register(nn.MaxPool2d, read_largest)
read_layer.register(nn.AdaptiveAvgPool1d, read_adaptive)
read_layer.register(nn.AdaptiveAvgPool2d, read_adaptive)
read_layer.register(nn.LPPool2d, read_sums)
