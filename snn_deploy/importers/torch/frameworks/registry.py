"""The frameworks whose neurons can be read, and what the importer asks of them."""

import copy
import pickle

import torch
from torch import nn

from snn_deploy.arrays import Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.frameworks.cells import Cell
from snn_deploy.importers.torch.frameworks.declared import Declared, is_declared
from snn_deploy.importers.torch.frameworks.framework import Framework, TimeAxis
from snn_deploy.importers.torch.frameworks.norse import Norse
from snn_deploy.importers.torch.frameworks.own import Own
from snn_deploy.importers.torch.frameworks.sinabs import Sinabs
from snn_deploy.importers.torch.frameworks.snntorch import SnnTorch
from snn_deploy.importers.torch.frameworks.spikingjelly import SpikingJelly
from snn_deploy.importers.torch.layers import DEPLOYABLE as LAYERS
from snn_deploy.ir.graph import Functional

OWN, PYTORCH, DECLARED = Own(), Framework(), Declared()
FRAMEWORKS: tuple[Framework, ...] = (
    Norse(),
    SnnTorch(),
    SpikingJelly(),
    Sinabs(),
)
*_FIRST, _LAST = (framework.title for framework in FRAMEWORKS)
DEPLOYABLE = (*LAYERS, f"neurons of {', '.join(_FIRST)} and {_LAST}")
# what a derived class may define without doing something else
HARMLESS = ("__init__", "__doc__", "__repr__", "__str__", "extra_repr")


def framework_of(module: nn.Module) -> Framework:
    """Return the framework that a module's type, or one it derives from, is of."""
    if is_declared(module):
        return DECLARED
    known = (*FRAMEWORKS, OWN)
    kinds = type(module).__mro__
    return next((f for k in kinds for f in known if f.owns(k)), PYTORCH)


def is_of_framework(module: nn.Module) -> bool:
    """Return whether the type of ``module`` itself comes from a framework."""
    return framework_of(module).owns(type(module))


def is_cell(module: nn.Module) -> bool:
    """Return whether ``module`` simulates neurons, or is derived from one that does."""
    return framework_of(module).is_cell(module)


def read_cell(module: nn.Module, name: str, shape: Shape) -> Cell:
    """Return the neurons that ``module`` simulates, for an input of ``shape``.

    Raises
    ------
    ModelError
        If the module, or one of its parameters, has no counterpart.
    """
    framework = framework_of(module)
    known = next(k for k in type(module).__mro__ if framework.has_neurons(k))
    changed = _changes(module, known)
    if changed:
        raise ModelError(
            f"{name}: {type(module).__name__} is derived from {known.__name__} and may "
            f"do something else ({', '.join(changed)}); use {known.__name__} itself, "
            "or override nothing but __init__"
        )
    return framework.read_cell(module, name, shape)


def _changes(module: nn.Module, known: type) -> tuple[str, ...]:
    """Return the names of what ``module`` defines that may change what it does."""
    kinds = [kind for kind in type(module).__mro__ if kind not in known.__mro__]
    found = [
        name
        for kind in kinds
        for name, value in vars(kind).items()
        if name not in HARMLESS and (callable(value) or hasattr(value, "__get__"))
    ]
    if "forward" in vars(module):
        found.append("forward")
    # what every class has of itself
    return tuple(name for name in found if name not in ("__dict__", "__weakref__"))


def time_axis(model: nn.Module) -> tuple[TimeAxis, Framework]:
    """Return where ``model`` takes the timesteps, and the framework that says so."""
    found = {
        framework.time_axis(module): framework
        for module in model.modules()
        if is_of_framework(module) or is_cell(module)
        for framework in (framework_of(module),)
    }
    for axis in (TimeAxis.FIRST, TimeAxis.SECOND, TimeAxis.MERGED):
        if axis in found:
            return axis, found[axis]
    return TimeAxis.NONE, PYTORCH


def plain_tensor(model: nn.Module) -> str:
    """Return the name of a tensor of single precision that is not registered.

    The module was made double, and such tensors stay behind. Empty: there is none.
    """
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, torch.Tensor) and value.dtype is torch.float32:
                return f"{path}.{name}" if path else name
    return ""


def mixed_modes(model: nn.Module) -> str:
    """Return what to do where layers of one timestep stand beside those of all."""
    axes: dict[str, set[TimeAxis]] = {}
    for module in model.modules():
        if is_of_framework(module) or is_cell(module):
            framework = framework_of(module)
            found = axes.setdefault(framework.advice, set())
            found.add(framework.time_axis(module))
    return next((told for told, kinds in axes.items() if told and len(kinds) > 1), "")


def states_of(model: nn.Module) -> set[str]:
    """Return the names in a ``state_dict`` that are states of neurons, not trained."""
    return {
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        if is_cell(module)
        for name in framework_of(module).states(module)
    }


def optional_of(model: nn.Module) -> set[str]:
    """Return the names in a ``state_dict`` that files of older versions lack.

    None was trained: the builder gives them.
    """
    return {
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        for name in framework_of(module).optional(module)
    }


def check_answer(model: nn.Module, functional: Functional) -> None:
    """Raise an error if a read-out makes another answer of its voltages than we do."""
    for name, module in model.named_modules():
        framework_of(module).check_answer(module, name, functional)


def rest(model: nn.Module) -> None:
    """Return all neurons that keep their states themselves to rest."""
    for module in model.modules():
        framework_of(module).rest(module)


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
    except AttributeError:  # of layers that can be pickled alone
        found: nn.Module = pickle.loads(pickle.dumps(model))
        return found
