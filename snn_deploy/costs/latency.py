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
        All inputs of the stream in order, each for all its timesteps.
    mapped : array, (n_cores,)
        Neurons.
    depth : int
        Of the pipeline.
    prices : Prices
    """
    stops = np.concatenate([block.timesteps for block in blocks])
    lasts = np.where(stops > 0, stops, blocks[0].n_timesteps)  # its place stays empty
    ends = lasts.cumsum()
    counts = _in_stream(blocks, ends - lasts, int(ends[-1]))
    counts.cores[..., ACCESS] = mapped
    n_rows = int(ends[-1]) + depth
    durations = timestep_durations(counts.cores[:n_rows], counts.chip[:n_rows], prices)
    durations[ends + depth - 1] += prices.poll
    spans = list(zip(ends - lasts, ends, strict=True))
    latency = [durations[start : end + depth].sum(axis=0) for start, end in spans]
    period = [durations[start:end].sum(axis=0) for start, end in spans]
    return np.array(latency), np.array(period)


def _in_stream(blocks: Sequence[Block], starts: IntArray, end: int) -> Counts:
    """Return the counts of a stream by chip timestep, until its last spike."""
    lag, n_columns = blocks[0].tail.values.shape[1:]
    found = Counts(np.zeros((end + lag, n_columns), np.int64), blocks[0].counts.n_cores)
    rows = (mine for block in blocks for mine in block.rows_in_stream())
    for start, mine in zip(starts, rows, strict=True):
        found.add(mine, start)
    return found
