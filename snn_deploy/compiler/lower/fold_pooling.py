"""Fold each average pooling into the weights behind it: it has no neurons."""

import logging
from dataclasses import replace

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.compiler.lower.crop import crop
from snn_deploy.errors import PassError
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Neuron
from snn_deploy.ir.nodes import Add, AvgPool2d, Conv2d, Flatten, Linear, Node

logger = logging.getLogger(__name__)


def fold_pooling(graph: Graph) -> Graph:
    """Return the same function without average pooling.

    A convolution behind a pooling is one convolution with a larger kernel and stride; a
    linear layer behind it has each weight once for every position of the window. A
    pooling that feeds neurons becomes a convolution of each channel by itself. Where a
    convolution behind pads the pooled map, neurons that no window reads are left out:
    the larger kernel would read them instead of zeros.

    Raises
    ------
    PassError
        If the layer behind pads the pooled map, and its larger kernel would read there
        what is not 0, or the pooling feeds something else.
    """
    names = [pool.name for pool in graph.nodes_of(AvgPool2d)]
    for pool in graph.nodes_of(AvgPool2d):
        graph = _beside_weights(graph, pool)
    while pools := graph.nodes_of(AvgPool2d):
        graph = _folded(graph, pools[0])
    logger.info("folded %d average poolings", len(names))
    return graph


def _beside_weights(graph: Graph, pool: AvgPool2d) -> Graph:
    """Return the graph with a convolution for neurons and sums that a pooling feeds."""
    targets = graph.targets(pool)
    fed = {t.name for t in targets if isinstance(t, Neuron | Add)}
    for target in targets:
        if isinstance(target, Add):
            _check_sum(graph, pool, target)
    if len(fed) == len({t.name for t in targets}):
        return graph.replace(pool, by=_as_convolution(pool))
    if not fed:
        return graph
    name = f"{pool.name}_beside"
    while name in {node.name for node in graph.nodes}:
        name += "_again"
    mine = replace(_as_convolution(pool), name=name)
    edges = tuple(
        replace(e, source=mine.name) if e.source == pool.name and e.target in fed else e
        for e in graph.edges
    )
    more = tuple(replace(e, target=mine.name) for e in graph.edges_into(pool))
    return replace(graph, nodes=(*graph.nodes, mine), edges=(*edges, *more))


def _check_sum(graph: Graph, pool: AvgPool2d, total: Add | Flatten) -> None:
    """Raise an error if other layers weigh a sum of pooled spikes once more."""
    for target in graph.targets(total):
        if isinstance(target, Add | Flatten):
            _check_sum(graph, pool, target)
        elif not isinstance(target, Neuron):
            raise PassError(
                f"{pool.name}: gives means to the sum {total.name}, which "
                f"{target.name} ({type(target).__name__}) weighs; put neurons behind "
                "the pooling or behind the sum, as in x = sn(pool(x))"
            )


def _folded(graph: Graph, pool: AvgPool2d) -> Graph:
    behind = graph.targets(pool)
    if any(_misread(pool, t) for t in behind if isinstance(t, Conv2d)):
        graph = crop(graph, graph.sources(pool)[0])
        cropped = graph.node(pool.name)
        assert isinstance(cropped, AvgPool2d)
        pool = cropped
    return _without(graph, pool, _layers_behind(graph, pool))


def _layers_behind(graph: Graph, pool: AvgPool2d) -> dict[str, Node]:
    """Return the layers that take over the pooling, by the name they replace."""
    found: dict[str, Node] = {}
    for target in graph.targets(pool):
        if isinstance(target, Conv2d):
            found[target.name] = _wider(pool, target)
        elif isinstance(target, Flatten):
            found[target.name] = replace(target, shape=pool.shape)
            for layer in graph.targets(target):
                found[layer.name] = _spread(pool, layer)
        else:
            raise PassError(
                f"{pool.name}: feeds {target.name} ({type(target).__name__}) beside "
                "other layers; give it a pooling of its own"
            )
    return found


def _without(graph: Graph, pool: AvgPool2d, layers: dict[str, Node]) -> Graph:
    nodes = tuple(layers.get(n.name, n) for n in graph.nodes if n is not pool)
    source = graph.sources(pool)[0].name
    edges = tuple(
        replace(edge, source=source) if edge.source == pool.name else edge
        for edge in graph.edges
        if edge.target != pool.name
    )
    return replace(graph, nodes=nodes, edges=edges)


def _wider(pool: AvgPool2d, layer: Conv2d) -> Conv2d:
    """Return the convolution that does what pooling and ``layer`` do."""
    n_misread = _misread(pool, layer)
    if n_misread:
        raise PassError(
            f"{layer.name}: pads the output of {pool.name}, whose windows of "
            f"{pool.kernel} every {pool.stride} over {pool.shape[1:]} would read "
            f"{n_misread} rows or columns of neurons there instead of zeros; use "
            "windows as large as their stride, an input size that they divide, or no "
            "padding"
        )
    n_out, n_in, height, width = layer.weight.shape
    step = tuple(d * s for d, s in zip(layer.dilation, pool.stride, strict=True))
    size = (
        (height - 1) * step[0] + pool.kernel[0],
        (width - 1) * step[1] + pool.kernel[1],
    )
    weight = np.zeros((n_out, n_in, *size))
    for row in range(height):
        for column in range(width):
            top, left = row * step[0], column * step[1]
            window = (
                slice(top, top + pool.kernel[0]),
                slice(left, left + pool.kernel[1]),
            )
            weight[(..., *window)] += layer.weight[:, :, row, column, None, None]
    return replace(
        layer,
        weight=weight * pool.weight,
        stride=_times(layer.stride, pool.stride),
        padding=(
            layer.padding[0] * pool.stride[0] + pool.padding[0],
            layer.padding[1] * pool.stride[1] + pool.padding[1],
        ),
        dilation=(1, 1),
        shape=pool.shape,
    )


def _misread(pool: AvgPool2d, layer: Conv2d) -> int:
    """Return how many rows or columns the larger kernel would read for zeros.

    Where ``layer`` pads, its kernel lies beside the pooled map. The larger one lies
    beside the input then, unless windows overlap the edge, or leave a rest behind them.
    """
    worst = 0
    for axis in (0, 1):
        size, kernel, step = pool.shape[1 + axis], pool.kernel[axis], pool.stride[axis]
        n_pooled, margin = pool.output_shape[1 + axis], pool.padding[axis]
        last = (
            (layer.output_shape[1 + axis] - 1) * layer.stride[axis]
            - layer.padding[axis]
            + (layer.weight.shape[2 + axis] - 1) * layer.dilation[axis]
        )
        if layer.padding[axis]:
            worst = max(worst, kernel - step - margin)
        if last >= n_pooled:
            worst = max(worst, size - (n_pooled * step - margin))
    return worst


def _times(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    return a[0] * b[0], a[1] * b[1]


def _spread(pool: AvgPool2d, layer: Node) -> Linear:
    """Return the linear layer that takes the input of the pooling."""
    if not isinstance(layer, Linear):
        raise PassError(
            f"{pool.name}: feeds {layer.name} ({type(layer).__name__}) through a "
            "flatten; only a Linear can take a pooling that is flattened"
        )
    pooled = layer.weight.reshape(-1, *pool.output_shape)
    channels, *size = pool.shape
    around = [s + 2 * p for s, p in zip(size, pool.padding, strict=True)]
    weight: FloatArray = np.zeros((len(pooled), channels, *around))
    _, height, width = pool.output_shape
    for row in range(pool.kernel[0]):
        for column in range(pool.kernel[1]):
            rows = slice(row, row + (height - 1) * pool.stride[0] + 1, pool.stride[0])
            columns = slice(
                column, column + (width - 1) * pool.stride[1] + 1, pool.stride[1]
            )
            weight[:, :, rows, columns] += pooled
    top, left = pool.padding
    inside = weight[:, :, top : top + size[0], left : left + size[1]]
    return replace(layer, weight=inside.reshape(len(pooled), -1) * pool.weight)


def _as_convolution(pool: AvgPool2d) -> Conv2d:
    channels = pool.shape[0]
    return Conv2d(
        name=pool.name,
        weight=np.full((channels, 1, *pool.kernel), pool.weight),
        bias=np.zeros(channels),
        stride=pool.stride,
        padding=pool.padding,
        dilation=(1, 1),
        groups=channels,
        shape=pool.shape,
    )
