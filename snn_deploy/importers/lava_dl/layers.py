"""Build layers and neurons from the groups of a ``.net`` file of lava-dl."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from snn_deploy.arrays import FloatArray, Shape, n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.fixedpoint import DECAY_BITS, REFRACTORY_BITS
from snn_deploy.ir.graph import LARGEST_LAYER
from snn_deploy.ir.neurons import Comparison, Integrator, Lif, Neuron, Reset
from snn_deploy.ir.nodes import Conv2d, Linear
from snn_deploy.ir.scatter import SparseLinear

MOST_EXPONENT = 7  # the largest that the chip knows


def scalar(value: Any) -> float:
    """Return a number that may be stored as an array of one."""
    return float(np.asarray(value, np.float64).reshape(-1)[0])


def sizes(value: Any) -> Shape:
    """Return a shape, which may be stored as a number."""
    return tuple(int(n) for n in np.ravel(value))


def input_shape(key: str, layer: dict[str, Any], following: dict[str, Any]) -> Shape:
    """Return the shape of the input, (channel, height, width) or a row.

    Some tools store (width, height, channel): the channels of a convolution that
    follows tell.
    """
    if "shape" not in layer:
        return first_shape(key, following)
    shape = sizes(layer["shape"])
    if n_neurons(shape) == max(shape):
        return (max(shape),)
    if following.get("type") == "conv" and len(shape) == 3:
        channels = _weight(following).shape[1] * int(scalar(following["groups"]))
        if shape[0] != channels == shape[2]:
            return shape[::-1]
    return shape


def first_shape(key: str, layer: dict[str, Any]) -> Shape:
    """Return what the first layer of a network without an input layer receives."""
    kind = layer.get("type")
    if kind in ("dense", "dense_rec"):
        n_out = n_neurons(sizes(layer["shape"]))
        return (np.size(layer["weight"]) // max(n_out, 1),)
    if kind == "conv" and _pair(layer["stride"]) == (1, 1):
        weight = _weight(layer)
        shape = sizes(layer["shape"])
        around = zip(
            shape[1:],
            weight.shape[2:],
            _pair(layer["padding"]),
            _pair(layer["dilation"]),
            strict=True,
        )
        channels = weight.shape[1] * int(scalar(layer["groups"]))
        return (channels, *(n - 1 + d * (k - 1) + 1 - 2 * p for n, k, p, d in around))
    raise ModelError(
        f"{key}: the first layer is of type {kind!r} and does not tell the shape of "
        "the input; export the network with an input layer"
    )


def each(name: str, shape: Shape, weight: float) -> SparseLinear | Conv2d:
    """Return a layer that multiplies every value."""
    if len(shape) == 1:
        (n,) = shape
        if n > LARGEST_LAYER:
            raise ModelError(
                f"{name}: {n} values in a row, each with a neuron, of which "
                f"{LARGEST_LAYER} can be read; make the layer smaller"
            )
        places = np.arange(n, dtype=np.float64)
        return SparseLinear(
            name=name,
            weight=np.full(n, weight),
            targets=places,
            sources=places,
            bias=np.zeros(n),
            shape=shape,
            onto=shape,
        )
    return _by_channel(name, np.full((1, 1), weight), shape)


def _by_channel(
    name: str,
    kernel: FloatArray,
    shape: Shape,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> Conv2d:
    """Return one kernel on every channel."""
    channels = shape[0]
    return Conv2d(
        name=name,
        weight=np.tile(kernel, (channels, 1, 1, 1)),
        bias=np.zeros(channels),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=channels,
        shape=shape,
    )


def pooling(name: str, layer: dict[str, Any], shape: Shape) -> Conv2d:
    """Return the weighted sum over each window."""
    size = _pair(layer["kernelSize"])
    if len(shape) != 3 or np.any(
        np.add(shape[1:], 2 * np.array(_pair(layer["padding"]))) < size
    ):
        raise ModelError(
            f"{name}: windows of {size} on maps of {shape}; make the two fit"
        )
    kernel = np.asarray(_real(name, layer["weight"]), np.float64)
    kernel = np.broadcast_to(np.squeeze(kernel), size) if kernel.size == 1 else kernel
    if kernel.size != size[0] * size[1]:
        raise ModelError(
            f"{name}: a weight of shape {np.shape(layer['weight'])} for windows of "
            f"{size}; give one kernel for all channels"
        )
    return _by_channel(
        name,
        _scaled(name, kernel.reshape(size), layer),
        shape,
        _pair(layer["stride"]),
        _pair(layer["padding"]),
        _pair(layer["dilation"]),
    )


def convolutions(
    key: str, layer: dict[str, Any], shapes: Sequence[Shape]
) -> list[Conv2d]:
    """Return a convolution of each input, the weights shared out by their channels."""
    weight = _scaled(key, _weight(layer), layer)
    groups = int(scalar(layer["groups"]))
    channels = [shape[0] for shape in shapes]
    if len(shapes) > 1 and (groups > 1 or sum(channels) != weight.shape[1]):
        raise ModelError(
            f"{key}: takes {weight.shape[1]} channels in {groups} groups, but what is "
            f"joined has {channels}; make the two fit, without groups"
        )
    ends = np.cumsum(channels)
    found = [
        Conv2d(
            name=f"{key}_conv" + (f"_{number}" if number else ""),
            weight=weight if len(shapes) == 1 else weight[:, end - n : end],
            bias=np.zeros(len(weight)),
            stride=_pair(layer["stride"]),
            padding=_pair(layer["padding"]),
            dilation=_pair(layer["dilation"]),
            groups=groups,
            shape=shape,
        )
        for number, (shape, n, end) in enumerate(
            zip(shapes, channels, ends, strict=True)
        )
    ]
    declared, given = sizes(layer.get("shape", ())), found[0].output_shape
    if len(declared) == 3 and given not in (declared, declared[::-1]):
        raise ModelError(
            f"{key}: its shape says {declared}, its convolution gives {given}; export "
            "the network again"
        )
    return found


def fully_connected(
    key: str, layer: dict[str, Any], n_in: Sequence[int]
) -> list[Linear]:
    """Return a layer behind each input, the weights shared out by their sizes."""
    n_out = n_neurons(sizes(layer["shape"]))
    weight = np.asarray(_real(key, layer["weight"]), np.float64)
    if weight.size != n_out * sum(n_in):
        raise ModelError(
            f"{key}: {weight.size} weights from {sum(n_in)} to {n_out} neurons; make "
            "the three fit"
        )
    matrix = _scaled(key, weight.reshape(n_out, -1), layer)
    ends = np.cumsum(n_in)
    return [
        Linear(
            name=f"{key}_dense" + (f"_{number}" if number else ""),
            weight=matrix[:, end - n : end],
            bias=np.zeros(n_out),
        )
        for number, (n, end) in enumerate(zip(n_in, ends, strict=True))
    ]


def recurrent(name: str, layer: dict[str, Any], n: int) -> Linear:
    """Return the weights from a layer to itself."""
    weight = np.asarray(_real(name, layer["weight_rec"]), np.float64)
    if weight.size != n * n:
        raise ModelError(
            f"{name}: {weight.size} weights among {n} neurons; give {n * n}"
        )
    scaled = _scaled(name, weight.reshape(n, n), layer)
    return Linear(name=name, weight=scaled, bias=np.zeros(n))


def _real(name: str, weight: Any) -> Any:
    if isinstance(weight, dict):
        raise ModelError(
            f"{name}: complex weights, of resonating neurons, cannot be deployed; use "
            "LOIHI or CUBA neurons"
        )
    return weight


def _weight(layer: dict[str, Any]) -> FloatArray:
    """Return the weights of a convolution, which may have a trailing axis of 1."""
    weight = np.asarray(_real("conv", layer["weight"]), np.float64)
    if weight.ndim == 5 and weight.shape[4] == 1:
        weight = weight[..., 0]
    if weight.ndim != 4:
        raise ModelError(
            f"conv: a weight of shape {weight.shape}; a convolution over height and "
            "width has 4 axes, or a fifth of 1"
        )
    return weight


def _scaled(name: str, weight: FloatArray, layer: dict[str, Any]) -> FloatArray:
    """Return integer weights times 2 to the exponent that their neurons name."""
    wrong = weight[weight != np.rint(weight)]
    if wrong.size:
        raise ModelError(
            f"{name}: {wrong.size} weights are no integers, such as {wrong[0]:g}; "
            "export the network quantized"
        )
    exponent = scalar(layer.get("neuron", {}).get("wgtExp", 0))
    if exponent not in range(MOST_EXPONENT + 1):
        raise ModelError(
            f"{name}: wgtExp is {exponent:g}; only 0 to {MOST_EXPONENT} is exact, "
            "since sums drop bits otherwise; export it with larger weights"
        )
    scaled: FloatArray = weight * 2.0**exponent
    return scaled


def _pair(value: Any) -> tuple[int, int]:
    pair = np.broadcast_to(np.asarray(value, int).reshape(-1), 2)
    return int(pair[0]), int(pair[1])


# what lava-dl takes where a layer names none: it adds up for ever and never spikes
DEFAULT_NEURON = {"type": "CUBA", "iDecay": 0, "vDecay": 4096}
NEEDED = {"gradedSpike": 0, "weight_exp": 0}
NEVER = (1 << 18) - 1  # the threshold by which slayer's Affine says: no spikes


def _bias(key: str, layer: dict[str, Any], shape: Shape) -> FloatArray:
    """Return the bias of each neuron: the chip adds it to the voltage.

    Those of all neurons of a map are (width, height, channel), as netx reads them.
    """
    bias = np.asarray(layer.get("bias", 0.0), np.float64)
    if len(shape) == 3 and bias.shape == shape[::-1]:
        return bias.T
    bias = bias.reshape(-1)
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
