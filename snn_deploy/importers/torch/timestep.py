"""One timestep: what is computed from the input and the timestep before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Union

import torch
from torch import nn

from snn_deploy.arrays import Shape

LATE = "late"  # an item that gives what another gave a timestep before
Source = Union["Item", "Before", float, torch.Tensor]


@dataclass(eq=False, kw_only=True)
class Item:
    """A value of one timestep, and the call that gives it."""

    operation: str  # as in ``record.Call``; "input"; "part": of what a layer returns
    sources: tuple[Source, ...] = ()  # operands in order; constants as they are
    options: Mapping[str, Any] = field(default_factory=dict)
    module: nn.Module | None = None  # that was taken whole
    path: str = ""  # of the module that made the call, or that was called
    shape: Shape  # without batch and time

    def __repr__(self) -> str:
        name = f"{self.path}:{self.operation}" if self.path else self.operation
        return f"<{name} {self.shape}>"


@dataclass(eq=False)
class Before:
    """The value that ``item`` had in the timestep before."""

    item: Item
    initial: float | torch.Tensor  # in the first timestep
