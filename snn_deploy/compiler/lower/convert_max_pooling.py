"""Turn each max pooling of spikes into neurons: one spikes when any input does."""

import logging
from dataclasses import replace

import numpy as np

from snn_deploy.compiler.lower.largest_current import takes_currents, with_differences
from snn_deploy.errors import PassError
from snn_deploy.ir.graph import Edge, Graph
from snn_deploy.ir.neurons import memoryless
from snn_deploy.ir.nodes import Add, Conv2d, MaxPool2d, Node
from snn_deploy.ir.spike_values import possible_values, worth

logger = logging.getLogger(__name__)
MOST_LEVELS = 16  # neurons for each pooled value


def convert_max_pooling(graph: Graph) -> Graph:
    """Return the same function without max pooling.

    The maximum of spikes that are all worth the same is a spike where any input
    spikes: neurons without memory, to each of which one input spike suffices. That of a
    sum of n spikes are n such spikes: of where one arrives at least, two at least, ...

    Raises
    ------
    PassError
        If what is pooled are no such spikes.
    """
    pools = [node for node in graph.order if isinstance(node, MaxPool2d)]
    for pool in pools:
        if takes_currents(graph, pool):
            graph = with_differences(graph, pool)
            continue
        unit, n_levels = _levels(graph, pool)
        graph = _converted(graph, pool, unit, n_levels)
    logger.info("converted %d max poolings", len(pools))
    return graph


def _levels(graph: Graph, pool: MaxPool2d) -> tuple[float, int]:
    """Return what a pooled spike is worth, and how many may arrive as a sum."""
    training, sources = graph.training, graph.sources(pool)
    is_binary = training.largest_value == 1 and not training.input_offset
    of_input = frozenset({0.0, training.input_scale}) if is_binary else None
    values = possible_values(pool, graph.sources, of_input)
    found = worth(values) if values is not None else None
    if found is None:
        raise PassError(
            f"{pool.name}: max pooling of {_pooled(sources)} is not the spike of any; "
            "only neurons that spike at most once in a timestep can be pooled so, "
            "or sums of spikes that are worth the same; use AvgPool2d, or pool what "
            "neurons send"
        )
    if found[1] > MOST_LEVELS:
        raise PassError(
            f"{pool.name}: max pooling of {_pooled(sources)}, a sum of up to "
            f"{found[1]} spikes, takes as many neurons for each window, allowed are "
            f"{MOST_LEVELS}; put neurons behind the sum"
        )
    return found


def _pooled(sources: tuple[Node, ...]) -> str:
    return ", ".join(f"{s.name} ({type(s).__name__})" for s in sources)


def _converted(graph: Graph, pool: MaxPool2d, unit: float, n_levels: int) -> Graph:
    total = Add(name=pool.name, shape=pool.output_shape)
    nodes: list[Node] = [node for node in graph.nodes if node is not pool]
    edges = [edge for edge in graph.edges if edge.target != pool.name]
    before = graph.edges_into(pool)
    for level in range(1, n_levels + 1):
        name = pool.name if n_levels == 1 else graph.free_name(f"{pool.name}_{level}")
        window = _window(pool, graph.free_name(f"{name}_window"))
        threshold = np.array(unit / 2)
        pooled = memoryless(name, pool.output_shape, threshold, unit)
        nodes += [window, pooled]
        edges.append(Edge(source=window.name, target=name))
        entry = window.name
        if level > 1:  # so many at one position
            entry = graph.free_name(f"{name}_at_least")
            nodes.append(
                memoryless(entry, pool.shape, np.array((level - 0.5) * unit), unit)
            )
            edges.append(Edge(source=entry, target=window.name))
        edges += [replace(edge, target=entry) for edge in before]
        if n_levels > 1:
            edges.append(Edge(source=name, target=total.name))
    if n_levels > 1:
        nodes.append(total)
    return replace(graph, nodes=tuple(nodes), edges=tuple(edges))


def _window(pool: MaxPool2d, name: str) -> Conv2d:
    channels = pool.shape[0]
    return Conv2d(
        name=name,
        weight=np.ones((channels, 1, *pool.kernel)),
        bias=np.zeros(channels),
        stride=pool.stride,
        padding=pool.padding,
        dilation=pool.dilation,
        groups=channels,
        shape=pool.shape,
    )
