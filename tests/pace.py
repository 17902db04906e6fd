"""How long something may take, on a machine of any speed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

USUAL_S = 0.025  # of a yardstick, on the processor that limits are written for


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Hold what runs here to processor time, which other programs do not lengthen.

    A slower processor has as many times longer as it takes for the yardstick.
    """
    begun = time.process_time()
    yield
    taken_s = time.process_time() - begun
    assert taken_s < seconds * slowness()


def slowness() -> float:
    """Return how many times longer this processor takes than the usual one."""
    return max(1.0, min(_yardstick_s() for _ in range(3)) / USUAL_S)


def _yardstick_s() -> float:
    begun = time.process_time()
    sum(i * i for i in range(700_000))
    return time.process_time() - begun
