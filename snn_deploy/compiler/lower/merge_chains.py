"""Merge layers that have no neurons between them: a neuron's synapses are one sum."""

import logging
from collections.abc import Collection, Iterator
from dataclasses import replace

import networkx as nx
import numpy as np

from snn_deploy.compiler.lower.compose import (
    Weights,
    added,
    as_weights,
    composed,
    misread,
)
from snn_deploy.compiler.lower.crop import crop
from snn_deploy.errors import PassError
from snn_deploy.ir.graph import Edge, Graph
from snn_deploy.ir.neurons import Neuron
from snn_deploy.ir.nodes import (
    Add,
    Conv2d,
    Flatten,
    Linear,
    Node,
    affine,
)
from snn_deploy.ir.scatter import ConvTranspose2d, SparseLinear
from snn_deploy.names import free_name

logger = logging.getLogger(__name__)
Way = tuple[Node, int]  # where what a layer sums comes from, timesteps before


def merge_chains(graph: Graph) -> Graph:
    """Return the same function with one weight layer at most between neurons.

    Average poolings, normalizations, concatenations and upsamplings become weights as
    well, and layers in a row one: a convolution of a convolution has a larger kernel
    and stride, a linear layer behind a pooling each weight once for every position of
    the window. Where a convolution pads the map of the one before it, neurons that no
    window reads are left out; where that is not enough, both become single synapses.

    Raises
    ------
    PassError
        If layers form a loop without neurons, or they become too many single synapses.
    """
    names = {n.name for n in graph.nodes if isinstance(n, _TRAINED)}
    graph = _with_weights_behind_the_input(graph)
    for node in graph.nodes:
        weights = as_weights(node)
        if weights is not None and weights is not node:
            graph = graph.replace(node, by=weights)
    order = _order(graph)
    for name in order:
        graph = _merged(graph, name, names)
    if not graph.is_on_grid:  # where a sum of weights may leave the grid
        graph = _with_parallel_added(graph, names)
    logger.info("merged the chains of %d weight layers", len(order))
    return graph


def grown(before: Graph, after: Graph) -> Iterator[tuple[str, int, int]]:
    """Yield the layers that merging gave more weights: name, and weights then and now.

    Parameters
    ----------
    before, after : Graph
        The graph that was given, and one behind ``merge_chains``.
    """
    trained = {n.name: n.weight.size for n in before.nodes if isinstance(n, _TRAINED)}
    for node in after.nodes:
        if isinstance(node, Weights):
            names = {node.name, *node.name.split("+")} & {*trained}
            n_before = sum(trained[name] for name in names)
            if 0 < n_before < node.weight.size:
                yield node.name, n_before, node.weight.size


_TRAINED = (Linear, Conv2d, ConvTranspose2d, SparseLinear)  # whose names users know


def _with_weights_behind_the_input(graph: Graph) -> Graph:
    """Return the graph in which weights of 1 are where the input has none before it.

    They take up its scale and offset.
    """
    start = graph.input
    for edge in graph.edges:
        if edge.source == start.name and _adds_up(graph, graph.node(edge.target)):
            name = graph.free_name(f"{edge.source}_to_{edge.target}")
            one = affine(name, start.shape, np.array(1.0), np.array(0.0))
            others = tuple(e for e in graph.edges if e is not edge)
            mine = replace(edge, target=name), Edge(source=name, target=edge.target)
            graph = replace(graph, nodes=(*graph.nodes, one), edges=(*others, *mine))
    return graph


def _adds_up(graph: Graph, node: Node) -> bool:
    if isinstance(node, Flatten):
        return any(_adds_up(graph, target) for target in graph.targets(node))
    return isinstance(node, Neuron | Add)


def _order(graph: Graph) -> list[str]:
    """Return the names of the weight layers, each behind those that feed it."""
    between: nx.DiGraph[str] = nx.DiGraph()
    kinds = (Weights, Add | Flatten)
    inner = {n.name: n for n in graph.order if isinstance(n, kinds)}
    between.add_nodes_from(inner)
    between.add_edges_from(
        (e.source, e.target) for e in graph.edges if {e.source, e.target} <= {*inner}
    )
    try:
        names = list(nx.topological_sort(between))
    except nx.NetworkXUnfeasible:
        loop = " -> ".join(source for source, _ in nx.find_cycle(between))
        raise PassError(f"{loop}: a loop without neurons; put some into it") from None
    return [name for name in names if isinstance(inner[name], Weights)]


def _with_parallel_added(graph: Graph, trained: Collection[str]) -> Graph:
    """Return the graph in which layers from one sender to one sum are one layer.

    Two that were trained stay two: each has a grid of its own for its weights.
    """
    layers: dict[tuple[frozenset[tuple[str, int]], ...], Weights] = {}
    for node in graph.nodes:
        if not isinstance(node, Weights):
            continue
        before = [(e.source, e.delay) for e in graph.edges_into(node)]
        behind = [(e.target, e.delay) for e in graph.edges if e.source == node.name]
        key = (frozenset(before), frozenset(behind))
        one = layers.get(key)
        both = added(one, node) if one is not None else None
        is_single = len({*before}) == len(before) and len({*behind}) == len(behind)
        is_own = one is not None and {one.name, node.name} <= {*trained}
        if one is None or both is None or not is_single or is_own:
            layers[key] = node
            continue
        graph = _without(graph, node).replace(one, by=both)
        layers[key] = both
    return graph


def _without(graph: Graph, node: Node) -> Graph:
    edges = [e for e in graph.edges if node.name not in (e.source, e.target)]
    nodes = [n for n in graph.nodes if n is not node]
    return replace(graph, nodes=tuple(nodes), edges=tuple(edges))


def _ways(graph: Graph, node: Node) -> Iterator[Way]:
    for edge in graph.edges_into(node):
        source = graph.node(edge.source)
        if isinstance(source, Add | Flatten):
            for end, delay in _ways(graph, source):
                yield end, delay + edge.delay
        else:
            yield source, edge.delay


def _merged(graph: Graph, name: str, trained: set[str]) -> Graph:
    """Return the graph in which only neurons feed the layers that ``name`` becomes."""
    ways = list(_ways(graph, graph.node(name)))
    firsts = dict.fromkeys(end.name for end, _ in ways if isinstance(end, Weights))
    is_shared = len(ways) > 1 and any(end is graph.input for end, _ in ways)
    if not firsts and not is_shared:
        return graph
    for first in firsts:
        graph = _cropped(graph, first, name)
    second = graph.node(name)
    assert isinstance(second, Weights)
    ways = list(_ways(graph, second))
    merging = _Merging(graph, second, trained)
    for end, delay in ways:
        merging.add(end, delay)
    return merging.result()


def _cropped(graph: Graph, first: str, second: str) -> Graph:
    """Return the graph without neurons that would be read instead of zeros."""
    one, other = graph.node(first), graph.node(second)
    if not (isinstance(one, Conv2d) and isinstance(other, Conv2d)):
        return graph
    sources = graph.sources(one)
    if not misread(one, other) or len(sources) != 1:
        return graph
    cropped = crop(graph, sources[0])
    smaller = cropped.node(first)
    assert isinstance(smaller, Conv2d)
    return graph if misread(smaller, other) else cropped


class _Merging:
    """The layers and edges that take the place of one layer."""

    def __init__(self, graph: Graph, second: Weights, trained: set[str]) -> None:
        self.graph = graph
        self.second = second
        self.trained = trained
        self.nodes: dict[str, Node] = {}  # by the name of what was in front
        self.edges: list[Edge] = []
        self.has_bias = False

    def add(self, end: Node, delay: int) -> None:
        """Add what reaches the layer from ``end``."""
        if not isinstance(end, Weights):
            # the input has a scale, so that its weights become others
            key = end.name if end is self.graph.input else ""
            self._lead(end, self._layer(key, end), delay)
            return
        if delay and np.any(end.bias):
            raise PassError(
                f"{self.second.name}: gets the bias of {end.name} {delay} timesteps "
                "late, and no neurons are between them; put some there"
            )
        layer = self._layer(end.name, end)
        for edge in self.graph.edges_into(end):
            self._lead(self.graph.node(edge.source), layer, delay + edge.delay)

    def _layer(self, before: str, end: Node) -> Node:
        """Return what stands for the layer and, if any, the one before it."""
        if before not in self.nodes:
            second = self.second
            if self.has_bias:  # it comes once
                second = replace(second, bias=np.zeros_like(second.bias))
            self.has_bias = True
            layer = composed(end, second) if isinstance(end, Weights) else second
            taken = {n.name for n in self.graph.nodes} - {self.second.name}
            taken -= {before} if len(self.graph.targets(end)) == 1 else set()
            taken |= {node.name for node in self.nodes.values()}
            name = free_name(self._name(before), taken)
            if {before, second.name} & self.trained:
                self.trained.add(name)
            self.nodes[before] = replace(layer, name=name)
            if isinstance(layer, SparseLinear) and isinstance(second, Conv2d):
                n = layer.weight.size
                logger.info(f"{name}: {n:,} single synapses, {n:,} bytes of weights")
        return self.nodes[before]

    def _name(self, before: str) -> str:
        """Return the name of both: that of what was trained, or of the second."""
        mine = self.second.name
        if before in self.trained:
            return f"{before}+{mine}" if mine in self.trained else before
        return mine

    def _lead(self, source: Node, layer: Node, delay: int) -> None:
        name = source.name
        if source.output_shape != layer.input_shape:
            name = self._flat(source)
        edge = Edge(source=name, target=layer.name, delay=delay)
        self.edges.append(edge)

    def _flat(self, source: Node) -> str:
        key = f"{source.name}/flat"
        if key not in self.nodes:
            name = self._flat_name(source)
            self.nodes[key] = Flatten(name=name, shape=source.output_shape)
            self.edges.append(Edge(source=source.name, target=name))
        return self.nodes[key].name

    def _flat_name(self, source: Node) -> str:
        """Return the name of the flatten before the layer, if it goes, or another."""
        taken = {node.name for node in self.nodes.values()}
        for before in self.graph.sources(self.second):
            goes = isinstance(before, Flatten) and len(self.graph.targets(before)) == 1
            if goes and before.name not in taken:
                return before.name
        taken |= {node.name for node in self.graph.nodes}
        return free_name(f"{source.name}_flat", taken)

    def result(self) -> Graph:
        """Return the graph with them, and without layers that nothing reads."""
        mine, graph = self.second.name, self.graph
        new = list(self.nodes.values())
        layers = [node for node in new if not isinstance(node, Flatten)]
        behind = [e for e in graph.edges if e.source == mine]
        edges = [e for e in graph.edges if mine not in (e.source, e.target)]
        read = {edge.source for edge in self.edges} - {node.name for node in new}
        read |= {graph.output.name}
        while idle := _idle(graph, edges, read):
            edges = [e for e in edges if e.target not in idle]
        kept = {e.source for e in edges} | {e.target for e in edges} | read
        nodes = [
            replacement
            for node in graph.nodes
            for replacement in (new if node is self.second else [node])
            if replacement is not node or node.name in kept
        ]
        onward = [replace(e, source=n.name) for n in layers for e in behind]
        return replace(graph, nodes=tuple(nodes), edges=(*edges, *self.edges, *onward))


def _idle(graph: Graph, edges: list[Edge], read: set[str]) -> set[str]:
    """Return the layers that lead nowhere, of those that edges lead to."""
    ends = {e.target for e in edges} - {e.source for e in edges} - read
    kinds = (Weights, Add | Flatten)
    return {name for name in ends if isinstance(graph.node(name), kinds)}
