"""CIFAR-10 from the user's disk: the original binaries, or one file of JPEG images."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from snn_deploy.errors import DataError

JPEG_FILE = "cifar10_jpeg.npz"
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILES = ("test_batch.bin",)
CLASSES = 10
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
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read; {EXPECTED}") from error
    if content.size == 0 or content.size % _ROW:
        raise DataError(
            f"{path}: has {content.size} bytes, which is no whole number of images of "
            f"{_ROW}; unpack the archive again"
        )
    rows = content.reshape(-1, _ROW)
    _check_labels(rows[:, 0], path)
    return rows


def _read_jpegs(path: Path) -> tuple[Images, Images]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return _decoded(file, "train", path), _decoded(file, "test", path)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(f"{path}: damaged, {error}; copy it again") from error


def _decoded(file: "np.lib.npyio.NpzFile", part: str, path: Path) -> Images:
    from PIL import Image

    content, offsets = file[f"{part}_jpeg"].tobytes(), file[f"{part}_offsets"]
    labels = file[f"{part}_labels"]
    _check_labels(labels, path)
    if len(labels) != len(offsets) - 1:
        raise ValueError(f"{part}: {len(offsets) - 1} images and {len(labels)} labels")
    x = np.empty((len(labels), *SHAPE), np.uint8)
    for index in range(len(labels)):
        start, end = offsets[index : index + 2].tolist()
        image = Image.open(io.BytesIO(content[start:end])).convert("RGB")
        x[index] = np.asarray(image).transpose(2, 0, 1)
    return Images(x=x, y=labels.astype(np.int64))


def _check_labels(labels: npt.NDArray[np.uint8], path: Path) -> None:
    if labels.size and labels.max() >= CLASSES:
        raise DataError(
            f"{path}: has a label of {labels.max()}, the largest class is "
            f"{CLASSES - 1}; unpack or copy it again"
        )
