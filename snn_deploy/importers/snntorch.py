"""Read the neurons of snnTorch: ``Leaky``, ``Synaptic``, ``RLeaky``, ``RSynaptic``.

``beta`` and ``alpha`` are what voltage and current keep, cut off at 0 and 1. A spike
needs ``mem > threshold``, the input is not scaled, and a spike is worth
``graded_spikes_factor``. The reset comes with the next timestep (``reset_delay``):

* ``subtract`` takes the threshold off behind the next decay, so before it
  threshold / beta;
* ``zero`` in ``Leaky`` drops the voltage and keeps the next input, which is our hard
  reset; in the others it drops the next input as well: the voltage rests for one
  timestep. Without ``reset_delay`` they reset at once;
* ``none`` is a reset by 0.

``recurrent`` brings the spikes of the timestep before, and its bias at every timestep.
Refused are a subtraction at once, whose neurons cannot spike twice in a row as ours do,
``inhibition``, ``state_quant``, and every ``spike_grad`` that is no step at 0.
"""

from typing import Any

import numpy as np
import torch

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.cells import (
    ONE,
    ZERO,
    Cell,
    Dynamics,
    integrating,
    one_to_one,
    refuse,
    spiking,
    values,
)
from snn_deploy.importers.feedback import fed_back
from snn_deploy.ir.neurons import Lif, Reset
from snn_deploy.ir.nodes import Conv2d, Linear

READABLE = ("Leaky", "Synaptic", "RLeaky", "RSynaptic")


def returns_state(cell: Any) -> bool:
    """Return whether a call gives ``(spikes, ..., voltage)``."""
    return bool(cell.output or not cell.init_hidden)


def read_snntorch_cell(cell: Any, name: str, shape: Shape) -> Cell:
    """Return the neurons that ``cell`` simulates, for an input of ``shape``.

    Raises
    ------
    ModelError
        If the cell, or one of its parameters, has no counterpart.
    """
    kind = type(cell).__name__
    if kind not in READABLE:
        raise ModelError(
            f"{name}: snnTorch's {kind} cannot be deployed; use {', '.join(READABLE)}"
        )
    _check(cell, name)
    current_decay = ONE
    if kind.endswith("Synaptic"):
        current_decay = 1 - np.clip(values(cell.alpha, shape), 0, 1)
    dynamics = Dynamics(
        current_decay=current_decay,
        voltage_decay=1 - np.clip(values(cell.beta, shape), 0, 1),
    )
    is_silent = cell.reset_mechanism == "none"
    return Cell(
        neurons=_neurons(cell, name, shape, dynamics),
        recurrent=_recurrent(cell, name, shape) if kind.startswith("R") else None,
        silent=integrating(name, shape, dynamics) if is_silent else None,
    )


def _neurons(cell: Any, name: str, shape: Shape, dynamics: Dynamics) -> Lif:
    threshold = values(cell.threshold, shape)
    worth = values(cell.graded_spikes_factor, ())
    if worth.size != 1 or worth <= 0:
        raise refuse(
            name, "graded_spikes_factor", worth.tolist(), "use one number over 0"
        )
    rests = type(cell).__name__ != "Leaky" and cell.reset_delay
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
    if not cell.reset_delay:
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


def _check(cell: Any, name: str) -> None:
    """Raise an error for what changes spikes or voltages and has no counterpart."""
    for parameter in ("inhibition", "state_quant"):
        if getattr(cell, parameter):
            raise refuse(name, parameter, "set", f"train without {parameter}")
    probe = torch.tensor([-2.0, -0.5, -1e-6, 0.0, 1e-6, 0.5, 2.0])
    found = cell.spike_grad(probe.clone()).detach()
    if not torch.equal(found, (probe > 0).to(found)):
        raise refuse(
            name, "spike_grad", "no step from 0 to 1 at 0", "use one of snn.surrogate"
        )


def _recurrent(cell: Any, name: str, shape: Shape) -> Linear | Conv2d:
    module, name = cell.recurrent, f"{name}.recurrent"
    if type(module).__name__ == "RecurrentOneToOne":
        return one_to_one(values(module.V, shape), name, shape)
    return fed_back(module, name, shape)
