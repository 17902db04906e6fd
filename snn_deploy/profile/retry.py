"""The rule ``retry``: all inputs in a stream of few timesteps, the undecided again."""

from collections.abc import Callable

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.profile.parts import Part, Way
from snn_deploy.profile.rows import Rows
from snn_deploy.profile.totals import Totals

# what the second stream replaces; everything else adds up
ANSWERS = ("index", "input_hash", "label", "prediction", "stopped_early", "gap")


def two_streams(
    calibration: Calibration, n: int, measure: Callable[[Way], Part]
) -> tuple[Rows, list[Totals], FloatArray]:
    """Return the rows of ``n`` inputs, the counts of each stream, and the first scores.

    The first stream takes every input for the timesteps of the rule's only look, the
    second the undecided ones, from rest and for all timesteps. An input costs what it
    takes in both; its wait between them is left out.
    """
    first, last = calibration.retry_at, calibration.timesteps
    stream = _stream(f"{first} timesteps, streamed", range(n), first, is_first=True)
    found = measure(stream)
    rows, totals = found.streamed, [found.totals]
    is_settled = (found.is_settled > 0) | (first == last)
    rows.column("stopped_early")[:] = is_settled & (first < last)
    is_settled[[*found.failures]] = True  # unknown
    again = np.flatnonzero(~is_settled)
    if len(again):
        retried = measure(_stream("undecided again", again.tolist(), last))
        totals.append(retried.totals)
        for name in rows.columns:
            before = 0 if name in ANSWERS else rows.column(name)[again]
            rows.column(name)[again] = before + retried.streamed.column(name)
    return rows, totals, found.first_scores


def _stream(
    name: str, inputs: "range | list[int]", n_timesteps: int, *, is_first: bool = False
) -> Way:
    return Way(
        name=name,
        inputs=inputs,
        n_timesteps=n_timesteps,
        is_serial=False,
        is_streamed=True,
        is_looked_at=is_first,
    )
