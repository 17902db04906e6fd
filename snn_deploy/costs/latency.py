"""How long an input takes on the chip, from what happened at each timestep."""

from collections.abc import Sequence

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.results import Block, Counts
from snn_deploy.chip.events import ACCESS, LINKS
from snn_deploy.costs.prices import Prices, cost_of


def timestep_durations(cores: IntArray, chip: IntArray, prices: Prices) -> FloatArray:
    """Return the duration of each chip timestep [s], polls not included, ``(..., 3)``.

    A timestep lasts as long as its slowest neurocore computes and sends, or receives,
    or its busiest link between chips, if its time is known; then all synchronize. The
    host sends inputs meanwhile, if their time is known.

    Parameters
    ----------
    cores : array, (..., n_cores, n_core_events)
        Counts of ``CORE_EVENTS``.
    chip : array, (..., n_chip_events + n_links)
        Counts of ``CHIP_EVENTS``, then packets on each link.
    prices : Prices
    """
    generating = cost_of(cores, prices.generating).max(axis=-2)
    receiving = cost_of(cores, prices.receiving).max(axis=-2)
    crossing = (
        chip[..., LINKS].max(axis=-1, initial=0)[..., np.newaxis] * prices.crossing
    )
    working = np.maximum(np.maximum(generating, receiving), crossing)
    computing = working + prices.barrier
    injecting = cost_of(cores.sum(axis=-2), prices.injecting)
    durations: FloatArray = np.maximum(computing, injecting)
    return durations


def stream_times(
    blocks: Sequence[Block], mapped: IntArray, depth: int, prices: Prices
) -> tuple[FloatArray, FloatArray]:
    """Return latency and period ``(n, 3)`` [s] of inputs that follow without a gap.

    The pipeline holds several inputs at once, so a timestep is as long as all of them
    together make it. The host reads the outputs once for each input, when its answer is
    out. The period is the time from the first timestep of an input to that of the next.

    Parameters
    ----------
    blocks : sequence of Block
        All inputs of the stream in order, all for the same timesteps.
    mapped : array, (n_cores,)
        Neurons.
    depth : int
        Of the pipeline.
    prices : Prices
    """
    n_timesteps, n = blocks[0].n_timesteps, sum(map(len, blocks))
    counts = _in_stream(blocks, n)
    counts.cores[..., ACCESS] = mapped
    n_rows = n * n_timesteps + depth
    durations = timestep_durations(counts.cores[:n_rows], counts.chip[:n_rows], prices)
    answers = np.arange(1, n_rows + 1) - depth
    is_read = (answers > 0) & (answers % n_timesteps == 0)
    durations += is_read[:, np.newaxis] * prices.poll
    starts = n_timesteps * np.arange(n)[:, np.newaxis]
    latency = durations[starts + np.arange(n_timesteps + depth)].sum(axis=1)
    period = durations[starts + np.arange(n_timesteps)].sum(axis=1)
    return latency, period


def _in_stream(blocks: Sequence[Block], n: int) -> Counts:
    """Return the counts of a stream by chip timestep, until its last spike."""
    n_timesteps = blocks[0].n_timesteps
    lag, n_columns = blocks[0].tail.values.shape[1:]
    n_places = n + -(-lag // n_timesteps)  # of inputs, and of what follows the last
    found = np.zeros((n_places, n_timesteps, n_columns), np.int64)
    place = 0
    for block in blocks:
        end = place + len(block)
        found[place:end] += block.whole.values[:, :n_timesteps]
        tail = block.tail.values
        for i, start in enumerate(range(0, lag, n_timesteps), start=1):
            later = tail[:, start : start + n_timesteps]
            found[place + i : end + i, : later.shape[1]] += later
        place = end
    values = found.reshape(-1, n_columns)
    return Counts(values, blocks[0].counts.n_cores)
