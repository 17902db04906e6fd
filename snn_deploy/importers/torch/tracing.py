"""The forward of a PyTorch module as a list of calls."""

import operator
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
import torch.fx
from torch import nn

from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.frameworks import (
    is_cell,
    is_of_framework,
    is_reshaping,
    is_sequence,
    is_walked,
)
from snn_deploy.importers.torch.layers import is_known


class _Value(torch.fx.Proxy):
    """A value of a traced forward, which knows that ``+=`` changes it in place."""


def _in_place(name: str) -> Callable[[_Value, Any], Any]:
    def change(value: _Value, other: Any) -> Any:
        return value.tracer.create_proxy(
            "call_function", getattr(operator, name), (value, other), {}
        )

    return change


for _name in ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow"):
    setattr(_Value, f"__{_name}__", _in_place(_name))


class _Tracer(torch.fx.Tracer):
    """Stops at every module that is not a container of PyTorch or of the user."""

    def proxy(self, node: torch.fx.Node) -> torch.fx.Proxy:
        return _Value(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return (
            is_cell(m)
            or is_sequence(m)
            or is_reshaping(m)
            or is_known(m)
            or bool(super().is_leaf_module(m, module_qualified_name))
            or (is_of_framework(m) and not is_walked(m))
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
        graph = _Tracer().trace(model)
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
