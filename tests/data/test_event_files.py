"""event_files: every event lands in its timestep and place, once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn_deploy.arrays import AnyArray
from snn_deploy.data.event_files import read_nmnist
from snn_deploy.data.recordings import bin_events
from snn_deploy.errors import DataError

# two recordings on a sensor of 2 x 3: four events, then two
PLACES = np.array([[0, 0, 1, 1, 0, 1], [0, 0, 2, 1, 1, 2]])
TIMES = np.array([0, 9, 10, 39, 19, 40], np.uint32)
OFFSETS = np.array([0, 4, 6])


def binned(**changes: Any) -> AnyArray:
    arguments: dict[str, Any] = {
        "places": PLACES,
        "times": TIMES,
        "offsets": OFFSETS,
        "shape": (2, 3),
        "n_timesteps": 4,
        "duration": 40,
        **changes,
    }
    return bin_events(**arguments)


def write_nmnist(folder: Path, **changes: Any) -> Path:
    """Write 901 + 1 recordings of one event, and return the file's path."""
    arrays: dict[str, Any] = {}
    for part, n in (("train", 901), ("test", 1)):
        arrays |= {
            f"{part}_x": np.full(n, 33, np.uint8),
            f"{part}_y": np.full(n, 2, np.uint8),
            f"{part}_p": np.ones(n, np.uint8),
            f"{part}_t": np.full(n, 314_999, np.uint32),
            f"{part}_offsets": np.arange(n + 1),
            f"{part}_labels": (np.arange(n) % 10).astype(np.uint8),
        }
    arrays |= changes
    path = folder / "nmnist_small.npz"
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return path


def test_events_of_one_timestep_and_place_are_one_spike() -> None:
    spikes = binned()

    expected = np.zeros((2, 4, 2, 3))
    expected[0, 0, 0, 0] = 1  # twice
    expected[0, 1, 1, 2] = expected[0, 3, 1, 1] = expected[1, 1, 0, 1] = 1
    np.testing.assert_array_equal(spikes, expected)  # the event at 40 is left out


def test_more_timesteps_only_spread_the_same_events() -> None:
    rng = np.random.default_rng(0)
    times = np.sort(rng.integers(0, 40, 6)).astype(np.uint32)

    fine, coarse = binned(times=times, n_timesteps=20), binned(times=times)

    np.testing.assert_array_equal(fine.reshape(2, 4, 5, 2, 3).max(2), coarse)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offsets": np.array([0, 7])}, "must rise from 0 to the 6 events"),
        ({"offsets": np.array([1, 6])}, "must rise from 0 to the 6 events"),
        ({"offsets": np.array([0, 5, 4, 6])}, "must rise from 0 to the 6 events"),
        ({"offsets": np.array([], np.int64)}, "must rise from 0 to the 6 events"),
        ({"places": PLACES[:, :5]}, r"outside the \(2, 3\) places"),
        ({"shape": (2, 2)}, r"outside the \(2, 2\) places"),
        ({"places": PLACES - 1}, r"outside the \(2, 3\) places"),
    ],
)
def test_events_that_cannot_be_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        binned(**changes)


def test_nmnist_is_read_with_polarity_first_and_900_for_training(
    tmp_path: Path,
) -> None:
    spikes, labels, n_for_training = read_nmnist(write_nmnist(tmp_path), 5)

    assert spikes.shape == (902, 5, 2, 34, 34)
    assert np.argwhere(spikes[901]).tolist() == [[4, 1, 2, 33]]
    assert labels[:3].tolist() == [0, 1, 2]
    assert n_for_training == 900


def test_missing_nmnist_says_what_is_expected_and_where_it_is_from(
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError, match=r"nmnist_small\.npz: no such file; .*NMNISTsm"):
        read_nmnist(tmp_path / "nmnist_small.npz", 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_t": None}, "has no test_t"),
        ({"train_y": np.full(901, 34, np.uint8)}, r"train: an event lies outside"),
        ({"train_offsets": np.arange(3)}, "train: offsets must rise"),
        ({"test_labels": np.zeros(2, np.uint8)}, "test: 2 labels for 1 recordings"),
        ({"test_t": np.zeros(2, np.uint32)}, "test: x, y, p and t"),
    ],
)
def test_nmnist_of_other_arrays_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = write_nmnist(tmp_path, **changes)

    with pytest.raises(DataError, match=message) as caught:
        read_nmnist(path, 5)
    assert str(caught.value).startswith(f"{path}: ")
