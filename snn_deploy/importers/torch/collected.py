"""The layers of a PyTorch module, collected in the order of its forward pass."""

import logging
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

import numpy as np
from torch import nn

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.balance import UNKNOWN
from snn_deploy.importers.torch.floors import keep_floors
from snn_deploy.importers.torch.frameworks.cells import one_to_one
from snn_deploy.importers.torch.frameworks.framework import has_hooks
from snn_deploy.importers.torch.frameworks.registry import (
    DEPLOYABLE,
    framework_of,
    is_cell,
    read_cell,
)
from snn_deploy.importers.torch.layers import read_layer
from snn_deploy.ir.graph import Edge, Graph, Training
from snn_deploy.ir.inputs import NamedInput, with_places
from snn_deploy.ir.neurons import Integrator, Lif, Neuron, Relu, Reset
from snn_deploy.ir.nodes import Add, Input, Node
from snn_deploy.ir.scatter import Section
from snn_deploy.ir.spike_values import Values, possible_values
from snn_deploy.names import free_name

logger = logging.getLogger(__name__)
INPUT_NAME = "input"
ENDS = (nn.Softmax, nn.LogSoftmax, nn.Sigmoid)  # behind which the largest is the same
HARD_READ_OUT = (
    "forward returns the voltage of neurons that a spike sets to 0, which no synapse "
    "can do to a read-out; train them with a reset that subtracts, or with none "
    "(reset_mechanism='none'), or return their spikes"
)
OTHER_READ_OUT = (
    "forward returns the voltage of spiking neurons with a current of their own, or a "
    "lowest voltage; train the last layer without a reset (reset_mechanism='none'), or "
    "return its spikes"
)


class Layers:
    """Layers and edges so far.

    Parameters
    ----------
    input_shape : tuple of int
        ``(channel, length)`` becomes ``(channel, 1, length)``.
    inputs : tuple of NamedInput
        Several, which lie in an input of one axis; empty: it is a single one.
    is_balanced : bool
        The largest values of ReLUs must be known; otherwise they are ``UNKNOWN`` until
        ``balance`` measures them.
    """

    def __init__(
        self,
        input_shape: Shape,
        inputs: tuple[NamedInput, ...] = (),
        *,
        is_balanced: bool = True,
    ) -> None:
        self.given_shape = input_shape
        self.given = inputs
        self.is_balanced = is_balanced
        self.relus: dict[str, str] = {}  # that have no upper end, and their modules
        self.ends: dict[str, tuple[str, nn.Module]] = {}  # and the layers before them
        self.dropped: nn.Module | None = None  # the one behind the output
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.silent: dict[str, Integrator] = {}  # of neurons that never reset
        self.floors: dict[str, FloatArray] = {}
        shape = as_map(input_shape)
        self.add(Input(name=INPUT_NAME, shape=shape), ())
        self.inputs = [INPUT_NAME]  # the layers that are what forward takes
        if inputs:
            self.inputs = [
                self.add(
                    Section(
                        name=f"{INPUT_NAME}_{given.name}",
                        shape=shape,
                        first=place.start,
                        onto=as_map(given.shape),
                    ),
                    (INPUT_NAME,),
                )
                for given, place in with_places(inputs)
            ]

    def add(self, node: Node, sources: Iterable[str]) -> str:
        """Add one layer, fed by ``sources``; return its name, which may be longer."""
        if node.name in self.nodes:
            node = replace(node, name=free_name(node.name, self.nodes))
        self.nodes[node.name] = node
        self.edges += [Edge(source=s, target=node.name) for s in sources]
        return node.name

    def graph(self, name: str, last: str, training: Training) -> Graph:
        """Return the network whose output is the layer ``last``."""
        last, self.dropped = self.ends.get(last, (last, None))
        if self.dropped is not None:
            logger.warning(
                f"{name}: {type(self.dropped).__name__} behind {last} is dropped; in "
                "every timestep the largest output stays the largest, but what is "
                "summed over timesteps is what comes before it"
            )
        if last in self.inputs:
            raise ModelError(f"{name}: the model has no layer; add one")
        for layer, given in zip(self.inputs, self.given, strict=False):
            if not any(edge.source == layer for edge in self.edges):
                raise ModelError(
                    f"{name}: nothing is computed from the input {given.name}; leave "
                    "it out"
                )
        feeds_others = any(edge.source == last for edge in self.edges)
        graph = Graph(
            name=name,
            nodes=tuple(self.nodes.values()),
            edges=tuple(self.edges),
            training=training,
            output_name=last if feeds_others else "",
        )
        idle = [n.name for n in graph.nodes if not graph.targets(n) and n.name != last]
        if idle:
            raise ModelError(
                f"{name}: one layer must be the output, but {', '.join(idle)} lead "
                f"nowhere beside {last}; leave out what the output does not need"
            )
        graph = keep_floors(graph, self.floors)
        if self.dropped is None:
            return graph
        (head,) = graph.heads
        head = replace(head, dropped=type(self.dropped).__name__)
        return replace(graph, training=replace(training, heads=(head,)))

    def shape_of(self, name: str) -> Shape:
        """Return the shape of what a layer gives, without batch and time."""
        if name in self.ends:
            kind = type(self.ends[name][1]).__name__
            raise ModelError(
                f"{name}: {kind} cannot be deployed but as the last layer, where it is "
                "dropped; use it nowhere else"
            )
        return self.nodes[name].output_shape

    def module(self, module: nn.Module, name: str, source: str) -> str:
        """Add the layer of one module; return the name of the layer that it ends in."""
        if framework_of(module).is_passed(module):
            return source
        _check_unchanged(module, name)
        shape = self.shape_of(source)
        if isinstance(module, nn.ReLU):
            return self._relu(name, source)
        name = self._free(name)
        if isinstance(module, ENDS):
            return self._end(module, name, source)
        if is_cell(module):
            return self._cell(module, name, source)
        layer = framework_of(module).read_layer(module, name, shape)
        if layer is None:
            raise ModelError(
                f"{name}: {type(module).__name__} cannot be deployed; use one of "
                f"{', '.join(DEPLOYABLE)}"
            )
        return self.add(layer, (source,))

    def _cell(self, module: nn.Module, name: str, source: str) -> str:
        cell = read_cell(module, name, self.shape_of(source))
        if cell.weights is not None:
            source = self.add(cell.weights, (source,))
        self.add(cell.neurons, (source,))
        if cell.recurrent is not None:
            back = self.add(cell.recurrent, ())
            self.edges.append(Edge(source=name, target=back, delay=1))
            self.edges.append(Edge(source=back, target=name))
        if cell.silent is not None:
            self.silent[name] = cell.silent
        if cell.lowest_voltage is not None:
            self.floors[name] = cell.lowest_voltage
        return name

    def _free(self, name: str) -> str:
        """Return a name for a layer: a module without parameters may serve twice."""
        while name in self.nodes or name in self.ends:
            name += "_again"
        return name

    def values_of(self, name: str) -> tuple[Values, ...] | None:
        """Return what each channel of a layer may give, if it gives spikes."""

        def sources_of(node: Node) -> list[Node]:
            edges = [edge for edge in self.edges if edge.target == node.name]
            return [self.nodes[edge.source] for edge in edges]

        return possible_values(self.nodes[name], sources_of)

    def _relu(self, name: str, source: str) -> str:
        """Add a ReLU, whose largest value nobody knows yet; none behind spikes."""
        values = self.values_of(source)
        if values is not None and min(min(each) for each in values) >= 0:
            return source
        if self.is_balanced:
            raise ModelError(
                f"{name}: a ReLU has no largest value that could be a threshold; give "
                "save() example_inputs to measure it on, or use nn.ReLU6 or Qcfs"
            )
        module, name = name, self._free(name)
        self.relus[name] = module
        relu = Relu(name=name, shape=self.shape_of(source), maximum=UNKNOWN)
        return self.add(relu, (source,))

    def _end(self, module: nn.Module, name: str, source: str) -> str:
        """Note what a forward does to its outputs, which leaves the largest largest."""
        is_row = len(self.shape_of(source)) == 1
        if not is_row or getattr(module, "dim", -1) not in (-1, 1, None):
            raise ModelError(
                f"{name}: {type(module).__name__} cannot be deployed but over the "
                f"outputs of the last layer, in a row, dim=1; it is dropped "
                "there, or leave it out"
            )
        self.ends[name] = source, module
        return name

    def sum(self, name: str, terms: list[str]) -> str:
        """Add the sum of two outputs."""
        shapes = [self.shape_of(term) for term in terms]
        return self.add(Add(name=name, shape=shapes[0]), terms)

    def read_voltage(self, name: str, late: int = 1) -> str:
        """Return a read-out that gives the voltage of neurons.

        The neurons themselves where they never reset and nothing takes their spikes;
        else one beside them, which gets their currents, less what spikes take off, so
        many timesteps ``late``.

        Raises
        ------
        ModelError
            If spikes do something else to the voltage.
        """
        if name in self.silent and not any(e.source == name for e in self.edges):
            self.nodes[name] = self.silent[name]
            return name
        neurons = self.nodes[name]
        if not isinstance(neurons, Lif) or neurons.reset is Reset.HARD:
            raise ModelError(f"{name}: {HARD_READ_OUT}")
        if np.any(neurons.current_decay != 1) or name in self.floors:
            raise ModelError(f"{name}: {OTHER_READ_OUT}")
        given = [edge for edge in self.edges if edge.target == name]
        read_out = Integrator(
            name=free_name(f"{name}_voltage", self.nodes),
            **{f.name: getattr(neurons, f.name) for f in fields(Neuron)[1:]},
        )
        self.nodes[read_out.name] = read_out
        self.edges += [replace(edge, target=read_out.name) for edge in given]
        amount = neurons.reset_amount * (1 - neurons.voltage_decay) ** late
        lost = amount / neurons.input_gain / neurons.spike_value
        back = self.add(one_to_one(-lost, f"{name}_reset", neurons.shape), ())
        self.edges.append(Edge(source=name, target=back, delay=late))
        self.edges.append(Edge(source=back, target=read_out.name))
        return read_out.name


def as_map(shape: Shape) -> Shape:
    """Return the shape of a row of several channels as that of a map of height 1."""
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


def _check_unchanged(module: nn.Module, name: str) -> None:
    """Raise a ``ModelError`` if a known layer has been made to do something else."""
    if is_cell(module) and has_hooks(module):
        raise ModelError(
            f"{name}: hooks change what these neurons do; remove them before saving"
        )
    kinds = [kind for kind in type(module).__mro__ if kind in read_layer.registry]
    known: Any = kinds[0]
    if known is object:  # of no known type: refused, or handled, by name
        return
    is_other = getattr(type(module), "forward", None) is not known.forward
    repeats = framework_of(module).repeats
    if known is not nn.Module and is_other and not repeats(module, known):
        raise ModelError(
            f"{name}: {type(module).__name__} is a {known.__name__} with a forward of "
            f"its own, which cannot be deployed; use {known.__name__}"
        )
