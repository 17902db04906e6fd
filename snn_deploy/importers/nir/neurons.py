"""The neurons of NIR: differential equations that become timesteps.

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
from dataclasses import dataclass
from typing import Any

import numpy as np

from snn_deploy.arrays import FloatArray, Shape, n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.importers.nir.file import Primitive
from snn_deploy.ir.neurons import Comparison, Integrator, Lif, Neuron, Reset


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What turns equations into timesteps: the length of one, and the resets."""

    dt: float
    resets: dict[str, Reset]  # of each spiking neuron that has a memory


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
    return _lif(dynamics, _aligned(primitive, "v_threshold", shape) - origin, reset)


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
