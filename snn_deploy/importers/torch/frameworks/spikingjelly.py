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
from snn_deploy.importers.torch.frameworks.cells import (
    ZERO,
    Cell,
    Dynamics,
    comparison_of,
    integrating,
    one_to_one,
    refuse,
    spiking,
    values,
)
from snn_deploy.importers.torch.frameworks.framework import (
    Framework,
    TimeAxis,
    is_in,
    kind_in,
)
from snn_deploy.importers.torch.layers import means_of_groups, read_batch_norm
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.nodes import Linear, Node

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
DROPOUTS = ("Dropout", "Dropout2d")
THRESHOLD_NORMS = ("ThresholdDependentBatchNorm1d", "ThresholdDependentBatchNorm2d")
CONTAINERS = ("MultiStepContainer", "SeqToANNContainer", "StepModeContainer")
PACKAGE = "spikingjelly"
LAYERS = f"{PACKAGE}.activation_based.layer"
NEURONS = f"{PACKAGE}.activation_based.neuron"


class SpikingJelly(Framework):
    """SpikingJelly, whose neurons keep their states; step mode "m" is all timesteps."""

    title = "SpikingJelly"
    package = PACKAGE
    neurons = (NEURONS,)
    advice = (
        "where a layer of one timestep is given all of them, set one step mode for "
        "all: spikingjelly.activation_based.functional.set_step_mode(model, 'm')"
    )

    def has_neurons(self, kind: type) -> bool:
        is_container = is_in(kind, LAYERS) and kind.__name__ in RECURRENT
        return is_container or super().has_neurons(kind)

    def read_cell(self, cell: nn.Module, name: str, shape: Shape) -> Cell:
        return _cell(cell, name, shape)

    def read_layer(self, module: nn.Module, name: str, shape: Shape) -> Node | None:
        if _is_layer(module, "VotingLayer"):
            return _voting(module, name, shape)
        if _is_layer(module, "SynapseFilter"):
            raise ModelError(
                f"{name}: SynapseFilter keeps a current for each input that decays in "
                "timesteps without a spike alone, which no neuron that can be deployed "
                "does; leave it out, and use CUBALIFNode behind the next layer, whose "
                "current decays in every timestep"
            )
        if _is_layer(module, *THRESHOLD_NORMS):  # over time and batch, like any other
            return read_batch_norm(module, name, shape)
        return super().read_layer(module, name, shape)

    def repeats(self, module: nn.Module, known: type) -> bool:
        return _is_layer(module, known.__name__)

    def is_sequence(self, module: nn.Module) -> bool:
        return _is_layer(module, *CONTAINERS)

    def is_whole(self, module: nn.Module) -> bool:
        if any(True for _ in module.children()):
            return False
        has_memory = hasattr(module, "_memories")  # refused by name
        return has_memory or _is_layer(
            module, "VotingLayer", *THRESHOLD_NORMS, *DROPOUTS
        )

    def is_passed(self, module: nn.Module) -> bool:
        return _is_layer(module, *DROPOUTS) or super().is_passed(module)

    def time_axis(self, module: nn.Module) -> TimeAxis:
        takes_all = _is_layer(module, *CONTAINERS[:2]) or _is_readout(module)
        if takes_all or getattr(module, "step_mode", "s") == "m":
            return TimeAxis.FIRST
        return TimeAxis.NONE

    def rest(self, module: Any) -> None:
        if hasattr(module, "reset"):
            module.reset()

    def check_answer(
        self, module: nn.Module, name: str, functional: Functional
    ) -> None:
        decode: Any = getattr(module, "decode", None) if _is_readout(module) else None
        if decode is None or DECODES.get(decode) is functional:
            return
        known = [f"{k!r} with functional {v.value!r}" for k, v in DECODES.items()]
        raise refuse(
            name,
            "decode",
            f"{decode!r} with functional {functional.value!r}",
            f"use {', '.join(known)}, or None",
        )

    def takes_mean(self, module: Any) -> bool:
        return _is_readout(module) and module.decode == "mean-mem"

    def set_sizes(self, module: Any, n: int, n_timesteps: int) -> None:
        if _is_readout(module):
            module.decode = None  # the graph gives every voltage

    def whole(self, module: nn.Module, result: Any) -> Any:
        is_list = isinstance(result, list) and _is_readout(module)
        return torch.stack(result) if is_list else result  # one voltage each timestep


def _kind(module: nn.Module) -> str:
    return kind_in(PACKAGE, module).__name__


def _is_layer(module: nn.Module, *names: str) -> bool:
    return is_in(type(module), LAYERS) and type(module).__name__ in names


def _is_readout(module: nn.Module) -> bool:
    """Return whether ``module`` gives voltages, of all timesteps at once."""
    kind = kind_in(PACKAGE, module)
    return is_in(kind, NEURONS) and kind.__name__ in READOUTS


def _voting(module: Any, name: str, shape: Shape) -> Linear:
    """Return the means over groups of neurons."""
    size = int(module.voting_size)
    if len(shape) != 1 or shape[0] % size:
        raise ModelError(
            f"{name}: voting_size {size} does not divide an input of {shape}; flatten "
            "it, and choose a divisor"
        )
    return means_of_groups(name, shape[0], size)


def _cell(cell: Any, name: str, shape: Shape) -> Cell:
    """Return the neurons that ``cell`` simulates, for an input of ``shape``.

    Raises
    ------
    ModelError
        If the cell, or one of its parameters, has no counterpart.
    """
    kind = _kind(cell)
    if kind in RECURRENT:
        return _container(cell, name, shape)
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


def _container(container: Any, name: str, shape: Shape) -> Cell:
    """Return the neurons in a container that feeds their spikes back to them.

    Raises
    ------
    ModelError
        If it holds no neurons, or combines spikes and input in another way.
    """
    back = f"{name}.recurrent"
    if _kind(container) == "ElementWiseRecurrentContainer":
        _check_sum(container.element_wise_function, name)
        cell = _cell(container.sub_module, name, shape)
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
    cell = _cell(container.sub_module, name, shape)
    return replace(
        cell,
        weights=Linear(name=f"{name}.input", weight=weight[:, :n], bias=bias),
        recurrent=Linear(name=back, weight=weight[:, n:], bias=np.zeros(n)),
    )


def _check_sum(function: Any, name: str) -> None:
    """Raise an error if a function of two tensors is not a sum."""
    probes = torch.randn(2, 100, generator=torch.Generator().manual_seed(0))
    if not torch.equal(function(probes[0], probes[1]), probes[0] + probes[1]):
        raise refuse(name, "element_wise_function", "no sum", "use torch.add")


def _dynamics(cell: Any, shape: Shape) -> Dynamics:
    kind = _kind(cell)
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
    if _kind(cell) == "ParametricLIFNode":
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
