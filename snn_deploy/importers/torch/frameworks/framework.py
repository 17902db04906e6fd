"""What the importer asks about a framework of spiking neurons."""

from enum import Enum
from typing import Any

from torch import nn

from snn_deploy.arrays import Shape
from snn_deploy.importers.torch.frameworks.cells import Cell
from snn_deploy.importers.torch.layers import read_layer
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.nodes import Node

IDLE = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity)


class TimeAxis(Enum):
    """Where a module whose forward takes all timesteps has them."""

    NONE = "none"  # forward is one timestep
    FIRST = "time, batch"
    SECOND = "batch, time"
    LAST = "batch, ..., time"
    MERGED = "batch * time"


def is_in(kind: type, package: str) -> bool:
    """Return whether a type comes from a package, or a module of it."""
    return f"{kind.__module__}.".startswith(f"{package}.")


def has_hooks(module: nn.Module) -> bool:
    """Return whether hooks may change what ``module`` does.

    Those of objects that say ``only_looks``, as the regularizers here, do not.
    """
    hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    owners = (getattr(hook, "__self__", None) for hook in hooks)
    return not all(getattr(owner, "only_looks", False) for owner in owners)


def kind_in(package: str, module: nn.Module) -> type:
    """Return the first type of ``module`` that comes from a package, or its own."""
    kinds = type(module).__mro__
    return next((kind for kind in kinds if is_in(kind, package)), kinds[0])


class Framework:
    """A framework, told by where a type comes from; its package is never imported.

    The answers here are those of PyTorch itself, which has no spiking neurons: a
    framework gives others where it differs.
    """

    title = "PyTorch"  # as messages call it
    package = ""  # that its types come from
    neurons: tuple[str, ...] = ()  # the packages and modules that hold its neurons
    advice = ""  # where a forward that takes all timesteps gives other values

    def owns(self, kind: type) -> bool:
        """Return whether a type comes from this framework."""
        return bool(self.package) and is_in(kind, self.package)

    # what it knows

    def has_neurons(self, kind: type) -> bool:
        """Return whether modules of this type simulate neurons."""
        return any(is_in(kind, package) for package in self.neurons)

    def is_cell(self, module: nn.Module) -> bool:
        """Return whether ``module`` simulates neurons, or is derived from one."""
        kinds = [kind for kind in type(module).__mro__ if issubclass(kind, nn.Module)]
        return not self.is_sequence(module) and any(map(self.has_neurons, kinds))

    def read_cell(self, cell: nn.Module, name: str, shape: Shape) -> Cell:
        """Return the neurons that ``cell`` simulates, for an input of ``shape``.

        Raises
        ------
        ModelError
            If the cell, or one of its parameters, has no counterpart.
        """
        raise AssertionError(f"{name}: plain PyTorch has no neurons to read")

    def read_layer(self, module: nn.Module, name: str, shape: Shape) -> Node | None:
        """Return the layer of a module without neurons; ``None`` where there is none.

        Raises
        ------
        ModelError
            If one of its parameters has no counterpart.
        """
        return read_layer(module, name, shape)

    def repeats(self, module: nn.Module, known: type) -> bool:
        """Return whether ``module`` is ``known`` of PyTorch, once for each timestep."""
        return False

    # how modules are put together

    def is_sequence(self, module: nn.Module) -> bool:
        """Return whether ``module`` calls its children one after another."""
        return False

    def is_whole(self, module: nn.Module) -> bool:
        """Return whether a module of the framework is a layer, not looked into."""
        return False

    def is_passed(self, module: nn.Module) -> bool:
        """Return whether ``module`` does nothing to one timestep, once trained."""
        return isinstance(module, IDLE)

    def is_sum(self, module: nn.Module) -> bool:
        """Return whether ``module`` adds two outputs."""
        return False

    # time and states

    def time_axis(self, module: nn.Module) -> TimeAxis:
        """Return where ``module``, a layer or neurons, takes the timesteps."""
        return TimeAxis.NONE

    def returns_state(self, module: nn.Module) -> bool:
        """Return whether a call of ``module`` gives its states beside the output."""
        return False

    def takes_state(self, module: nn.Module) -> bool:
        """Return whether a call of ``module`` may be given states it returned."""
        return self.returns_state(module)

    def voltage_index(self, module: nn.Module) -> int:
        """Return which part of what a call gives is a voltage; -1 for none."""
        return -1

    def states(self, cell: nn.Module) -> tuple[str, ...]:
        """Return what in a ``state_dict`` is a state of neurons, not trained."""
        return ()

    def optional(self, module: nn.Module) -> tuple[str, ...]:
        """Return what a ``state_dict`` of an older version lacks; none was trained."""
        return ("num_batches_tracked",)  # of batch normalizations

    def rest(self, module: nn.Module) -> None:
        """Return neurons that keep their states themselves to rest."""

    # how it is run, to be compared

    def check_answer(
        self, module: nn.Module, name: str, functional: Functional
    ) -> None:
        """Raise an error if ``module`` makes another answer of voltages than we do."""

    def takes_mean(self, module: nn.Module) -> bool:
        """Return whether ``module`` makes the mean of voltages the answer."""
        return False

    def set_sizes(self, module: nn.Module, n: int, n_timesteps: int) -> None:
        """Tell ``module`` how many inputs and timesteps come at once."""

    def whole(self, module: nn.Module, result: Any) -> Any:
        """Return what a call gave, all timesteps in one tensor."""
        return result
