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

from snn_deploy.arrays import AnyArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.norse import (
    is_norse_cell,
    is_norse_sequence,
    read_norse_cell,
)
from snn_deploy.importers.rates import RELUS, largest_activations
from snn_deploy.importers.torch_layers import (
    DEPLOYABLE,
    check_unchanged,
    is_known,
    read_layer,
)
from snn_deploy.ir.graph import Edge, Graph, Training
from snn_deploy.ir.neurons import Relu
from snn_deploy.ir.nodes import Add, Input, Node

INPUT_NAME = "input"
AXES = ("start_dim", "end_dim")
STATE = "state of neurons"  # stands for values that only neurons may take


def trace(
    model: nn.Module,
    name: str,
    input_shape: Shape,
    training: Training,
    example_inputs: AnyArray | None = None,
) -> Graph:
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
    example_inputs : array, (n, input_shape...), optional
        Data on which the largest values of ReLUs are measured.

    Raises
    ------
    ModelError
        If a layer cannot be deployed, or forward loops over timesteps.
    """
    builder = _Builder(input_shape, training, example_inputs)
    if is_norse_sequence(model):
        last = builder.sequence(model, "", INPUT_NAME)
    else:
        last = builder.traced(model)
    if last == INPUT_NAME:
        raise ModelError(f"{name}: the model has no layer; add one")
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

    def __init__(
        self, input_shape: Shape, training: Training, example_inputs: AnyArray | None
    ) -> None:
        self.training = training
        self.example_inputs = example_inputs
        self.largest: dict[str, float] = {}  # value of each ReLU
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.pairs: set[torch.fx.Node] = set()  # calls that give (output, state)
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
        check_unchanged(module, name)
        if isinstance(module, nn.ReLU):
            return self._relu(name, source)
        while name in self.nodes:  # a module without parameters may serve twice
            name += "_again"
        shape = self.nodes[source].output_shape
        if is_norse_cell(module):
            return self.add(read_norse_cell(module, name, shape), (source,))
        return self.add(read_layer(module, name, shape), (source,))

    def _relu(self, name: str, source: str) -> str:
        if name not in self.largest:
            raise ModelError(
                f"{name}: a ReLU has no largest value that could be a threshold; give "
                "save() example_inputs to measure it on, or use nn.ReLU6 or Qcfs"
            )
        shape, maximum = self.nodes[source].output_shape, self.largest[name]
        while name in self.nodes:
            name += "_again"
        return self.add(Relu(name=name, shape=shape, maximum=maximum), (source,))

    def sequence(self, sequence: nn.Module, prefix: str, source: str) -> str:
        """Add the children of a sequence one after another."""
        for name, child in sequence.named_children():
            if type(child) is nn.Sequential:
                source = self.sequence(child, f"{prefix}{name}.", source)
            else:
                source = self.module(child, prefix + name, source)
        return source

    def _measure(self, model: nn.Module, graph: torch.fx.Graph) -> None:
        if self.example_inputs is not None:
            self.largest = largest_activations(
                model,
                graph,
                self.example_inputs,
                self.nodes[INPUT_NAME].output_shape,
                self.training,
            )

    def traced(self, model: nn.Module) -> str:
        """Add everything that the forward of ``model`` does."""
        graph = _fx_graph(model)
        self._measure(model, graph)
        ends: dict[torch.fx.Node, str] = {}
        last = INPUT_NAME
        for item in graph.nodes:
            match item.op:
                case "placeholder":  # further ones are states
                    ends[item] = STATE if ends else INPUT_NAME
                case "call_module":
                    module = model.get_submodule(str(item.target))
                    source = _signal(item, ends)
                    ends[item] = self.module(module, str(item.target), source)
                    if is_norse_cell(module) or is_norse_sequence(module):
                        self.pairs.add(item)
                case "call_function" | "call_method":
                    ends[item] = self._call(item, ends)
                case "output":
                    last = ends[_output(item)]
                case _:
                    raise ModelError(
                        f"{item.name}: forward uses {item.target}, which is no layer; "
                        "only layers, sums and flatten can be deployed"
                    )
        if last == STATE:
            raise ModelError(
                "forward returns the state of neurons first; return the output, or the "
                "output and its states"
            )
        return last

    def _call(self, item: torch.fx.Node, ends: dict[torch.fx.Node, str]) -> str:
        if item.target is operator.getitem:
            return self._item(item, ends)
        if item.target in (operator.add, operator.iadd, torch.add, "add", "add_"):
            terms = [ends[a] for a in item.args if isinstance(a, torch.fx.Node)]
            if len(terms) != 2 or item.kwargs or STATE in terms:
                raise ModelError(
                    f"{item.name}: forward adds a constant or a state to a layer's "
                    "output, only two outputs can be added; make a constant a bias"
                )
            shape = self.nodes[terms[0]].output_shape
            return self.add(Add(name=item.name, shape=shape), terms)
        if item.target in RELUS:
            return self._relu(item.name, _signal(item, ends))
        if item.target in (torch.flatten, "flatten"):
            axes = {"start_dim": 0, **dict(zip(AXES, item.args[1:], strict=False))}
            layer: nn.Module = nn.Flatten(**{**axes, **item.kwargs})  # type: ignore[arg-type]
            return self.module(layer, item.name, _signal(item, ends))
        if item.target is nn.functional.avg_pool2d:
            layer = nn.AvgPool2d(*item.args[1:], **item.kwargs)  # type: ignore[arg-type]
            return self.module(layer, item.name, _signal(item, ends))
        called = getattr(item.target, "__name__", item.target)
        raise ModelError(
            f"{item.name}: forward calls {called}, which cannot be deployed; use one "
            f"of {', '.join(DEPLOYABLE)}"
        )

    def _item(self, item: torch.fx.Node, ends: dict[torch.fx.Node, str]) -> str:
        """Return what an item of ``(output, state)`` stands for."""
        first, index = item.args
        assert isinstance(first, torch.fx.Node)
        if ends[first] == STATE:
            return STATE
        if first in self.pairs and index in (0, 1):
            return ends[first] if index == 0 else STATE
        raise ModelError(
            f"{item.name}: forward takes a part of {first.name}, which cannot be "
            "deployed; use whole outputs"
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


def _signal(item: torch.fx.Node, ends: dict[torch.fx.Node, str]) -> str:
    """Return the layer that feeds ``item``."""
    first = item.args[0] if item.args else None
    if not isinstance(first, torch.fx.Node):
        raise ModelError(
            f"{item.name}: forward feeds this layer a constant, or names its argument; "
            "call it as layer(x)"
        )
    if ends[first] == STATE:
        raise ModelError(
            f"{item.name}: forward feeds this layer the state of neurons; feed it "
            "their output"
        )
    return ends[first]


def _output(item: torch.fx.Node) -> torch.fx.Node:
    value: Any = item.args[0]
    while isinstance(value, tuple | list) and value:  # (output, states)
        value = value[0]
    if not isinstance(value, torch.fx.Node):
        raise ModelError(
            "forward returns no layer's output; return it, or it and the states"
        )
    return value
