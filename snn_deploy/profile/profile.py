"""Profile a network: every input's answer, timesteps, counts, energy and latency."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import islice

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray
from snn_deploy.artifact import Artifact
from snn_deploy.backends import Backend, Program
from snn_deploy.costs.prices import unknown_prices
from snn_deploy.costs.pricing import Pricing, Values
from snn_deploy.host.calibration import Calibration
from snn_deploy.host.cutoff import Cutoff, never
from snn_deploy.host.drift import Drift, audits, first_score, is_lost, look
from snn_deploy.host.monitor import run_inputs
from snn_deploy.host.oracle import answers
from snn_deploy.inputs.data import Data
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.retry import TwoStreams
from snn_deploy.profile.rows import Rows
from snn_deploy.profile.totals import Totals
from snn_deploy.results import RunResult

Progress = Callable[[Iterable[RunResult], int, str], Iterable[RunResult]]


class Schedule(Enum):
    """How inputs are served: one by one, or in a stream that hides the pipeline."""

    CUTOFF = "cutoff"  # one by one, each until its outputs have settled; or a retry
    SERIAL = "serial"  # one by one, all timesteps
    STREAMED = "streamed"  # in a stream, all timesteps
    SERIAL_FIXED = "serial fixed"  # one by one, fewer timesteps, the same for all
    STREAMED_FIXED = "streamed fixed"  # in a stream, as few


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """The rows of all inputs under each schedule, and what they hold for."""

    artifact: Artifact
    backend: str
    monitor: str
    runs: dict[Schedule, Rows]
    fixed_timesteps: int  # of the fixed schedules; all: fewer lose more than the cutoff
    accuracy_at: (
        FloatArray  # (n_timesteps,), all inputs stopped there; empty: no labels
    )
    agreement_at: FloatArray  # (n_timesteps,), answers as at all timesteps
    totals: Totals  # of ``rows``
    unknown: tuple[str, ...]  # events without a public price
    looks: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    retry_at: int = 0  # timesteps of the first of two streams; 0: one by one
    drift: Drift | None = None  # ``None``: thresholds of no calibration
    n_rounded: int = 0  # values of the inputs between the levels that the chip receives

    @property
    def has_cutoff(self) -> bool:
        return Schedule.CUTOFF in self.runs

    @property
    def is_retry(self) -> bool:
        """Whether the cutoff is two streams: few timesteps, and all for the rest."""
        return self.retry_at > 0

    def n_polls(self, timesteps: AnyArray) -> AnyArray:
        """Return how often the outputs are read until a stop there."""
        if not len(self.looks):
            return timesteps
        return np.searchsorted(self.looks, timesteps, side="right")

    @property
    def rows(self) -> Rows:
        """With the cutoff if there is one, else all timesteps; one by one."""
        return self.runs[Schedule.CUTOFF if self.has_cutoff else Schedule.SERIAL]

    @property
    def fixed_rows(self) -> Rows:
        """All timesteps, one by one."""
        return self.runs[Schedule.SERIAL]


def profile_inputs(
    artifact: Artifact,
    backend: Backend,
    data: Data,
    *,
    cutoff: Cutoff | None,
    calibration: Calibration | None = None,
    audit: float = 0.0,
    monitor: str = "embedded",
    limit: int | None = None,
    progress: Progress = lambda results, n, what: results,
) -> Profile:
    """Run every input with the cutoff, and again for all timesteps, and price both.

    The runs for all timesteps are priced one by one and in a stream. With a cutoff,
    so is the smallest fixed number of timesteps that loses no more on these inputs.

    Parameters
    ----------
    artifact : Artifact
    backend : Backend
    data : Data
    cutoff : callable or None
        ``None`` runs every input for all timesteps, once.
    calibration : Calibration, optional
        Where the cutoff comes from: it says when the outputs are read, and inputs that
        differ from its own are noticed.
    audit : float
        The share of the inputs whose loss is held to the calibration's budget.
    monitor : {"embedded", "host"}
        Where the host sits that reads the outputs.
    limit : int, optional
        Only the first inputs.
    progress : callable
        Wraps the results of a pass over the inputs, of known length, to show progress.
    """
    with ExitStack() as stack:
        run = _Run(artifact, backend, data, monitor, limit, progress, stack)
        runs: dict[Schedule, Rows] = {}
        if cutoff is not None:
            runs[Schedule.CUTOFF] = run.early(cutoff, calibration)
        runs[Schedule.SERIAL], runs[Schedule.STREAMED] = run.fixed(run.n_timesteps)
        fewest = run.n_timesteps
        if cutoff is not None:
            fewest = run.fewest_timesteps(runs[Schedule.CUTOFF], runs[Schedule.SERIAL])
        if fewest < run.n_timesteps:
            fixed = (Schedule.SERIAL_FIXED, Schedule.STREAMED_FIXED)
            runs.update(zip(fixed, run.fixed(fewest), strict=True))
    target = artifact.network.target
    return Profile(
        artifact=artifact,
        backend=backend.name,
        monitor=monitor,
        runs=runs,
        fixed_timesteps=fewest,
        accuracy_at=run.n_right / run.n if data.y is not None else np.zeros(0),
        agreement_at=run.n_agreeing / run.n,
        totals=run.totals,
        unknown=tuple(unknown_prices(target, monitor)),
        looks=np.zeros(0, np.int64) if calibration is None else calibration.looks,
        retry_at=0 if calibration is None else calibration.retry_at,
        drift=drift_of(calibration, run.first_scores, runs, audit),
        n_rounded=data.n_rounded,
    )


def drift_of(
    calibration: Calibration | None,
    first_scores: list[float],
    runs: dict[Schedule, Rows],
    audit: float,
) -> Drift | None:
    """Return whether the inputs differ from the calibration's, if there is one."""
    if calibration is None or Schedule.CUTOFF not in runs:
        return None
    early, full = runs[Schedule.CUTOFF], runs[Schedule.SERIAL]
    labels = early.column("label") if calibration.uses_labels else None
    is_audited = np.array(list(islice(audits(audit), len(early))), np.bool_)
    if calibration.uses_labels and not early.has_labels:
        is_audited[:] = False  # nobody can say what is lost
    lost = is_lost(early.column("prediction"), full.column("prediction"), labels)
    return look(calibration, np.array(first_scores), lost[is_audited])


class _Run:
    """Passes over the inputs, and what they have found so far."""

    def __init__(
        self,
        artifact: Artifact,
        backend: Backend,
        data: Data,
        monitor: str,
        limit: int | None,
        progress: Progress,
        stack: ExitStack,
    ) -> None:
        self.stack = stack  # ends the programs
        self.programs: dict[int, tuple[MappedNetwork, Program]] = {}
        self.network = artifact.network
        self.backend = backend
        self.data = data
        self.limit = limit
        self.progress = progress
        self.n = len(data) if limit is None else min(limit, len(data))
        self.n_timesteps = self.network.graph.training.timesteps
        self.pricing = Pricing(self.network, data.y, monitor)
        n_cores = len(self.network.cores)
        self.totals = Totals.none(self.n_timesteps + self.network.graph.depth, n_cores)
        self.first_scores: list[float] = []
        self.n_right = np.zeros(self.n_timesteps, np.int64)
        self.n_agreeing = np.zeros(self.n_timesteps, np.int64)

    def early(self, cutoff: Cutoff, calibration: Calibration | None) -> Rows:
        """Return the rows with the cutoff, polled as it was calibrated."""
        if calibration is not None and calibration.retry_at:
            streams = TwoStreams(
                calibration=calibration,
                pricing=self.pricing,
                run=self._streamed,
                store=self._store,
                count=self.totals.add,
                first_scores=self.first_scores,
            )
            return streams.rows(self.n)
        rows = Rows(self.n)
        for result in self._results(self.n_timesteps, cutoff, "with cutoff"):
            self.totals.add(result.activity.cores, result.activity.chip)
            n_polls = result.timesteps
            if calibration is not None:
                n_polls = calibration.n_polls(result.timesteps)
                self.first_scores.append(first_score(calibration, result.scores))
            self._store(rows, self.pricing.serial(result, n_polls=n_polls))
        return rows

    def _streamed(self, n_timesteps: int, inputs: IntArray) -> Iterator[RunResult]:
        what = f"{n_timesteps} timesteps, streamed"
        return self._results(n_timesteps, never, what, inputs.tolist())

    def fixed(self, n_timesteps: int) -> tuple[Rows, Rows]:
        """Return the rows of a fixed number of timesteps, one by one and streamed."""
        serial, streamed = Rows(self.n), Rows(self.n)
        stream = self.pricing.stream(n_timesteps)
        is_all = n_timesteps == self.n_timesteps
        is_counted = is_all and not self.totals.chip.any()
        what = "all timesteps" if is_all else f"{n_timesteps} timesteps"
        for result in self._results(n_timesteps, never, what):
            if is_all:
                self._judge(result)
            if is_counted:
                self.totals.add(result.activity.cores, result.activity.chip)
            self._store(serial, self.pricing.serial(result, n_polls=1))
            for row in stream.push(result):
                self._store(streamed, row)
        for row in stream.finish():
            self._store(streamed, row)
        return serial, streamed

    def _store(self, rows: Rows, values: Values) -> None:
        """Add a row, and which input it is of."""
        index = values["index"]
        assert index is not None
        rows.append({**values, "input_hash": int(self.data.hashes[int(index)])})

    def fewest_timesteps(self, early: Rows, full: Rows) -> int:
        """Return the fewest fixed timesteps that lose no more than the cutoff.

        Of accuracy if there are labels, else of the answers at all timesteps.
        """
        if early.has_labels:
            enough = self.n_right >= np.count_nonzero(early.is_right)
        else:
            same = early.column("prediction") == full.column("prediction")
            enough = self.n_agreeing >= np.count_nonzero(same)
        return int(enough.argmax()) + 1 if enough.any() else self.n_timesteps

    def _judge(self, result: RunResult) -> None:
        found = answers(result.scores)
        self.n_agreeing += found == found[-1]
        if self.data.y is not None:
            self.n_right += found == self.data.y[result.index]

    def _results(
        self, n_timesteps: int, cutoff: Cutoff, what: str, inputs: Sequence[int] = ()
    ) -> Iterator[RunResult]:
        """Yield the results of these inputs, or of all."""
        network, program = self._loaded(n_timesteps)
        inputs = inputs or range(self.n)
        stimuli = ((i, self.data.stimulus(i)) for i in inputs)
        results = run_inputs(program, network, stimuli, cutoff)
        yield from self.progress(results, len(inputs), what)

    def _loaded(self, n_timesteps: int) -> tuple[MappedNetwork, Program]:
        """Return the network for inputs of so many timesteps."""
        if n_timesteps not in self.programs:
            graph = self.network.graph
            training = replace(graph.training, timesteps=n_timesteps)
            network = replace(self.network, graph=replace(graph, training=training))
            program = self.backend.load(network)
            self.stack.callback(program.close)
            self.programs[n_timesteps] = network, program
        return self.programs[n_timesteps]
