"""The host beside the chip: read the outputs, accumulate, decide, stop."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from snn_deploy.arrays import BoolArray, FloatArray, IntArray
from snn_deploy.backends.protocol import BatchProgram, Program, Session
from snn_deploy.backends.results import Activity, Block, Counts, RunResult, n_rows_of
from snn_deploy.cutoff.decision import Cutoff, GapCutoff, looks_of, never
from snn_deploy.cutoff.oracle import answers, gaps
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.stimuli import Stimulus, ends_of

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
    for batch in _batches(stimuli, _bytes_of_counts(network)):
        found = _run_alone(program, network, _stimuli(batch), cutoff, is_counted=True)
        if found is None:
            for start in range(0, len(batch), program.max_batch):
                part = batch[start : start + program.max_batch]
                yield from _run_batch(program, network, part, cutoff)
            continue
        for i in np.flatnonzero(found.timesteps):
            scores = found.scores[i, : found.timesteps[i]]
            yield _result(batch[i], scores, network, found.activity(int(i)))
        if found.interrupt is not None:
            raise found.interrupt


def run_block(
    program: Program,
    network: MappedNetwork,
    stimuli: Sequence[Stimulus],
    cutoff: Cutoff,
) -> Block:
    """Return what a machine does with inputs, all of them in memory at once."""
    found = _run_alone(program, network, stimuli, cutoff, is_counted=True)
    if found is None:
        pairs = enumerate(stimuli)
        return block_of([*run_inputs(program, network, pairs, cutoff)], network)
    if found.interrupt is not None:
        raise found.interrupt
    return found


def block_of(
    results: Sequence[RunResult], network: MappedNetwork, n: int | None = None
) -> Block:
    """Return the results of ``n`` inputs as one; 0 for those that are missing."""
    graph, n = network.graph, len(results) if n is None else n
    n_timesteps = graph.training.timesteps
    n_rows, n_links = _n_rows(network), len(network.crossings.links)
    block = Block(
        scores=np.zeros((n, n_timesteps, graph.head.n_outputs), np.int64),
        timesteps=np.zeros(n, np.int64),
        counts=Counts.none((n, n_rows), len(network.cores), n_links),
        depth=graph.depth,
    )
    for i, result in enumerate(results):
        activity, end = result.activity, result.chip_timesteps
        block.scores[i, : result.timesteps] = result.scores
        block.scores[i, result.timesteps :] = result.scores[-1]
        block.timesteps[i] = result.timesteps
        block.whole.cores[i, :end] = activity.cores
        block.whole.chip[i, :end] = activity.chip
        block.whole.limits[i, 0] = activity.saturations, activity.wraps
        block.tail.cores[i] = activity.tail_cores
        block.tail.chip[i] = activity.tail_chip
        block.run_on.cores[i] = activity.run_on_cores
        block.run_on.chip[i] = activity.run_on_chip
    return block


def bytes_of_input(network: MappedNetwork, n_rows: int) -> int:
    """Return the memory that an input takes while it runs, with what it gives.

    It has ``n_rows`` timesteps of values.
    """
    graph = network.graph
    training, shape = graph.training, graph.source.shape
    n_values, n_scores = prod(shape) * n_rows, training.timesteps * graph.readout.size
    return _bytes_of_counts(network) + 4 * n_values + 8 * n_scores


def _bytes_of_counts(network: MappedNetwork) -> int:
    none = Counts.none((1,), len(network.cores), len(network.crossings.links), np.int32)
    return _n_rows(network) * none.values.nbytes


def _n_rows(network: MappedNetwork) -> int:
    graph = network.graph
    return n_rows_of(graph.training.timesteps, graph.depth, graph.lag)


def _stimuli(batch: Sequence[tuple[int, Stimulus]]) -> list[Stimulus]:
    return [stimulus for _, stimulus in batch]


def _batches(
    stimuli: Iterable[tuple[int, Stimulus]], bytes_of_results: int = 0
) -> Iterator[list[tuple[int, Stimulus]]]:
    """Yield inputs, as many as are to be in memory at once."""
    batch: list[tuple[int, Stimulus]] = []
    n_bytes = 0
    for index, stimulus in stimuli:
        batch.append((index, stimulus))
        n_bytes += stimulus.values.nbytes + bytes_of_results
        if len(batch) == BATCH or n_bytes >= MOST_BYTES:
            yield batch
            batch, n_bytes = [], 0
    if batch:
        yield batch


def _run_alone(
    program: Program,
    network: MappedNetwork,
    stimuli: Sequence[Stimulus],
    cutoff: Cutoff,
    *,
    is_counted: bool,
) -> Block | None:
    """Let the machine stop the inputs by itself, if it can."""
    if not isinstance(cutoff, GapCutoff) or not isinstance(program, BatchProgram):
        return None
    graph = network.graph
    betas = cutoff.betas(graph.training.timesteps)
    if len(graph.heads) > 1 and np.isfinite(betas).any():
        return None  # the machine's gap is that of all outputs
    whole = _of_lengths(program, stimuli, betas, is_counted=is_counted)
    if whole is None or len(graph.heads) == 1:
        return whole
    return replace(whole, scores=whole.scores[..., graph.part])


def _of_lengths(
    program: BatchProgram,
    stimuli: Sequence[Stimulus],
    betas: FloatArray,
    *,
    is_counted: bool,
) -> Block | None:
    """Run inputs, those that end earlier until then."""
    ends = ends_of(stimuli, len(betas))
    if (ends == len(betas)).all():
        return program.run(stimuli, betas, is_counted=is_counted)
    parts = []
    for end in np.unique(ends):
        mine, own = np.flatnonzero(ends == end), betas.copy()
        own[end - 1] = -np.inf
        some = [stimuli[i] for i in mine.tolist()]
        part = program.run(some, own, is_counted=is_counted)
        if part is None:
            return None
        is_over = part.timesteps == end  # the answer stays
        part.scores[is_over, end:] = part.scores[is_over, end - 1 : end]
        parts.append((mine, part))
        if part.interrupt is not None:
            break
    return _together(parts, len(stimuli))


def _together(parts: Sequence[tuple[IntArray, Block]], n: int) -> Block:
    """Return blocks of some inputs each, with their places among ``n``, as one."""
    last = parts[-1][1]
    values = last.counts.values
    whole = replace(
        last,
        scores=np.zeros((n, *last.scores.shape[1:]), np.int64),
        timesteps=np.zeros(n, np.int64),
        counts=Counts(
            np.zeros((n if len(values) else 0, *values.shape[1:]), values.dtype),
            last.counts.n_cores,
        ),
    )
    for mine, part in parts:
        whole.scores[mine] = part.scores
        whole.timesteps[mine] = part.timesteps
        if len(values):
            whole.counts.values[mine] = part.counts.values
    return whole


def _run_batch(
    program: Program,
    network: MappedNetwork,
    batch: Sequence[tuple[int, Stimulus]],
    cutoff: Cutoff,
) -> list[RunResult]:
    stimuli = _stimuli(batch)
    session = program.start(stimuli, _looks(cutoff, network, stimuli))
    stopped: dict[int, IntArray] = {}
    try:
        for is_over, scores in _timesteps(session, network, stimuli, cutoff):
            for i in np.flatnonzero(is_over).tolist():
                stopped[i] = scores[i].copy()
        return [
            _result(batch[i], stopped[i], network, session.activity(i))
            for i in range(len(batch))
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
    session = program.start([stimulus], _looks(cutoff, network, [stimulus]))
    try:
        for _, scores in _timesteps(session, network, [stimulus], cutoff):
            yield scores[0, -1]
    finally:
        session.close()


def _looks(
    cutoff: Cutoff, network: MappedNetwork, stimuli: Sequence[Stimulus]
) -> IntArray:
    """Return the timesteps at which inputs may stop, those among them that end one."""
    n_timesteps = network.graph.training.timesteps
    return np.union1d(looks_of(cutoff, n_timesteps), ends_of(stimuli, n_timesteps))


def _timesteps(
    session: Session,
    network: MappedNetwork,
    stimuli: Sequence[Stimulus],
    cutoff: Cutoff,
) -> Iterator[tuple[BoolArray, IntArray]]:
    """Advance a batch; yield which inputs stop now, and all outputs so far.

    They are ``(n,)`` and ``(n, timestep, n_out)``; what an input gave is undefined
    behind its stop.
    """
    training, n = network.graph.training, len(stimuli)
    ends = ends_of(stimuli, training.timesteps)
    part, n_outputs = network.graph.part, network.graph.head.n_outputs
    scores = np.zeros((n, training.timesteps, n_outputs), np.int64)
    while (record := session.step()) is not None:
        t, inputs = record.timestep, record.inputs
        before = scores[inputs, t - 2] if t > 1 else None
        new = _accumulated(training.functional, before, record.readout[:, part])
        scores[inputs, t - 1] = new
        done = cutoff(new, t) | (t == ends[inputs])
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
    numbered: tuple[int, Stimulus],
    scores: IntArray,
    network: MappedNetwork,
    activity: Activity,
) -> RunResult:
    (index, stimulus), t = numbered, len(scores)
    (end,) = ends_of([stimulus], network.graph.training.timesteps)
    return RunResult(
        index=index,
        prediction=int(answers(scores[-1])),
        timesteps=t,
        chip_timesteps=t + network.graph.depth,
        stopped_early=bool(t < end),
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

    Those of an input that is over by then stay. ``progress`` wraps the outputs of each
    input as they come.
    """
    found = decide_inputs(program, network, stimuli, never)
    n_timesteps = network.graph.training.timesteps
    return np.stack(
        [
            np.pad(scores, ((0, n_timesteps - len(scores)), (0, 0)), "edge")
            for scores in progress(scores for _, scores in found)
        ]
    )


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
        found = _run_alone(program, network, _stimuli(batch), cutoff, is_counted=False)
        if found is None:
            for result in run_inputs(program, network, batch, cutoff):
                yield result.index, result.scores
            continue
        for i in np.flatnonzero(found.timesteps):
            yield batch[i][0], found.scores[i, : found.timesteps[i]]
        if found.interrupt is not None:
            raise found.interrupt
