"""What a forward takes: an input, or several, and where these have their timesteps."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.importers.torch.frameworks.framework import TimeAxis
from snn_deploy.ir.inputs import NamedInput, with_places

Form = tuple[TimeAxis, ...]  # where each input of a forward has its timesteps
# (n, n_timesteps) to inputs; of values at these places, the same at every timestep
Draw = Callable[[int, int, Sequence[slice]], FloatArray]
MOST_MIXED = 4  # inputs, of which some may be the same at every timestep


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a forward takes in a timestep: an input, or several by name."""

    shape: Shape  # of several: the number of all their values
    inputs: tuple[NamedInput, ...] = ()

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shape of each input."""
        return tuple(given.shape for given in self.inputs) or (self.shape,)

    @property
    def sizes(self) -> set[int]:
        """All sizes that an axis of an input has, or may get."""
        each = {size for shape in self.shapes for size in (*shape, math.prod(shape))}
        return each | {math.prod(self.shape)}

    def parted(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return a batch ``(n, n_timesteps, shape...)`` as that of each input."""
        if not self.inputs:
            return [x]
        return [
            x[:, :, places].reshape(*x.shape[:2], *given.shape)
            for given, places in with_places(self.inputs)
        ]

    def __str__(self) -> str:
        each = (", ".join(("batch", *map(str, shape))) for shape in self.shapes)
        return " and ".join(f"({sizes})" for sizes in each)


def forms_of(axis: TimeAxis, n_inputs: int) -> Iterator[Form]:
    """Yield where the inputs may have their timesteps, the likely one first.

    Those of several inputs that have none are the same at every timestep.
    """
    others = (TimeAxis.FIRST, TimeAxis.SECOND, TimeAxis.LAST)
    axes = [axis, *(a for a in (TimeAxis.NONE, *others) if a is not axis)]
    yield from ((a,) * n_inputs for a in axes)
    for a in axes:
        if a is TimeAxis.NONE or n_inputs > MOST_MIXED:
            continue
        for is_still in product((False, True), repeat=n_inputs):
            if len({*is_still}) > 1:
                yield tuple(TimeAxis.NONE if still else a for still in is_still)


def timed(x: torch.Tensor, axis: TimeAxis) -> torch.Tensor:
    """Return an input ``(n, n_timesteps, shape...)`` with its timesteps on an axis."""
    match axis:
        case TimeAxis.NONE:
            return x[:, 0]
        case TimeAxis.FIRST:
            return x.transpose(0, 1)
        case TimeAxis.LAST:
            return x.movedim(1, -1)
        case TimeAxis.MERGED:
            return x.flatten(0, 1)
    return x
