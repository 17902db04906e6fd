"""The inputs of a network by their names: they lie in a row, one behind the other."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import AnyArray, Shape, n_neurons
from snn_deploy.errors import DataError, ModelError
from snn_deploy.ir.stimuli import GRAY_LEVELS, to_gray, to_shares
from snn_deploy.names import flaw_of, shown

# what data call the truth, and what lies beside inputs
LABELS = ("y", "label", "labels", "target", "targets")
BESIDE = ("lengths", "mask", "offsets")


@dataclass(frozen=True, kw_only=True)
class NamedInput:
    """One of several inputs, whose values lie in a row on the chip."""

    name: str
    shape: Shape  # without batch and time
    low: float = 0.0  # what data hold where it is 0, the least byte,
    high: float = 1.0  # and where it is 1, the largest

    @property
    def size(self) -> int:
        """How many values it has."""
        return n_neurons(self.shape)

    def __str__(self) -> str:
        """Return name and shape, as messages and tables show them."""
        return f"{self.name} {self.shape}"

    def __post_init__(self) -> None:
        if flaw := flaw_of(self.name):
            raise ModelError(f"{shown(self.name[:100])}: this name of an input {flaw}")
        if not self.name or self.name.lower() in (*LABELS, *BESIDE):
            raise ModelError(
                f"{self.name!r}: names no input, since data call their labels or "
                "lengths so; call it otherwise, with save by input_shape={name: shape}"
            )
        if not self.shape or min(self.shape) < 1:
            raise ModelError(
                f"{self.name}: the shape of this input is {self.shape}; give sizes of "
                "1 or more"
            )
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ModelError(f"{self.name}: input_range is not finite; give numbers")
        if self.low >= self.high:
            raise ModelError(
                f"{self.name}: input_range is {self.low:g} to {self.high:g}; give "
                "(least, most)"
            )


def check_inputs(where: str, inputs: tuple[NamedInput, ...], shape: Shape) -> None:
    """Raise a ``ModelError`` unless the inputs, if named, are all of a row."""
    if not inputs:
        return
    ((name, count),) = Counter(given.name for given in inputs).most_common(1)
    if count > 1:
        raise ModelError(
            f"{where}: {count} inputs are called {name}; give each its own name"
        )
    n = sum(given.size for given in inputs)
    if shape != (n,):
        raise ModelError(
            f"{where}: its inputs have {n} values, the network takes {shape}; make the "
            "two fit"
        )


def with_places(
    inputs: tuple[NamedInput, ...],
) -> Iterator[tuple[NamedInput, slice]]:
    """Yield the inputs, and where the values of each lie in the row."""
    first = 0
    for given in inputs:
        yield given, slice(first, first + given.size)
        first += given.size


def listed(inputs: tuple[NamedInput, ...]) -> str:
    """Return the inputs as messages name them."""
    return ", ".join(map(str, inputs))


def in_a_row(
    where: str,
    inputs: tuple[NamedInput, ...],
    arrays: Mapping[str, AnyArray],
    *,
    is_events: bool,
) -> AnyArray:
    """Return a batch of several inputs as one: ``(n, n_values)``.

    Or ``(n, n_timesteps, n_values)``, if one of them changes; the others are then the
    same at every timestep. What arrays there are beside these is not looked at.

    Parameters
    ----------
    where : str
        Begins the messages.
    inputs : tuple of NamedInput
    arrays : mapping
        ``(n, shape...)`` or ``(n, n_timesteps, shape...)``, by name.
    is_events : bool
        All of them are spikes, or counts of them, with an axis of timesteps.

    Raises
    ------
    DataError
        If one is missing, has another shape, number or type, or lies out of its range.
    """
    missing = [given.name for given in inputs if given.name not in arrays]
    if missing:
        raise DataError(
            f"{where}: has no {', '.join(map(repr, missing))} but "
            f"{', '.join(sorted(arrays)) or 'nothing'}; the network takes "
            f"{listed(inputs)}"
        )
    pairs = [
        _fitted(where, given, arrays[given.name], is_events=is_events)
        for given in inputs
    ]
    found, has_time = [x for x, _ in pairs], [timed for _, timed in pairs]
    for what, axis in (("inputs", 0), ("timesteps", 1)):
        all_of = zip(inputs, found, has_time, strict=True)
        counts = {g.name: a.shape[axis] for g, a, timed in all_of if timed or not axis}
        if len({*counts.values()}) > 1:
            each = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise DataError(
                f"{where}: not as many {what} of each ({each}); store the same number"
            )
    if not is_events:
        found = [
            _shares(where, given, array)
            for given, array in zip(inputs, found, strict=True)
        ]
        if len({array.dtype == np.uint8 for array in found}) > 1:
            found = [
                array / GRAY_LEVELS if array.dtype == np.uint8 else array
                for array in found
            ]
    times = [a.shape[1] for a, timed in zip(found, has_time, strict=True) if timed]
    rows = []
    for given, array, timed in zip(inputs, found, has_time, strict=True):
        row = array.reshape(*array.shape[: 2 if timed else 1], given.size)
        if times and not timed:
            row = np.repeat(row[:, np.newaxis], times[0], axis=1)
        rows.append(row)
    return np.concatenate(rows, axis=-1)


def fitting(x: AnyArray, axis: int, input_shape: Shape) -> AnyArray | None:
    """Return inputs, whose own shape begins at ``axis``, in that of the network.

    Maps of height 1 may be rows of several channels, images of one channel lack it.
    """
    forms = [input_shape]
    if len(input_shape) == 3 and input_shape[1] == 1:
        forms.append((input_shape[0], input_shape[2]))
    if len(input_shape) == 3 and input_shape[0] == 1 and axis == 1:
        forms.append(input_shape[1:])
    if x.shape[axis:] not in forms or x.ndim < axis:
        return None
    return x.reshape(*x.shape[:axis], *input_shape)


def _fitted(
    where: str, given: NamedInput, array: AnyArray, *, is_events: bool
) -> tuple[AnyArray, bool]:
    """Return an input in its shape, and whether it has an axis of timesteps."""
    still = None if is_events else fitting(array, 1, given.shape)
    if still is not None:
        return still, False
    found = fitting(array, 2, given.shape)
    if found is not None:
        return found, True
    sizes = ", ".join(map(str, given.shape))
    forms = f"(n, timesteps, {sizes})"
    if not is_events:
        forms = f"(n, {sizes}), or {forms} where it changes"
    raise DataError(
        f"{where}: {given.name} has the shape {array.shape}, the network takes "
        f"{given.shape} of it; store it as {forms}"
    )


def _shares(where: str, given: NamedInput, array: AnyArray) -> AnyArray:
    """Return values as bytes, or floats from 0 to 1."""
    try:
        shares = to_shares(array, given.low, given.high)
        if shares.dtype != np.uint8:
            to_gray(shares)
    except DataError as error:
        raise DataError(f"{where}: {given.name}: {error}") from None
    return shares
