"""What reaches each neuron layer: float weights by source, between the neurons."""

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray, Shape, n_neurons, row_blocks
from snn_deploy.compiler.lower.compose import Weights
from snn_deploy.errors import PassError
from snn_deploy.ir.floating import over_positions
from snn_deploy.ir.graph import Edge, Graph
from snn_deploy.ir.neurons import Lif, Neuron
from snn_deploy.ir.nodes import (
    Add,
    Conv2d,
    Flatten,
    Input,
    Linear,
    Node,
)
from snn_deploy.ir.scatter import SparseLinear
from snn_deploy.ir.synapses import (
    ConvSynapses,
    DenseSynapses,
    SparseSynapses,
    Synapses,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrival:
    """One path from a sender to a neuron layer, with one weight layer on it."""

    layer: Weights
    source: str
    delay: int
    axon_delay: FloatArray  # of the sender's neurons, broadcasts against its shape

    @property
    def rows(self) -> FloatArray:
        """The weights by channel ``(channel, n)``, filled up with zeros."""
        layer = self.layer
        if not isinstance(layer, SparseLinear):
            return layer.weight.reshape(len(layer.weight), -1)
        channels = channels_of(layer)
        order = np.argsort(channels, kind="stable")
        counts = np.bincount(channels, minlength=layer.onto[0])
        starts = np.cumsum(counts) - counts
        found = np.zeros((layer.onto[0], max(1, int(counts.max(initial=0)))))
        places = np.arange(len(order)) - np.repeat(starts, counts)
        found[channels[order], places] = layer.weight[order]
        return found

    def largest(self, sign: int) -> FloatArray:
        """Return the largest sum of weights of one sign, by channel ``(channel,)``."""
        return self._sums[sign > 0]

    @cached_property
    def _sums(self) -> tuple[FloatArray, FloatArray]:
        return self._sum_of(-1), self._sum_of(1)

    def _sum_of(self, sign: int) -> FloatArray:
        layer = self.layer
        if not isinstance(layer, SparseLinear):
            rows = self.rows
            found = [
                np.maximum(sign * rows[block], 0).sum(axis=1)
                for block in row_blocks(rows)
            ]
            return np.asarray(np.concatenate(found), np.float64)
        weights = np.maximum(sign * layer.weight, 0)
        sums = np.bincount(
            layer.targets.astype(np.int64), weights, minlength=n_neurons(layer.onto)
        )
        return np.asarray(sums.reshape(layer.onto[0], -1).max(axis=1), np.float64)


def channels_of(layer: SparseLinear) -> IntArray:
    """Return the channel that each synapse leads to, ``(n_synapses,)``."""
    size = n_neurons(layer.onto[1:])
    return np.asarray(layer.targets.astype(np.int64) // size, np.int64)


def by_synapse(values: FloatArray, layer: Weights) -> FloatArray:
    """Return values for each channel so that they broadcast against the weights."""
    if isinstance(layer, SparseLinear):
        return np.asarray(values[channels_of(layer)], np.float64)
    return values.reshape(-1, *(1,) * (layer.weight.ndim - 1))


def collect(graph: Graph, node: Neuron) -> list[Arrival]:
    """Return everything that reaches ``node``, weighted as its neurons see it.

    The weights and biases include what a spike of the sender is worth, and the input
    gain of ``node``. A path without a weight layer (a residual add) gets one weight for
    each neuron. Senders of one layer, which a sum of spikes gives it, share the array
    of its weights.

    Raises
    ------
    PassError
        If a path has two weight layers, or none and several shapes.
    """
    known: dict[int, FloatArray] = {}
    valued = [_valued(graph, a) for a in _paths(graph, node, 0)]
    found = [_gained(arrival, node, known) for arrival in valued]
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
    biases = [over_positions(a.layer.bias, node) for a in arrivals]
    bias: FloatArray = np.asarray(np.sum(biases, axis=0), np.float64)
    if not np.any(bias):
        return arrivals
    bare = [
        replace(a, layer=replace(a.layer, bias=np.zeros_like(a.layer.bias)))
        for a in arrivals
    ]
    positions = (1, *node.shape[1:])
    if len(node.shape) == 1:
        none = np.zeros_like(bias)
        layer: Weights = Linear(name=name, weight=bias[:, np.newaxis], bias=none)
    elif bias[0].size == 1:
        layer = pointwise(name, bias.reshape(-1, 1, 1, 1), positions, 1)
    else:  # each position has its own
        layer = SparseLinear(
            name=name,
            weight=np.broadcast_to(bias, node.shape).ravel(),
            targets=np.arange(n_neurons(node.shape), dtype=np.float64),
            sources=np.tile(
                np.arange(n_neurons(positions), dtype=np.float64), node.shape[0]
            ),
            bias=np.zeros(node.shape[0]),
            shape=positions,
            onto=node.shape,
        )
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
            case Linear() | Conv2d() | SparseLinear():
                yield from _senders(graph, source, source, total)
            case Input() | Lif():
                yield _unweighted(source, edge, total)
            case _:
                raise PassError(
                    f"{node.name}: cannot be fed by {source.name} "
                    f"({type(source).__name__}); put a weight layer between"
                )


def _senders(graph: Graph, node: Node, layer: Weights, delay: int) -> Iterator[Arrival]:
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
        layer: Weights = pointwise(name, ones, shape, shape[0])
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


def _gained(
    arrival: Arrival, node: Neuron, known: MutableMapping[int, FloatArray]
) -> Arrival:
    layer = arrival.layer
    gain = per_channel(node.input_gain, node)
    if layer.output_shape[0] != len(gain):
        raise PassError(
            f"{node.name}: takes the map of {layer.name} in a row, beside something "
            "else; put the flatten behind these neurons"
        )
    bias = layer.bias * gain.reshape(-1, *(1,) * (layer.bias.ndim - 1))
    if np.all(gain == 1):
        return replace(arrival, layer=replace(layer, bias=bias))
    before = layer.weight
    weight = known.get(id(before))
    if weight is None:
        weight = before * by_synapse(gain, layer)
    scaled = replace(layer, weight=weight, bias=bias)
    known[id(before)] = scaled.weight
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


def synapses_of(layer: Weights, weights: IntArray) -> Synapses:
    """Return the synapses of a weight layer, its weights in integers."""
    if isinstance(layer, Linear):
        return DenseSynapses(weights=weights)
    if isinstance(layer, SparseLinear):
        return SparseSynapses(
            weights=weights,
            targets=layer.targets.astype(np.int64),
            sources=layer.sources.astype(np.int64),
            size=(n_neurons(layer.onto), n_neurons(layer.shape)),
        )
    return ConvSynapses(
        weights=weights,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        cropped=layer.cropped,
    )
