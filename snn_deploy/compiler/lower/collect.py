"""What reaches each neuron layer: float weights by source, between the neurons."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray, Shape, n_neurons
from snn_deploy.errors import PassError
from snn_deploy.ir.graph import Edge, Graph
from snn_deploy.ir.neurons import Lif, Neuron
from snn_deploy.ir.nodes import Add, Conv2d, Flatten, Input, Linear, Node
from snn_deploy.ir.synapses import ConvSynapses, DenseSynapses, Synapses


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrival:
    """One path from a sender to a neuron layer, with one weight layer on it."""

    layer: Linear | Conv2d
    source: str
    delay: int
    axon_delay: FloatArray  # of the sender's neurons, broadcasts against its shape


def collect(graph: Graph, node: Neuron) -> list[Arrival]:
    """Return everything that reaches ``node``, weighted as its neurons see it.

    The weights and biases include what a spike of the sender is worth, and the input
    gain of ``node``. A path without a weight layer (a residual add) gets one weight for
    each neuron.

    Raises
    ------
    PassError
        If a path has two weight layers, or none and several shapes.
    """
    found = [_gained(_valued(graph, a), node) for a in _paths(graph, node, 0)]
    if np.all(node.current_decay == 1):
        return found
    return _with_bias_as_spikes(found, node, bias_source(graph, node))


def bias_source(graph: Graph, node: Neuron) -> str:
    """Return the name of the neurons that send the bias of ``node`` as spikes."""
    return graph.free_name(f"{node.name}_bias")


def _with_bias_as_spikes(
    arrivals: list[Arrival], node: Neuron, name: str
) -> list[Arrival]:
    """Return the arrivals without biases, and one more that brings their sum.

    The bias of a weight layer enters the synaptic current. Where the current has a
    memory that is not what the chip's bias does, which is added to the voltage; neurons
    that spike at every timestep bring it instead.
    """
    bias = np.sum([a.layer.bias for a in arrivals], axis=0)
    if not np.any(bias):
        return arrivals
    if bias.ndim > 1:
        raise PassError(
            f"{node.name}: the offset of the input acts on a synaptic current that has "
            "a memory, differently at each position; save the model with input_offset=0"
        )
    bare = [
        replace(a, layer=replace(a.layer, bias=np.zeros_like(a.layer.bias)))
        for a in arrivals
    ]
    none = np.zeros_like(bias)
    if len(node.shape) == 1:
        layer: Linear | Conv2d = Linear(
            name=name, weight=bias[:, np.newaxis], bias=none
        )
    else:
        layer = pointwise(name, bias.reshape(-1, 1, 1, 1), (1, *node.shape[1:]), 1)
    late = np.array(0.0)
    return [*bare, Arrival(layer=layer, source=name, delay=0, axon_delay=late)]


def pointwise(name: str, weight: FloatArray, shape: Shape, groups: int) -> Conv2d:
    """Return a convolution that looks at one position only."""
    return Conv2d(
        name=name,
        weight=weight,
        bias=np.zeros(len(weight)),
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=groups,
        shape=shape,
    )


def _paths(graph: Graph, node: Node, delay: int) -> Iterator[Arrival]:
    for edge in graph.edges_into(node):
        source = graph.node(edge.source)
        total = delay + edge.delay
        match source:
            case Add() | Flatten():
                yield from _paths(graph, source, total)
            case Linear() | Conv2d():
                yield from _senders(graph, source, source, total)
            case Input() | Lif():
                yield _unweighted(source, edge, total)
            case _:
                raise PassError(
                    f"{node.name}: cannot be fed by {source.name} "
                    f"({type(source).__name__}); put a weight layer between"
                )


def _senders(
    graph: Graph, node: Node, layer: Linear | Conv2d, delay: int
) -> Iterator[Arrival]:
    for number, edge in enumerate(graph.edges_into(node)):
        source = graph.node(edge.source)
        # the bias comes once, however many senders the layer has
        mine = layer if number == 0 else replace(layer, bias=np.zeros_like(layer.bias))
        match source:
            case Add() | Flatten():
                yield from _senders(graph, source, mine, delay + edge.delay)
            case Input() | Lif():
                total = delay + edge.delay
                yield Arrival(
                    layer=mine,
                    source=source.name,
                    delay=total,
                    axon_delay=_axon_delay(source),
                )
            case _:
                raise PassError(
                    f"{layer.name}: follows {source.name} ({type(source).__name__}) "
                    "without neurons between; merge the two layers into one"
                )


def _unweighted(source: Node, edge: Edge, delay: int) -> Arrival:
    name, shape = f"{edge.source}_to_{edge.target}", source.output_shape
    if len(shape) == 3:
        ones = np.ones((shape[0], 1, 1, 1))
        layer: Linear | Conv2d = pointwise(name, ones, shape, shape[0])
    else:
        size = n_neurons(shape)
        layer = Linear(name=name, weight=np.eye(size), bias=np.zeros(size))
    return Arrival(
        layer=layer, source=source.name, delay=delay, axon_delay=_axon_delay(source)
    )


def _axon_delay(source: Node) -> FloatArray:
    return source.axon_delay if isinstance(source, Lif | Input) else np.array(0.0)


def _valued(graph: Graph, arrival: Arrival) -> Arrival:
    source = graph.node(arrival.source)
    if not isinstance(source, Lif) or source.spike_value == 1:
        return arrival
    weight = arrival.layer.weight * source.spike_value
    return replace(arrival, layer=replace(arrival.layer, weight=weight))


def _gained(arrival: Arrival, node: Neuron) -> Arrival:
    layer = arrival.layer
    gain = per_channel(node.input_gain, node)
    if len(layer.weight) != len(gain):
        raise PassError(
            f"{node.name}: takes the map of {layer.name} in a row, beside something "
            "else; put the flatten behind these neurons"
        )
    rows = gain.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    bias = layer.bias * gain.reshape(-1, *(1,) * (layer.bias.ndim - 1))
    scaled = replace(layer, weight=layer.weight * rows, bias=bias)
    return replace(arrival, layer=scaled)


def per_channel(parameter: FloatArray, node: Node) -> FloatArray:
    """Return a parameter as one value for each channel, ``(channel,)``.

    Raises
    ------
    PassError
        If it differs between the positions of a channel.
    """
    channels = node.output_shape[0]
    values = np.broadcast_to(parameter, node.output_shape).reshape(channels, -1)
    if np.any(values != values[:, :1]):
        raise PassError(
            f"{node.name}: a parameter differs between the positions of a channel; "
            "give one value for each channel"
        )
    return np.array(values[:, 0], np.float64)


def synapses_of(layer: Linear | Conv2d, weights: IntArray) -> Synapses:
    """Return the synapses of a weight layer, its weights in integers."""
    if isinstance(layer, Linear):
        return DenseSynapses(weights=weights)
    return ConvSynapses(
        weights=weights,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        cropped=layer.cropped,
    )
