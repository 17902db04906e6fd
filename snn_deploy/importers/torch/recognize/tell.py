"""Say in a few words what neurons a forward was read as."""

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.importers.torch.recognize.match import Recognized
from snn_deploy.importers.torch.recognize.polynomials import is_close
from snn_deploy.ir.neurons import Reset


def told(reading: Recognized) -> str:
    """Return a neuron in a few words."""
    is_leaky = bool(np.any(reading.voltage_decay))
    kind = "leaky neurons" if is_leaky else "integrate-and-fire neurons"
    if reading.comparison is None:
        kind = "leaky read-outs" if is_leaky else "summing read-outs"
    settings = (
        ("decay", reading.voltage_decay, 0.0),
        ("current decay", reading.current_decay, 1.0),
        ("input times", reading.input_gain, 1.0),
        ("bias", reading.bias, 0.0),
        ("start at", reading.initial_voltage, 0.0),
    )
    parts = [kind]
    parts += [
        f"{what} {_shown(value)}"
        for what, value, usual in settings
        if not is_close(value, usual)
    ]
    if reading.input_delay:
        parts.append(f"the input {_timesteps(reading.input_delay)} late")
    if reading.comparison is not None:
        parts += [
            f"threshold {_shown(reading.threshold)}",
            _reset(reading),
            f"v {reading.comparison.value} threshold",
        ]
        if reading.refractory:
            parts.append(f"rest for {_timesteps(reading.refractory)} after a spike")
        if reading.spike_value != 1:
            parts.append(f"a spike is worth {reading.spike_value:.6g}")
    return ", ".join(parts)


def _reset(reading: Recognized) -> str:
    if reading.reset is Reset.HARD:
        return "hard reset"
    if is_close(reading.reset_amount, reading.threshold):
        return "soft reset"
    if not np.any(reading.reset_amount):
        return "no reset"
    return f"soft reset by {_shown(reading.reset_amount)}"


def _timesteps(n: int) -> str:
    return "one timestep" if n == 1 else f"{n} timesteps"


def _shown(values: FloatArray) -> str:
    low, high = np.min(values), np.max(values)
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
