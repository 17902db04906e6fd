"""Neurons of the user's own that ``save`` is told of, by their type.

A declaration is kept by the modules of a copy: there is no list of known types.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from torch import nn

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.frameworks.cells import (
    Cell,
    Dynamics,
    spiking,
    values,
)
from snn_deploy.importers.torch.frameworks.framework import Framework, TimeAxis
from snn_deploy.ir.neurons import Comparison, Reset

Settings: TypeAlias = Mapping[str, Any]
Declarations: TypeAlias = Mapping[type, "Settings | Callable[[Any], Settings]"]
REQUIRED = ("decay", "threshold", "reset")
OPTIONAL: dict[str, Any] = {
    "comparison": ">",
    "current_decay": 1.0,
    "input_gain": 1.0,
    "bias": 0.0,
    "initial_voltage": 0.0,
    "reset_amount": None,  # the threshold
    "spike_value": 1.0,
    "refractory": 0,
    "time_axis": None,
}
TIME_AXES = {None: TimeAxis.NONE, 0: TimeAxis.FIRST, 1: TimeAxis.SECOND}
_MARK = "_declared_neurons"


def declare(model: nn.Module, neurons: Declarations) -> None:
    """Tell the modules of these types in ``model`` what they are.

    Raises
    ------
    ModelError
        If there is no module of a type, or a setting is missing or unknown.
    """
    modules = list(model.modules())
    for kind, given in neurons.items():
        mine = [module for module in modules if type(module) is kind]
        if not mine:
            found = sorted({type(module).__name__ for module in modules})
            raise ModelError(
                f"neurons: the model has no module of the type {_name(kind)}; it has "
                f"{', '.join(found)}"
            )
        for module in mine:
            settings = given(module) if callable(given) else given
            setattr(module, _MARK, _checked(_name(kind), settings))


def is_declared(module: nn.Module) -> bool:
    """Return whether ``save`` was told what neurons ``module`` is."""
    return _MARK in vars(module)


class Declared(Framework):
    """Neurons that are what the user says they are."""

    title = "declared neurons"
    advice = (
        "what neurons=... says of this type is not what it does; look at its decay "
        "(the share that is lost), reset, comparison and first voltage"
    )

    def has_neurons(self, kind: type) -> bool:
        return issubclass(kind, nn.Module)

    def read_cell(self, cell: Any, name: str, shape: Shape) -> Cell:
        settings = vars(cell)[_MARK]

        def value(key: str) -> FloatArray:
            return values(settings[key], shape)

        threshold = value("threshold")
        amount = settings["reset_amount"]
        neurons = spiking(
            name,
            shape,
            Dynamics(
                current_decay=value("current_decay"),
                voltage_decay=value("decay"),
                input_gain=value("input_gain"),
            ),
            threshold,
            reset=settings["reset"],
            comparison=settings["comparison"],
            reset_amount=threshold if amount is None else value("reset_amount"),
            spike_value=float(settings["spike_value"]),
            refractory=int(settings["refractory"]),
            bias=value("bias"),
            initial_voltage=value("initial_voltage"),
        )
        return Cell(neurons=neurons)

    def time_axis(self, module: nn.Module) -> TimeAxis:
        return TIME_AXES[vars(module)[_MARK]["time_axis"]]

    def returns_state(self, module: nn.Module) -> bool:
        return True


def _checked(kind: str, settings: Any) -> Settings:
    if not isinstance(settings, Mapping):
        raise ModelError(
            f"neurons: {kind} is given {type(settings).__name__}; give a dict with "
            f"{', '.join(REQUIRED)}"
        )
    for key in REQUIRED:
        if key not in settings:
            raise ModelError(f"neurons: {kind} has no {key!r}; say what it is")
    for key in settings:
        if key not in (*REQUIRED, *OPTIONAL):
            known = ", ".join((*REQUIRED, *OPTIONAL))
            raise ModelError(f"neurons: {kind} has {key!r}; known are {known}")
    whole = {**OPTIONAL, **settings}
    whole["reset"] = _member(Reset, whole["reset"], f"neurons: reset of {kind}")
    whole["comparison"] = _member(
        Comparison, whole["comparison"], f"neurons: comparison of {kind}"
    )
    if whole["time_axis"] not in TIME_AXES:
        raise ModelError(
            f"neurons: time_axis of {kind} is {whole['time_axis']!r}; give 0 or 1, or "
            "None for a module that is one timestep"
        )
    return whole


def _member(kind: Any, value: Any, name: str) -> Any:
    allowed = [member.value for member in kind]
    if value not in allowed:
        raise ModelError(f"{name} is {value!r}; choose from {', '.join(allowed)}")
    return kind(value)


def _name(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind))
