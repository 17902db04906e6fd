"""Leave out the last rows and columns of neurons, where no layer reads them."""

from dataclasses import fields, replace
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray, Shape
from snn_deploy.compiler.lower.collect import pointwise
from snn_deploy.ir.graph import Edge, Graph
from snn_deploy.ir.neurons import Neuron
from snn_deploy.ir.nodes import Add, AvgPool2d, Conv2d, Node


def crop(graph: Graph, node: Node) -> Graph:
    """Return the same function without the outputs of ``node`` that no layer reads.

    These are last rows and columns behind the last window of every layer that it
    feeds. The layers in front are cropped alike. The graph is returned as it is where
    nothing can be left out: another layer reads these neurons, or they are the input.
    """
    sizes = [_extent(target) for target in graph.targets(node)]
    if not sizes:
        return graph
    shape = (
        node.output_shape[0],
        *(max(along) for along in zip(*sizes, strict=True)),
    )
    cropping = _Cropping(graph)
    if shape == node.output_shape or not cropping.shrinks(node, shape):
        return graph
    return cropping.result()


def _extent(layer: Node) -> tuple[int, int]:
    """Return how many rows and columns of its input a layer reads, from the first."""
    if not isinstance(layer, Conv2d | AvgPool2d):
        _, *size = (*layer.input_shape, 1, 1)[:3]
        return size[0], size[1]
    kernel = layer.weight.shape[2:] if isinstance(layer, Conv2d) else layer.kernel
    height, width = (
        min(
            layer.shape[1 + axis],
            (layer.output_shape[1 + axis] - 1) * layer.stride[axis]
            - layer.padding[axis]
            + (kernel[axis] - 1) * layer.dilation[axis]
            + 1,
        )
        for axis in (0, 1)
    )
    return height, width


class _Cropping:
    """The layers that change when one is cropped."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.changed: dict[str, Node] = {}
        self.between: dict[Edge, Conv2d] = {}  # what crops spikes that others read too

    def result(self) -> Graph:
        """Return the graph with the changed layers."""
        nodes = [self.changed.get(n.name, n) for n in self.graph.nodes]
        edges = []
        for edge in self.graph.edges:
            layer = self.between.get(edge)
            if layer is None:
                edges.append(edge)
            else:
                nodes.append(layer)
                edges += [
                    replace(edge, target=layer.name),
                    Edge(source=layer.name, target=edge.target),
                ]
        return replace(self.graph, nodes=tuple(nodes), edges=tuple(edges))

    def shrinks(self, node: Node, shape: Shape) -> bool:
        """Return whether ``node`` and what is in front of it can have this output."""
        smaller = _smaller(node, shape)
        if smaller is None or node is self.graph.output:
            return False
        self.changed[node.name] = smaller
        readers = [t for t in self.graph.targets(node) if t.name not in self.changed]
        for reader in readers:
            fitting = _reading(reader, shape)
            if fitting is None:
                return False
            self.changed[reader.name] = fitting
        if isinstance(node, Conv2d):
            return True  # which goes on reading all of its input
        return all(
            self._shrinks_before(edge, shape) for edge in self.graph.edges_into(node)
        )

    def _shrinks_before(self, edge: Edge, shape: Shape) -> bool:
        source = self.graph.node(edge.source)
        if isinstance(source, Conv2d | Add) and self.shrinks(source, shape):
            return True
        if not isinstance(source, Neuron) or len(source.shape) != 3:
            return False
        ones = np.ones((shape[0], 1, 1, 1))
        same = pointwise(
            f"{edge.source}_to_{edge.target}", ones, source.shape, shape[0]
        )
        self.between[edge] = replace(same, cropped=_left_out(source.shape, shape))
        return True


def _smaller(node: Node, shape: Shape) -> Node | None:
    """Return a layer that gives the first rows and columns of its output only."""
    if isinstance(node, Conv2d):
        height, width = _left_out(node.output_shape, shape)
        return replace(
            node,
            bias=_first(node.bias, shape),
            cropped=(node.cropped[0] + height, node.cropped[1] + width),
        )
    if isinstance(node, Add):
        return replace(node, shape=shape)
    if not isinstance(node, Neuron):
        return None
    values = {item.name: getattr(node, item.name) for item in fields(node)}
    arrays: dict[str, Any] = {
        name: _first(value, shape)
        for name, value in values.items()
        if isinstance(value, np.ndarray)
    }
    return replace(node, shape=shape, **arrays)


def _left_out(whole: Shape, shape: Shape) -> tuple[int, int]:
    return whole[1] - shape[1], whole[2] - shape[2]


def _first(values: AnyArray, shape: Shape) -> AnyArray:
    """Return the first rows and columns of values that broadcast."""
    if values.ndim < 2:
        return values
    return values[..., : shape[-2], : shape[-1]]


def _reading(layer: Node, shape: Shape) -> Node | None:
    """Return a layer that does the same with a smaller input, ``None`` if none does."""
    if not isinstance(layer, Conv2d | AvgPool2d):
        return None
    height, width = _extent(layer)
    if height > shape[1] or width > shape[2]:
        return None
    fitting = replace(layer, shape=shape)
    return fitting if fitting.output_shape == layer.output_shape else None
