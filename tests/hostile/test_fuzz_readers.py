"""Every reader, for a moment; with --run-slow half a minute each. Longer: make fuzz."""

import pytest

from tests.hostile.fuzz import fuzz
from tests.hostile.mutations import N_FLIPS, SMALL
from tests.hostile.readers import READERS

SYSTEMATIC = 2 * SMALL + N_FLIPS  # more than there are such cases


@pytest.mark.parametrize("name", READERS)
def test_a_spoilt_file_is_refused(name: str) -> None:
    seen = fuzz(READERS[name], seconds=0.7, start=SYSTEMATIC)

    assert seen.n > 0
    assert seen.n_wrong == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_file_cut_at_every_byte_or_spoilt_is_refused(name: str) -> None:
    seen = fuzz(READERS[name], seconds=30)

    assert seen.n > 0
    assert seen.n_wrong == 0
