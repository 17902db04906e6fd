"""Read the neurons of SpikingJelly: ``IFNode``, ``LIFNode`` and their kin.

A spike needs ``v >= v_threshold``, or ``>`` where the surrogate function is written so.
With ``v_reset`` a spike sets the voltage to it, and voltages start there and leak
towards it: counted from it, all three are 0. Without (``None``) a spike takes the
threshold off, and voltages leak towards 0. A voltage loses 1 / tau per timestep, or
sigmoid(w) of ``ParametricLIFNode``, and ``decay_input`` scales the input by that as
well. ``CUBALIFNode`` gives the shares that current and voltage keep; its voltages leak
towards 0 whatever ``v_reset`` is, which counted from ``v_reset`` is a bias. Voltages of
``Simple...`` variants start at 0. ``NonSpiking...`` nodes are read-outs that take all
timesteps and give the voltage of each, or what ``decode`` makes of them. Step modes
``"s"`` and ``"m"`` compute the same; in ``"m"`` the first axis is time.
``LinearRecurrentContainer`` and, where it adds, ``ElementWiseRecurrentContainer`` bring
the spikes of the timestep before to the neurons that they hold. All other neurons are
refused.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.cells import (
    ZERO,
    Cell,
    Dynamics,
    comparison_of,
    integrating,
    kind_of,
    one_to_one,
    refuse,
    spiking,
    values,
)
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.nodes import Linear

READABLE = (
    "IFNode",
    "LIFNode",
    "ParametricLIFNode",
    "CUBALIFNode",
    "SimpleIFNode",
    "SimpleLIFNode",
)
READOUTS = ("NonSpikingIFNode", "NonSpikingLIFNode")
# how a read-out makes one answer of its voltages, and how we do
DECODES = {
    "max-mem": Functional.MAX,
    "mean-mem": Functional.SUM,
    "last_mem": Functional.LAST,
}
RECURRENT = ("LinearRecurrentContainer", "ElementWiseRecurrentContainer")
THRESHOLD_NORMS = ("ThresholdDependentBatchNorm1d", "ThresholdDependentBatchNorm2d")
CONTAINERS = ("MultiStepContainer", "SeqToANNContainer", "StepModeContainer")
PACKAGE = "spikingjelly.activation_based"


def is_spikingjelly_sequence(module: nn.Module) -> bool:
    """Return whether ``module`` runs its children one after another, step by step."""
    kind = type(module)
    return kind.__module__.startswith(f"{PACKAGE}.layer") and (
        kind.__name__ in CONTAINERS
    )


def is_recurrent_container(kind: type) -> bool:
    """Return whether modules of this type feed the spikes of neurons back to them."""
    return kind.__module__.startswith(f"{PACKAGE}.layer") and kind.__name__ in RECURRENT


def takes_all_timesteps(module: nn.Module) -> bool:
    """Return whether the first axis of what ``module`` takes is time."""
    if is_spikingjelly_sequence(module) and type(module).__name__ in CONTAINERS[:2]:
        return True
    if is_readout(module):
        return True
    return getattr(module, "step_mode", "s") == "m"


def is_readout(module: nn.Module) -> bool:
    """Return whether ``module`` gives voltages, of all timesteps at once."""
    kind = kind_of(module)
    return kind.__module__.startswith(f"{PACKAGE}.neuron") and kind.__name__ in READOUTS


def check_decode(model: nn.Module, functional: Functional) -> None:
    """Raise an error if a read-out makes another answer of its voltages than we do."""
    for name, module in model.named_modules():
        decode: Any = getattr(module, "decode", None) if is_readout(module) else None
        if decode is None or DECODES.get(decode) is functional:
            continue
        known = [f"{k!r} with functional {v.value!r}" for k, v in DECODES.items()]
        raise refuse(
            name,
            "decode",
            f"{decode!r} with functional {functional.value!r}",
            f"use {', '.join(known)}, or None",
        )


def is_threshold_norm(module: nn.Module) -> bool:
    """Return whether ``module`` is a threshold-dependent batch normalization.

    Once trained it is a batch normalization over time and batch, like any other.
    """
    kind = type(module)
    return kind.__module__ == f"{PACKAGE}.layer.bn" and kind.__name__ in THRESHOLD_NORMS


def repeats(module: nn.Module, known: type) -> bool:
    """Return whether ``module`` is ``known`` of PyTorch, once for each timestep."""
    kind = type(module)
    is_of_ours = kind.__module__.startswith(f"{PACKAGE}.layer")
    return is_of_ours and kind.__name__ == known.__name__


def does_nothing(module: nn.Module) -> bool:
    """Return whether ``module`` is a dropout, which does nothing once trained."""
    kind = type(module)
    return kind.__module__ == f"{PACKAGE}.layer.dropout" and (
        kind.__name__.startswith("Dropout")
    )


def read_voting(module: nn.Module, name: str, shape: Shape) -> Linear | None:
    """Return the means over groups of neurons, if ``module`` is a ``VotingLayer``."""
    kind: Any = type(module)
    if kind.__name__ != "VotingLayer" or not kind.__module__.startswith(PACKAGE):
        return None
    size = int(module.voting_size)  # type: ignore[arg-type]
    if len(shape) != 1 or shape[0] % size:
        raise ModelError(
            f"{name}: voting_size {size} does not divide an input of {shape}; flatten "
            "it, and choose a divisor"
        )
    groups = np.repeat(np.eye(shape[0] // size), size, axis=1) / size
    return Linear(name=name, weight=groups, bias=np.zeros(len(groups)))


def read_spikingjelly_cell(cell: Any, name: str, shape: Shape) -> Cell:
    """Return the neurons that ``cell`` simulates, for an input of ``shape``.

    Raises
    ------
    ModelError
        If the cell, or one of its parameters, has no counterpart.
    """
    kind = kind_of(cell).__name__
    if kind in RECURRENT:
        return read_recurrent_container(cell, name, shape)
    if kind in READOUTS:
        return Cell(neurons=integrating(name, shape, _dynamics(cell, shape)))
    if kind not in READABLE:
        raise ModelError(
            f"{name}: SpikingJelly's {kind} cannot be deployed; use "
            f"{', '.join((*READABLE, *READOUTS))}"
        )
    comparison = _comparison(cell, name)
    threshold, rest = values(cell.v_threshold, shape), ZERO
    if cell.v_reset is not None:
        rest = values(cell.v_reset, shape)
    neurons = spiking(
        name,
        shape,
        _dynamics(cell, shape),
        threshold - rest,
        reset=Reset.SOFT if cell.v_reset is None else Reset.HARD,
        comparison=comparison,
    )
    if kind == "CUBALIFNode":
        neurons = replace(neurons, bias=-neurons.voltage_decay * rest)
    if kind.startswith("Simple"):
        neurons = replace(neurons, initial_voltage=-rest)
    return Cell(neurons=neurons)


def read_recurrent_container(container: Any, name: str, shape: Shape) -> Cell:
    """Return the neurons in a container that feeds their spikes back to them.

    Raises
    ------
    ModelError
        If it holds no neurons, or combines spikes and input in another way.
    """
    back = f"{name}.recurrent"
    if kind_of(container).__name__ == "ElementWiseRecurrentContainer":
        _check_sum(container.element_wise_function, name)
        cell = read_spikingjelly_cell(container.sub_module, name, shape)
        return replace(cell, recurrent=one_to_one(np.array(1.0), back, shape))
    layer = container.rc
    weight = layer.weight.detach().cpu().double().numpy()
    n_in, n = len(weight), weight.shape[1] - len(weight)
    if shape != (n,) or n != n_in:
        raise ModelError(
            f"{name}: {n_in} features in and {n} out, but what comes before gives "
            f"{shape}; neurons have as many in as out, flatten what comes before"
        )
    bias = np.zeros(n) if layer.bias is None else values(layer.bias, (n,))
    cell = read_spikingjelly_cell(container.sub_module, name, shape)
    return replace(
        cell,
        weights=Linear(name=f"{name}.input", weight=weight[:, :n], bias=bias),
        recurrent=Linear(name=back, weight=weight[:, n:], bias=np.zeros(n)),
    )


def _check_sum(function: Any, name: str) -> None:
    """Raise an error if a function of two tensors is no sum."""
    probes = torch.randn(2, 100, generator=torch.Generator().manual_seed(0))
    if not torch.equal(function(probes[0], probes[1]), probes[0] + probes[1]):
        raise refuse(name, "element_wise_function", "no sum", "use torch.add")


def _dynamics(cell: Any, shape: Shape) -> Dynamics:
    kind = kind_of(cell).__name__
    if kind in ("IFNode", "SimpleIFNode", "NonSpikingIFNode"):
        return Dynamics()
    if kind == "CUBALIFNode":
        kept = values(cell.c_decay, shape), values(cell.v_decay, shape)
        return Dynamics(current_decay=1 - kept[0], voltage_decay=1 - kept[1])
    decay = _decay(cell, shape)
    if kind != "NonSpikingLIFNode" and not cell.decay_input:
        return Dynamics(voltage_decay=decay)
    return Dynamics(voltage_decay=decay, input_gain=decay)


def _decay(cell: Any, shape: Shape) -> FloatArray:
    if kind_of(cell).__name__ == "ParametricLIFNode":
        return values(cell.w.double().sigmoid(), shape)
    return np.asarray(1 / values(cell.tau, shape))


def _comparison(cell: Any, name: str) -> Comparison:
    found = comparison_of(cell.surrogate_function)
    if found is None:
        raise refuse(
            name,
            "surrogate_function",
            "no step from 0 to 1 at 0",
            "use spiking=True and one of spikingjelly's own",
        )
    return found
