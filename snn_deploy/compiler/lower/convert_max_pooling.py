"""Turn each max pooling of spikes into neurons: one spikes when any input does."""

import logging
from dataclasses import replace

import numpy as np

from snn_deploy.errors import PassError
from snn_deploy.ir.graph import Edge, Graph
from snn_deploy.ir.neurons import Comparison, Lif, Reset
from snn_deploy.ir.nodes import Add, Conv2d, Input, MaxPool2d, Node
from snn_deploy.ir.stimuli import Encoding

logger = logging.getLogger(__name__)


def convert_max_pooling(graph: Graph) -> Graph:
    """Return the same function without max pooling.

    The maximum of spikes that are all worth the same is a spike where any input
    spikes: neurons without memory, to each of which one input spike suffices.

    Raises
    ------
    PassError
        If what is pooled are no such spikes.
    """
    pools = [node for node in graph.order if isinstance(node, MaxPool2d)]
    for pool in pools:
        graph = _converted(graph, pool, _worth(graph, pool))
    logger.info("converted %d max poolings", len(pools))
    return graph


def _worth(graph: Graph, pool: MaxPool2d) -> float:
    """Return what each of the pooled spikes is worth."""
    sources = graph.sources(pool)
    source = sources[0]
    if len(sources) == 1 and isinstance(source, Lif):
        if source.max_spikes == 1 and source.spike_value > 0:
            return source.spike_value
    elif len(sources) == 1 and isinstance(source, Input):
        training = graph.training
        is_binary = training.encoding is not Encoding.DIRECT
        if is_binary and training.input_offset == 0 and training.input_scale > 0:
            return training.input_scale
    raise PassError(
        f"{pool.name}: max pooling of {_pooled(sources)} is not the spike of any; only "
        "neurons that spike at most once in a timestep can be pooled so, "
        + _remedy(sources[0])
    )


def _remedy(source: Node) -> str:
    if isinstance(source, Add):
        return "put neurons behind the sum, or pool what it adds before it is added"
    return "use AvgPool2d"


def _pooled(sources: tuple[Node, ...]) -> str:
    return ", ".join(f"{s.name} ({type(s).__name__})" for s in sources)


def _converted(graph: Graph, pool: MaxPool2d, worth: float) -> Graph:
    channels = pool.shape[0]
    window = Conv2d(
        name=graph.free_name(f"{pool.name}_window"),
        weight=np.ones((channels, 1, *pool.kernel)),
        bias=np.zeros(channels),
        stride=pool.stride,
        padding=pool.padding,
        dilation=pool.dilation,
        groups=channels,
        shape=pool.shape,
    )
    one, zero = np.array(1.0), np.array(0.0)
    neurons = Lif(
        name=pool.name,
        shape=pool.output_shape,
        current_decay=one,
        voltage_decay=one,
        input_gain=one,
        bias=zero,
        initial_voltage=zero,
        threshold=np.array(worth / 2),
        reset=Reset.HARD,
        reset_amount=zero,
        comparison=Comparison.GREATER,
        spike_value=worth,
    )
    others = tuple(node for node in graph.nodes if node is not pool)
    edges = tuple(
        replace(edge, target=window.name) if edge.target == pool.name else edge
        for edge in graph.edges
    )
    last = Edge(source=window.name, target=neurons.name)
    return replace(graph, nodes=(*others, window, neurons), edges=(*edges, last))
