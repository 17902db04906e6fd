"""fixedpoint: decays, wraps, shifts and roundings as the chip does them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snn_deploy.fixedpoint import (
    VOLTAGE_LIMIT,
    bias_registers,
    decay,
    exponent_for,
    saturate_voltage,
    shift,
    to_multiples,
    wrap_current,
)


def test_decay_rounds_toward_zero_on_both_sides() -> None:
    values = np.array([4097, -4097, 1, -1, 0])

    decayed = decay(values, 1)

    np.testing.assert_array_equal(decayed, [4095, -4095, 0, 0, 0])


@given(value=st.integers(-(2**23), 2**23), register=st.integers(0, 4096))
def test_decay_is_an_exact_fraction_cut_off(value: int, register: int) -> None:
    expected = int(np.sign(value)) * (abs(value) * (4096 - register) // 4096)

    assert decay(np.array([value]), register)[0] == expected


@given(value=st.integers(-(2**40), 2**40))
def test_current_wraps_into_24_bits_as_often_as_it_takes(value: int) -> None:
    wrapped = int(wrap_current(np.array([value]))[0])

    assert -(2**23) < wrapped <= 2**23
    assert (wrapped - value) % 2**24 == 0


def test_voltage_saturates_at_both_ends() -> None:
    values = np.array([2**23, -(2**23), 5])

    np.testing.assert_array_equal(
        saturate_voltage(values), [VOLTAGE_LIMIT, -VOLTAGE_LIMIT, 5]
    )


def test_negative_exponent_rounds_down() -> None:
    np.testing.assert_array_equal(shift(np.array([5, -5]), -1), [2, -3])
    np.testing.assert_array_equal(shift(np.array([5, -5]), 2), [20, -20])


@given(values=st.lists(st.floats(-300, 300), min_size=1))
def test_even_integers_are_the_nearest(values: list[float]) -> None:
    array = np.array(values)

    even = to_multiples(array, 2)

    assert not np.any(even % 2)
    assert np.abs(even - array).max() <= 1


@pytest.mark.parametrize(
    ("values", "exponent"),
    [([4095.0], 0), ([4096.0], 1), ([4095.0 * 128], 7), ([0.0], 0)],
)
def test_bias_takes_the_smallest_exponent_that_holds_it(
    values: list[float], exponent: int
) -> None:
    mantissas, found = bias_registers(np.array(values), 0)

    assert found == exponent
    assert np.abs(mantissas).max() <= 4095


@given(largest=st.floats(1e-6, 1e9), limit=st.integers(1, 1000))
def test_exponent_is_the_smallest_that_covers(largest: float, limit: int) -> None:
    exponent = exponent_for(largest, limit)

    assert largest <= limit * 2.0**exponent
    assert largest > limit * 2.0 ** (exponent - 1)
