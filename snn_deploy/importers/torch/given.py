"""What ``save`` is told of one input or several: shape, scale, offset and range."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from snn_deploy.arrays import AnyArray, FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.taken import parameters_of
from snn_deploy.ir.graph import ends_of
from snn_deploy.ir.inputs import NamedInput, in_a_row, with_places
from snn_deploy.ir.stimuli import of_shares, to_shares

Factors = float | Sequence[float] | FloatArray  # one, or one for each channel
Range = Sequence[float]  # (least, most)
OneShape = Shape | int
Inputs = AnyArray | Sequence[AnyArray] | Mapping[str, AnyArray]
Shapes = OneShape | Sequence[OneShape] | Mapping[str, OneShape]


@dataclass(frozen=True, kw_only=True, eq=False)
class GivenInput:
    """What a module takes."""

    shape: Shape  # of several inputs: the number of all their values
    inputs: tuple[NamedInput, ...]  # several
    low: float  # the range of a single one
    high: float
    gain: FloatArray  # of x from 0 to 1: (1,), or one for each channel
    offset: FloatArray

    def shares(self, where: str, x: Any, *, is_events: bool) -> AnyArray:
        """Return data as bytes, or from 0 to 1; of several inputs, in a row."""
        if not self.inputs:
            return to_shares(np.asarray(x), self.low, self.high)
        names = [given.name for given in self.inputs]
        if not isinstance(x, Mapping):
            if not isinstance(x, tuple | list) or len(x) != len(names):
                raise ModelError(
                    f"{where}: is a {type(x).__name__}; give a dict of arrays, "
                    f"{', '.join(names)}"
                )
            x = dict(zip(names, x, strict=True))
        arrays = {name: np.asarray(array) for name, array in x.items()}
        return in_a_row(where, self.inputs, arrays, is_events=is_events)


def given_input(
    model: nn.Module,
    input_shape: Shapes,
    input_scale: Factors | Mapping[str, Factors],
    input_offset: Factors | Mapping[str, Factors],
    input_range: Range | Mapping[str, Range],
) -> GivenInput:
    """Return what ``save`` is told.

    Raises
    ------
    ModelError
        If something is of another form, or forward does not take as many inputs.
    """
    shapes = _shapes(model, input_shape)
    scales = _each("input_scale", input_scale, [*shapes], 1.0)
    offsets = _each("input_offset", input_offset, [*shapes], 0.0)
    ranges = _each("input_range", input_range, [*shapes], (0.0, 1.0))
    gains, shifts, ends = [], [], []
    for name, shape in shapes.items():
        ends.append(ends_of(ranges[name]))
        low, high = ends[-1]
        scale = _factors("input_scale", scales[name], shape)
        offset = _factors("input_offset", offsets[name], shape)
        gain, shift = of_shares(scale, offset, low, high)
        gains.append(gain)
        shifts.append(shift)
    if len(shapes) == 1:
        ((low, high),) = ends
        (shape,) = shapes.values()
        return GivenInput(
            shape=shape,
            inputs=(),
            low=low,
            high=high,
            gain=gains[0],
            offset=shifts[0],
        )
    inputs = tuple(
        NamedInput(name=name, shape=shape, low=low, high=high)
        for (name, shape), (low, high) in zip(shapes.items(), ends, strict=True)
    )
    return GivenInput(
        shape=(sum(given.size for given in inputs),),
        inputs=inputs,
        low=0.0,
        high=1.0,
        gain=_in_a_row(inputs, gains),
        offset=_in_a_row(inputs, shifts),
    )


def _shapes(model: nn.Module, told: Shapes) -> dict[str, Shape]:
    """Return the shape of each input of forward by its name, of one without."""
    if isinstance(told, Mapping):
        names, shapes = [str(name) for name in told], [*told.values()]
    elif _is_shape(told):
        return {"": _shape(told)}
    else:
        assert isinstance(told, Sequence)
        names, shapes = [], [*told]
    if len(shapes) < 2:
        raise ModelError(
            f"input_shape is {told!r}; give several inputs by name, or of a single one "
            "its shape alone, such as (1, 28, 28)"
        )
    taken = _names(model, len(shapes))
    if {*names} == {*taken}:
        by_name = dict(zip(names, shapes, strict=True))
        return {name: _shape(by_name[name]) for name in taken}
    return dict(zip(names or taken, map(_shape, shapes), strict=True))


def _is_shape(told: object) -> bool:
    """Return whether something is meant as one shape, or is none of our forms."""
    if not isinstance(told, tuple | list):
        return True
    return not any(isinstance(part, tuple | list) for part in told)


def _shape(told: object) -> Shape:
    sizes: Any = told
    try:
        sizes = [sizes] if isinstance(sizes, int) else sizes
        return tuple(map(operator.index, sizes))
    except TypeError:
        raise ModelError(
            f"input_shape is {told!r}; give whole numbers, the shape of one input "
            "without batch and time, such as (1, 28, 28)"
        ) from None


def _names(model: nn.Module, n: int) -> list[str]:
    """Return what forward calls its first ``n`` inputs."""
    names = [parameter.name for parameter in parameters_of(model)]
    if len(names) < n:
        raise ModelError(
            f"{type(model).__name__}: forward takes {len(names)} inputs "
            f"({', '.join(names)}), input_shape tells of {n}; write forward(self, "
            "image, sound), an argument for each"
        )
    return names[:n]


def _each(option: str, told: Any, names: list[str], default: Any) -> dict[str, Any]:
    """Return what is told of each input: the same of all, or by name."""
    if not isinstance(told, Mapping):
        return dict.fromkeys(names, told)
    odd = [str(name) for name in told if name not in names]
    if odd:
        raise ModelError(
            f"{option} names {', '.join(odd)}, the inputs are "
            f"{', '.join(filter(None, names)) or 'a single one, without a name'}"
        )
    return {name: told.get(name, default) for name in names}


def _factors(name: str, values: Factors, shape: Shape) -> FloatArray:
    """Return what the input is multiplied by, or what is added: one, or by channel."""
    try:
        found: FloatArray = np.add(values, 0.0, dtype=np.float64).reshape(-1)
    except TypeError:
        raise ModelError(
            f"{name} is {values!r}; give a number, or one for each channel"
        ) from None
    if found.size not in (1, *shape[:1]):
        raise ModelError(
            f"{name} has {found.size} values for an input of {shape}; give one, or "
            "one for each channel"
        )
    return found


def _in_a_row(inputs: tuple[NamedInput, ...], each: Sequence[FloatArray]) -> FloatArray:
    """Return a number for every value of all inputs, or one where all are equal."""
    row = np.zeros(sum(given.size for given in inputs))
    for (given, places), values in zip(with_places(inputs), each, strict=True):
        row[places] = np.repeat(values, given.size // len(values))
    return row[:1] if np.all(row == row[0]) else row
