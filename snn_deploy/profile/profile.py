"""Profile a network: every input's answer, timesteps, counts, energy and latency."""

from contextlib import closing
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from itertools import islice

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray
from snn_deploy.artifact import Artifact
from snn_deploy.backends import Backend
from snn_deploy.costs.prices import unknown_prices
from snn_deploy.host.calibration import Calibration
from snn_deploy.host.cutoff import Cutoff
from snn_deploy.host.drift import Drift, audits, is_lost, look
from snn_deploy.inputs.data import Data
from snn_deploy.profile.meter import Meter, Progress, measured
from snn_deploy.profile.parts import Part, Way
from snn_deploy.profile.retry import two_streams
from snn_deploy.profile.rows import Rows
from snn_deploy.profile.store import NoStore, Store
from snn_deploy.profile.totals import Totals, sum_of
from snn_deploy.profile.workers import Workers


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
    store: Store | None = None,
    workers: Workers | None = None,
    progress: Progress = lambda done, n, what: done,
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
    store : Store, optional
        Keeps parts as they are measured, and gives those that were measured before.
    workers : Workers, optional
        Who measures, in place of this process.
    progress : callable
        Wraps an iterable that yields after each input, of known length.
    """
    n = len(data) if limit is None else min(limit, len(data))
    if store is None:
        store = NoStore()
    new_meter = Meter if workers is None else workers.meter
    meter = new_meter(artifact, backend, data, cutoff, calibration, monitor)
    with closing(meter):
        measure = partial(measured, meter, store=store, progress=progress)
        runs: dict[Schedule, Rows] = {}
        totals: list[Totals] = []
        first_scores: FloatArray = np.zeros(0)
        if calibration is not None and calibration.retry_at:
            rows, totals, first_scores = two_streams(calibration, n, measure)
            runs[Schedule.CUTOFF] = rows
        elif cutoff is not None:
            early = measure(_with_cutoff(n, meter.n_timesteps, calibration))
            runs[Schedule.CUTOFF], totals = early.serial, [early.totals]
            first_scores = early.first_scores
        full = measure(_fixed("all timesteps", n, meter.n_timesteps, is_judged=True))
        runs[Schedule.SERIAL], runs[Schedule.STREAMED] = full.serial, full.streamed
        fewest = meter.n_timesteps
        if cutoff is not None:
            fewest = fewest_timesteps(runs[Schedule.CUTOFF], full)
        if fewest < meter.n_timesteps:
            fewer = measure(_fixed(f"{fewest} timesteps", n, fewest))
            runs[Schedule.SERIAL_FIXED] = fewer.serial
            runs[Schedule.STREAMED_FIXED] = fewer.streamed
    target = artifact.network.target
    return Profile(
        artifact=artifact,
        backend=backend.name,
        monitor=monitor,
        runs=runs,
        fixed_timesteps=fewest,
        accuracy_at=full.n_right / n if data.y is not None else np.zeros(0),
        agreement_at=full.n_agreeing / n,
        totals=sum_of(totals or [full.totals]),
        unknown=tuple(unknown_prices(target, monitor, artifact.network.n_chips)),
        looks=np.zeros(0, np.int64) if calibration is None else calibration.looks,
        retry_at=0 if calibration is None else calibration.retry_at,
        drift=drift_of(calibration, first_scores, runs, audit),
        n_rounded=data.n_rounded,
    )


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
        is_audited[:] = False  # nobody can say what is lost
    lost = is_lost(early.column("prediction"), full.column("prediction"), labels)
    return look(calibration, first_scores, lost[is_audited])


def _with_cutoff(n: int, n_timesteps: int, calibration: Calibration | None) -> Way:
    return Way(
        name="with cutoff",
        inputs=range(n),
        n_timesteps=n_timesteps,
        has_cutoff=True,
        is_looked_at=calibration is not None,
    )


def _fixed(name: str, n: int, n_timesteps: int, *, is_judged: bool = False) -> Way:
    return Way(
        name=name,
        inputs=range(n),
        n_timesteps=n_timesteps,
        is_streamed=True,
        is_judged=is_judged,
    )


def fewest_timesteps(early: Rows, full: Part) -> int:
    """Return the fewest fixed timesteps that lose no more than the cutoff.

    Of accuracy if there are labels, else of the answers at all timesteps.
    """
    if early.has_labels:
        enough = full.n_right >= np.count_nonzero(early.is_right)
    else:
        same = early.column("prediction") == full.serial.column("prediction")
        enough = full.n_agreeing >= np.count_nonzero(same)
    return int(enough.argmax()) + 1 if enough.any() else len(enough)
