"""What a forward takes: an input, or several, and where these have their timesteps."""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import nn

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


def parameters_of(model: nn.Module) -> list[inspect.Parameter]:
    """Return what forward takes, one after the other."""
    positional = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )
    parameters = inspect.signature(model.forward).parameters.values()
    return [p for p in parameters if p.kind in positional]


def if_several(model: nn.Module, shape: Shape) -> str:
    """Return what to do if what forward must be given are several inputs."""
    first, second, *more = (
        p.name for p in parameters_of(model) if p.default is inspect.Parameter.empty
    )
    rest = "".join(f", {name!r}: ..." for name in (second, *more))
    return (
        f"if {second} is an input, too, give the shape of each, "
        f"input_shape={{{first!r}: {shape}{rest}}}"
    )


def most_work(model: nn.Module, taken: Taken) -> int:
    """Return how many multiplications a timestep takes, kernels at every position."""
    positions = max(math.prod(shape[1:]) for shape in taken.shapes)
    return sum(p.numel() * (positions if p.ndim > 2 else 1) for p in model.parameters())


def free_size(model: nn.Module, taken: Taken, least: int, *others: int) -> int:
    """Return a number, ``least`` or more, that no layer could take for a size."""
    sizes = taken.sizes | {*others}
    sizes |= {size for tensor in model.parameters() for size in tensor.shape}
    return next(n for n in range(least, 1000) if n not in sizes)
