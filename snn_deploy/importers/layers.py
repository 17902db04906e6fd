"""The layers of a PyTorch module, collected in the order of its forward pass."""

from collections.abc import Iterable

from torch import nn

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.floors import check_floors
from snn_deploy.importers.frameworks import (
    is_cell,
    is_reshaping,
    is_sequence,
    read_cell,
)
from snn_deploy.importers.onnx_activations import UNKNOWN
from snn_deploy.importers.spikingjelly import does_nothing, read_voting
from snn_deploy.importers.torch_layers import check_unchanged, read_layer
from snn_deploy.ir.graph import Edge, Graph, Training
from snn_deploy.ir.neurons import Integrator, Relu
from snn_deploy.ir.nodes import Add, Input, Node

INPUT_NAME = "input"
IDLE = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity)


class Layers:
    """Layers and edges so far.

    Parameters
    ----------
    input_shape : tuple of int
        ``(channel, length)`` becomes ``(channel, 1, length)``.
    has_time : bool
        Every tensor has an axis of timesteps beside that of the batch.
    is_balanced : bool
        The largest values of ReLUs must be known; otherwise they are ``UNKNOWN`` until
        ``balance`` measures them.
    """

    def __init__(
        self, input_shape: Shape, *, has_time: bool = False, is_balanced: bool = True
    ) -> None:
        self.has_time = has_time
        self.is_balanced = is_balanced
        self.largest: dict[str, float] = {}  # value of each ReLU
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.silent: dict[str, Integrator] = {}  # of neurons that never reset
        self.floors: dict[str, FloatArray] = {}
        is_row = len(input_shape) == 2
        shape = (input_shape[0], 1, input_shape[1]) if is_row else input_shape
        self.add(Input(name=INPUT_NAME, shape=shape), ())

    def add(self, node: Node, sources: Iterable[str]) -> str:
        """Add one layer, fed by ``sources``; return its name."""
        self.nodes[node.name] = node
        self.edges += [Edge(source=s, target=node.name) for s in sources]
        return node.name

    def graph(self, name: str, last: str, training: Training) -> Graph:
        """Return the network whose output is the layer ``last``."""
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
        check_floors(graph, self.floors)
        return graph

    def module(self, module: nn.Module, name: str, source: str) -> str:
        """Add the layer of one module; return the name of the layer that it ends in."""
        if is_sequence(module):
            return self.sequence(module, name + ".", source)
        if self._is_passed(module):
            return source
        if isinstance(module, nn.Flatten) and self.has_time and module.start_dim == 2:
            module = nn.Flatten(1, module.end_dim)  # behind time and batch
        check_unchanged(module, name)
        if isinstance(module, nn.ReLU):
            return self.relu(name, source)
        while name in self.nodes:  # a module without parameters may serve twice
            name += "_again"
        shape = self.nodes[source].output_shape
        if is_cell(module):
            return self._cell(module, name, source)
        voting = read_voting(module, name, shape)
        return self.add(voting or read_layer(module, name, shape), (source,))

    def _is_passed(self, module: nn.Module) -> bool:
        """Return whether a module does nothing to one timestep of a trained network."""
        if isinstance(module, nn.Flatten):
            return self.has_time and (module.start_dim, module.end_dim) == (0, 1)
        is_idle = isinstance(module, IDLE) or does_nothing(module)
        return is_idle or is_reshaping(module)

    def _cell(self, module: nn.Module, name: str, source: str) -> str:
        cell = read_cell(module, name, self.nodes[source].output_shape)
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

    def relu(self, name: str, source: str) -> str:
        """Add a ReLU, whose largest value has been measured."""
        if name not in self.largest and self.is_balanced:
            raise ModelError(
                f"{name}: a ReLU has no largest value that could be a threshold; give "
                "save() example_inputs to measure it on, or use nn.ReLU6 or Qcfs"
            )
        shape = self.nodes[source].output_shape
        maximum = self.largest.get(name, UNKNOWN)
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

    def sum(self, name: str, terms: list[str]) -> str:
        """Add the sum of two outputs."""
        shape = self.nodes[terms[0]].output_shape
        return self.add(Add(name=name, shape=shape), terms)

    def read_voltage(self, name: str) -> bool:
        """Make neurons that never reset a read-out, if nobody takes their spikes."""
        if name not in self.silent or any(e.source == name for e in self.edges):
            return False
        self.nodes[name] = self.silent[name]
        return True
