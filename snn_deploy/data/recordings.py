"""Events with fields ``x``, ``y``, ``p`` and ``t``, as cameras and tonic give them."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from snn_deploy.arrays import AnyArray, IntArray, Shape
from snn_deploy.errors import DataError
from snn_deploy.ir.graph import Training
from snn_deploy.ir.stimuli import GRAY_LEVELS, Encoding

AXES = {3: "pyx", 2: "px", 1: "x"}  # of an input's shape
US = 1e6  # in a second


def is_recorded(x: AnyArray) -> bool:
    """Return whether an array holds events, by its fields."""
    return x.dtype.names is not None


def binned(
    path: Path,
    arrays: dict[str, AnyArray],
    name: str,
    shape: Shape,
    training: Training,
) -> tuple[dict[str, AnyArray], str]:
    """Return recordings as spikes ``(n, n_timesteps, shape...)``, and how in words.

    Those called ``name`` are the events of all of them, ``offsets`` where each begins;
    without they are one. Timesteps last ``dt``, if the network knows it, and recordings
    until their last event, unless lengths are given; else each recording has as many
    timesteps as the network, equally long, from its first event to its last.

    Raises
    ------
    DataError
        If the events are not those of such an input.
    """
    events = arrays[name]
    if training.encoding is not Encoding.EVENTS:
        raise DataError(
            f"{path}: holds events ({', '.join(events.dtype.names or ())}), and "
            f"encoding {training.encoding.value!r} takes values; save the network with "
            "encoding='events', or store frames of values"
        )
    events = events.reshape(-1)
    offsets = arrays.get("offsets", np.array([0, len(events)])).astype(np.int64)
    places = _places(path, events, shape)
    times, lasts = _from_start(path, events["t"], offsets)
    n, n_timesteps = len(lasts), training.timesteps
    durations = np.maximum(lasts + 1, 1) / n_timesteps
    if training.dt is not None:
        durations = np.full(n, training.dt * US)
    spikes = [
        bin_events(
            places[:, start:end],
            times[start:end],
            np.array([0, end - start]),
            shape,
            n_timesteps=n_timesteps,
            duration=duration * n_timesteps,
            largest_count=training.largest_count,
        )
        for start, end, duration in zip(offsets, offsets[1:], durations, strict=False)
    ]
    found = {**arrays, name: np.concatenate(spikes)}
    if training.dt is None:
        return found, (
            f"the events of each recording are sorted into {n_timesteps} timesteps of "
            "equal length, from its first event to its last; save the network with dt "
            "if a timestep has a length"
        )
    if not {"lengths", "mask"} & {*arrays}:
        lengths = np.floor_divide(lasts, durations).astype(np.int64) + 1
        found["lengths"] = np.minimum(lengths, n_timesteps)
    n_late = int((times // (training.dt * US) >= n_timesteps).sum())
    late = (
        f"; {n_late:,} of {len(events):,} come after timestep {n_timesteps}, the "
        "network's last, and are left out"
    )
    return found, (
        f"events are sorted into timesteps of {training.dt * 1e3:g} ms, from the first "
        f"of each recording, t in microseconds{late * (n_late > 0)}"
    )


def _places(path: Path, events: AnyArray, shape: Shape) -> IntArray:
    """Return where each event happened, a row for each axis of ``shape``."""
    names = events.dtype.names or ()
    axes = AXES.get(len(shape), "")
    missing = [a for a, size in zip(axes, shape, strict=False) if size > 1]
    missing = [a for a in (*missing, "t") if a not in names]
    if missing or not axes:
        raise DataError(
            f"{path}: events have the fields {', '.join(names)}, and inputs of {shape} "
            f"need {' and '.join(missing) or 'an axis for x'}; name them so, and save "
            "the network with input_shape (polarities, height, width)"
        )
    rows = []
    for axis, size in zip(axes, shape, strict=True):
        row = events[axis] if size > 1 else np.zeros(len(events))
        if axis == "p" and len(row) and row.min() == -1 and row.dtype.kind == "i":
            row = row > 0  # signs
        rows.append(row.astype(np.int64))
    for axis in ("x", "y"):
        if axis in names and axis not in axes and (events[axis] != 0).any():
            raise DataError(
                f"{path}: events have a {axis}, and inputs of {shape} have not; save "
                "the network with input_shape (polarities, height, width)"
            )
    places = np.stack(rows)
    if np.any((places < 0) | (places >= np.reshape(shape, (-1, 1)))):
        least, most = places.min(axis=1).tolist(), places.max(axis=1).tolist()
        raise DataError(
            f"{path}: {', '.join(axes)} of events reach from {least} to {most}, and "
            f"inputs of {shape} end before; save the network for the whole sensor, or "
            "crop the events as in training"
        )
    return places


def _from_start(
    path: Path, times: AnyArray, offsets: IntArray
) -> tuple[IntArray, IntArray]:
    """Return times since the first event of each recording, and the last of each."""
    rises = (np.diff(offsets) > 0).all()
    if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != len(times) or not rises:
        raise DataError(
            f"{path}: offsets must rise from 0 to the {len(times)} events, and each "
            "recording needs one; leave out those without"
        )
    times = times.astype(np.int64)
    times = times - np.repeat(
        np.minimum.reduceat(times, offsets[:-1]), np.diff(offsets)
    )
    return times, np.maximum.reduceat(times, offsets[:-1])


def bin_events(
    places: AnyArray,
    times: AnyArray,
    offsets: AnyArray,
    shape: Shape,
    *,
    n_timesteps: int,
    duration: float,
    largest_count: int = 1,
) -> npt.NDArray[np.uint8]:
    """Return 1 at each timestep and place with at least one event, and 0 elsewhere.

    With a larger ``largest_count`` how many there were, 255 at most.

    Parameters
    ----------
    places : array, (len(shape), n_events)
        Where each event happened, one row for each axis of ``shape``.
    times : array, (n_events,)
        When, from the start of its recording.
    offsets : array, (n + 1,)
        The first event of each recording, and the number of all events.
    shape : tuple of int
    n_timesteps : int
        Equally long ones.
    duration : float
        Of all timesteps together; events at or after it are left out.
    largest_count : int
        That the network takes.

    Returns
    -------
    array, (n, n_timesteps, shape...)

    Raises
    ------
    DataError
        If offsets or places lie outside what there is.
    """
    offsets = offsets.astype(np.int64)
    n_events = len(times)
    ends = (offsets[0], offsets[-1]) if offsets.size else ()
    if ends != (0, n_events) or np.any(np.diff(offsets) < 0):
        raise DataError(
            f"offsets must rise from 0 to the {n_events} events; write the file again"
        )
    limits = np.reshape(shape, (-1, 1))
    if places.shape != (len(shape), n_events) or np.any(
        (places < 0) | (places >= limits)
    ):
        raise DataError(f"an event lies outside the {shape} places of the sensor")
    spikes = np.zeros((len(offsets) - 1, n_timesteps, *shape), np.uint8)
    recording = np.repeat(np.arange(len(spikes)), np.diff(offsets))
    timestep = (times.astype(np.int64) * n_timesteps // duration).astype(np.int64)
    kept = timestep < n_timesteps
    at = (recording[kept], timestep[kept], *places[:, kept])
    if largest_count == 1:
        spikes[at] = 1
        return spikes
    cells, counts = np.unique(
        np.ravel_multi_index(at, spikes.shape), return_counts=True
    )
    spikes.reshape(-1)[cells] = np.minimum(counts, GRAY_LEVELS)
    return spikes
