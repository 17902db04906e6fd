"""The forward of a PyTorch module as a list of calls, and the layers that calls are."""

import math
import operator
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.fx
from torch import nn
from torch.nn import functional

from snn_deploy.arrays import Shape, n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.frameworks.registry import (
    framework_of,
    is_cell,
    is_of_framework,
    is_sequence,
)
from snn_deploy.importers.torch.layers import is_known
from snn_deploy.names import free_name

ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
ADDITIONS_IN_PLACE = (operator.iadd, "add_")
RESHAPES = ("view", "reshape", torch.reshape)
DROPOUTS = (functional.dropout, functional.dropout1d, functional.dropout2d)
BATCH = "size of the batch"  # stand for values that are no tensor
SIZES = "sizes of a tensor"


class _Value(torch.fx.Proxy):
    """A value of a traced forward, which knows that ``+=`` changes it in place."""


def _assigning(name: str) -> Callable[[_Value, Any], Any]:
    def change(value: _Value, other: Any) -> Any:
        return value.tracer.create_proxy(
            "call_function", getattr(operator, name), (value, other), {}
        )

    return change


for _name in ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow"):
    setattr(_Value, f"__{_name}__", _assigning(_name))


class _Tracer(torch.fx.Tracer):
    """Stops at every module that is not a container of PyTorch or of the user."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.paths = {path for path, _ in model.named_modules()}

    def proxy(self, node: torch.fx.Node) -> torch.fx.Proxy:
        return _Value(node, self)

    def create_node(self, kind: str, *arguments: Any, **named: Any) -> torch.fx.Node:
        """Return a call; that of a function is not called as a module is."""
        node: torch.fx.Node = super().create_node(kind, *arguments, **named)
        if kind != "call_module":
            node.name = free_name(node.name, self.paths)
        return node

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return (
            is_cell(m)
            or is_sequence(m)
            or is_known(m)
            or bool(super().is_leaf_module(m, module_qualified_name))
            or (is_of_framework(m) and not framework_of(m).is_walked(m))
        )


def traced(model: nn.Module) -> torch.fx.Graph:
    """Return what the forward of ``model`` does in evaluation mode.

    Raises
    ------
    ModelError
        If it is more than a list of calls, or calls a layer several times.
    """
    before = [(module, dict(vars(module))) for module in model.modules()]
    model.eval()
    try:
        graph = _Tracer(model).trace(model)
    except Exception as error:  # the user's code may raise anything
        raise ModelError(
            f"{type(model).__name__}: forward cannot be traced ({error}); write it as "
            "one timestep, without loops or branches on values"
        ) from error
    finally:
        for module, attributes in before:  # also those that the forward has set
            vars(module).clear()
            vars(module).update(attributes)
    calls = Counter(str(n.target) for n in graph.nodes if n.op == "call_module")
    for name, count in calls.items():
        module = model.get_submodule(name)
        if count > 1 and (is_cell(module) or any(True for _ in module.parameters())):
            raise ModelError(
                f"{name}: forward calls this layer {count} times, as a loop over "
                "timesteps does; save a module whose forward is one timestep"
            )
    return graph


def output_of(item: torch.fx.Node) -> torch.fx.Node:
    """Return what a forward gives first: the output, before its states."""
    value: Any = item.args[0]
    while isinstance(value, tuple | list) and value:  # (output, states)
        value = value[0]
    if not isinstance(value, torch.fx.Node):
        raise ModelError(
            "forward returns no layer's output; return it, or it and the states"
        )
    return value


def clamped(
    min: float | None = None, max: float | None = None, inplace: bool = False
) -> nn.Module:
    """Return the layer that cuts values to a range, open where there is no number."""
    low = -math.inf if min is None else float(min)
    if max is None and low == 0:
        return nn.ReLU(inplace)
    return nn.Hardtanh(low, math.inf if max is None else float(max), inplace)


def _over(make: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Return what makes a softmax over ``dim``; other arguments change no value."""
    return lambda dim=None, **_: make(dim)


def _in_place(make: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    return partial(make, inplace=True)


_AVERAGE = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
_LARGEST = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
# what makes the layer of a call, and the names of its arguments behind the input
_Layer = tuple[Callable[..., nn.Module], tuple[str, ...]]
_LAYERS: dict[Any, _Layer] = {
    functional.avg_pool1d: (nn.AvgPool1d, _AVERAGE),
    functional.avg_pool2d: (nn.AvgPool2d, (*_AVERAGE, "divisor_override")),
    functional.max_pool1d: (nn.MaxPool1d, (*_LARGEST, "return_indices")),
    functional.max_pool2d: (nn.MaxPool2d, (*_LARGEST, "return_indices")),
    functional.adaptive_avg_pool1d: (nn.AdaptiveAvgPool1d, ("output_size",)),
    functional.adaptive_avg_pool2d: (nn.AdaptiveAvgPool2d, ("output_size",)),
    functional.relu6: (nn.ReLU6, ("inplace",)),
    functional.hardtanh: (nn.Hardtanh, ("min_val", "max_val", "inplace")),
    functional.hardtanh_: (_in_place(nn.Hardtanh), ("min_val", "max_val")),
    functional.softmax: (_over(nn.Softmax), ("dim",)),
    functional.log_softmax: (_over(nn.LogSoftmax), ("dim",)),
    functional.sigmoid: (nn.Sigmoid, ()),
    functional.relu: (nn.ReLU, ("inplace",)),
}
# those that are functions of torch and methods of tensors
_METHODS: dict[str, _Layer] = {
    "relu": (nn.ReLU, ()),
    "relu_": (_in_place(nn.ReLU), ()),
    "clamp": (clamped, ("min", "max")),
    "clamp_": (_in_place(clamped), ("min", "max")),
    "clip": (clamped, ("min", "max")),
    "clip_": (_in_place(clamped), ("min", "max")),
    "clamp_min": (clamped, ("min",)),
    "clamp_min_": (_in_place(clamped), ("min",)),
    "softmax": (_over(nn.Softmax), ("dim",)),
    "log_softmax": (_over(nn.LogSoftmax), ("dim",)),
    "sigmoid": (nn.Sigmoid, ()),
}
_LAYERS |= _METHODS | {getattr(torch, name): of for name, of in _METHODS.items()}


def layer_of(item: torch.fx.Node) -> nn.Module | None:
    """Return the layer that a call is, for calls that are one."""
    arguments: tuple[Any, ...] = item.args[1:]
    if item.target in (torch.flatten, "flatten"):
        named = dict(zip(("start_dim", "end_dim"), arguments, strict=False))
        return nn.Flatten(**{"start_dim": 0, **named, **item.kwargs})
    if item.target not in _LAYERS:
        return None
    make, names = _LAYERS[item.target]
    given = {**dict(zip(names, arguments, strict=False)), **item.kwargs}
    try:
        return make(**given)
    except (AssertionError, TypeError, ValueError) as error:
        raise ModelError(
            f"{item.name}: forward calls {called(item)} with arguments that cannot be "
            f"deployed ({error}); give it plain numbers"
        ) from error


def called(item: torch.fx.Node) -> str:
    """Return the name of the function or method that a call calls."""
    return str(getattr(item.target, "__name__", item.target))


def is_idle_dropout(item: torch.fx.Node) -> bool:
    """Return whether a call is a dropout that is switched off."""
    if item.target not in DROPOUTS:
        return False
    named = dict(zip(("p", "training"), item.args[1:], strict=False))
    return {"training": True, **named, **item.kwargs}["training"] is False


def size_of(item: torch.fx.Node, of: str) -> str | None:
    """Return what a call that asks for sizes stands for; ``None`` for other calls.

    ``of`` is what its first argument stands for.
    """
    if item.target == "size":
        if len(item.args) == 1:
            return SIZES
        return BATCH if item.args[1] == 0 else None
    if item.target is getattr and item.args[1] == "shape":
        return SIZES
    if item.target is operator.getitem and of == SIZES and item.args[1] == 0:
        return BATCH
    return None


def is_flattening(
    item: torch.fx.Node, shape: Shape, stands_for: dict[torch.fx.Node, str]
) -> bool:
    """Return whether a view keeps the batch and puts everything else in a row.

    Raises
    ------
    ModelError
        If it does anything else.
    """
    sizes: tuple[Any, ...] = item.args[1:]
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list):
        sizes = tuple(sizes[0])
    if len(sizes) == 2 and not item.kwargs:
        batch, rest = sizes
        is_batch = isinstance(batch, torch.fx.Node) and stands_for.get(batch) == BATCH
        if is_batch and rest in (-1, n_neurons(shape)):
            return len(shape) > 1
        if batch == -1 and rest == n_neurons(shape):
            return len(shape) > 1
    raise ModelError(
        f"{item.name}: forward reshapes {shape} in a way that is not a flatten; write "
        "x.flatten(1), or x.view(x.size(0), -1)"
    )
