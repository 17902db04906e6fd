"""The host beside the chip: read the outputs, accumulate, decide, stop."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

import numpy as np

from snn_deploy.arrays import BoolArray, IntArray
from snn_deploy.backends.protocol import BatchProgram, Program, Session
from snn_deploy.backends.results import Activity, BatchResult, RunResult
from snn_deploy.cutoff.decision import Cutoff, GapCutoff, looks_of, never
from snn_deploy.cutoff.oracle import answers, gaps
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.stimuli import Stimulus

BATCH = 256  # inputs that a machine runs at once if it stops them by itself,
MOST_BYTES = 1 << 27  # or fewer, if they are long


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
    for batch in _batches(stimuli):
        found = _run_alone(program, network, batch, cutoff, is_counted=True)
        if found is None:
            for start in range(0, len(batch), program.max_batch):
                part = batch[start : start + program.max_batch]
                yield from _run_batch(program, network, part, cutoff)
            continue
        for i in np.flatnonzero(found.timesteps):
            scores = found.scores[i, : found.timesteps[i]]
            yield _result(batch[i][0], scores, network, found.activities[int(i)])
        if found.interrupt is not None:
            raise found.interrupt


def _batches(
    stimuli: Iterable[tuple[int, Stimulus]],
) -> Iterator[list[tuple[int, Stimulus]]]:
    """Yield inputs, as many as are to be in memory at once."""
    batch: list[tuple[int, Stimulus]] = []
    n_bytes = 0
    for index, stimulus in stimuli:
        batch.append((index, stimulus))
        n_bytes += stimulus.values.nbytes
        if len(batch) == BATCH or n_bytes >= MOST_BYTES:
            yield batch
            batch, n_bytes = [], 0
    if batch:
        yield batch


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
    looks = looks_of(cutoff, network.graph.training.timesteps)
    session = program.start([stimulus for _, stimulus in batch], looks)
    stopped: dict[int, IntArray] = {}
    try:
        for is_over, scores in _timesteps(session, network, len(batch), cutoff):
            for i in np.flatnonzero(is_over).tolist():
                stopped[i] = scores[i].copy()
        return [
            _result(index, stopped[i], network, session.activity(i))
            for i, (index, _) in enumerate(batch)
        ]
    finally:
        session.close()


def watch_input(
    program: Program, network: MappedNetwork, stimulus: Stimulus, cutoff: Cutoff
) -> Generator[IntArray, None, None]:
    """Yield the accumulated outputs ``(n_out,)`` of one input as they come.

    Those of several timesteps come together where the rule looks at the last of them
    only. The last ones are those that the rule stops at; nothing is computed behind.
    """
    looks = looks_of(cutoff, network.graph.training.timesteps)
    session = program.start([stimulus], looks)
    try:
        for _, scores in _timesteps(session, network, 1, cutoff):
            yield scores[0, -1]
    finally:
        session.close()


def _timesteps(
    session: Session, network: MappedNetwork, n: int, cutoff: Cutoff
) -> Iterator[tuple[BoolArray, IntArray]]:
    """Advance a batch; yield which inputs stop now, and all outputs so far.

    They are ``(n,)`` and ``(n, timestep, n_out)``; what an input gave is undefined
    behind its stop.
    """
    training = network.graph.training
    scores = np.zeros((n, training.timesteps, network.graph.readout.size), np.int64)
    while (record := session.step()) is not None:
        t, inputs = record.timestep, record.inputs
        before = scores[inputs, t - 2] if t > 1 else None
        new = _accumulated(training.functional, before, record.readout)
        scores[inputs, t - 1] = new
        done = cutoff(new, t) | (t == training.timesteps)
        is_over = np.zeros(n, np.bool_)
        is_over[inputs[done]] = True
        if done.any():
            session.retire(inputs[done])
        yield is_over, scores[:, :t]


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
    found = decide_inputs(program, network, stimuli, never)
    return np.stack(list(progress(scores for _, scores in found)))


def decide_inputs(
    program: Program,
    network: MappedNetwork,
    stimuli: Iterable[tuple[int, Stimulus]],
    cutoff: Cutoff,
) -> Iterator[tuple[int, IntArray]]:
    """Yield the index of each input and its accumulated outputs up to its stop.

    What ``run_inputs`` gives, but nothing is counted where that saves time.
    """
    for batch in _batches(stimuli):
        found = _run_alone(program, network, batch, cutoff, is_counted=False)
        if found is None:
            for result in run_inputs(program, network, batch, cutoff):
                yield result.index, result.scores
            continue
        for i in np.flatnonzero(found.timesteps):
            yield batch[i][0], found.scores[i, : found.timesteps[i]]
        if found.interrupt is not None:
            raise found.interrupt
