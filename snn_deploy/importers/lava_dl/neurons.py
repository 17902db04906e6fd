"""Build neurons from the groups of a ``.net`` file of lava-dl."""

from typing import Any

import numpy as np

from snn_deploy.arrays import FloatArray, Shape, n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.fixedpoint import DECAY_BITS, REFRACTORY_BITS
from snn_deploy.importers.lava_dl.layers import scalar
from snn_deploy.ir.neurons import Comparison, Integrator, Lif, Neuron, Reset

# what lava-dl takes where a layer names none: it adds up for ever and never spikes
DEFAULT_NEURON = {"type": "CUBA", "iDecay": 0, "vDecay": 4096}
NEEDED = {"gradedSpike": 0, "weight_exp": 0}
NEVER = (1 << 18) - 1  # the threshold by which slayer's Affine says: no spikes


def _bias(key: str, layer: dict[str, Any], shape: Shape) -> FloatArray:
    """Return the bias of each neuron: the chip adds it to the voltage."""
    bias = np.asarray(layer.get("bias", 0.0), np.float64).reshape(-1)
    if bias.size == 1:
        return bias.reshape(())
    if bias.size == shape[0]:
        return bias.reshape(-1, *(1,) * (len(shape) - 1))
    if bias.size != n_neurons(shape):
        raise ModelError(f"{key}: {bias.size} biases for neurons of shape {shape}")
    return bias.reshape(shape)


def check_type(key: str, layer: dict[str, Any]) -> None:
    """Raise a ``ModelError`` if the neurons of a layer are of another type.

    Theirs are other weights too, so this comes first.
    """
    kind = layer.get("neuron", DEFAULT_NEURON)["type"]
    if kind not in ("LOIHI", "CUBA"):
        raise ModelError(
            f"{key}: neurons of type {kind!r} cannot be deployed; use LOIHI or CUBA"
        )


def read_neurons(
    key: str, layer: dict[str, Any], shape: Shape, *, takes_bias: bool
) -> Neuron:
    """Return the neurons of a layer.

    Raises
    ------
    ModelError
        If a parameter has no counterpart.
    """
    neuron = layer.get("neuron", DEFAULT_NEURON)
    for parameter, needed in NEEDED.items():
        value = scalar(neuron.get(parameter, needed))
        if value != needed:
            raise ModelError(
                f"{key}: {parameter} is {value:g}, only {needed} can be deployed"
            )
    unit = 1 << DECAY_BITS
    dynamics: dict[str, Any] = {
        "name": key,
        "shape": shape,
        "current_decay": np.array(scalar(neuron["iDecay"]) / unit),
        "voltage_decay": np.array(scalar(neuron["vDecay"]) / unit),
        "input_gain": np.array(1.0),
        "bias": _bias(key, layer, shape),
        "initial_voltage": np.array(0.0),
        "takes_bias": takes_bias,
    }
    if "neuron" not in layer or scalar(neuron["vThMant"]) == NEVER:
        return Integrator(**dynamics)
    threshold = np.array(scalar(neuron["vThMant"]))
    return Lif(
        **dynamics,
        threshold=threshold,
        reset=Reset.HARD,
        reset_amount=threshold,
        comparison=Comparison.GREATER,
        spike_value=1.0,
        refractory=_rest(key, scalar(neuron.get("refDelay", 1))),
    )


def _rest(key: str, delay: float) -> int:
    """Return how long a neuron rests that may spike again after ``delay`` timesteps."""
    if delay not in range(1, (1 << REFRACTORY_BITS) + 1):
        raise ModelError(
            f"{key}: refDelay is {delay:g}; it is a whole number from 1 to "
            f"{1 << REFRACTORY_BITS}"
        )
    return int(delay) - 1
