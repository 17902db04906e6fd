"""How many connections there are, and how many of them have a weight that is not 0."""

import numpy as np

from snn_deploy.arrays import AnyArray, IntArray
from snn_deploy.ir.mapped import meetings
from snn_deploy.ir.quantized import Projection, QuantizedGraph
from snn_deploy.ir.synapses import ConvSynapses, DenseSynapses


def n_connections(graph: QuantizedGraph) -> int:
    """Return the connections of all neurons, weights of 0 too."""
    return sum(int(connections(graph, p).sum()) for p in graph.projections)


def connections(graph: QuantizedGraph, projection: Projection) -> IntArray:
    """Return the connections of each source neuron ``(n_sources,)``, weights of 0 too.

    A convolution reads nothing outside of its input.
    """
    return _connected(graph, projection, np.ones_like(projection.synapses.weights))


def effective_connections(graph: QuantizedGraph, projection: Projection) -> IntArray:
    """Return those of each source neuron whose weight is not 0, ``(n_sources,)``."""
    return _connected(graph, projection, projection.synapses.weights != 0)


def _connected(
    graph: QuantizedGraph, projection: Projection, counted: AnyArray
) -> IntArray:
    """Return how many of the counted weights each source neuron has."""
    synapses = projection.synapses
    n = np.asarray(counted, np.int64)
    if isinstance(synapses, DenseSynapses):
        per_source: IntArray = n.sum(axis=0)
        return per_source
    if isinstance(synapses, ConvSynapses):
        return _convolved(graph, projection, synapses, n)
    found = np.zeros(synapses.size[1], np.int64)
    np.add.at(found, synapses.sources, n)
    return found


def _convolved(
    graph: QuantizedGraph, projection: Projection, synapses: ConvSynapses, n: IntArray
) -> IntArray:
    shape = graph.shape_of(projection.source)
    out_shape = synapses.output_shape(shape)
    assert out_shape is not None  # the graph has checked it
    groups = n.reshape(synapses.groups, -1, *n.shape[1:])
    kernels = groups.sum(axis=1).reshape(shape[0], *n.shape[2:])  # of each channel
    rows, columns = (meetings(synapses, shape, out_shape, axis) for axis in (0, 1))
    n_in, height, width = kernels.shape
    along = kernels.reshape(n_in * height, width) @ columns  # of each row of a kernel
    along = along.reshape(n_in, height, -1).transpose(0, 2, 1).reshape(-1, height)
    found: IntArray = (along @ rows).reshape(n_in, shape[2], shape[1])
    return np.ascontiguousarray(found.transpose(0, 2, 1)).reshape(-1)
