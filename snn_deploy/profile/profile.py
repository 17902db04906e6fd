"""Profile a network: every input's answer, timesteps, counts, energy and latency."""

from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from itertools import islice

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray
from snn_deploy.artifact import Artifact
from snn_deploy.backends.protocol import Backend
from snn_deploy.backends.registry import open_backend
from snn_deploy.backends.results import Counts
from snn_deploy.costs.prices import unknown_prices
from snn_deploy.cutoff.decision import Cutoff
from snn_deploy.cutoff.drift import Drift, audits, is_lost, look
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.data.data import Data
from snn_deploy.profile.detail import Detail, detail
from snn_deploy.profile.failures import Failed, Successes
from snn_deploy.profile.fixed import FixedCosts, fixed_costs
from snn_deploy.profile.measured import Kind, Measured, Run, sum_of
from snn_deploy.profile.meter import Meter, Progress, measure
from snn_deploy.profile.retry import two_streams
from snn_deploy.profile.rows import Rows
from snn_deploy.profile.store import NoStore, Store
from snn_deploy.profile.twin import twin_of
from snn_deploy.profile.workers import Workers


class Schedule(Enum):
    """How inputs are served: one by one, or in a stream that hides the pipeline."""

    CUTOFF = "cutoff"  # one by one, each until its outputs have settled; or a retry
    SERIAL = "serial"  # one by one, all timesteps
    STREAMED = "streamed"  # in a stream, all timesteps
    SERIAL_FIXED = "serial fixed"  # one by one, fewer timesteps, the same for all
    STREAMED_FIXED = "streamed fixed"  # in a stream, as few
    SERIAL_ONE = "serial one"  # one by one, a single timestep
    STREAMED_ONE = "streamed one"  # in a stream, a single timestep
    ONE_PASS = "one pass"  # one by one, graded spikes in a single timestep
    STREAMED_ONE_PASS = "streamed one pass"  # in a stream, the same


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """The rows of all inputs under each schedule, and what they hold for.

    Inputs that failed in any schedule are in ``failed``, and in nothing else.
    """

    artifact: Artifact
    backend: str
    monitor: str
    runs: dict[Schedule, Rows]
    fixed_timesteps: int  # of the fixed schedules; all: fewer lose more than the cutoff
    fixed_is_calibrated: bool = False  # chosen on the calibration inputs, not on these
    accuracy_at: (
        FloatArray  # (n_timesteps,), all inputs stopped there; empty: no labels
    )
    agreement_at: FloatArray  # answers as at all timesteps; (0,): the chip decides
    squared_error_at: FloatArray = field(default_factory=lambda: np.zeros(0))
    totals: Counts  # of ``rows``
    unknown: tuple[str, ...]  # events without a public price
    looks: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    reads: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    retry_at: int = 0  # timesteps of the first of two streams; 0: one by one
    drift: Drift | None = None  # ``None``: thresholds of no calibration
    n_rounded: int = 0  # values of the inputs between the levels that the chip receives
    failed: tuple[Failed, ...] = ()  # inputs that the machine could not run, in order
    at_fixed: FixedCosts | None = None  # of a few inputs, if rivals were asked for

    def __repr__(self) -> str:
        network = self.artifact.network
        ways = ", ".join(schedule.value for schedule in self.runs)
        return (
            f"{network.graph.name} on {network.target.name}, {len(self.rows)} inputs: "
            f"{ways}"
        )

    @property
    def has_cutoff(self) -> bool:
        return Schedule.CUTOFF in self.runs

    @property
    def has_errors(self) -> bool:
        """Whether answers are values, whose errors are known."""
        return len(self.squared_error_at) > 0

    @property
    def is_retry(self) -> bool:
        """Whether the cutoff is two streams: few timesteps, and all for the rest."""
        return self.retry_at > 0

    def n_polls(self, timesteps: AnyArray) -> AnyArray:
        """Return how often the outputs are read until a stop there."""
        if not len(self.reads):
            return timesteps
        return np.searchsorted(self.reads, timesteps, side="right")

    @property
    def rows(self) -> Rows:
        """With the cutoff if there is one, else all timesteps; one by one."""
        return self.runs[Schedule.CUTOFF if self.has_cutoff else Schedule.SERIAL]

    @property
    def detail(self) -> Detail:
        """Where the events of ``rows`` happened."""
        return detail(
            self.artifact.network,
            self.totals,
            n_inputs=len(self.rows),
            monitor=self.monitor,
        )

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
    store: Store | None = None,
    workers: Workers | None = None,
    has_rivals: bool = False,
    progress: Progress = lambda done, n, what: done,
) -> Profile:
    """Run every input with the cutoff, and again for all timesteps, and price both.

    The runs for all timesteps are priced one by one and in a stream. With a cutoff,
    so is the smallest fixed number of timesteps that loses no more: on the calibration
    inputs, or without a calibration on these.

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
    store : Store, optional
        Keeps parts as they are measured, and gives those that were measured before.
    workers : Workers, optional
        Who measures, in place of this process.
    has_rivals : bool
        Price a single timestep for all as well, beside a cutoff; and, where the network
        has one, the conventional network of the same weights in one pass; and, on a few
        inputs, every fixed number of timesteps.
    progress : callable
        Wraps an iterable that yields after each input, of known length.
    """
    n = len(data) if limit is None else min(limit, len(data))
    if calibration is not None:
        calibration.check_ends(data.ends)
        if audit:
            calibration.check_audit()
    if store is None:
        store = NoStore()
    new_meter = Meter if workers is None else workers.meter
    what = (data, cutoff, calibration, monitor)
    with ExitStack() as stack:
        meter = stack.enter_context(closing(new_meter(artifact, backend, *what)))
        cpu = open_backend("cpu")  # computes the same, and does not fail
        alone = stack.enter_context(closing(Meter(artifact, cpu, *what)))
        kept = Successes(
            n,
            partial(measure, meter, store=store, progress=progress),
            partial(measure, alone, store=NoStore(), progress=_silent),
        )
        ends = data.ends[:n]
        found = _serve(kept, meter.n_timesteps, cutoff is not None, calibration, ends)
        has_rivals = has_rivals and not _decides(calibration)
        if has_rivals:
            _add_rivals(found, kept)
            twin = twin_of(artifact, data)
            if twin is not None:
                settings = twin[1], None, None, monitor
                one = stack.enter_context(closing(new_meter(twin[0], cpu, *settings)))
                run = _run(Kind.FIXED, n, 1, "one pass")
                passed = measure(one, run, store=NoStore(), progress=progress)
                found.runs[Schedule.ONE_PASS] = passed.serial
                found.runs[Schedule.STREAMED_ONE_PASS] = passed.streamed
    n_left = n - len(kept.reasons)
    runs = {schedule: kept.rows(rows) for schedule, rows in found.runs.items()}
    target = artifact.network.target
    return Profile(
        artifact=artifact,
        backend=backend.name,
        monitor=monitor,
        runs=runs,
        fixed_timesteps=found.fewest,
        fixed_is_calibrated=calibration is not None and calibration.fixed_timesteps > 0,
        accuracy_at=np.zeros(0)
        if data.y is None or _decides(calibration)  # undecided, an input has no answer
        else found.full.n_right / n_left,
        agreement_at=(
            np.zeros(0) if _decides(calibration) else found.full.n_agreeing / n_left
        ),
        squared_error_at=(
            found.full.squared_errors / n_left
            if data.targets is not None
            else np.zeros(0)
        ),
        totals=sum_of(found.totals or [found.full.totals]),
        unknown=tuple(unknown_prices(target, monitor, artifact.network.n_chips)),
        looks=np.zeros(0, np.int64) if calibration is None else calibration.looks,
        reads=np.zeros(0, np.int64) if calibration is None else calibration.reads,
        retry_at=0 if calibration is None else calibration.retry_at,
        drift=drift_of(calibration, kept.scores(found.first_scores), runs, audit),
        n_rounded=data.n_rounded,
        failed=kept.failed(data.hashes, data.y),
        at_fixed=(
            fixed_costs(artifact.network, cpu, data, n, monitor) if has_rivals else None
        ),
    )


@dataclass(kw_only=True, eq=False)
class _Served:
    """What the runs gave, a place for each input."""

    runs: dict[Schedule, Rows] = field(default_factory=dict)
    totals: list[Counts] = field(default_factory=list)  # with the cutoff
    first_scores: FloatArray = field(default_factory=lambda: np.zeros(0))
    full: Measured  # at all timesteps
    fewest: int  # timesteps that lose no more than the cutoff


def _serve(
    kept: Successes,
    n_timesteps: int,
    has_cutoff: bool,
    calibration: Calibration | None,
    ends: IntArray,
) -> _Served:
    n, early = kept.n, None
    if calibration is not None and calibration.retry_at:
        early = two_streams(calibration, ends, kept.measure)
    elif has_cutoff:
        own = kept.measure(_run(Kind.CUTOFF, n, n_timesteps, "with cutoff"))
        early = own.serial, [own.totals], own.first_scores
    full = kept.measure(_run(Kind.FIXED, n, n_timesteps, "all timesteps"))
    found = _Served(full=full, fewest=n_timesteps)
    if early is not None:
        rows, found.totals, found.first_scores = early
        found.runs[Schedule.CUTOFF] = rows
        if not _decides(calibration):
            found.fewest = 0 if calibration is None else calibration.fixed_timesteps
            found.fewest = found.fewest or fewest_timesteps(
                kept.rows(rows), kept.rows(full.serial), full
            )
    found.runs[Schedule.SERIAL] = full.serial
    found.runs[Schedule.STREAMED] = full.streamed
    if found.fewest < n_timesteps:
        words = f"{found.fewest} timesteps"
        fewer = kept.measure(_run(Kind.FIXED, n, found.fewest, words))
        found.runs[Schedule.SERIAL_FIXED] = fewer.serial
        found.runs[Schedule.STREAMED_FIXED] = fewer.streamed
    return found


def _decides(calibration: Calibration | None) -> bool:
    """Tell whether the chip decides, so that timesteps behind change no answer."""
    return calibration is not None and bool(calibration.found_by)


def _add_rivals(found: _Served, kept: Successes) -> None:
    """Measure a single timestep for all, if there is a cutoff to compare with."""
    if Schedule.CUTOFF in found.runs and found.fewest > 1:
        one = kept.measure(_run(Kind.FIXED, kept.n, 1, "1 timestep"))
        found.runs[Schedule.SERIAL_ONE] = one.serial
        found.runs[Schedule.STREAMED_ONE] = one.streamed


def _silent(done: Iterable[None], n: int, what: str) -> Iterable[None]:
    return done


def drift_of(
    calibration: Calibration | None,
    first_scores: FloatArray,
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
        is_audited[:] = False  # what is lost is unknown
    lost = is_lost(early.column("prediction"), full.column("prediction"), labels)
    return look(calibration, first_scores, lost[is_audited])


def _run(kind: Kind, n: int, n_timesteps: int, words: str) -> Run:
    return Run(kind=kind, inputs=range(n), n_timesteps=n_timesteps, words=words)


def fewest_timesteps(early: Rows, late: Rows, full: Measured) -> int:
    """Return the fewest fixed timesteps that lose no more than the cutoff.

    Of accuracy if there are labels, else of the answers at all timesteps, ``late``.
    """
    if early.has_labels:
        enough = full.n_right >= np.count_nonzero(early.is_right)
    else:
        same = early.column("prediction") == late.column("prediction")
        enough = full.n_agreeing >= np.count_nonzero(same)
    return int(enough.argmax()) + 1 if enough.any() else len(enough)
