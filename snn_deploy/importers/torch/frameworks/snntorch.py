"""Read snnTorch's ``Leaky``, ``Lapicque``, ``Synaptic``, ``RLeaky``, ``RSynaptic``.

``beta`` and ``alpha`` are what voltage and current keep, cut off at 0 and 1.
``Lapicque`` is written as a circuit: its voltage loses time_step / (R C), whatever
``beta`` is, and the input counts time_step / C. A spike needs ``mem > threshold``, or
``>=`` where ``spike_grad`` is written so; the input of the others is not scaled; and a
spike is worth ``graded_spikes_factor``. The reset comes with the next timestep
(``reset_delay``):

* ``subtract`` takes the threshold off behind the next decay, so before it
  threshold / beta;
* ``zero`` in ``Leaky`` drops the voltage and keeps the next input, which is our hard
  reset; in the others it drops the next input as well: the voltage rests for one
  timestep. Without ``reset_delay`` they reset at once;
* ``none`` is a reset by 0.

``recurrent`` brings the spikes of the timestep before, and its bias at every timestep.
Refused are a subtraction at once, whose neurons cannot spike twice in a row as ours do,
``inhibition``, ``state_quant``, every ``spike_grad`` that is not a step at 0, and
``Alpha``, which has two currents.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.frameworks.cells import (
    ONE,
    ZERO,
    Cell,
    Dynamics,
    comparison_of,
    fed_back,
    integrating,
    one_to_one,
    refuse,
    spiking,
    values,
)
from snn_deploy.importers.torch.frameworks.framework import Framework, kind_in
from snn_deploy.ir.neurons import Comparison, Lif, Reset
from snn_deploy.ir.nodes import Conv2d, Linear

PACKAGE = "snntorch"
READABLE = ("Leaky", "Lapicque", "Synaptic", "RLeaky", "RSynaptic")
STATES = ("mem", "syn", "spk")  # which versions from 0.8 on wrote into state_dicts
ONE_TO_ONE = "RecurrentOneToOne"  # a part of RLeaky, no neurons


class SnnTorch(Framework):
    """snnTorch, whose neurons give ``(spikes, ..., voltage)``."""

    title = "snnTorch"
    package = PACKAGE
    neurons = (f"{PACKAGE}._neurons",)

    def has_neurons(self, kind: type) -> bool:
        return super().has_neurons(kind) and kind.__name__ != ONE_TO_ONE

    def read_cell(self, cell: Any, name: str, shape: Shape) -> Cell:
        kind = _kind(cell)
        if kind == "Alpha":
            raise ModelError(
                f"{name}: snnTorch's Alpha cannot be deployed, its neurons have two "
                "currents; train with Synaptic, which has one"
            )
        if kind not in READABLE:
            raise ModelError(
                f"{name}: snnTorch's {kind} cannot be deployed; use "
                f"{', '.join(READABLE)}"
            )
        comparison = _comparison(cell, name)
        dynamics = _dynamics(cell, kind, shape)
        neurons = _neurons(cell, name, shape, dynamics)
        is_silent = cell.reset_mechanism == "none"
        return Cell(
            neurons=replace(neurons, comparison=comparison),
            recurrent=_recurrent(cell, name, shape) if kind.startswith("R") else None,
            silent=integrating(name, shape, dynamics) if is_silent else None,
        )

    def returns_state(self, module: Any) -> bool:
        if not self.is_cell(module):
            return False
        return bool(module.output or not module.init_hidden)

    def takes_state(self, module: Any) -> bool:
        return self.returns_state(module) and not module.init_hidden

    def voltage_index(self, module: nn.Module) -> int:
        return 2 if _kind(module).endswith("Synaptic") else 1

    def states(self, cell: nn.Module) -> tuple[str, ...]:
        return STATES

    def optional(self, module: Any) -> tuple[str, ...]:
        if not self.is_cell(module):
            return super().optional(module)
        # versions before 0.8 wrote neither, spikes being worth 1 there
        worth = module.graded_spikes_factor
        is_plain = not isinstance(worth, nn.Parameter) and bool((worth == 1).all())
        return ("reset_mechanism_val", *["graded_spikes_factor"] * is_plain)

    def rest(self, module: Any) -> None:
        if hasattr(module, "reset_mem"):
            module.reset_mem()


def _kind(module: nn.Module) -> str:
    return kind_in(PACKAGE, module).__name__


def _dynamics(cell: Any, kind: str, shape: Shape) -> Dynamics:
    if kind == "Lapicque":
        gain = values(cell.time_step, shape) / values(cell.C, shape)
        return Dynamics(voltage_decay=gain / values(cell.R, shape), input_gain=gain)
    current_decay = ONE
    if kind.endswith("Synaptic"):
        current_decay = 1 - np.clip(values(cell.alpha, shape), 0, 1)
    return Dynamics(
        current_decay=current_decay,
        voltage_decay=1 - np.clip(values(cell.beta, shape), 0, 1),
    )


def _neurons(cell: Any, name: str, shape: Shape, dynamics: Dynamics) -> Lif:
    threshold = values(cell.threshold, shape)
    worth = values(cell.graded_spikes_factor, ())
    if worth.size != 1 or worth <= 0:
        raise refuse(
            name, "graded_spikes_factor", worth.tolist(), "use one number over 0"
        )
    rests = _kind(cell) != "Leaky" and _is_delayed(cell)
    if cell.reset_mechanism == "zero":
        return spiking(
            name,
            shape,
            dynamics,
            threshold,
            reset=Reset.HARD,
            spike_value=float(worth.reshape(())),
            refractory=int(rests),
        )
    return spiking(
        name,
        shape,
        dynamics,
        threshold,
        reset=Reset.SOFT,
        reset_amount=_amount(cell, name, threshold, 1 - dynamics.voltage_decay),
        spike_value=float(worth.reshape(())),
    )


def _amount(
    cell: Any, name: str, threshold: FloatArray, kept: FloatArray
) -> FloatArray:
    """Return what a spike takes off before the next decay."""
    if cell.reset_mechanism == "none":
        return ZERO
    if not _is_delayed(cell):
        raise refuse(
            name,
            "reset_delay",
            "False with reset_mechanism 'subtract'",
            "use reset_delay=True, or reset_mechanism 'zero'",
        )
    if np.any(kept == 0):
        raise refuse(
            name,
            "beta",
            "0 with reset_mechanism 'subtract'",
            "use a beta over 0, or reset_mechanism 'zero' or 'none'",
        )
    return threshold / kept


def _is_delayed(cell: Any) -> bool:
    """Return whether the reset comes with the next timestep, as always in Lapicque."""
    return bool(getattr(cell, "reset_delay", True))


def _comparison(cell: Any, name: str) -> Comparison:
    """Return when a neuron spikes; refuse what else changes spikes or voltages."""
    for parameter in ("inhibition", "state_quant"):
        if getattr(cell, parameter):
            raise refuse(name, parameter, "set", f"train without {parameter}")
    found = comparison_of(cell.spike_grad)
    if found is None:
        raise refuse(
            name, "spike_grad", "no step from 0 to 1 at 0", "use one of snn.surrogate"
        )
    return found


def _recurrent(cell: Any, name: str, shape: Shape) -> Linear | Conv2d:
    module, name = cell.recurrent, f"{name}.recurrent"
    if type(module).__name__ == ONE_TO_ONE:
        return one_to_one(values(module.V, shape), name, shape)
    return fed_back(module, name, shape)
