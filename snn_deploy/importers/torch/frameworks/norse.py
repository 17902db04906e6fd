"""Read the neurons of Norse.

Norse's forward Euler, with time constants as rates: a voltage loses
``dt * tau_mem_inv`` of its distance to the input per timestep, so the input is scaled
by that factor as well (our ``input_gain``). ``LIFCell`` adds the input to its current
before the voltage sees it and lets the current decay by ``dt * tau_syn_inv`` behind
it, which is our order. A spike needs ``v > v_th``; the reset is hard, to ``v_reset``,
or soft. Voltages rest at ``v_leak`` and start there: where that is ``v_reset`` too, we
count them from it. ``LIFRecurrentCell`` is a ``LIFCell`` that weighs its input, and its
own spikes one timestep later, ``LILinearCell`` a ``LICell`` that weighs its input.
Adaptive and refractory cells are refused, and so are a leak of integrators, or of a
soft reset, to anything but 0. ``LIF``, ``LI``, ``IAF`` and ``LIFRecurrent`` are their
cells for all timesteps; ``Lift`` and encoders are looked into.
"""

from typing import Any

import numpy as np
from torch import nn

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.frameworks.cells import (
    Cell,
    Dynamics,
    integrating,
    spiking,
    values,
)
from snn_deploy.importers.torch.frameworks.framework import (
    Framework,
    TimeAxis,
    is_in,
    kind_in,
)
from snn_deploy.ir.neurons import Lif, Reset
from snn_deploy.ir.nodes import Linear

PACKAGE = "norse"
LOOKED_INTO = tuple(
    f"{PACKAGE}.torch.module.{name}" for name in ("encode", "lift", "sequential")
)
# which are their cell for all timesteps, on the first axis
OVER_TIME = ("LIF", "LIFRecurrent", "LI", "IAF")
RESETS = {"reset_value": Reset.HARD, "reset_subtract": Reset.SOFT}


class Norse(Framework):
    """Norse, whose cells take and return their states."""

    title = "Norse"
    package = PACKAGE
    neurons = (PACKAGE,)

    def has_neurons(self, kind: type) -> bool:
        return super().has_neurons(kind) and not any(
            is_in(kind, module) for module in LOOKED_INTO
        )

    def read_cell(self, cell: Any, name: str, shape: Shape) -> Cell:
        match _cell_of(cell):
            case "LIFCell":
                return Cell(
                    neurons=_spiking(cell, name, shape, _with_current(cell, shape))
                )
            case "LIFRecurrentCell":
                return _recurrent(cell, name, shape)
            case "LIFBoxCell":
                return Cell(neurons=_spiking(cell, name, shape, _boxed(cell, shape)))
            case "IAFCell":
                return Cell(neurons=_spiking(cell, name, shape, Dynamics()))
            case "LICell":
                _needs_zero(cell, name, "v_leak", shape)
                return Cell(
                    neurons=integrating(name, shape, _with_current(cell, shape))
                )
            case "LILinearCell":
                return _weighing(cell, name, shape)
            case "LIBoxCell":
                _needs_zero(cell, name, "v_leak", shape)
                return Cell(neurons=integrating(name, shape, _boxed(cell, shape)))
        raise ModelError(
            f"{name}: Norse's {_kind(cell)} cannot be deployed; use LIFCell, "
            "LIFRecurrentCell, LIFBoxCell, IAFCell, LICell, LILinearCell or LIBoxCell"
        )

    def time_axis(self, module: nn.Module) -> TimeAxis:
        takes_all = self.is_cell(module) and _kind(module) in OVER_TIME
        return TimeAxis.FIRST if takes_all else TimeAxis.NONE

    def is_sequence(self, module: nn.Module) -> bool:
        kind = type(module)
        return self.owns(kind) and kind.__name__ == "SequentialState"

    def returns_state(self, module: nn.Module) -> bool:
        return True


def _kind(module: nn.Module) -> str:
    return kind_in(PACKAGE, module).__name__


def _cell_of(module: nn.Module) -> str:
    """Return the kind of one timestep."""
    kind = _kind(module)
    return f"{kind}Cell" if kind in OVER_TIME else kind


def _weighing(cell: Any, name: str, shape: Shape) -> Cell:
    """Return integrators that weigh their input."""
    weights = _input_weights(cell, name, shape)
    own = weights.output_shape
    _needs_zero(cell, name, "v_leak", own)
    neurons = integrating(name, own, _with_current(cell, own))
    return Cell(neurons=neurons, weights=weights)


def _input_weights(cell: Any, name: str, shape: Shape) -> Linear:
    weights = _plain(cell.input_weights, f"{name}.input")
    if shape != weights.input_shape:
        raise ModelError(
            f"{name}: takes {weights.input_shape}, but what comes before gives "
            f"{shape}; flatten it, or make the two fit"
        )
    return weights


def _recurrent(cell: Any, name: str, shape: Shape) -> Cell:
    weights = _input_weights(cell, name, shape)
    own = weights.output_shape
    neurons = _spiking(cell, name, own, _with_current(cell, own))
    recurrent = _plain(cell.recurrent_weights, f"{name}.recurrent")
    return Cell(neurons=neurons, weights=weights, recurrent=recurrent)


def _plain(weight: Any, name: str) -> Linear:
    matrix = weight.detach().cpu().double().numpy()
    return Linear(name=name, weight=matrix, bias=np.zeros(len(matrix)))


def _with_current(cell: Any, shape: Shape) -> Dynamics:
    decay = cell.dt * values(cell.p.tau_mem_inv, shape)
    return Dynamics(
        current_decay=cell.dt * values(cell.p.tau_syn_inv, shape),
        voltage_decay=decay,
        input_gain=decay,
    )


def _boxed(cell: Any, shape: Shape) -> Dynamics:
    decay = cell.dt * values(cell.p.tau_mem_inv, shape)
    return Dynamics(voltage_decay=decay, input_gain=decay)


def _spiking(cell: Any, name: str, shape: Shape, dynamics: Dynamics) -> Lif:
    method = getattr(getattr(cell.p, "reset_method", None), "__name__", "reset_value")
    if method not in RESETS:
        raise ModelError(
            f"{name}: reset_method is {method}; use one of {', '.join(RESETS)}"
        )
    threshold, rest = values(cell.p.v_th, shape), _rest(cell, shape)
    if RESETS[method] is Reset.HARD and np.any(rest):
        found = values(cell.p.v_reset, shape)
        if np.any(found != rest):
            raise ModelError(
                f"{name}: v_leak is {rest.flat[0]:g} and v_reset is "
                f"{found.flat[0]:g}; only where both are the same can they be "
                "deployed; shift the voltages so that they are"
            )
        return spiking(name, shape, dynamics, threshold - rest, reset=Reset.HARD)
    for parameter in ("v_leak", "v_reset"):
        _needs_zero(cell, name, parameter, shape)
    return spiking(name, shape, dynamics, threshold, reset=RESETS[method])


def _rest(cell: Any, shape: Shape) -> FloatArray:
    return values(getattr(cell.p, "v_leak", 0.0), shape)


def _needs_zero(cell: Any, name: str, parameter: str, shape: Shape) -> None:
    found = values(getattr(cell.p, parameter, 0.0), shape)
    if np.any(found):
        raise ModelError(
            f"{name}: {parameter} is {found.flat[np.flatnonzero(found)[0]]:g}, only 0 "
            "can be deployed; shift the voltages so that it is 0"
        )
