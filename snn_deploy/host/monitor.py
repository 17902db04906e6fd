"""The host beside the chip: read the outputs, accumulate, decide, stop."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.backends import BatchProgram, Program
from snn_deploy.host.cutoff import Cutoff, GapCutoff, never
from snn_deploy.host.oracle import answers, gaps
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.results import Activity, BatchResult, RunResult
from snn_deploy.spikes import Stimulus

BATCH = 256  # inputs that a machine runs at once if it stops them by itself


def run_inputs(
    program: Program,
    network: MappedNetwork,
    stimuli: Iterable[tuple[int, Stimulus]],
    cutoff: Cutoff,
) -> Iterator[RunResult]:
    """Yield the result of each input, in order.

    Parameters
    ----------
    program : Program
        ``network``, loaded on a backend.
    network : MappedNetwork
    stimuli : iterable of (index, Stimulus)
        Taken in batches of what the machine runs at once; each input starts from rest.
    cutoff : callable
        Stops an input; see ``host.cutoff``.
    """
    waiting = iter(stimuli)
    while batch := list(islice(waiting, BATCH)):
        found = _run_alone(program, network, batch, cutoff, is_counted=True)
        if found is None:
            for start in range(0, len(batch), program.max_batch):
                part = batch[start : start + program.max_batch]
                yield from _run_batch(program, network, part, cutoff)
            continue
        for i in np.flatnonzero(found.timesteps):
            scores = found.scores[i, : found.timesteps[i]]
            yield _result(batch[i][0], scores, network, found.activities[i])
        if found.interrupt is not None:
            raise found.interrupt


def _run_alone(
    program: Program,
    network: MappedNetwork,
    batch: Sequence[tuple[int, Stimulus]],
    cutoff: Cutoff,
    *,
    is_counted: bool,
) -> BatchResult | None:
    """Let the machine stop the inputs by itself, if it can."""
    if not isinstance(cutoff, GapCutoff) or not isinstance(program, BatchProgram):
        return None
    betas = cutoff.betas(network.graph.training.timesteps)
    stimuli = [stimulus for _, stimulus in batch]
    return program.run(stimuli, betas, is_counted=is_counted)


def _run_batch(
    program: Program,
    network: MappedNetwork,
    batch: Sequence[tuple[int, Stimulus]],
    cutoff: Cutoff,
) -> list[RunResult]:
    n_timesteps = network.graph.training.timesteps
    n_out = network.graph.readout.size
    scores = np.zeros((len(batch), n_timesteps, n_out), np.int64)
    stopped_at = np.zeros(len(batch), np.int64)
    session = program.start([stimulus for _, stimulus in batch])
    try:
        while (record := session.step()) is not None:
            t, inputs = record.timestep, record.inputs
            before = scores[inputs, t - 2] if t > 1 else None
            functional = network.graph.training.functional
            scores[inputs, t - 1] = _accumulated(functional, before, record.readout)
            done = cutoff(scores[inputs, t - 1], t) | (t == n_timesteps)
            if done.any():
                stopped_at[inputs[done]] = t
                session.retire(inputs[done])
        return [
            _result(index, scores[i, : stopped_at[i]], network, session.activity(i))
            for i, (index, _) in enumerate(batch)
        ]
    finally:
        session.close()


def _accumulated(
    functional: Functional, before: IntArray | None, readout: IntArray
) -> IntArray:
    if before is None or functional is Functional.LAST:
        return readout
    if functional is Functional.SUM:
        return before + readout
    return np.maximum(before, readout)


def _result(
    index: int, scores: IntArray, network: MappedNetwork, activity: Activity
) -> RunResult:
    t = len(scores)
    return RunResult(
        index=index,
        prediction=int(answers(scores[-1])),
        timesteps=t,
        chip_timesteps=t + network.graph.depth,
        stopped_early=t < network.graph.training.timesteps,
        gap=int(gaps(scores[-1])),
        scores=scores,
        activity=activity,
    )


def collect_scores(
    program: Program,
    network: MappedNetwork,
    stimuli: Iterable[tuple[int, Stimulus]],
    progress: Callable[[Iterable[IntArray]], Iterable[IntArray]] = iter,
) -> IntArray:
    """Return the accumulated outputs of all timesteps, ``(n, n_timesteps, n_classes)``.

    ``progress`` wraps the outputs of each input as they come.
    """
    return np.stack(list(progress(_scores(program, network, stimuli))))


def _scores(
    program: Program,
    network: MappedNetwork,
    stimuli: Iterable[tuple[int, Stimulus]],
) -> Iterator[IntArray]:
    """Yield the outputs of each input; nothing is counted where that saves time."""
    waiting = iter(stimuli)
    while batch := list(islice(waiting, BATCH)):
        found = _run_alone(program, network, batch, never, is_counted=False)
        if found is None:
            results = run_inputs(program, network, batch, never)
            yield from (result.scores for result in results)
            continue
        if found.interrupt is not None:
            raise found.interrupt
        yield from found.scores
