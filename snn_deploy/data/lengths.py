"""Sequences of different length: how long each input lasts."""

from pathlib import Path

import numpy as np

from snn_deploy.arrays import AnyArray, IntArray
from snn_deploy.errors import DataError
from snn_deploy.ir.graph import Training


def lengths_in(
    path: Path,
    arrays: dict[str, AnyArray],
    x: AnyArray,
    training: Training,
    *,
    has_time: bool,
) -> IntArray | None:
    """Return how many timesteps each input lasts, ``(n,)``; ``None``: as the network.

    As ``lengths`` or ``mask`` among ``arrays`` say, of which ``x`` are the inputs.

    Raises
    ------
    DataError
        If they say something that inputs cannot last.
    """
    names = [name for name in ("lengths", "mask") if name in arrays]
    if not names:
        return None
    if len(names) > 1:
        raise DataError(f"{path}: has both lengths and mask; leave one out")
    (name,) = names
    if not has_time:
        raise DataError(
            f"{path}: has {name}, and x is the same at every timestep; leave {name} "
            "out, or store x as (n, timesteps, ...)"
        )
    found = arrays[name]
    lengths = _of_mask(path, found, x) if name == "mask" else _whole(path, found, x)
    most = int(lengths.max())
    if most > training.timesteps:
        raise DataError(
            f"{path}: {name} reaches to {most}, the network runs {training.timesteps} "
            f"timesteps at most; compile it with --timesteps {most}"
        )
    return None if lengths.min() == training.timesteps else lengths


def _whole(path: Path, found: AnyArray, x: AnyArray) -> IntArray:
    if found.shape != x.shape[:1] or found.dtype.kind not in "iu":
        raise DataError(
            f"{path}: lengths is {found.dtype} of shape {found.shape}; store integers "
            f"of shape ({len(x)},), the timesteps of each input"
        )
    least, most = int(found.min()), int(found.max())
    if least < 1 or most > x.shape[1]:
        raise DataError(
            f"{path}: lengths reach from {least} to {most}, and inputs have 1 to "
            f"{x.shape[1]} timesteps; store how many of them are of each input"
        )
    lengths: IntArray = found.astype(np.int64)
    return lengths


def _of_mask(path: Path, mask: AnyArray, x: AnyArray) -> IntArray:
    """Return the lengths that a mask ``(n, timesteps)`` of 0 and 1 says."""
    if mask.shape != x.shape[:2] or not np.isin(mask, (0, 1)).all():
        raise DataError(
            f"{path}: mask is {mask.dtype} of shape {mask.shape}; store 1 where an "
            f"input lasts and 0 behind, of shape {x.shape[:2]}"
        )
    lengths: IntArray = mask.astype(np.int64).sum(axis=1)
    gaps = np.argwhere(mask != (np.arange(mask.shape[1]) < lengths[:, np.newaxis]))
    if len(gaps):
        raise DataError(
            f"{path}: mask has a 1 behind a 0 in input {gaps[0, 0]}; an input lasts "
            "from its first timestep to its last, without gaps"
        )
    if not lengths.all():
        raise DataError(
            f"{path}: mask has no 1 in input {lengths.argmin()}; leave that input out"
        )
    return lengths


def padded(x: AnyArray, lengths: IntArray, training: Training) -> AnyArray:
    """Return sequences of all timesteps, nothing behind the length of each.

    What is there in ``x`` is left out.
    """
    size = len(x), training.timesteps, *x.shape[2:]
    found = np.full(size, _nothing(x, training), x.dtype)
    for mine, given, length in zip(found, x, lengths, strict=True):
        mine[:length] = given[:length]
    return found


def _nothing(x: AnyArray, training: Training) -> float:
    """Return the value for which the chip receives nothing."""
    if x.dtype.kind == "i" and training.input_range != (0, 1):
        return float(np.iinfo(x.dtype).min)
    return training.input_low if x.dtype.kind == "f" else 0
