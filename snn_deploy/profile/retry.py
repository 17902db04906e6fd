"""The rule ``retry``: all inputs in a stream of few timesteps, the undecided again."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.costs.pricing import Pricing, Values
from snn_deploy.host.calibration import Calibration
from snn_deploy.host.drift import first_score
from snn_deploy.profile.rows import Rows
from snn_deploy.results import RunResult

# what the second stream replaces; everything else adds up
ANSWERS = ("index", "input_hash", "label", "prediction", "stopped_early", "gap")


@dataclass(kw_only=True)
class TwoStreams:
    """Inputs that are streamed, those that have not settled a second time.

    The first stream takes every input for the timesteps of the rule's only look, the
    second the undecided ones, from rest and for all timesteps. An input costs what it
    takes in both; its wait between them is left out.
    """

    calibration: Calibration  # of the rule retry
    pricing: Pricing
    run: Callable[[int, IntArray], Iterable[RunResult]]  # so many timesteps; which
    store: Callable[[Rows, Values], None]  # adds the row of the next input
    count: Callable[[IntArray, IntArray], None]  # takes an input's; see Activity
    first_scores: list[float] = field(default_factory=list)  # those at the look
    settled: list[bool] = field(default_factory=list)

    def rows(self, n: int) -> Rows:
        """Return the rows of ``n`` inputs."""
        first, last = self.calibration.retry_at, self.calibration.timesteps
        rows = self._streamed(first, self._judged(self.run(first, np.arange(n))), n)
        is_settled = np.array(self.settled, np.bool_) | (first == last)
        rows.column("stopped_early")[:] = is_settled & (first < last)
        again = np.flatnonzero(~is_settled)
        if len(again):
            late = self._streamed(last, self.run(last, again), len(again))
            for name in rows.columns:
                before = 0 if name in ANSWERS else rows.column(name)[again]
                rows.column(name)[again] = before + late.column(name)
        return rows

    def _judged(self, results: Iterable[RunResult]) -> Iterator[RunResult]:
        rule = self.calibration
        for result in results:
            found = rule.cutoff(result.scores[-1:], rule.retry_at)
            self.settled.append(bool(found[0]))
            self.first_scores.append(first_score(rule, result.scores))
            yield result

    def _streamed(self, n_timesteps: int, results: Iterable[RunResult], n: int) -> Rows:
        rows, stream = Rows(n), self.pricing.stream(n_timesteps)
        for result in results:
            self.count(*stream.counts(result))
            for row in stream.push(result):
                self.store(rows, row)
        for row in stream.finish():
            self.store(rows, row)
        return rows
