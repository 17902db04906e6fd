"""What every hostile file is held to."""

import resource
from collections.abc import Iterator

import pytest

from tests.pace import within

MOST_S = 5.0
MOST_MEMORY = 500 << 20  # bytes


@pytest.fixture
def little_time_and_memory() -> Iterator[None]:
    before = _peak()
    with within(MOST_S):
        yield
    assert _peak() - before < MOST_MEMORY


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
