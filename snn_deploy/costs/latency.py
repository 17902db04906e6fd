"""How long an input takes on the chip, from what happened at each timestep."""

from collections.abc import Iterator

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.chip.events import ACCESS, CHIP_EVENTS, CORE_EVENTS, LINKS
from snn_deploy.costs.prices import BAND, Prices, cost_of


def timestep_durations(cores: IntArray, chip: IntArray, prices: Prices) -> FloatArray:
    """Return the duration of each chip timestep [s], polls not included, ``(n, 2)``.

    A timestep lasts as long as its slowest neurocore computes and sends, or receives,
    or its busiest link between chips, if its time is known; then all synchronize. The
    host sends inputs meanwhile, if their time is known.

    Parameters
    ----------
    cores : array, (n, n_cores, n_core_events)
        Counts of ``CORE_EVENTS``.
    chip : array, (n, n_chip_events + n_links)
        Counts of ``CHIP_EVENTS``, then packets on each link.
    prices : Prices
    """
    generating = cost_of(cores, prices.generating).max(axis=1)
    receiving = cost_of(cores, prices.receiving).max(axis=1)
    crossing = chip[:, LINKS].max(axis=1, initial=0)[:, np.newaxis] * prices.crossing
    working = np.maximum(np.maximum(generating, receiving), crossing)
    computing = working + prices.barrier
    injecting = cost_of(chip[:, : len(CHIP_EVENTS)], prices.injecting)
    durations: FloatArray = np.maximum(computing, injecting)
    return durations


class Stream:
    """The time that inputs take that follow one another without a gap.

    The pipeline holds several inputs at once, so a timestep is as long as all of them
    together make it: ``push`` takes what each input causes by itself. The host reads
    the outputs once for each input, when its answer is out.
    """

    def __init__(
        self,
        prices: Prices,
        mapped: IntArray,
        *,
        n_timesteps: int,
        depth: int,
        lag: int,
    ) -> None:
        self.prices = prices
        self.mapped = mapped  # (n_cores,), neurons
        self.n_timesteps = n_timesteps
        self.depth = depth
        n_rows = n_timesteps + lag  # of an input, until its last spike
        self.cores = np.zeros((n_rows, len(mapped), len(CORE_EVENTS)), np.int64)
        self.chip = np.zeros((n_rows, len(prices.chip_energy)), np.int64)
        self.durations = np.zeros((0, len(BAND)))  # of inputs that are not out yet
        self.timestep = 0  # of the chip, the last one whose duration is known
        self.n_waiting = 0

    def push(
        self, cores: IntArray, chip: IntArray
    ) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Yield latency and period ``(2,)`` [s] of each input that is known by now.

        The period is the time from the first timestep of an input to that of the next.
        """
        self.cores += cores
        self.chip += chip
        self.n_waiting += 1
        self._close(self.n_timesteps)
        while len(self.durations) >= self.n_timesteps + self.depth:
            yield self._next()

    def finish(self) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Yield the times of the inputs that are still in the pipeline."""
        self._close(self.depth)
        while self.n_waiting:
            yield self._next()

    def _next(self) -> tuple[FloatArray, FloatArray]:
        latency = self.durations[: self.n_timesteps + self.depth].sum(axis=0)
        period = self.durations[: self.n_timesteps].sum(axis=0)
        self.durations = self.durations[self.n_timesteps :]
        self.n_waiting -= 1
        return latency, period

    def _close(self, n: int) -> None:
        """Let the first ``n`` timesteps, which no later input reaches, pass."""
        cores, chip = self.cores[:n].copy(), self.chip[:n]
        cores[..., ACCESS] = self.mapped
        durations = timestep_durations(cores, chip, self.prices)
        answers = self.timestep + 1 + np.arange(n) - self.depth
        is_read = (answers > 0) & (answers % self.n_timesteps == 0)
        durations += is_read[:, np.newaxis] * self.prices.poll
        self.durations = np.concatenate([self.durations, durations])
        self.timestep += n
        for rows in (self.cores, self.chip):
            rows[: -n or None] = rows[n:].copy()
            rows[len(rows) - n :] = 0
