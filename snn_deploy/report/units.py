"""Numbers for people: three digits, a handy prefix, ``unknown`` for ``None``."""

import math
from collections.abc import Sequence

PREFIXES = {
    -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G",
    12: "T",
}  # fmt: skip
UNKNOWN = "unknown"
DIGITS = 3


class Quantity(str):
    """A number as people read it, which knows what it is."""

    __slots__ = ("number", "unit")

    def __new__(cls, text: str, number: float | None, unit: str = "") -> "Quantity":
        """Return ``text``; ``number`` is in units without prefix, ``None``: unknown."""
        found = super().__new__(cls, text)
        found.number, found.unit = number, unit
        return found

    number: float | None
    unit: str


def with_prefix(value: float | None, unit: str) -> Quantity:
    """Return ``value``, in units without prefix, as text with a handy one.

    >>> with_prefix(5.894e-05, "J")
    '58.9 µJ'
    >>> with_prefix(None, "s")
    'unknown'
    """
    if value is None:
        return Quantity(UNKNOWN, None, unit)
    if value == 0 or not math.isfinite(value):
        return Quantity(f"{value:g} {unit}", value, unit)
    mantissa, power = f"{value:.{DIGITS - 1}e}".split("e")
    group = prefix_power(value)
    shift = int(power) - group
    places = max(0, DIGITS - 1 - shift)
    text = f"{float(mantissa) * 10.0**shift:.{places}f} {PREFIXES[group]}{unit}"
    return Quantity(text, value, unit)


def prefix_power(value: float) -> int:
    """Return the power of ten, a multiple of 3, of the prefix that suits ``value``."""
    if value == 0 or not math.isfinite(value):
        return 0
    power = int(f"{value:.{DIGITS - 1}e}".split("e")[1])
    return min(max(3 * (power // 3), min(PREFIXES)), max(PREFIXES))


def shared_prefix(values: Sequence[float], unit: str) -> tuple[float, str]:
    """Return what one prefixed unit is worth, and its name, to suit the largest value.

    >>> shared_prefix([2e-6, 3e-4], "J")
    (1e-06, 'µJ')
    """
    power = prefix_power(max(values, default=0.0))
    return 10.0**power, f"{PREFIXES[power]}{unit}"


def percent(fraction: float | None, places: int = 1) -> Quantity:
    """Return a fraction as per cent.

    >>> percent(0.98667)
    '98.7 %'
    """
    if fraction is None:
        return Quantity(UNKNOWN, None)
    return Quantity(f"{100 * fraction:.{places}f} %", fraction)


def number(value: float | None) -> Quantity:
    """Return a count or a mean of counts with at least three digits.

    >>> number(484587.2), number(1.18667), number(0.51), number(0.016584)
    ('484,587', '1.19', '0.510', '0.0166')
    """
    if value is None:
        return Quantity(UNKNOWN, None)
    if float(value).is_integer():
        return Quantity(f"{int(value):,}", int(value))
    if not math.isfinite(value) or abs(value) < 0.1:
        return Quantity(f"{value:.3g}", value)
    places = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1
    places = places if abs(value) < 1000 else 0
    return Quantity(f"{value:,.{places}f}", value)
