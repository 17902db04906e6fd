"""Networks whose parameters are chip integers already: taken as they stand."""

from collections.abc import Sequence

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.errors import PassError
from snn_deploy.fixedpoint import to_integers
from snn_deploy.ir.neurons import Neuron
from snn_deploy.ir.nodes import Conv2d, Linear
from snn_deploy.passes.collect import Arrival
from snn_deploy.passes.scales import Scales

LOWEST_WEIGHT, HIGHEST_WEIGHT = -256, 255  # 8 bits and the shift of a mixed sign


def as_they_stand(node: Neuron, arrivals: Sequence[Arrival]) -> Scales:
    """Return scales of 1: a unit of weight and threshold is one of the synaptic sum."""
    channels = node.shape[0]
    return Scales(synaptic=np.ones(channels), exponents=(0,) * len(arrivals))


def weights_on_grid(layer: Linear | Conv2d) -> IntArray:
    """Return the weights, which must be integers that fit the chip's.

    Raises
    ------
    PassError
        If one is not; none is clipped or rounded.
    """
    weights = to_integers(layer.weight)
    if np.any(weights != layer.weight):
        wrong = layer.weight[weights != layer.weight]
        raise PassError(
            f"{layer.name}: {wrong.size} weights are no integers, such as "
            f"{wrong[0]:g}; export the network quantized"
        )
    outside = weights[(weights < LOWEST_WEIGHT) | (weights > HIGHEST_WEIGHT)]
    if outside.size:
        raise PassError(
            f"{layer.name}: {outside.size} weights such as {outside[0]} lie outside "
            f"{LOWEST_WEIGHT} to {HIGHEST_WEIGHT}; export it with 8-bit weights"
        )
    return weights
