"""Bring a float graph into a form that NIR can say: sums are edges, gains weights."""

from dataclasses import replace

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.exporters.nir_readers import NirReader, spiking_as
from snn_deploy.ir.graph import Edge, Graph
from snn_deploy.ir.neurons import Lif, Neuron
from snn_deploy.ir.nodes import Add, AvgPool2d, Conv2d, Flatten, Linear, Node

Weights = Linear | Conv2d


def in_common_form(graph: Graph, reader: NirReader | None = None) -> Graph:
    """Return the same function with ``Add``, gains and means moved elsewhere.

    For a reader also thresholds, where it takes one for a layer, and comparisons.

    Raises
    ------
    ModelError
        If a sum cannot be an edge.
    """
    for add in graph.nodes_of(Add):
        graph = _without(graph, add)
    for pool in graph.nodes_of(AvgPool2d):
        graph = _as_sum(graph, pool)
    if reader is not None and reader.one_threshold:
        for spiking in graph.nodes_of(Lif):
            graph = _with_one_threshold(graph, spiking)
    for node in graph.nodes_of(Neuron):
        graph = _with_unit_gain(
            graph, node, is_whole=reader is not None and reader.counts_whole
        )
    return graph if reader is None else spiking_as(graph, reader.comparison)


def _without(graph: Graph, add: Add) -> Graph:
    """Return the graph with the terms of a sum leading to where it leads."""
    before = graph.edges_into(add)
    behind = [edge for edge in graph.edges if edge.source == add.name]
    if not behind or add is graph.output:
        raise ModelError(
            f"{add.name}: the sum is the output, which NIR has no node for; end the "
            "network with neurons or one weight layer"
        )
    edges = [edge for edge in graph.edges if add.name not in (edge.source, edge.target)]
    edges += [
        Edge(source=a.source, target=b.target, delay=a.delay + b.delay)
        for a in before
        for b in behind
    ]
    pairs = [(edge.source, edge.target) for edge in edges]
    for pair in pairs:
        if pairs.count(pair) > 1:
            raise ModelError(
                f"{add.name}: {pair[1]} receives {pair[0]} twice, NIR has one edge "
                "between two nodes; put a layer on one of the ways"
            )
    nodes = tuple(node for node in graph.nodes if node is not add)
    return replace(graph, nodes=nodes, edges=tuple(edges))


def _as_sum(graph: Graph, pool: AvgPool2d) -> Graph:
    """Return the graph with the mean of a pooling moved into the weights behind."""
    layers = _weights_behind(graph, pool)
    if pool.is_sum or layers is None or pool is graph.output:
        return graph
    for layer in layers:
        graph = graph.replace(layer, replace(layer, weight=layer.weight * pool.weight))
    return graph.replace(pool, replace(pool, is_sum=True))


def _weights_behind(graph: Graph, node: Node) -> list[Weights] | None:
    """Return the weight layers that take all of a node's output, if only they do."""
    found: list[Weights] = []
    for target in graph.targets(node):
        if isinstance(target, Flatten):
            behind = _weights_behind(graph, target)
            if behind is None:
                return None
            found += behind
        elif isinstance(target, Linear | Conv2d) and len(graph.sources(target)) == 1:
            found.append(target)
        else:
            return None
    return found or None


def _with_one_threshold(graph: Graph, node: Lif) -> Graph:
    """Return the graph with a threshold of 1, if those of channels differ."""
    layers, threshold = _weights_before(graph, node), _rows(node.threshold, node)
    if layers is None or threshold is None or np.all(threshold == threshold[0]):
        return graph
    graph = _with_rows_times(graph, layers, 1 / threshold)
    by = replace(
        node,
        threshold=np.ones(()),
        **{
            name: getattr(node, name) / node.threshold
            for name in ("reset_amount", "bias", "initial_voltage", "lowest_voltage")
        },
    )
    return replace(graph.replace(node, by), is_on_grid=False)


def _with_unit_gain(graph: Graph, node: Neuron, *, is_whole: bool) -> Graph:
    """Return the graph with gain and bias of neurons moved into the weights before."""
    layers = _weights_before(graph, node)
    unit = np.ones(()) if is_whole else _unit_gain(node)
    factor = _rows(node.input_gain / unit, node)
    if layers is None or factor is None:
        return graph
    graph = _with_rows_times(graph, layers, factor)
    graph = graph.replace(node, replace(node, input_gain=unit))
    first = graph.node(layers[0].name)
    assert isinstance(first, Linear | Conv2d)
    return _with_bias_in(graph, first, node)


def _with_rows_times(graph: Graph, layers: list[Weights], factor: FloatArray) -> Graph:
    """Return the graph with a factor for each channel of what layers give."""
    for layer in layers:
        rows = factor.reshape(-1, *(1,) * (layer.weight.ndim - 1))
        bias = layer.bias * factor.reshape(-1, *(1,) * (layer.bias.ndim - 1))
        scaled = replace(layer, weight=layer.weight * rows, bias=bias)
        graph = graph.replace(layer, scaled)
    return graph


def _with_bias_in(graph: Graph, layer: Weights, old: Neuron) -> Graph:
    """Return the graph with the bias of neurons without a current in a layer's."""
    node = graph.node(old.name)
    assert isinstance(node, Neuron)
    bias = _rows(node.bias / node.input_gain, node)
    has_current = np.any(node.current_decay != 1)
    if not np.any(node.bias) or has_current or rests_where_it_starts(node):
        return graph
    if bias is None or any(e.delay for e in graph.edges_into(node)):
        return graph
    added = layer.bias + bias.reshape(-1, *(1,) * (layer.bias.ndim - 1))
    graph = graph.replace(layer, replace(layer, bias=added))
    return graph.replace(node, replace(node, bias=np.zeros(())))


def _unit_gain(node: Neuron) -> FloatArray:
    """Return the gain of an input that counts as it is: of a voltage, or a current."""
    has_current = np.any(node.current_decay != 1)
    if has_current or np.all(node.voltage_decay == 0):
        return np.ones(())
    return node.voltage_decay


def rests_where_it_starts(node: Neuron) -> bool:
    """Return whether the voltage, without input, stays at its initial value."""
    rest = node.initial_voltage * node.voltage_decay
    return bool(np.allclose(rest, node.bias, rtol=1e-12, atol=0))


def _weights_before(graph: Graph, node: Neuron) -> list[Weights] | None:
    """Return the weight layers that feed a node and nothing else, if only they do."""
    found: list[Weights] = []
    for source in graph.sources(node):
        if not isinstance(source, Linear | Conv2d) or len(graph.targets(source)) != 1:
            return None
        found.append(source)
    return found or None


def _rows(values: FloatArray, node: Node) -> FloatArray | None:
    """Return one value for each channel, if the positions of a channel agree."""
    channels = node.output_shape[0]
    each = np.broadcast_to(values, node.output_shape).reshape(channels, -1)
    return np.array(each[:, 0]) if np.all(each == each[:, :1]) else None
