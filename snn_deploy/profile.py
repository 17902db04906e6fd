"""Profile a network: every input's answer, timesteps, counts, energy and latency."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.artifact import Artifact
from snn_deploy.backends import Program
from snn_deploy.data import Data
from snn_deploy.energy import PARTS, price, unknown_energies
from snn_deploy.host.cutoff import Cutoff, never
from snn_deploy.host.monitor import run_inputs
from snn_deploy.latency import Schedule, unknown_times
from snn_deploy.results import RunResult

Progress = Callable[[Iterable[RunResult], int, str], Iterable[RunResult]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one input gave and cost; a column of ``inputs.parquet`` for each field.

    Energies and latencies are modelled, from counts and the target's prices; the ones
    called high are the upper end of the band. ``None`` is unknown.
    """

    index: int
    label: int | None
    prediction: int
    timesteps: int
    chip_timesteps: int
    stopped_early: bool
    gap: int
    spikes: int
    synaptic_operations: int
    packets: int
    hops: int
    energy_dynamic_j: float | None
    energy_dynamic_high_j: float | None
    energy_static_j: float | None
    energy_static_high_j: float | None
    energy_reset_j: float | None
    energy_reset_high_j: float | None
    energy_host_j: float | None
    energy_host_high_j: float | None
    latency_s: float | None
    latency_high_s: float | None

    @property
    def is_right(self) -> bool:
        return self.prediction == self.label

    @property
    def energy_j(self) -> float | None:
        """All parts together; unknown if one is."""
        return self._total("j")

    @property
    def energy_high_j(self) -> float | None:
        """All parts together, at the high prices."""
        return self._total("high_j")

    def _total(self, end: str) -> float | None:
        parts = [getattr(self, f"energy_{part}_{end}") for part in PARTS]
        return None if None in parts else sum(parts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """The rows of all inputs, with the cutoff and without, and what they hold for."""

    artifact: Artifact
    backend: str
    monitor: str
    has_cutoff: bool
    rows: tuple[Row, ...]
    fixed_rows: tuple[Row, ...]  # without cutoff; the same rows if there is none
    accuracy_at: (
        FloatArray  # (n_timesteps,), every input stopped there; empty: no labels
    )
    unknown: tuple[str, ...]  # events without a public price
    n_rounded: int = 0  # values of the inputs between the levels that the chip receives


def profile_inputs(
    artifact: Artifact,
    program: Program,
    data: Data,
    *,
    cutoff: Cutoff | None,
    backend: str,
    monitor: str = "embedded",
    limit: int | None = None,
    progress: Progress = lambda results, n, what: results,
) -> Profile:
    """Run every input with the cutoff, and again for all timesteps, and price both.

    Parameters
    ----------
    artifact : Artifact
    program : Program
        Its network, loaded.
    data : Data
    cutoff : callable or None
        ``None`` runs every input for all timesteps, once.
    backend : str
        The name of the machine, for the record.
    monitor : {"embedded", "host"}
        Where the host sits that reads the outputs.
    limit : int, optional
        Only the first inputs.
    progress : callable
        Wraps the results of a pass over the inputs, of known length, to show progress.
    """
    network = artifact.network
    n = len(data) if limit is None else min(limit, len(data))
    pricing = _Pricing(artifact, data, monitor)

    def run(rule: Cutoff, what: str) -> Iterable[RunResult]:
        results = run_inputs(program, network, data.stimuli(limit), rule)
        return progress(results, n, what)

    rows: tuple[Row, ...] = ()
    if cutoff is not None:
        early = run(cutoff, "with cutoff")
        rows = tuple(pricing.row(r, polls=r.timesteps) for r in early)
    fixed, right = [], []
    for result in run(never, "all timesteps"):
        fixed.append(pricing.row(result, polls=1))
        if data.y is not None:
            right.append(result.scores.argmax(axis=-1) == data.y[result.index])
    fixed_rows = tuple(fixed)
    return Profile(
        artifact=artifact,
        backend=backend,
        monitor=monitor,
        has_cutoff=cutoff is not None,
        rows=fixed_rows if cutoff is None else rows,
        fixed_rows=fixed_rows,
        accuracy_at=np.mean(right, axis=0) if right else np.zeros(0),
        unknown=tuple(pricing.unknown()),
        n_rounded=data.n_rounded,
    )


class _Pricing:
    """Turns results into rows."""

    def __init__(self, artifact: Artifact, data: Data, monitor: str) -> None:
        self.network = artifact.network
        self.labels = data.y
        self.monitor = monitor

    def row(self, result: RunResult, *, polls: int) -> Row:
        activity, target = result.activity, self.network.target
        schedule = self._schedule(polls)
        low = price(activity, target, schedule, high=False)
        high = price(activity, target, schedule, high=True)
        energies = {}
        for part in PARTS:
            energies[f"energy_{part}_j"] = getattr(low, f"{part}_j")
            energies[f"energy_{part}_high_j"] = getattr(high, f"{part}_j")
        injected = activity.total("injection")
        return Row(
            index=result.index,
            label=None if self.labels is None else int(self.labels[result.index]),
            prediction=result.prediction,
            timesteps=result.timesteps,
            chip_timesteps=result.chip_timesteps,
            stopped_early=result.stopped_early,
            gap=result.gap,
            spikes=activity.total("fire"),
            synaptic_operations=activity.total("synaptic_operation"),
            packets=activity.total("packet") + injected,
            hops=activity.total("hop_east_west") + activity.total("hop_north_south"),
            **energies,
            latency_s=low.latency_s,
            latency_high_s=high.latency_s,
        )

    def _schedule(self, polls: int) -> Schedule:
        return Schedule(
            n_polls=polls, monitor=self.monitor, n_tiles=self.network.n_tiles
        )

    def unknown(self) -> list[str]:
        """Return the prices that nobody has published, by event."""
        target = self.network.target
        times = [f"time of {name}" for name in unknown_times(target, self._schedule(1))]
        return [f"energy of {name}" for name in unknown_energies(target)] + times


COLUMNS = tuple(field.name for field in fields(Row))
