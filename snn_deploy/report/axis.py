"""One direction of a chart: its limits, ticks and words, and where a value lies."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

MARGIN = 0.05  # of the values, beside them, where no limits are given
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)  # of ticks, times a power of ten
Place = Callable[[float], float]


class Axis:
    """Limits, ticks and words of one direction."""

    def __init__(self) -> None:
        self.found = [math.inf, -math.inf]  # that is drawn
        self.sticky = False  # no margin below 0
        self.limits: list[float | None] = [None, None]
        self.ticks: list[float] | None = None
        self.labels: list[str] | None = None
        self.n_bins = 8
        self.is_log = False
        self.label = ""

    def add(self, values: Any, *, sticky: bool = False) -> None:
        """Take values into account."""
        flat = np.ravel(np.asarray(values, np.float64))
        self.found = [min([self.found[0], *flat]), max([self.found[1], *flat])]
        self.sticky |= sticky

    def set(self, low: float | None, high: float | None) -> None:
        """Set one limit or both."""
        both = zip((low, high), self.limits, strict=True)
        self.limits = [old if new is None else float(new) for new, old in both]

    @property
    def range(self) -> tuple[float, float]:
        """The limits: those that are set, else what is drawn with a margin."""
        low, high = self.found if self.found[0] <= self.found[1] else (0.0, 1.0)
        room = MARGIN * (high - low) or MARGIN
        low = low if self.sticky and low == 0 else low - room
        given = zip(self.limits, (low, high + room), strict=True)
        low, high = (found if limit is None else limit for limit, found in given)
        return low, high if high > low else low + 1.0

    def marked(self) -> list[tuple[float, str]]:
        """Return the ticks within the limits, and what stands at them."""
        ticks = (
            nice_ticks(*self.range, self.n_bins) if self.ticks is None else self.ticks
        )
        labels = _labels(ticks) if self.labels is None else self.labels
        low, high = self.range
        room = 1e-9 * (high - low)
        pairs = zip(ticks, labels, strict=True)
        return [(t, text) for t, text in pairs if low - room <= t <= high + room]

    def place(self, start: float, end: float) -> Place:
        """Return what tells where on paper a value lies, the low limit at ``start``."""
        scale: Place = math.log10 if self.is_log else float
        low, high = (scale(limit) for limit in self.range)
        return lambda value: start + (end - start) * (scale(value) - low) / (high - low)


def nice_ticks(low: float, high: float, n_bins: int) -> list[float]:
    """Return round numbers at equal distances within limits, at most ``n_bins + 1``."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / n_bins))
    step = next(
        s * power for s in STEPS if s * power * n_bins >= (high - low) * 0.999999
    )
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _labels(ticks: Sequence[float]) -> list[str]:
    """Return numbers with the decimals that tell them apart."""
    most = max(map(abs, ticks), default=0.0)
    if most and not 1e-4 <= most < 1e7:
        return [f"{tick:g}" for tick in ticks]
    steps = [b - a for a, b in pairwise(ticks)]
    finest = min(steps, default=1.0)
    for decimals in range(10):
        if abs(finest * 10**decimals - round(finest * 10**decimals)) < 1e-6:
            break
    return [f"{tick:.{decimals}f}".replace("-0", "0") if not tick
            else f"{tick:.{decimals}f}" for tick in ticks]  # fmt: skip
