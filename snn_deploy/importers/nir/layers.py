"""The nodes of NIR: layers, and neurons, whose equations become timesteps.

``dt`` turns each equation into one forward Euler step per timestep. LIF:
``tau dv/dt = v_leak - v + r i``, so the voltage loses ``dt / tau`` of its distance to
``v_leak``, and the input counts ``r dt / tau``. CubaLIF: its current is a second such
equation, with gain ``w_in``, and the voltage sees the input at once. IF:
``dv/dt = r i``, which counts ``r dt``. LI, CubaLI and I are the same without spikes. A
spike needs ``v > v_threshold``. A hard reset sets the voltage to ``v_reset``; our
voltages are counted from there, so that it is 0. A soft reset lowers it by
``v_threshold``; then ``v_reset`` must be 0. A voltage starts at ``v_leak``, where it
rests. Threshold spikes where its input exceeds it, without a memory.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from snn_deploy.arrays import FloatArray, Shape, n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.importers.nir.file import Primitive
from snn_deploy.importers.nir.timing import Timing
from snn_deploy.ir.neurons import Comparison, Integrator, Lif, Neuron, Reset
from snn_deploy.ir.nodes import AvgPool2d, Conv2d, Flatten, Input, Linear, Node

Pair = tuple[int, int]
LARGEST_SIZE = 1 << 31  # of a shape or a parameter of geometry


def _input(primitive: Primitive, shape: Shape) -> Node:
    sizes = _ints(primitive, "shape", 1)
    sizes = sizes if len(sizes) != 2 else (sizes[0], 1, sizes[1])
    return Input(name=primitive.name, shape=sizes)


def read_linear(primitive: Primitive) -> Linear:
    """Return a layer from every value to every value.

    Raises
    ------
    ModelError
        If its parameters do not fit one another.
    """
    weight = np.atleast_2d(primitive.array("weight"))
    if weight.ndim != 2:
        raise ModelError(
            f"{primitive.name}: weight of shape {weight.shape}, needed is (n_out, n_in)"
        )
    bias = primitive.array("bias", 0.0) if primitive.kind == "Affine" else np.zeros(1)
    return Linear(
        name=primitive.name, weight=weight, bias=_biases(primitive, bias, len(weight))
    )


def _biases(primitive: Primitive, bias: FloatArray, n_out: int) -> FloatArray:
    if bias.size not in (1, n_out):
        raise ModelError(
            f"{primitive.name}: {bias.size} biases for {n_out} outputs; give one each"
        )
    return np.array(np.broadcast_to(bias.reshape(-1), n_out))


def _conv1d(primitive: Primitive, shape: Shape) -> Node:
    weight = primitive.array("weight")
    if weight.ndim != 3:
        raise ModelError(
            f"{primitive.name}: weight of shape {weight.shape}, a Conv1d needs 3 axes"
        )
    stride = _ints(primitive, "stride", 1)[0]
    dilation = _ints(primitive, "dilation", 1)[0]
    padding = _padding(primitive, weight.shape[2:], (dilation,))[0]
    return _convolution(
        primitive,
        shape,
        weight[:, :, np.newaxis],
        stride=(1, stride),
        padding=(0, padding),
        dilation=(1, dilation),
    )


def _conv2d(primitive: Primitive, shape: Shape) -> Node:
    weight = primitive.array("weight")
    if weight.ndim != 4:
        raise ModelError(
            f"{primitive.name}: weight of shape {weight.shape}, a Conv2d needs 4 axes"
        )
    dilation = _pair(primitive, "dilation", 1)
    top, left = _padding(primitive, weight.shape[2:], dilation)
    return _convolution(
        primitive,
        shape,
        weight,
        stride=_pair(primitive, "stride", 1),
        padding=(top, left),
        dilation=dilation,
    )


def _convolution(
    primitive: Primitive, shape: Shape, weight: FloatArray, **geometry: Pair
) -> Conv2d:
    declared = primitive.values.get("input_shape")
    if declared is not None and np.size(declared):
        sizes = _ints(primitive, "input_shape", 1)
        if sizes != shape[3 - len(sizes) :]:
            raise ModelError(
                f"{primitive.name}: input_shape is {sizes}, but it receives {shape}; "
                "make the two fit"
            )
    bias = _biases(primitive, primitive.array("bias", 0.0), len(weight))
    groups = _ints(primitive, "groups", 1)[0]
    if groups == 1 and "groups" in primitive.metadata:
        noted = Primitive(
            name=primitive.name, kind=primitive.kind, values=primitive.metadata
        )
        groups = _ints(noted, "groups", 1)[0]
        weight = _grouped(primitive.name, weight, groups)
    return Conv2d(
        name=primitive.name,
        weight=weight,
        bias=bias,
        groups=groups,
        shape=shape,
        **geometry,
    )


def _grouped(name: str, weight: FloatArray, groups: int) -> FloatArray:
    """Return the weights of a grouped convolution that is written with zeros."""
    n_out, n_in = weight.shape[:2]
    if groups < 1 or n_out % groups or n_in % groups:
        raise ModelError(f"{name}: {groups} groups of {n_in} and {n_out} channels")
    blocks = weight.reshape(groups, n_out // groups, groups, n_in // groups, -1)
    inside = np.eye(groups, dtype=bool)[:, np.newaxis, :, np.newaxis, np.newaxis]
    if np.any(np.where(inside, 0, blocks)):
        raise ModelError(
            f"{name}: notes {groups} groups, but has weights between them; write the "
            "file again"
        )
    kept = np.stack([blocks[i, :, i] for i in range(groups)])
    return kept.reshape(n_out, n_in // groups, *weight.shape[2:])


def _padding(
    primitive: Primitive, kernel: Shape, dilation: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the zeros on each side, for each axis."""
    padding = primitive.values.get("padding", 0)
    if not isinstance(padding, str):
        found = _ints(primitive, "padding", 0)
        return found if len(found) == len(kernel) else (found[0],) * len(kernel)
    if padding == "valid":
        return (0,) * len(kernel)
    around = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    is_even = any(n % 2 for n in around)
    if (
        padding != "same"
        or is_even
        or any(n != 1 for n in _ints(primitive, "stride", 1))
    ):
        raise ModelError(
            f"{primitive.name}: padding {padding!r} with a kernel of {kernel} and "
            "stride over 1, or an even kernel, differs between frameworks; give numbers"
        )
    return tuple(n // 2 for n in around)


def _ints(primitive: Primitive, key: str, default: int) -> tuple[int, ...]:
    values = primitive.array(key, default).reshape(-1)
    if (
        not values.size
        or np.any(values != np.rint(values))
        or np.any(np.abs(values) > LARGEST_SIZE)
    ):
        raise ModelError(
            f"{primitive.name}: {key} is {values}; give whole numbers up to "
            f"{LARGEST_SIZE}"
        )
    return tuple(int(n) for n in values)


def _pair(primitive: Primitive, key: str, default: int) -> Pair:
    first, *rest = _ints(primitive, key, default)
    return first, rest[0] if rest else first


def _pool(primitive: Primitive, shape: Shape) -> Node:
    kernel = _pair(primitive, "kernel_size", 1)
    has_stride = "stride" in primitive.values
    return AvgPool2d(
        name=primitive.name,
        kernel=kernel,
        stride=_pair(primitive, "stride", 1) if has_stride else kernel,
        padding=_pair(primitive, "padding", 0),
        shape=shape,
        is_sum=primitive.kind == "SumPool2d",
    )


def _flatten(primitive: Primitive, shape: Shape) -> Node:
    """Return a flatten of everything: all that weight layers can take."""
    declared = primitive.values.get("input_type")
    if declared is not None and np.size(declared):
        size = n_neurons(_ints(primitive, "input_type", 1))
        if size != n_neurons(shape):
            raise ModelError(
                f"{primitive.name}: input_type has {size} values, but it receives "
                f"{shape}; make the two fit"
            )
    return Flatten(name=primitive.name, shape=shape)


def _scale(primitive: Primitive, shape: Shape) -> Node:
    """Return a weight for each value, between spikes and neurons."""
    scale = primitive.array("scale")
    name = primitive.name
    if len(shape) == 1 and scale.size in (1, shape[0]):
        weight = np.diag(np.broadcast_to(scale.reshape(-1), shape))
        return Linear(name=name, weight=weight, bias=np.zeros(shape[0]))
    rows = scale.reshape(len(scale) if scale.ndim else 1, -1)
    if len(shape) != 3 or len(rows) not in (1, shape[0]) or np.any(rows != rows[:, :1]):
        raise ModelError(
            f"{name}: factors of shape {scale.shape} for values of shape {shape}; give "
            "one for each channel"
        )
    channels = shape[0]
    return Conv2d(
        name=name,
        weight=np.broadcast_to(rows[:, 0], channels).reshape(-1, 1, 1, 1),
        bias=np.zeros(channels),
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=channels,
        shape=shape,
    )


LAYERS: dict[str, Callable[[Primitive, Shape], Node]] = {
    "Input": _input,
    "Conv1d": _conv1d,
    "Conv2d": _conv2d,
    "AvgPool2d": _pool,
    "SumPool2d": _pool,
    "Flatten": _flatten,
    "Scale": _scale,
}


def _aligned(primitive: Primitive, key: str, shape: Shape, default: float | None = None
             ) -> FloatArray:  # fmt: skip
    """Return a parameter so that it broadcasts against ``shape``."""
    values = primitive.array(key, default)
    if values.size == 1:
        return values.reshape(())
    if values.size == n_neurons(shape):
        return values.reshape(shape)
    if values.size == shape[0]:
        return values.reshape(-1, *(1,) * (len(shape) - 1))
    raise ModelError(
        f"{primitive.name}: {key} has shape {values.shape}, but the layer receives "
        f"{shape}; give one value, one for each channel, or one for each neuron"
    )


def _rate(primitive: Primitive, key: str, shape: Shape, dt: float) -> FloatArray:
    """Return the fraction lost per timestep, from a time constant."""
    tau = _aligned(primitive, key, shape)
    if np.any(tau <= 0):
        raise ModelError(
            f"{primitive.name}: {key} is {tau.min():g} s; a time constant must be "
            "over 0"
        )
    if np.any(tau < dt * (1 - 1e-9)):
        raise ModelError(
            f"{primitive.name}: {key} is {tau.min():g} s, shorter than the timestep of "
            f"{dt:g} s; give a shorter --dt"
        )
    rate: FloatArray = np.minimum(dt / tau, 1.0)
    return rate


def _dynamics(primitive: Primitive, shape: Shape, dt: float) -> dict[str, Any]:
    """Return what spiking neurons and integrators share, voltages as in the file."""
    one, zero = np.array(1.0), np.array(0.0)
    current_decay, voltage_decay, gain = one, zero, _aligned(primitive, "r", shape)
    if primitive.kind in ("I", "IF"):
        rest, gain = zero, gain * dt
    else:
        has_current = primitive.kind.startswith("Cuba")
        voltage_decay = _rate(primitive, "tau_mem" if has_current else "tau", shape, dt)
        gain = gain * voltage_decay
        rest = _aligned(primitive, "v_leak", shape, 0.0)
        if has_current:
            current_decay = _rate(primitive, "tau_syn", shape, dt)
            gain = gain * _aligned(primitive, "w_in", shape, 1.0) * current_decay
    return {
        "name": primitive.name,
        "shape": shape,
        "current_decay": current_decay,
        "voltage_decay": voltage_decay,
        "input_gain": gain,
        "bias": rest * voltage_decay,
        "initial_voltage": rest,
    }


def _integrator(primitive: Primitive, shape: Shape, timing: Timing) -> Neuron:
    return Integrator(**_dynamics(primitive, shape, timing.dt))


def _spiking(primitive: Primitive, shape: Shape, timing: Timing) -> Neuron:
    dynamics = _dynamics(primitive, shape, timing.dt)
    reset = timing.resets[primitive.name]
    origin = _aligned(primitive, "v_reset", shape, 0.0)
    if reset is Reset.SOFT and np.any(origin != 0):
        wrong = origin[origin != 0]
        raise ModelError(
            f"{primitive.name}: v_reset is {wrong.flat[0]:g}, but a soft reset lowers "
            "the voltage by the threshold, whatever v_reset is; make it 0"
        )
    dynamics["bias"] = dynamics["bias"] - origin * dynamics["voltage_decay"]
    dynamics["initial_voltage"] = dynamics["initial_voltage"] - origin
    threshold = _aligned(primitive, "v_threshold", shape) - origin
    lif = _lif(dynamics, threshold, reset)
    return replace(lif, **{**_noted(primitive, shape), **timing.beside(lif)})


def _noted(primitive: Primitive, shape: Shape) -> dict[str, Any]:
    """Return what ``write_nir`` notes of neurons, beside the reset."""
    noted = primitive.metadata
    found: dict[str, Any] = {}
    if "comparison" in noted:
        if noted["comparison"] not in [one.value for one in Comparison]:
            raise ModelError(
                f"{primitive.name}: notes comparison {noted['comparison']!r}; > and >= "
                "are known, write the file again"
            )
        found["comparison"] = Comparison(noted["comparison"])
    beside = Primitive(name=primitive.name, kind=primitive.kind, values=noted)
    for key in ("reset_amount", "lowest_voltage"):
        if key in noted:
            found[key] = _aligned(beside, key, shape)
    if "max_spikes" in noted:
        found["max_spikes"] = _ints(beside, "max_spikes", 1)[0]
    return found


def _threshold(primitive: Primitive, shape: Shape, timing: Timing) -> Neuron:
    one, zero = np.array(1.0), np.array(0.0)
    dynamics = {
        "name": primitive.name,
        "shape": shape,
        "current_decay": one,
        "voltage_decay": one,
        "input_gain": one,
        "bias": zero,
        "initial_voltage": zero,
    }
    return _lif(dynamics, _aligned(primitive, "threshold", shape), Reset.HARD)


def _lif(dynamics: dict[str, Any], threshold: FloatArray, reset: Reset) -> Lif:
    return Lif(
        **dynamics,
        threshold=threshold,
        reset=reset,
        reset_amount=threshold,
        comparison=Comparison.GREATER,
        spike_value=1.0,
    )


NEURONS: dict[str, Callable[[Primitive, Shape, Timing], Neuron]] = {
    "Threshold": _threshold,
    "I": _integrator,
    "IF": _spiking,
    "LI": _integrator,
    "LIF": _spiking,
    "CubaLI": _integrator,
    "CubaLIF": _spiking,
}
