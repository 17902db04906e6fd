"""Inputs on the device that trains, as bytes."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from snn_deploy.data.datasets import Part
from snn_deploy.training.networks import as_float


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Inputs and their labels on a device, as they are in a ``Part``."""

    x: Tensor  # uint8, (n, shape...), events (n, n_timesteps, shape...)
    y: Tensor  # int64, (n,)
    is_events: bool = False

    def __len__(self) -> int:
        return len(self.y)

    def take(self, indices: Tensor) -> "Batch":
        """Return the inputs at ``indices``, in that order."""
        indices = indices.to(self.y.device)
        return replace(self, x=self.x[indices], y=self.y[indices])

    @property
    def pixels(self) -> Tensor:
        """The inputs as the network sees them, from 0 to 1; events are 0 or 1."""
        return as_float(self.x, is_events=self.is_events)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, of events at one timestep."""
        return tuple(self.x.shape[2 if self.is_events else 1 :])


def on_device(part: Part, device: torch.device) -> Batch:
    """Return the inputs of ``part``; the channels of a pixel lie side by side."""
    x = torch.from_numpy(part.x.copy()).to(device)
    if x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    y = torch.from_numpy(part.y.copy()).to(device)
    return Batch(x=x, y=y, is_events=part.is_events)
