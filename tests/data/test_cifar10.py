"""cifar10: both layouts on disk give the same images; what is broken is named."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from snn_deploy.arrays import AnyArray
from snn_deploy.data.cifar10 import (
    JPEG_FILE,
    TEST_FILES,
    TRAIN_FILES,
    data_files,
    read_cifar10,
)
from snn_deploy.data.datasets import load_split
from snn_deploy.errors import DataError

Bytes = npt.NDArray[np.uint8]


def images(n: int, seed: int) -> tuple[Bytes, Bytes]:
    """Return images of one colour each, which JPEG hardly changes, and labels."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (n, 3, 1, 1), np.uint8)
    x = np.ascontiguousarray(np.broadcast_to(colours, (n, 3, 32, 32)))
    return x, rng.integers(0, 10, n).astype(np.uint8)


def write_binaries(folder: Path, n: int = 10) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate((*TRAIN_FILES, *TEST_FILES)):
        x, y = images(n, number)
        np.column_stack([y, x.reshape(n, -1)]).tofile(folder / name)


def write_jpegs(folder: Path, **changes: AnyArray) -> None:
    arrays: dict[str, AnyArray] = {}
    for seed, part in enumerate(("train", "test")):
        x, y = images(20, seed)
        files = [jpeg(image) for image in x]
        sizes = np.cumsum([0, *map(len, files)])
        arrays |= {
            f"{part}_jpeg": np.frombuffer(b"".join(files), np.uint8),
            f"{part}_offsets": sizes,
            f"{part}_labels": y,
        }
    np.savez(folder / JPEG_FILE, **{**arrays, **changes})  # type: ignore[arg-type]


def jpeg(image: Bytes) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(stream, "JPEG", quality=100)
    return stream.getvalue()


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin"])
def test_original_binaries_are_read_where_the_archive_puts_them(
    tmp_path: Path, inside: str
) -> None:
    write_binaries(tmp_path / inside)

    train, test = read_cifar10(tmp_path)

    assert (train.x.shape, test.x.shape) == ((50, 3, 32, 32), (10, 3, 32, 32))
    x, y = images(10, seed=2)
    np.testing.assert_array_equal(train.x[20:30], x)
    np.testing.assert_array_equal(train.y[20:30], y)
    assert len(data_files(tmp_path)) == 6


def test_jpeg_images_are_decoded(tmp_path: Path) -> None:
    write_jpegs(tmp_path)

    train, test = read_cifar10(tmp_path)

    x, y = images(20, seed=1)
    assert train.x.shape == (20, 3, 32, 32)
    np.testing.assert_array_equal(test.y, y)
    np.testing.assert_allclose(test.x.astype(float), x, atol=3)


def test_split_keeps_the_parts_apart(tmp_path: Path) -> None:
    write_binaries(tmp_path, n=20)

    split = load_split("cifar10", data_dir=tmp_path)

    parts = (split.train, split.calibration, split.test)
    assert [len(part) for part in parts] == [92, 8, 20]
    read, _ = read_cifar10(tmp_path)
    apart = [image.tobytes() for part in parts[:2] for image in part.x]
    assert sorted(apart) == sorted(image.tobytes() for image in read.x)


def test_folder_without_the_files_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no CIFAR-10; expected data_batch_1\.bin"):
        load_split("cifar10", data_dir=tmp_path)


def test_missing_folder_is_asked_for() -> None:
    with pytest.raises(
        DataError, match="cifar10: no --data-dir is given; expected data"
    ):
        load_split("cifar10")


def test_one_missing_batch_is_named(tmp_path: Path) -> None:
    write_binaries(tmp_path)
    (tmp_path / TRAIN_FILES[2]).unlink()

    with pytest.raises(DataError, match=r"data_batch_3\.bin: cannot be read"):
        read_cifar10(tmp_path)


def test_cut_off_batch_is_named_with_its_size(tmp_path: Path) -> None:
    write_binaries(tmp_path)
    path = tmp_path / TEST_FILES[0]
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(DataError, match=r"test_batch\.bin: has 30729 bytes"):
        read_cifar10(tmp_path)


def test_label_out_of_range_is_refused(tmp_path: Path) -> None:
    write_binaries(tmp_path)
    path = tmp_path / TRAIN_FILES[0]
    path.write_bytes(b"\x0a" + path.read_bytes()[1:])

    with pytest.raises(DataError, match=r"has labels from 5 to 10, the classes are 0"):
        read_cifar10(tmp_path)


def test_damaged_images_are_refused(tmp_path: Path) -> None:
    write_jpegs(tmp_path, train_jpeg=np.zeros(5000, np.uint8))

    with pytest.raises(DataError, match=r"cifar10_jpeg\.npz: damaged"):
        read_cifar10(tmp_path)


def test_labels_and_images_of_different_numbers_are_refused(tmp_path: Path) -> None:
    write_jpegs(tmp_path, test_labels=np.zeros(21, np.uint8))

    with pytest.raises(DataError, match=r"damaged, test: 20 images and 21 labels"):
        read_cifar10(tmp_path)


def test_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / JPEG_FILE).write_bytes(b"no zip")

    with pytest.raises(DataError, match=r"not an \.npz"):
        read_cifar10(tmp_path)
