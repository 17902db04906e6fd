"""The frameworks whose neurons can be read, told by where a module's type comes from.

None of their packages is imported: a module of theirs brings its own.
"""

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch import sinabs, snntorch
from snn_deploy.importers.torch.cells import (
    FRAMEWORKS,
    Cell,
    Dynamics,
    changes,
    kind_of,
    spiking,
    values,
)
from snn_deploy.importers.torch.norse import is_norse_sequence, read_norse_cell
from snn_deploy.importers.torch.sinabs import read_sinabs_cell
from snn_deploy.importers.torch.snntorch import read_snntorch_cell
from snn_deploy.importers.torch.spikingjelly import (
    is_recurrent_container,
    is_spikingjelly_sequence,
    read_spikingjelly_cell,
    takes_all_timesteps,
)
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.nn.neurons import IntegrateAndFire


class TimeAxis(Enum):
    """Where a module whose forward takes all timesteps has them."""

    NONE = "none"  # forward is one timestep
    FIRST = "time, batch"  # SpikingJelly's step mode "m"
    SECOND = "batch, time"  # sinabs
    MERGED = "batch * time"  # sinabs' Squeeze layers


def _read_own_cell(cell: Any, name: str, shape: Shape) -> Cell:
    threshold = values(cell.threshold, shape)
    neurons = spiking(
        name,
        shape,
        Dynamics(voltage_decay=np.array(cell.decay)),
        threshold,
        reset=Reset.SOFT,
        comparison=Comparison.GREATER_EQUAL,
        spike_value=float(threshold),
    )
    return Cell(neurons=replace(neurons, initial_voltage=threshold / 2))


# the packages that hold a framework's neurons, and what reads them
CELLS: dict[str, Callable[[Any, str, Shape], Cell]] = {
    "norse": read_norse_cell,
    "snntorch._neurons": read_snntorch_cell,
    "spikingjelly.activation_based.neuron": read_spikingjelly_cell,
    "sinabs.layers.alif": read_sinabs_cell,
    "sinabs.layers.exp_leak": read_sinabs_cell,
    "sinabs.layers.iaf": read_sinabs_cell,
    "sinabs.layers.lif": read_sinabs_cell,
}


def _is_in(kind: type, package: str) -> bool:
    return f"{kind.__module__}.".startswith(f"{package}.")


def _reader(kind: type) -> Callable[[Any, str, Shape], Cell] | None:
    if kind is IntegrateAndFire:
        return _read_own_cell
    if kind.__name__ == "RecurrentOneToOne":  # a part of RLeaky, no neurons
        return None
    if is_recurrent_container(kind):
        return read_spikingjelly_cell
    return next((read for p, read in CELLS.items() if _is_in(kind, p)), None)


def is_cell(module: nn.Module) -> bool:
    """Return whether ``module`` simulates neurons, or is derived from one that does."""
    kinds = [k for k in type(module).__mro__ if issubclass(k, nn.Module)]
    return not is_sequence(module) and any(_reader(kind) for kind in kinds)


def is_sequence(module: nn.Module) -> bool:
    """Return whether ``module`` is a framework's row of layers."""
    return (
        is_norse_sequence(module)
        or is_spikingjelly_sequence(module)
        or (_is_in(type(module), "sinabs") and type(module).__name__ == "Repeat")
    )


def is_of_framework(module: nn.Module) -> bool:
    """Return whether the type of ``module`` comes from a framework."""
    return any(_is_in(type(module), package) for package in FRAMEWORKS)


def is_walked(module: nn.Module) -> bool:
    """Return whether a framework's module is one that holds a network of the user."""
    return _is_in(type(module), "sinabs") and type(module).__name__ == "Network"


def read_cell(module: nn.Module, name: str, shape: Shape) -> Cell:
    """Return the neurons that ``module`` simulates, for an input of ``shape``.

    Raises
    ------
    ModelError
        If the module, or one of its parameters, has no counterpart.
    """
    known = next(k for k in type(module).__mro__ if _reader(k))
    changed = changes(module, known)
    if changed:
        raise ModelError(
            f"{name}: {type(module).__name__} is derived from {known.__name__} and may "
            f"do something else ({', '.join(changed)}); use {known.__name__} itself, "
            "or override nothing but __init__"
        )
    read = _reader(known)
    assert read is not None
    return read(module, name, shape)


def returns_state(module: nn.Module) -> bool:
    """Return whether a call of ``module`` gives the output and states beside it."""
    if is_cell(module) and _is_in(kind_of(module), "snntorch"):
        return snntorch.returns_state(module)
    is_norse = is_norse_sequence(module) or _is_in(kind_of(module), "norse")
    return is_norse or isinstance(module, IntegrateAndFire)


def takes_state(module: nn.Module) -> bool:
    """Return whether a call of ``module`` may be given the states that it returned."""
    return returns_state(module) and not getattr(module, "init_hidden", False)


def voltage_index(module: nn.Module) -> int:
    """Return which part of what a call gives is a voltage to read out; -1 for none."""
    if not _is_in(kind_of(module), "snntorch"):
        return -1
    return 2 if kind_of(module).__name__ == "Synaptic" else 1


def is_reshaping(module: nn.Module) -> bool:
    """Return whether ``module`` only merges or parts the axes of batch and time."""
    return _is_in(type(module), "sinabs") and (
        type(module).__name__ in sinabs.RESHAPING
    )


def time_axis(model: nn.Module) -> TimeAxis:
    """Return where ``model`` takes the timesteps."""
    modules = [m for m in model.modules() if is_of_framework(m) or is_cell(m)]
    if any(takes_all_timesteps(m) for m in modules):
        return TimeAxis.FIRST
    of_sinabs = [m for m in modules if is_cell(m) and _is_in(kind_of(m), "sinabs")]
    if any(not sinabs.is_squeezed(m) for m in of_sinabs):
        return TimeAxis.SECOND
    return TimeAxis.MERGED if of_sinabs else TimeAxis.NONE


def states_of(model: nn.Module) -> set[str]:
    """Return the names in a ``state_dict`` that are states of neurons, not trained."""
    return {
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        if is_cell(module)
        for name in _states(module)
    }


def _states(cell: nn.Module) -> list[str]:
    if _is_in(kind_of(cell), "sinabs"):
        return [name for name, _ in cell.named_buffers(recurse=False)]
    return list(snntorch.STATES) if _is_in(kind_of(cell), "snntorch") else []


def optional_of(model: nn.Module) -> set[str]:
    """Return the names in a ``state_dict`` that files of older versions lack.

    None was trained: the builder gives them.
    """
    return {
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        for name in _optional(module)
    }


def _optional(module: nn.Module) -> tuple[str, ...]:
    if is_cell(module) and _is_in(kind_of(module), "snntorch"):
        return snntorch.optional(module)
    return ("num_batches_tracked",)  # of batch normalizations


def rest(model: nn.Module) -> None:
    """Return all neurons that keep their states themselves to rest."""
    for module in model.modules():
        kind: Any = module
        if _is_in(kind_of(module), "spikingjelly") and hasattr(module, "reset"):
            kind.reset()
        elif _is_in(kind_of(module), "snntorch") and hasattr(module, "reset_mem"):
            kind.reset_mem()
        elif _is_in(kind_of(module), "sinabs") and is_cell(module):
            for name, _ in list(module.named_buffers(recurse=False)):
                module.register_buffer(name, torch.zeros(0))


def copied(model: nn.Module) -> nn.Module:
    """Return a copy of ``model``, its neurons at rest.

    Raises
    ------
    ModelError
        If it holds what cannot be copied.
    """
    rest(model)  # states with a history cannot be copied
    try:
        return _copy(model)
    except Exception as error:  # the user's classes may raise anything
        raise ModelError(
            f"{type(model).__name__}: cannot be copied ({error}); remove what its "
            "layers keep of a training, such as outputs"
        ) from error


def _copy(model: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except AttributeError:  # sinabs' layers with rec_connect
        found: nn.Module = pickle.loads(pickle.dumps(model))
        return found
