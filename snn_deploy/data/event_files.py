"""Data sets of recorded events."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from snn_deploy.arrays import AnyArray
from snn_deploy.data.data import load_arrays
from snn_deploy.data.recordings import bin_events
from snn_deploy.errors import DataError

NMNIST_FILE = "nmnist_small.npz"
_NMNIST_SHAPE = (2, 34, 34)  # polarity, y, x
_NMNIST_DURATION_US = 315_000  # three saccades; what little comes later is left out
_N_NMNIST_TRAIN = 900  # ids 1 to 900; the rest, and the test recordings, are for tests
_FIELDS = ("x", "y", "p", "t", "offsets", "labels")


def read_nmnist(
    path: Path, n_timesteps: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], int]:
    """Return spikes, labels, and how many of the first ones are for training.

    The file holds the arrays ``train_x``, ``train_y``, ``train_p`` and ``train_t``
    [us] of all events, ``train_offsets`` (n + 1), where each recording begins, and
    ``train_labels`` (n,); and the same for ``test``.

    Raises
    ------
    DataError
        If it does not, or is not there.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; it is made of the folder NMNISTsmall of the "
            "repository bamsumit/slayerPytorch, 1,100 recordings of N-MNIST, as arrays "
            f"{', '.join(f'{part}_{f}' for part in ('train', 'test') for f in _FIELDS)}"
        )
    arrays = load_arrays(path)
    spikes, labels = zip(
        *(_read_part(path, arrays, part, n_timesteps) for part in ("train", "test")),
        strict=True,
    )
    return np.concatenate(spikes), np.concatenate(labels), _N_NMNIST_TRAIN


def _read_part(
    path: Path, arrays: dict[str, AnyArray], part: str, n_timesteps: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    missing = [f"{part}_{f}" for f in _FIELDS if f"{part}_{f}" not in arrays]
    if missing:
        raise DataError(f"{path}: has no {', '.join(missing)}")
    x, y, p, t, offsets, labels = (arrays[f"{part}_{f}"] for f in _FIELDS)
    if any(
        field.shape != (t.size,) or field.dtype.kind not in "iu"
        for field in (x, y, p, t)
    ):
        raise DataError(
            f"{path}: {part}: x, y, p and t must be integers, one per event"
        )
    try:
        spikes = bin_events(
            np.stack((p, y, x)),
            t,
            offsets,
            _NMNIST_SHAPE,
            n_timesteps=n_timesteps,
            duration=_NMNIST_DURATION_US,
        )
    except DataError as error:
        raise DataError(f"{path}: {part}: {error}") from None
    if labels.shape != spikes.shape[:1]:
        raise DataError(
            f"{path}: {part}: {labels.size} labels for {len(spikes)} recordings"
        )
    return spikes, labels.astype(np.int64)
