"""What every hostile file is held to."""

import resource
import time
from collections.abc import Iterator

import pytest

MOST_S = 5.0
MOST_MEMORY = 500 << 20  # bytes


@pytest.fixture
def little_time_and_memory() -> Iterator[None]:
    before, started = _peak(), time.process_time()
    yield
    assert time.process_time() - started < MOST_S
    assert _peak() - before < MOST_MEMORY


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
