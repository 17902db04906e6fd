"""Bring inputs into the shape of a network, or say which axes lie otherwise."""

from math import prod
from pathlib import Path

import numpy as np

from snn_deploy.arrays import AnyArray, Shape
from snn_deploy.errors import DataError
from snn_deploy.ir.graph import Training
from snn_deploy.ir.inputs import fitting
from snn_deploy.ir.stimuli import Encoding


def in_shape(
    path: Path, name: str, x: AnyArray, input_shape: Shape, training: Training
) -> tuple[AnyArray, bool]:
    """Return inputs in the shape of the network, and whether they are sequences.

    Of values; those of events always are.
    """
    is_events = training.encoding is Encoding.EVENTS
    constant = None if is_events else fitting(x, 1, input_shape)
    if constant is not None:
        return constant, False
    found = fitting(x, 2, input_shape)
    if found is not None:
        return found, not is_events
    shown = ", ".join(map(str, input_shape))
    forms = f"(n, {'timesteps, ' if is_events else ''}{shown})"
    if training.encoding is Encoding.DIRECT:
        forms += f", or (n, timesteps, {shown}) where they change"
    forms += _rearranged(name, x, input_shape)
    raise DataError(
        f"{path}: {name} has inputs of shape {x.shape[2 if is_events else 1 :]}, the "
        f"network takes {input_shape}; store {name} as {forms}"
    )


def _rearranged(name: str, x: AnyArray, input_shape: Shape) -> str:
    """Return what makes inputs of ``x``, if that is likely; else nothing."""
    shown = ", ".join(map(str, input_shape))
    if x.shape == input_shape:
        return f"; it is a single input, {name}[np.newaxis]"
    if len(input_shape) == 3 and x.shape[-3:] == (*input_shape[1:], input_shape[0]):
        return f", by np.moveaxis({name}, -1, -3)"
    if x.ndim > 2 and x.shape[1:-1] == input_shape:
        return f", by np.moveaxis({name}, -1, 1)"
    if x.ndim > 1 and x.shape[-1] == prod(input_shape):
        return f", by {name}.reshape(*{name}.shape[:-1], {shown})"
    return ""


def check_order(path: Path, name: str, x: AnyArray, y: AnyArray, n_axes: int) -> None:
    """Raise an error if labels tell that timesteps come first."""
    has_time = x.ndim > 1 + n_axes
    if has_time and x.shape[1:2] == np.shape(y)[:1] != x.shape[:1]:
        raise DataError(
            f"{path}: {name} has the shape {x.shape}, and there are {len(y)} labels"
            f"{turned(name)}"
        )


def turned(name: str, x: AnyArray | None = None, timesteps: int = 0) -> str:
    """Return what turns the first two axes of ``x``, if they may be the other way."""
    if x is not None and (len(x) != timesteps or x.shape[1] == timesteps):
        return ""
    line = f"np.swapaxes({name}, 0, 1)"
    return f"; inputs come first, then timesteps: if it is the other way, give {line}"
