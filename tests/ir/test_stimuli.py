from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snn_deploy.errors import DataError
from snn_deploy.ir.stimuli import Encoding, Stimulus, encode, to_gray

BYTES = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)


# to_gray


def test_bytes_stand_as_they_are() -> None:
    gray, n_off_grid = to_gray(BYTES)

    np.testing.assert_array_equal(gray, BYTES)
    assert n_off_grid == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_mean_what_bytes_mean(dtype: type) -> None:
    gray, n_off_grid = to_gray((BYTES / 255).astype(dtype))

    np.testing.assert_array_equal(gray, BYTES)
    assert n_off_grid == 0


def test_values_between_the_levels_are_rounded_and_counted() -> None:
    gray, n_off_grid = to_gray(np.array([0.0, 0.4 / 255, 1.6 / 255, 1.0]))

    assert gray.tolist() == [0, 0, 2, 255]
    assert n_off_grid == 2


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_a_gray_level_is_the_nearest(values: list[float]) -> None:
    gray, _ = to_gray(np.array(values))

    assert np.all(np.abs(gray / 255 - np.array(values)) <= 0.5 / 255 + 1e-12)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.0, np.nan], r"x\[1\] is nan; remove"),
        ([np.inf, 0.0], r"x\[0\] is inf"),
        ([0.0, 1.01], "reaches from 0 to 1.01, allowed is 0 to 1; if"),
        ([-1e-9, 1.0], "reaches from -1e-09 to 1"),
        ([0, 1], r"x has type int64; store floats from 0 to 1"),
    ],
)
def test_values_that_are_no_gray_level_are_refused(
    values: list[float], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        to_gray(np.array(values))


# Stimulus


def test_a_constant_stimulus_is_the_same_at_every_timestep() -> None:
    stimulus = encode(BYTES, Encoding.DIRECT, 5)

    assert stimulus.is_constant
    assert stimulus.shape == (1, 16, 16)
    for timestep in (1, 3, 100):
        np.testing.assert_array_equal(stimulus.at(timestep), BYTES)


def test_a_stimulus_is_silent_after_its_last_timestep() -> None:
    stimulus = Stimulus(values=np.ones((2, 3), int), is_constant=False)

    assert [int(stimulus.at(t).sum()) for t in (1, 2, 3, 4)] == [3, 3, 0, 0]


def test_a_stimulus_cannot_be_changed() -> None:
    values = np.zeros((2, 3), np.int64)
    stimulus = Stimulus(values=values, is_constant=False)

    values += 1
    with pytest.raises(ValueError, match="read-only"):
        stimulus.values[0, 0] = 1

    assert not stimulus.values.any()


def test_a_constant_stimulus_of_two_timesteps_is_refused() -> None:
    with pytest.raises(DataError, match="exactly one timestep"):
        Stimulus(values=np.zeros((2, 3), int), is_constant=True)


@pytest.mark.parametrize("value", [1 << 31, -(1 << 31) - 1])
def test_integers_that_32_bits_do_not_hold_are_refused(value: int) -> None:
    with pytest.raises(DataError, match=f"a spike carries {value}"):
        Stimulus(values=np.array([[0, value]]), is_constant=True)


def test_largest_integers_stand() -> None:
    values = np.array([[(1 << 31) - 1, -(1 << 31)]])

    np.testing.assert_array_equal(
        Stimulus(values=values, is_constant=True).at(1), values[0]
    )


# encodings


def test_rates_become_spikes_with_that_probability() -> None:
    x = np.array([0.0, 0.25, 1.0])

    spikes = encode(x, Encoding.RATE, 4000).values

    assert spikes.shape == (4000, 3)
    assert set(np.unique(spikes)) == {0, 1}
    rates = spikes.mean(axis=0)
    assert rates[0] == 0
    assert rates[1] == pytest.approx(0.25, abs=0.03)
    assert rates[2] == 1


def test_the_spikes_of_an_input_depend_on_seed_and_position_alone() -> None:
    x = np.full(50, 0.5)

    def spikes(**options: Any) -> list[int]:
        values: list[int] = encode(x, Encoding.RATE, 4, **options).values.tolist()
        return values

    assert spikes(seed=1, index=2) == spikes(seed=1, index=2)
    assert spikes(seed=1, index=2) != spikes(seed=1, index=3)
    assert spikes(seed=1, index=2) != spikes(seed=2, index=2)


def test_events_are_sent_as_they_are_and_cut_at_the_last_timestep() -> None:
    events = np.array([[1, 0], [0, 1], [1, 1]], np.uint8)

    stimulus = encode(events, Encoding.EVENTS, 2)

    assert stimulus.values.tolist() == [[1, 0], [0, 1]]
    assert not stimulus.is_constant


@pytest.mark.parametrize("value", [2.0, -1.0, 0.5, np.nan])
def test_events_that_are_no_spikes_are_refused(value: float) -> None:
    with pytest.raises(DataError, match="0 or 1"):
        encode(np.array([[value]]), Encoding.EVENTS, 1)
