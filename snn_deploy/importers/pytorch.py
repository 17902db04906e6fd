"""Read a PyTorch module whose forward is one timestep.

Conventions: the first axis of every tensor is the batch; layers are traced with
torch.fx, in evaluation mode (batch normalizations use their running statistics, dropout
does nothing). Containers are walked through; every other module is one layer, chosen by
its type, and refused by name if its type or one of its parameters has no counterpart.
"""

import operator
from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
import torch.fx
from torch import nn

from snn_deploy.arrays import Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.norse import (
    is_norse_cell,
    is_norse_sequence,
    read_norse_cell,
)
from snn_deploy.importers.torch_layers import DEPLOYABLE, is_known, read_layer
from snn_deploy.ir.graph import Edge, Graph, Training
from snn_deploy.ir.nodes import Add, Input, Node

INPUT_NAME = "input"


def trace(model: nn.Module, name: str, input_shape: Shape, training: Training) -> Graph:
    """Return the graph of ``model``.

    Parameters
    ----------
    model : nn.Module
        Its forward takes ``(batch, input_shape...)`` and is one timestep. A Norse
        ``SequentialState`` is read child by child.
    name : str
        Becomes the graph's name.
    input_shape : tuple of int
        Without the batch.
    training : Training
        What the model was trained for.

    Raises
    ------
    ModelError
        If a layer cannot be deployed, or forward loops over timesteps.
    """
    builder = _Builder(input_shape)
    if is_norse_sequence(model):
        last = builder.sequence(model, "", INPUT_NAME)
    else:
        last = builder.traced(model)
    if last == INPUT_NAME:
        raise ModelError(f"{name}: the model has no layer that can be deployed")
    return Graph(
        name=name,
        nodes=tuple(builder.nodes.values()),
        edges=tuple(builder.edges),
        training=training,
    )


class _Tracer(torch.fx.Tracer):
    """Stops at every module that is not a container of PyTorch or of the user."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return (
            is_norse_cell(m)
            or is_norse_sequence(m)
            or is_known(m)
            or bool(super().is_leaf_module(m, module_qualified_name))
        )


class _Builder:
    """Collects layers and edges in the order of the forward pass."""

    def __init__(self, input_shape: Shape) -> None:
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.add(Input(name=INPUT_NAME, shape=input_shape), ())

    def add(self, node: Node, sources: Iterable[str]) -> str:
        self.nodes[node.name] = node
        self.edges += [Edge(source=s, target=node.name) for s in sources]
        return node.name

    def module(self, module: nn.Module, name: str, source: str) -> str:
        """Add the layer of one module; return the name of the layer that it ends in."""
        if is_norse_sequence(module):
            return self.sequence(module, name + ".", source)
        if isinstance(module, nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Identity):
            return source
        while name in self.nodes:  # a module without parameters may serve twice
            name += "_again"
        shape = self.nodes[source].output_shape
        if is_norse_cell(module):
            return self.add(read_norse_cell(module, name, shape), (source,))
        return self.add(read_layer(module, name, shape), (source,))

    def sequence(self, sequence: nn.Module, prefix: str, source: str) -> str:
        """Add the children of a sequence one after another."""
        for name, child in sequence.named_children():
            if isinstance(child, nn.Sequential) and not is_norse_sequence(child):
                source = self.sequence(child, f"{prefix}{name}.", source)
            else:
                source = self.module(child, prefix + name, source)
        return source

    def traced(self, model: nn.Module) -> str:
        """Add everything that the forward of ``model`` does."""
        graph = _fx_graph(model)
        ends: dict[torch.fx.Node, str] = {}
        last = INPUT_NAME
        for item in graph.nodes:
            match item.op:
                case "placeholder":
                    ends[item] = INPUT_NAME  # further ones are states
                case "call_module":
                    module = model.get_submodule(str(item.target))
                    ends[item] = self.module(
                        module, str(item.target), ends[_first(item)]
                    )
                case "call_function" | "call_method":
                    ends[item] = self._call(item, ends)
                case "output":
                    last = ends[_output(item)]
                case _:
                    raise ModelError(
                        f"{item.name}: forward uses {item.target}, which is no layer; "
                        "only layers, sums and flatten can be deployed"
                    )
        return last

    def _call(self, item: torch.fx.Node, ends: dict[torch.fx.Node, str]) -> str:
        if item.target is operator.getitem:
            return ends[_first(item)]  # (output, state) of a cell
        if item.target in (operator.add, operator.iadd, torch.add, "add", "add_"):
            terms = [ends[a] for a in item.args if isinstance(a, torch.fx.Node)]
            if len(terms) != 2 or item.kwargs:
                raise ModelError(
                    f"{item.name}: forward adds a constant; make it a layer's bias"
                )
            shape = self.nodes[terms[0]].output_shape
            return self.add(Add(name=item.name, shape=shape), terms)
        if item.target in (torch.flatten, "flatten"):
            start = (
                item.args[1] if len(item.args) > 1 else item.kwargs.get("start_dim", 0)
            )
            layer: nn.Module = nn.Flatten(int(str(start)))
            return self.module(layer, item.name, ends[_first(item)])
        if item.target is nn.functional.avg_pool2d:
            layer = nn.AvgPool2d(*item.args[1:], **item.kwargs)  # type: ignore[arg-type]
            return self.module(layer, item.name, ends[_first(item)])
        called = getattr(item.target, "__name__", item.target)
        raise ModelError(
            f"{item.name}: forward calls {called}, which cannot be deployed; use one "
            f"of {', '.join(DEPLOYABLE)}"
        )


def _fx_graph(model: nn.Module) -> torch.fx.Graph:
    try:
        graph = _Tracer().trace(model)
    except (torch.fx.proxy.TraceError, TypeError, RuntimeError) as error:
        raise ModelError(
            f"{type(model).__name__}: forward cannot be traced ({error}); write it as "
            "one timestep, without loops or branches on values"
        ) from error
    calls = Counter(str(n.target) for n in graph.nodes if n.op == "call_module")
    for name, count in calls.items():
        module = model.get_submodule(name)
        if count > 1 and (
            is_norse_cell(module) or any(True for _ in module.parameters())
        ):
            raise ModelError(
                f"{name}: forward calls this layer {count} times, as a loop over "
                "timesteps does; save a module whose forward is one timestep"
            )
    return graph


def _first(item: torch.fx.Node) -> torch.fx.Node:
    first = item.args[0] if item.args else None
    if not isinstance(first, torch.fx.Node):
        raise ModelError(f"{item.name}: forward feeds this layer a constant")
    return first


def _output(item: torch.fx.Node) -> torch.fx.Node:
    value: Any = item.args[0]
    while isinstance(value, tuple | list) and value:  # (output, states)
        value = value[0]
    if not isinstance(value, torch.fx.Node):
        raise ModelError("forward must return the output, or the output and its states")
    return value
