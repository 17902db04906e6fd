"""Fold each batch normalization into the layer before it."""

import logging
from dataclasses import replace

import numpy as np

from snn_deploy.errors import PassError
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.nodes import BatchNorm, Conv2d, Linear, Tebn

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
        A graph with no ``BatchNorm``, equal to ``graph`` up to float rounding.

    Raises
    ------
    PassError
        If a ``BatchNorm`` does not directly follow a weight layer that feeds it alone,
        or one scales differently at every timestep: folded, the weights would have to
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
        layer = _layer_before(graph, norm)
        graph = graph.merge(layer, norm, into=_folded(layer, norm))
    logger.info("folded %d batch normalizations", len(norms))
    return graph


def _layer_before(graph: Graph, norm: BatchNorm) -> Linear | Conv2d:
    sources = graph.sources(norm)
    if len(sources) != 1 or not isinstance(sources[0], Linear | Conv2d):
        kinds = ", ".join(type(source).__name__ for source in sources) or "nothing"
        raise PassError(
            f"{norm.name}: a batch normalization must follow a Linear or Conv2d layer "
            f"to be folded, but it follows {kinds}; move it"
        )
    layer = sources[0]
    if len(graph.targets(layer)) > 1:
        raise PassError(
            f"{norm.name}: {layer.name} also feeds another layer, which would see the "
            "folded weights; give the batch normalization a layer of its own"
        )
    return layer


def _folded(layer: Linear | Conv2d, norm: BatchNorm) -> Linear | Conv2d:
    gain = norm.scale / np.sqrt(norm.variance + norm.epsilon)
    rows = gain.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    return replace(
        layer,
        weight=layer.weight * rows,
        bias=(layer.bias - norm.mean) * gain + norm.shift,
    )
