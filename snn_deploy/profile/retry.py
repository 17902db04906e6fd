"""The rule ``retry``: all inputs in a stream of few timesteps, the undecided again."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.results import Counts
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.profile.measured import Kind, Measured, Run
from snn_deploy.profile.rows import COLUMNS, Rows

# what the second stream replaces; everything else adds up
ANSWERS = ("index", "input_hash", "label", "prediction", "stopped_early", "gap")


def two_streams(
    calibration: Calibration, ends: IntArray, measure: Callable[[Run], Measured]
) -> tuple[Rows, list[Counts], FloatArray]:
    """Return the rows of inputs, the counts of each stream, and the first scores.

    The first stream takes every input for the timesteps of the rule's only look, the
    second the undecided ones, from rest and for all timesteps. An input costs what it
    takes in both; its wait between them is left out. ``ends`` are the last timesteps of
    the inputs, ``(n,)``: one that is over by the look is not undecided.
    """
    first, last = calibration.retry_at, calibration.timesteps
    stream = Run(
        kind=Kind.STREAM,
        inputs=range(len(ends)),
        n_timesteps=first,
        words=f"{first} timesteps, streamed",
    )
    found = measure(stream)
    rows, totals = found.streamed, [found.totals]
    is_settled = (found.is_settled > 0) | (first == last)
    rows.column("stopped_early")[:] = is_settled & (first < ends)
    is_settled[[*found.failures]] = True  # unknown
    again = np.flatnonzero(~is_settled)
    if len(again):
        words, inputs = "undecided again", again.tolist()
        retried = measure(replace(stream, inputs=inputs, n_timesteps=last, words=words))
        totals.append(retried.totals)
        for name in COLUMNS:
            before = 0 if name in ANSWERS else rows.column(name)[again]
            rows.column(name)[again] = before + retried.streamed.column(name)
    return rows, totals, found.first_scores
