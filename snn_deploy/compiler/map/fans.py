"""Synapses onto one neuron, and from one neuron: limits that no cut changes."""

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.chip.neurocore import FAN_IN, FAN_OUT, NeurocoreLimits
from snn_deploy.ir.mapped import taps
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph
from snn_deploy.ir.synapses import ConvSynapses, DenseSynapses

INTO, FROM = 0, 1  # which end of a projection


def fan_limits(limits: NeurocoreLimits) -> dict[str, int]:
    """Return the limits of a neuron's synapses that a target has."""
    found = {FAN_IN: limits.fan_in, FAN_OUT: limits.fan_out}
    return {what: limit for what, limit in found.items() if limit is not None}


def largest_fans(
    graph: QuantizedGraph, population: Population, limits: NeurocoreLimits
) -> dict[str, int]:
    """Return the most synapses of a neuron, stored zeros included, where limited.

    Those of all projections together; the input's neurons, which lie on no neurocore,
    have no fan-out.
    """
    ends = {
        FAN_IN: (INTO, graph.projections_into(population)),
        FAN_OUT: (
            FROM,
            [p for p in graph.projections if p.source == population.name],
        ),
    }
    found = {}
    for what in fan_limits(limits):
        end, projections = ends[what]
        total: IntArray = np.zeros((1,) * 3, np.int64)
        for projection in projections:
            total = _add(total, _synapses(graph, projection, end), population.size)
        found[what] = int(total.max())
    return found


def _add(one: IntArray, other: IntArray, size: int) -> IntArray:
    """Return a sum of values of neurons, as small as it can be.

    A layer whose channels are alike has one row of them, and one whose neurons are
    alike one value.
    """
    if one.size == 1 or other.size == 1 or one.shape[1:] == other.shape[1:]:
        return one + other
    return _all(one, size) + _all(other, size)


def _all(values: IntArray, size: int) -> IntArray:
    n_channels = size // values.size * len(values)
    every = np.broadcast_to(values, (n_channels, *values.shape[1:]))
    return every.reshape(1, 1, size)


def _synapses(graph: QuantizedGraph, projection: Projection, end: int) -> IntArray:
    """Return the synapses of each neuron at one end, 3 axes; see ``_add``."""
    synapses = projection.synapses
    if isinstance(synapses, DenseSynapses):
        return np.full((1,) * 3, synapses.weights.shape[1 - end])
    if isinstance(synapses, ConvSynapses):
        shape = graph.shape_of(projection.source)
        out_shape = synapses.output_shape(shape)
        assert out_shape is not None  # the graph has checked it
        n_out, n_in = synapses.weights.shape[:2]
        n_channels = n_in if end == INTO else n_out // synapses.groups
        rows, columns = (
            np.asarray(taps(synapses, shape, out_shape, axis).sum(axis=end))
            for axis in (0, 1)
        )
        found: IntArray = n_channels * np.multiply.outer(rows, columns)[np.newaxis]
        return found
    places = (synapses.targets, synapses.sources)[end]
    size = synapses.size[end]
    return np.bincount(places, minlength=size).reshape(1, 1, size)
