"""Read the neurons of Norse.

Norse's forward Euler, with time constants as rates: a voltage loses
``dt * tau_mem_inv`` of its distance to the input per timestep, so the input is scaled
by that factor as well (our ``input_gain``). ``LIFCell`` adds the input to its current
before the voltage sees it and lets the current decay by ``dt * tau_syn_inv`` behind
it, which is our order. A spike needs ``v > v_th``; the reset is hard, to 0. Adaptive,
recurrent and refractory cells are refused, and so are a leak or a reset to anything
but 0.
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.ir.neurons import Comparison, Integrator, Lif, Reset
from snn_deploy.ir.nodes import Node


def is_norse_sequence(module: nn.Module) -> bool:
    """Return whether ``module`` is a ``norse.torch.SequentialState``."""
    return _is_of_norse(module) and type(module).__name__ == "SequentialState"


def is_norse_cell(module: nn.Module) -> bool:
    """Return whether ``module`` is one of Norse's neurons."""
    return _is_of_norse(module) and not is_norse_sequence(module)


def _is_of_norse(module: nn.Module) -> bool:
    return type(module).__module__.split(".")[0] == "norse"


def read_norse_cell(cell: nn.Module, name: str, shape: Shape) -> Node:
    """Return the neurons that ``cell`` simulates, for an input of ``shape``.

    Raises
    ------
    ModelError
        If the cell, or one of its parameters, has no counterpart.
    """
    match type(cell).__name__:
        case "LIFCell":
            return _spiking(cell, name, shape, *_with_current(cell, name))
        case "LIFBoxCell":
            return _spiking(cell, name, shape, *_boxed(cell, name))
        case "IAFCell":
            return _spiking(cell, name, shape, *_without_leak())
        case "LICell":
            return _integrating(name, shape, *_with_current(cell, name))
        case "LIBoxCell":
            return _integrating(name, shape, *_boxed(cell, name))
    raise ModelError(
        f"{name}: Norse's {type(cell).__name__} cannot be deployed; use LIFCell, "
        "LIFBoxCell, IAFCell, LICell or LIBoxCell"
    )


Dynamics = tuple[FloatArray, FloatArray, FloatArray]  # current and voltage decay, gain


def _with_current(cell: Any, name: str) -> Dynamics:
    _needs_zero(cell, name, "v_leak")
    voltage_decay = cell.dt * _values(cell.p.tau_mem_inv)
    return cell.dt * _values(cell.p.tau_syn_inv), voltage_decay, voltage_decay


def _boxed(cell: Any, name: str) -> Dynamics:
    _needs_zero(cell, name, "v_leak")
    voltage_decay = cell.dt * _values(cell.p.tau_mem_inv)
    return np.array(1.0), voltage_decay, voltage_decay


def _without_leak() -> Dynamics:
    return np.array(1.0), np.array(0.0), np.array(1.0)


def _spiking(
    cell: Any,
    name: str,
    shape: Shape,
    current_decay: FloatArray,
    voltage_decay: FloatArray,
    input_gain: FloatArray,
) -> Lif:
    _needs_zero(cell, name, "v_reset")
    method = getattr(getattr(cell.p, "reset_method", None), "__name__", "reset_value")
    resets = {"reset_value": Reset.HARD, "reset_subtract": Reset.SOFT}
    if method not in resets:
        raise ModelError(
            f"{name}: reset_method is {method}; use one of {', '.join(resets)}"
        )
    threshold = _values(cell.p.v_th)
    return Lif(
        name=name,
        shape=shape,
        current_decay=current_decay,
        voltage_decay=voltage_decay,
        input_gain=input_gain,
        bias=np.array(0.0),
        initial_voltage=np.array(0.0),
        threshold=threshold,
        reset=resets[method],
        reset_amount=threshold,
        comparison=Comparison.GREATER,
        spike_value=1.0,
    )


def _integrating(
    name: str,
    shape: Shape,
    current_decay: FloatArray,
    voltage_decay: FloatArray,
    input_gain: FloatArray,
) -> Integrator:
    return Integrator(
        name=name,
        shape=shape,
        current_decay=current_decay,
        voltage_decay=voltage_decay,
        input_gain=input_gain,
        bias=np.array(0.0),
        initial_voltage=np.array(0.0),
    )


def _needs_zero(cell: Any, name: str, parameter: str) -> None:
    values = _values(getattr(cell.p, parameter))
    if np.any(values != 0):
        raise ModelError(
            f"{name}: {parameter} is {values.flat[np.flatnonzero(values)[0]]:g}, only "
            "0 can be deployed; shift the voltages so that it is 0"
        )


def _values(parameter: torch.Tensor | float) -> FloatArray:
    return np.asarray(torch.as_tensor(parameter).detach().cpu().double().numpy())
