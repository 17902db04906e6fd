"""Decide inputs as they arrive, some of them audited."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.backends.protocol import Program
from snn_deploy.backends.results import Failure
from snn_deploy.cutoff.decision import Cutoff, never
from snn_deploy.cutoff.drift import answer_at, audits, first_score, is_lost
from snn_deploy.cutoff.monitor import decide_inputs
from snn_deploy.cutoff.oracle import gaps
from snn_deploy.cutoff.restarting import Restarting
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.cutoff.thresholds import stops
from snn_deploy.data.data import Data
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.stimuli import Stimulus


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The answer to one input of a stream."""

    index: int  # counted from 0, over the whole stream
    source: str  # the file, or the number of the array
    label: int | None
    prediction: int
    timesteps: int
    chip_timesteps: int
    stopped_early: bool
    gap: int
    is_audited: bool  # it ran all timesteps
    first_score: float  # at the first timestep looked at
    is_lost: bool | None  # whether the cutoff would have lost it; None: unknown


@dataclass(frozen=True, kw_only=True)
class Undecided:
    """An input that the machine failed at, twice."""

    index: int
    source: str
    failed: str  # why


def serve(
    machine: Restarting,
    network: MappedNetwork,
    calibration: Calibration,
    arrivals: Iterable[tuple[str, Data]],
    *,
    audit: float = 0.0,
) -> Iterator[Decision | Undecided]:
    """Yield the decision on each input, in the order of their arrival.

    Inputs that arrive together run together; none waits for one that arrives later.

    Parameters
    ----------
    machine : Restarting
        What runs ``network``.
    network : MappedNetwork
    calibration : Calibration
        Its rule stops the inputs.
    arrivals : iterable of (source, Data)
    audit : float
        The share of the inputs that runs all timesteps.

    Raises
    ------
    CalibrationError
        If a chip that decides is audited, or an input is over before its clock.
    """
    if audit:
        calibration.check_audit()
    is_audited = audits(audit)
    start = 0
    for source, data in arrivals:
        calibration.check_ends(data.ends)
        numbered = [(i, next(is_audited)) for i in range(len(data))]
        for runs_on, group in groupby(numbered, key=lambda pair: pair[1]):
            cutoff = never if runs_on else calibration.cutoff
            indices = [start + i for i, _ in group]
            attempt = partial(_attempt, network, data, start, indices, cutoff)
            for found in machine.run(indices, attempt):
                if isinstance(found, Failure):
                    yield Undecided(
                        index=found.index, source=source, failed=found.reason
                    )
                    continue
                index, scores = found
                label = None if data.y is None else int(data.y[index - start])
                known = index, source, label
                end = int(data.ends[index - start])
                yield _decision(network, calibration, scores, end, known, runs_on)
        start += len(data)


def _attempt(
    network: MappedNetwork,
    data: Data,
    start: int,
    indices: list[int],
    cutoff: Cutoff,
    program: Program,
    place: int,
) -> Iterator[tuple[int, IntArray]]:
    """Yield the scores of the inputs from this place on."""
    stimuli = _stimuli(data, indices[place:], start)
    return decide_inputs(program, network, stimuli, cutoff)


def _stimuli(
    data: Data, indices: list[int], start: int
) -> Iterator[tuple[int, Stimulus]]:
    for index in indices:
        yield index, data.stimulus(index - start, index)


def _decision(
    network: MappedNetwork,
    calibration: Calibration,
    scores: IntArray,
    end: int,
    known: tuple[int, str, int | None],
    is_audited: bool,
) -> Decision:
    index, source, label = known
    timesteps = len(scores)
    prediction = answer_at(scores, timesteps)
    lost = None
    if is_audited and (label is not None or not calibration.uses_labels):
        stop = int(stops(scores[np.newaxis], calibration.cutoff)[0])
        labels = np.array([label]) if calibration.uses_labels else None
        early = np.array([answer_at(scores, stop)])
        lost = bool(is_lost(early, np.array([prediction]), labels)[0])
    return Decision(
        index=index,
        source=source,
        label=label,
        prediction=prediction,
        timesteps=timesteps,
        chip_timesteps=timesteps + network.graph.depth,
        stopped_early=timesteps < end,
        gap=int(gaps(scores[-1])),
        is_audited=is_audited,
        first_score=first_score(calibration, scores),
        is_lost=lost,
    )
