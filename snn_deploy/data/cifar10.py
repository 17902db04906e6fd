"""CIFAR-10 from the user's disk: the original binaries, or one file of JPEG images."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from snn_deploy.arrays import AnyArray
from snn_deploy.data.data import load_arrays
from snn_deploy.errors import DataError

JPEG_FILE = "cifar10_jpeg.npz"
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILES = ("test_batch.bin",)
CLASSES = 10
MOST_IMAGES = 50_000  # of a part; a binary file holds a fifth
SHAPE = (3, 32, 32)
EXPECTED = (
    f"expected {TRAIN_FILES[0]} to {TRAIN_FILES[-1]} and {TEST_FILES[0]} of CIFAR-10's "
    f"'binary version' (unpack cifar-10-binary.tar.gz from its home page), or "
    f"{JPEG_FILE}"
)

_ROW = 1 + int(np.prod(SHAPE))  # label, then the red, the green and the blue plane


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Images as bytes, ``(n, 3, 32, 32)``, and their classes."""

    x: npt.NDArray[np.uint8]
    y: npt.NDArray[np.int64]


def read_cifar10(folder: Path) -> tuple[Images, Images]:
    """Return the training and the test images in ``folder``.

    Raises
    ------
    DataError
        If the files are missing or damaged.
    """
    inside = folder / "cifar-10-batches-bin"  # what the archive unpacks to
    for place in (folder, inside):
        if (place / JPEG_FILE).is_file():
            return _read_jpegs(place / JPEG_FILE)
        if (place / TEST_FILES[0]).is_file():
            return _read_binaries(place, TRAIN_FILES), _read_binaries(place, TEST_FILES)
    raise DataError(f"{folder}: has no CIFAR-10; {EXPECTED}")


def data_files(folder: Path) -> list[Path]:
    """Return the files that ``read_cifar10`` reads."""
    inside = folder / "cifar-10-batches-bin"
    names = (JPEG_FILE, *TRAIN_FILES, *TEST_FILES)
    return [p / n for p in (folder, inside) for n in names if (p / n).is_file()]


def _read_binaries(folder: Path, names: tuple[str, ...]) -> Images:
    rows = np.concatenate([_read_rows(folder / name) for name in names])
    return Images(x=rows[:, 1:].reshape(-1, *SHAPE), y=rows[:, 0].astype(np.int64))


def _read_rows(path: Path) -> npt.NDArray[np.uint8]:
    if not path.is_file():
        raise DataError(f"{path}: cannot be read; {EXPECTED}")
    size, most = path.stat().st_size, MOST_IMAGES // len(TRAIN_FILES)
    if not 0 < size <= most * _ROW or size % _ROW:
        raise DataError(
            f"{path}: has {size} bytes, which are not 1 to {most} whole images of "
            f"{_ROW}; unpack the archive again"
        )
    rows = np.fromfile(path, np.uint8).reshape(-1, _ROW)
    _check_labels(rows[:, 0], path)
    return rows


def _read_jpegs(path: Path) -> tuple[Images, Images]:
    arrays = load_arrays(path)
    try:
        return _decoded(arrays, "train", path), _decoded(arrays, "test", path)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's, and those below
        raise DataError(f"{path}: damaged, {error}; copy it again") from error


def _decoded(arrays: Mapping[str, AnyArray], part: str, path: Path) -> Images:
    names = [f"{part}_{field}" for field in ("jpeg", "offsets", "labels")]
    for name in names:
        if name not in arrays or arrays[name].dtype.kind not in "iu":
            raise ValueError(f"no integers are called {name}")
        if arrays[name].ndim != 1:
            raise ValueError(f"{name} has shape {arrays[name].shape}")
    content, offsets, labels = (arrays[name] for name in names)
    n = len(labels)
    if len(offsets) != n + 1 or n > MOST_IMAGES:
        raise ValueError(
            f"{part}: {len(offsets) - 1} images and {n} labels, the same number is "
            f"needed, {MOST_IMAGES} at most"
        )
    _check_labels(labels, path)
    if (offsets[1:] < offsets[:-1]).any():
        raise ValueError(f"{part}: an image begins before the one ahead of it")
    x = np.empty((n, *SHAPE), np.uint8)
    for index, (start, end) in enumerate(pairwise(offsets.tolist())):
        x[index] = _pixels(content[start:end].tobytes(), f"{part}: image {index}")
    return Images(x=x, y=labels.astype(np.int64))


def _pixels(jpeg: bytes, where: str) -> npt.NDArray[np.uint8]:
    """Return the pixels of one image, whose size is checked before it is decoded."""
    from PIL.JpegImagePlugin import JpegImageFile

    image = JpegImageFile(io.BytesIO(jpeg))
    if image.size != SHAPE[1:]:
        width, height = image.size
        raise ValueError(f"{where} is {width} x {height} large, not 32 x 32")
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def _check_labels(labels: AnyArray, path: Path) -> None:
    if labels.size and not 0 <= labels.min() <= labels.max() < CLASSES:
        raise DataError(
            f"{path}: has labels from {labels.min()} to {labels.max()}, the classes "
            f"are 0 to {CLASSES - 1}; unpack or copy it again"
        )
