"""winners: every schedule is there, the best one of each goal is marked."""

import re

from snn_deploy.profile.summary import summarize
from snn_deploy.report.comparisons import winners
from tests.report.profiles import CASES, profile, without_cutoff
from tests.report.reading import words


def test_best_cells_are_marked() -> None:
    markup = winners(summarize(profile()))

    best = [words(cell) for cell in re.findall("<strong.*?</strong>", markup)]
    assert best == ["best: 20.0 µJ", "best: 2.00 ms", "best: 500.0"]


def test_the_stream_wins_throughput_without_a_cutoff() -> None:
    row = re.findall("<tr>.*?</tr>", winners(summarize(without_cutoff())))[2]

    assert "6 timesteps, streamed" in row
    assert re.findall("<strong.*?>(.*?)</strong>", row) == ["best: 222.2"]


def test_nothing_is_best_where_the_cost_is_unknown() -> None:
    markup = winners(summarize(CASES["no prices"]))

    assert "best: unknown" not in markup
    assert len(re.findall("<strong", markup)) == 2  # latency and throughput
