"""units: numbers for people."""

import math

import pytest

from snn_deploy.report.units import number, percent, shared_prefix, with_prefix


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 J"),
        (1.0, "1.00 J"),
        (2.36e-11, "23.6 pJ"),
        (5.94e-6, "5.94 µJ"),
        (0.25, "250 mJ"),
        (9.9996e-4, "1.00 mJ"),  # rounding carries into the next prefix
        (999.4e-6, "999 µJ"),
        (-3.3e-3, "-3.30 mJ"),
        (2e-16, "0.200 fJ"),
        (4.2e4, "42.0 kJ"),
        (math.inf, "inf J"),
        (None, "unknown"),
    ],
)
def test_value_has_three_digits_and_a_prefix(value: float | None, text: str) -> None:
    assert with_prefix(value, "J") == text


def test_one_prefix_suits_the_largest_value() -> None:
    assert shared_prefix([1e-6, 2e-3], "J") == (1e-3, "mJ")
    assert shared_prefix([], "s") == (1.0, "s")


def test_counts_and_means_keep_at_least_three_digits() -> None:
    assert number(2275389.19) == "2,275,389"
    assert number(0.0) == "0"
    assert number(5.1867) == "5.19"
    assert number(0.001234) == "0.00123"
    assert number(None) == "unknown"


def test_percent_of_nothing_known_is_unknown() -> None:
    assert percent(None) == "unknown"
    assert percent(0.5, 0) == "50 %"
