"""Stimuli: what a run is fed, and how values become spikes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from math import prod

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray, Shape, read_only
from snn_deploy.errors import DataError
from snn_deploy.fixedpoint import BIAS_MANTISSA_LIMIT

ROUNDING = 1e-5  # of the ends of a range, in single precision
GRAY_LEVELS = 255  # the largest graded input: 8 bits, unsigned


class Encoding(Enum):
    """How the values of an input reach the first layer."""

    DIRECT = "direct"  # 8-bit values as graded spikes, at each timestep the same or not
    RATE = "rate"  # Bernoulli spikes, a value is the probability of one
    EVENTS = "events"  # spikes that were recorded as such, or how many there were
    BIAS = "bias"  # no spikes: the bias of the neurons that take one, written once

    @property
    def unit(self) -> int:
        """The integer as which the chip receives 1."""
        return GRAY_LEVELS if self is Encoding.DIRECT else 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Stimulus:
    """The spikes of one input: integers that the first layer receives.

    A stimulus that is the same at every timestep is stored once.
    """

    values: IntArray  # (n_timesteps, shape...), or (1, shape...) when constant
    is_constant: bool
    bias: IntArray | None = None  # mantissas for the population that takes a bias
    length: int | None = None  # its last timestep, where others last longer

    def __post_init__(self) -> None:
        _check_range(np.asarray(self.values))
        object.__setattr__(self, "values", read_only(self.values, np.int32))
        if self.bias is not None:
            object.__setattr__(self, "bias", read_only(self.bias, np.int64))
        if self.is_constant and len(self.values) != 1:
            raise DataError("a constant stimulus holds exactly one timestep")

    @property
    def shape(self) -> Shape:
        return self.values.shape[1:]

    @cached_property
    def range(self) -> tuple[int, int]:
        """The least and the most that a spike carries, or nothing: 0."""
        return int(self.values.min(initial=0)), int(self.values.max(initial=0))

    @property
    def largest(self) -> int:
        """The largest magnitude that a spike carries, 1 at least."""
        return max(1, -self.range[0], self.range[1])

    def at(self, timestep: int) -> IntArray:
        """Return the input of ``timestep``, counted from 1; zeros after the last."""
        position = 0 if self.is_constant else timestep - 1
        if position >= len(self.values):
            return np.zeros(self.shape, dtype=np.int32)
        values: IntArray = self.values[position]
        return values


def ends_of(stimuli: Sequence[Stimulus], n_timesteps: int) -> IntArray:
    """Return the last timestep of each input, ``(n,)``; ``n_timesteps`` at most."""
    lengths = [n_timesteps if s.length is None else s.length for s in stimuli]
    return np.minimum(np.array(lengths, np.int64), n_timesteps)


def _check_range(values: AnyArray) -> None:
    limit = np.iinfo(np.int32)
    low, high = values.min(initial=0), values.max(initial=0)
    if low < limit.min or high > limit.max:
        raise DataError(
            f"a spike carries {low if low < limit.min else high}, more than 32 bits "
            "hold; rescale the input"
        )


def to_shares(x: AnyArray, low: float, high: float) -> AnyArray:
    """Return values from ``low`` to ``high`` as bytes, or as floats from 0 to 1.

    Bytes are levels: of signed ones -128 is ``low``, of unsigned ones 0.

    Raises
    ------
    DataError
        If a float lies outside.
    """
    if (low, high) == (0, 1):
        return x
    if x.dtype == np.int8:
        return (x.astype(np.int16) + 128).astype(np.uint8)
    if not np.issubdtype(x.dtype, np.floating) or not np.isfinite(x).all():
        return x
    shares = (x - low) / (high - low)
    if x.size and (shares.min() < -ROUNDING or shares.max() > 1 + ROUNDING):
        raise DataError(
            f"x reaches from {x.min():g} to {x.max():g}, the network takes {low:g} to "
            f"{high:g}; save it with input_range=({x.min():.4g}, {x.max():.4g}), or "
            "clip the data, as in training"
        )
    return np.clip(shares, 0, 1)


def of_shares(
    scale: FloatArray, offset: FloatArray, low: float, high: float
) -> tuple[FloatArray, FloatArray]:
    """Return what makes of shares what scale and offset make of their values."""
    return scale * (high - low), scale * low + offset


def to_gray(x: AnyArray) -> tuple[IntArray, int]:
    """Return ``x`` as integers from 0 to 255, and how many values were off that grid.

    Unsigned bytes stand as they are; floats are between 0 and 1, where 1 is 255.

    Raises
    ------
    DataError
        If a float is not a number or lies outside 0 to 1, or the type is another.
    """
    if x.dtype == np.uint8:
        return x.astype(np.int32), 0
    if not np.issubdtype(x.dtype, np.floating):
        raise DataError(f"x has type {x.dtype}; {_in_bytes(x)}")
    _check_finite(x)
    if x.size and (x.min() < 0 or x.max() > 1):
        raise DataError(
            f"x reaches from {x.min():g} to {x.max():g}, allowed is 0 to 1; if the "
            f"network was trained on these values, save it with input_range="
            f"({x.min():.4g}, {x.max():.4g}), of the training data; else scale x, "
            "pixels as x / 255"
        )
    levels = x.astype(np.float64) * GRAY_LEVELS
    gray = np.rint(levels)
    n_off_grid = int(np.count_nonzero(np.abs(levels - gray) > 1e-3))
    return gray.astype(np.int32), n_off_grid


def _check_finite(x: AnyArray) -> None:
    if not np.isfinite(x).all():
        where = np.argwhere(~np.isfinite(x))[0].tolist()
        raise DataError(
            f"x{where} is {x[tuple(where)]}; remove values that are no number"
        )


def _in_bytes(x: AnyArray) -> str:
    """Return what to do with values that are neither bytes nor floats."""
    if x.dtype == np.int8:
        return "bytes with a sign need input_range=(-128 / 127, 1) at save"
    if x.dtype.kind in "iu" and x.size and x.min() >= 0 and 1 < x.max() <= GRAY_LEVELS:
        return (
            "pixels are bytes, x.astype(np.uint8), where 255 stands for 1; numbers as "
            "they are go in as floats, x.astype(np.float32)"
        )
    if x.dtype.kind in "biu":
        return "store floats from 0 to 1, x.astype(np.float32), or bytes, 255 for 1"
    return "store bytes (uint8) or floats from 0 to 1"


def is_counts(x: AnyArray) -> bool:
    """Return whether ``x`` holds nothing but numbers of spikes that a byte holds."""
    if x.dtype.kind not in "biuf" or (x.dtype.kind == "f" and (x != np.rint(x)).any()):
        return False
    return x.size == 0 or bool(x.min() >= 0 and x.max() <= GRAY_LEVELS)


def without_repeats(x: AnyArray, shape: Shape) -> AnyArray:
    """Return inputs ``(n, n_timesteps, shape...)`` as one timestep if all are equal."""
    lasts = x.shape[1] if x.ndim > 1 else 0
    if lasts > 1 and x.size == len(x) * lasts * prod(shape) and (x == x[:, :1]).all():
        return x[:, 0]
    return x


def input_hashes(values: AnyArray) -> IntArray:
    """Return a number under 2**53, which floats hold, for each input's integers.

    Bytes of 0 to 255 as the chip receives them, or mantissas, ``(n, shape...)``.
    """
    digests = (hashlib.blake2b(_packed(x), digest_size=8).digest() for x in values)
    return np.array([int.from_bytes(d, "big") >> 11 for d in digests], np.int64)


def _packed(x: AnyArray) -> bytes:
    """Return the integers of one input, whatever others it lies among."""
    is_wide = x.min(initial=0) < 0 or x.max(initial=0) > GRAY_LEVELS
    return x.astype(np.int16 if is_wide else np.uint8).tobytes()


def to_mantissas(x: AnyArray, scale: float, offset: float) -> tuple[IntArray, int]:
    """Return ``x * scale + offset`` as integers, and how many were rounded.

    Raises
    ------
    DataError
        If ``x`` are no floats, or give more than the mantissa of a bias holds.
    """
    if x.dtype.kind != "f":
        raise DataError(
            f"x has type {x.dtype}; store floats, the values of which the network "
            f"takes {scale:g} * x + {offset:g} as bias, or those integers as bias"
        )
    _check_finite(x)
    wanted = x.astype(np.float64) * scale + offset
    mantissas = np.rint(wanted)
    check_mantissas(mantissas)
    n_rounded = int(np.count_nonzero(np.abs(wanted - mantissas) > 1e-3))
    return mantissas.astype(np.int32), n_rounded


def check_mantissas(values: AnyArray) -> None:
    """Raise a ``DataError`` for what is no mantissa of a bias."""
    if values.dtype.kind not in "biuf" or (values != np.rint(values)).any():
        raise DataError("bias must hold whole numbers; store values for it as x")
    most = np.abs(values.astype(np.float64)).max(initial=0)
    if not most <= BIAS_MANTISSA_LIMIT:
        raise DataError(
            f"the bias reaches to {most:g}, a mantissa holds {BIAS_MANTISSA_LIMIT}; "
            "scale the values as in training"
        )


def encode(
    x: AnyArray,
    encoding: Encoding,
    n_timesteps: int,
    *,
    is_constant: bool = True,
    largest_count: int = 1,
    seed: int = 0,
    index: int = 0,
) -> Stimulus:
    """Return the stimulus of one input.

    Parameters
    ----------
    x : array, (shape...)
        Bytes, or floats from 0 to 1; with ``EVENTS`` spikes, or how many,
        ``(n_timesteps, shape...)``; with ``BIAS`` mantissas.
    encoding : Encoding
        How values become spikes.
    n_timesteps : int
        How many timesteps the input lasts.
    is_constant : bool
        ``DIRECT``: ``x`` is the same at every timestep; otherwise it has an axis of
        timesteps in front.
    largest_count : int
        ``EVENTS``: of one timestep and position.
    seed, index : int
        ``RATE`` draws from a generator seeded by both, so that an input's spikes depend
        on nothing but its position in the data.

    Raises
    ------
    DataError
        If a value cannot be encoded.
    """
    match encoding:
        case Encoding.DIRECT:
            gray, _ = to_gray(x)
            if not is_constant:
                return Stimulus(values=gray[:n_timesteps], is_constant=False)
            return Stimulus(values=gray[np.newaxis], is_constant=True)
        case Encoding.RATE:
            gray, _ = to_gray(x)
            rng = np.random.default_rng((seed, index))
            draws = rng.random((n_timesteps, *x.shape))
            spikes = (draws < gray / GRAY_LEVELS).astype(np.int32)
            return Stimulus(values=spikes, is_constant=False)
        case Encoding.EVENTS:
            if not is_counts(x) or x.max(initial=0) > largest_count:
                raise DataError(
                    f"events must be 0 {'or' if largest_count == 1 else 'to'} "
                    f"{largest_count} at each timestep and position"
                )
            return Stimulus(values=x[:n_timesteps], is_constant=False)
        case Encoding.BIAS:
            check_mantissas(x)
            silence = np.zeros((1, *x.shape), np.int32)
            return Stimulus(values=silence, is_constant=True, bias=x)
