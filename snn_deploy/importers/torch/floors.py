"""Can a voltage fall so low that a framework cuts it off? Bounds from the weights.

Where it cannot, neurons go without a lowest voltage, so that every target has them.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.ir.floating import batch_norm, placed, weighted
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Lif, Neuron, Qcfs, Relu
from snn_deploy.ir.nodes import BatchNorm, Conv2d, Input, Linear, Node, Pool2d
from snn_deploy.ir.scatter import (
    Channels,
    ConvTranspose2d,
    Section,
    SparseLinear,
    Upsample2d,
)

Range = tuple[FloatArray, FloatArray]  # lowest and highest, of the layer's shape


def keep_floors(graph: Graph, floors: Mapping[str, FloatArray]) -> Graph:
    """Return the graph with the lowest voltages that its neurons can fall below.

    Parameters
    ----------
    graph : Graph
    floors : mapping
        The lowest voltage of each layer that has one, by name.

    Raises
    ------
    ModelError
        If a voltage that is read out can fall below its lowest.
    """
    if not floors:
        return graph
    whole = graph
    ranges: dict[str, Range] = {
        node.name: (np.zeros(node.shape), np.full(node.shape, _most(node)))
        for node in graph.nodes_of(Lif)
    }
    for node in graph.order:
        if isinstance(node, Input):
            ranges[node.name] = _of_input(graph, node)
            continue
        arriving = _sum_of(node, [ranges[s.name] for s in graph.sources(node)])
        ranges[node.name] = _through(node, arriving)
        if node.name in floors and isinstance(node, Neuron):
            floor = floors[node.name]
            if np.any(_lowest_voltage(node, arriving[0]) < floor):
                whole = whole.replace(node, by=_cut_off(node, floor))
    return whole


def _most(node: Lif) -> float:
    return node.spike_value * node.max_spikes


def _cut_off(node: Neuron, floor: FloatArray) -> Neuron:
    if isinstance(node, Lif):
        return replace(node, lowest_voltage=floor)
    raise ModelError(
        f"{node.name}: min_v_mem is {float(np.max(floor)):g}, which cannot be deployed "
        "in neurons whose voltage is read out, before it is cut off; train with "
        "min_v_mem=None"
    )


def _lowest_voltage(node: Neuron, arriving: FloatArray) -> FloatArray:
    current = _forever(node.input_gain * arriving, node.current_decay)
    return _forever(current + np.minimum(node.bias, 0), node.voltage_decay)


def _forever(flow: FloatArray, decay: FloatArray) -> FloatArray:
    """Return how low a state falls that gets ``flow`` at every timestep, at most 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(flow < 0, flow / decay, 0.0))


def _of_input(graph: Graph, node: Input) -> Range:
    training = graph.training
    most = training.largest_value / training.encoding.unit * training.input_scale
    ends = (training.input_offset, training.input_offset + most)
    return np.full(node.shape, min(ends)), np.full(node.shape, max(ends))


def _sum_of(node: Node, ranges: list[Range]) -> Range:
    zero = np.zeros(node.input_shape)
    low = sum((r[0] for r in ranges), start=zero)
    return low, sum((r[1] for r in ranges), start=zero)


def _through(node: Node, arriving: Range) -> Range:
    """Return what a layer gives for what arrives."""
    low, high = arriving
    match node:
        case Linear() | Conv2d() | ConvTranspose2d() | SparseLinear():
            return _weighted(node, low, high)
        case Channels() | Section() | Upsample2d():
            return placed(node, low[np.newaxis])[0], placed(node, high[np.newaxis])[0]
        case BatchNorm():
            ends = [batch_norm(node, end[np.newaxis])[0] for end in (low, high)]
            return np.minimum(*ends), np.maximum(*ends)
        case Pool2d():
            size = node.kernel[0] * node.kernel[1]
            return _everywhere(node, low.min() * size), _everywhere(
                node, high.max() * size
            )
        case Qcfs():
            return np.zeros(node.shape), np.full(node.shape, node.threshold)
        case Relu():
            return np.zeros(node.shape), np.full(node.shape, node.maximum)
        case Lif():
            return np.zeros(node.shape), _sent(node, high)
    shape = node.output_shape
    return low.reshape(shape), high.reshape(shape)


def _everywhere(node: Pool2d, value: float) -> FloatArray:
    """Return bounds of any window, of which values outside of the input are 0."""
    return np.full(node.output_shape, value)


def _sent(node: Lif, arriving: FloatArray) -> FloatArray:
    """Return the most that neurons send in a timestep: what brings them down again."""
    most = np.full(node.shape, float(node.max_spikes))
    if node.max_spikes > 1:
        flow = np.maximum(node.input_gain * arriving, 0) + np.maximum(node.bias, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            current = np.where(flow > 0, flow / node.current_decay, 0.0)
        most = np.minimum(most, np.floor(current / node.reset_amount) + 1)
    return np.asarray(most * node.spike_value)


def _weighted(
    node: Linear | Conv2d | ConvTranspose2d | SparseLinear,
    low: FloatArray,
    high: FloatArray,
) -> Range:
    none = np.zeros_like(node.bias)
    up = replace(node, weight=np.maximum(node.weight, 0))
    down = replace(node, weight=np.minimum(node.weight, 0), bias=none)
    ends = low[np.newaxis], high[np.newaxis]
    return (
        (weighted(up, ends[0]) + weighted(down, ends[1]))[0],
        (weighted(up, ends[1]) + weighted(down, ends[0]))[0],
    )
