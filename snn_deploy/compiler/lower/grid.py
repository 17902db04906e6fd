"""Networks whose parameters are chip integers already: taken as they stand."""

from collections.abc import Sequence

import numpy as np

from snn_deploy.arrays import BoolArray, FloatArray, IntArray
from snn_deploy.chip.target import Precision
from snn_deploy.compiler.lower.collect import Arrival
from snn_deploy.compiler.lower.compose import Weights
from snn_deploy.compiler.lower.scales import Scales
from snn_deploy.errors import PassError
from snn_deploy.fixedpoint import to_integers
from snn_deploy.ir.neurons import Neuron

BITS, FINEST = 8, 1  # as many hold odd weights too, if a projection has one sign
LOWEST_WEIGHT, HIGHEST_WEIGHT = -256, 255  # 8 bits and the shift of a mixed sign
ROUNDING = 1e-9  # relative, by which a product of floats may miss an integer


def as_they_stand(
    node: Neuron, arrivals: Sequence[Arrival], precision: Precision
) -> Scales:
    """Return scales of 1: a unit of weight and threshold is one of the synaptic sum.

    Weights that are multiples of a power of 2 and too large, or fractions of one, get
    it as the exponent of their projection.
    """
    channels = node.shape[0]
    exponents = tuple(_exponent(a.layer.weight, precision) for a in arrivals)
    return Scales(synaptic=np.ones(channels), exponents=exponents)


def _exponent(weight: FloatArray, precision: Precision) -> int:
    """Return the exponent nearest to 0 with which weights are integers that fit."""
    lowest, highest = precision.weight_exponent_min, precision.weight_exponent_max
    for exponent in sorted(range(lowest, highest + 1), key=abs):
        if not (_is_off(weight / 2.0**exponent) | _is_outside(weight, exponent)).any():
            return exponent
    return 0  # weights_on_grid tells which are wrong


def _is_off(weight: FloatArray) -> BoolArray:
    off: BoolArray = np.abs(weight - np.rint(weight)) > ROUNDING * np.abs(weight)
    return off


def _is_outside(weight: FloatArray, exponent: int) -> BoolArray:
    integers = np.rint(weight / 2.0**exponent)
    outside: BoolArray = (integers < LOWEST_WEIGHT) | (integers > HIGHEST_WEIGHT)
    return outside


def weights_on_grid(layer: Weights, exponent: int, precision: Precision) -> IntArray:
    """Return the weights, which must be integers that fit the chip's.

    Raises
    ------
    PassError
        If one is not; none is clipped or rounded.
    """
    weight = layer.weight / 2.0**exponent
    wrong = weight[_is_off(weight)]
    if wrong.size:
        raise PassError(
            f"{layer.name}: {wrong.size} weights are no integers, such as "
            f"{wrong[0]:g}; export the network quantized"
        )
    outside = weight[_is_outside(layer.weight, exponent)]
    if outside.size:
        raise PassError(
            f"{layer.name}: {outside.size} weights such as {outside[0]:g} lie outside "
            f"{LOWEST_WEIGHT} to {HIGHEST_WEIGHT}; export it with 8-bit weights"
        )
    fine = FINEST if precision.weight_bits == BITS else precision.weight_step
    between = weight[np.rint(weight) % fine != 0]
    if between.size:
        raise PassError(
            f"{layer.name}: {between.size} weights such as {between[0]:g} are no "
            f"multiples of {fine}, all that {precision.weight_bits} bits can hold; "
            "export it with as few bits, or choose a target with more"
        )
    return to_integers(weight)
