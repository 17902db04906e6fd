"""html: a page of many inputs is small enough to send, and drawn soon."""

import numpy as np

from snn_deploy.profile.closeups import N_CLOSE, PICTURE_BYTES, Closeups
from snn_deploy.profile.summary import summarize
from snn_deploy.report.html import render
from tests.build import rng
from tests.pace import within
from tests.report.closeups import closeup
from tests.report.profiles import early_rows, profile

LARGEST_BYTES = 6_000_000
MOST_SECONDS = 3.0


def noise(n_close: int) -> Closeups:
    """Return as many pictures as a page takes, which nothing compresses."""
    n = PICTURE_BYTES // (32 * 32 * 3)
    return Closeups(
        positions=np.arange(n),
        pictures=rng(0).integers(0, 256, (n, 32, 32, 3)).astype(np.uint8),
        inputs=tuple(closeup(i) for i in range(n_close)),
    )


def test_a_page_of_10_000_inputs_is_under_6_mb() -> None:
    draw = rng(1)
    costs = {"energy_static_j": 1e-5 * draw.random(), "gap": 123_456}
    found = profile(10_000, rows=early_rows(10_000, **costs))

    page = render(found, summarize(found), closeups=noise(N_CLOSE))

    assert len(page.encode("utf-8")) < LARGEST_BYTES


def test_a_page_of_1000_inputs_takes_under_3_s() -> None:
    found = profile(1000)
    closeups = noise(N_CLOSE)

    with within(MOST_SECONDS):
        render(found, summarize(found), closeups=closeups)
