"""Fold each batch normalization into the layer before it."""

import logging
from dataclasses import replace

from snn_deploy.errors import PassError
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.nodes import BatchNorm, Conv2d, Linear, Node, Tebn

logger = logging.getLogger(__name__)


def fold_batchnorm(graph: Graph) -> Graph:
    """Return the same function without batch normalization.

    At inference a batch normalization scales and shifts each channel by constants, so
    the layer before it can carry both [1]_.

    Parameters
    ----------
    graph : Graph
        Any valid graph.

    Returns
    -------
    Graph
        A graph equal to ``graph`` up to float rounding. A ``BatchNorm`` that does not
        directly follow a weight layer, or one that feeds others too, stays:
        ``merge_chains`` makes it weights.

    Raises
    ------
    PassError
        If one scales differently at every timestep: folded, the weights would have to
        change from timestep to timestep, which no target can do.

    References
    ----------
    .. [1] B. Jacob et al., "Quantization and Training of Neural Networks for Efficient
       Integer-Arithmetic-Only Inference", CVPR 2018, section 3.2.
    """
    for tebn in graph.nodes_of(Tebn):
        raise PassError(
            f"{tebn.name}: TEBN scales by {tebn.factors.min():.3g} to "
            f"{tebn.factors.max():.3g}, another factor at each of {len(tebn.factors)} "
            "timesteps, and no target can change its weights in the middle of a run; "
            "train with batch_norm"
        )
    norms = graph.nodes_of(BatchNorm)
    for norm in norms:
        for layer in graph.sources(norm):
            if isinstance(layer, Linear | Conv2d) and _is_alone(graph, layer, norm):
                graph = graph.merge(layer, norm, into=_folded(layer, norm))
    logger.info("folded %d batch normalizations", len(norms))
    return graph


def _is_alone(graph: Graph, layer: Node, norm: BatchNorm) -> bool:
    """Return whether a layer feeds nothing but ``norm``, now, and nothing else does."""
    edges = graph.edges_into(norm)
    return len(edges) == 1 == len(graph.targets(layer)) and edges[0].delay == 0


def _folded(layer: Linear | Conv2d, norm: BatchNorm) -> Linear | Conv2d:
    rows = norm.gain.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    return replace(
        layer,
        weight=layer.weight * rows,
        bias=(layer.bias - norm.mean) * norm.gain + norm.shift,
    )
