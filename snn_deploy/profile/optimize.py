"""The way to serve inputs that costs least while it loses no more than the budget.

Candidates are ``risk`` polled every k timesteps, ``retry``, and fixed timesteps, served
one by one or in a stream. They are compared on one half of the calibration inputs.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.protocol import Backend
from snn_deploy.backends.results import RunResult
from snn_deploy.chip.target import CENTRAL
from snn_deploy.costs.prices import prices_for
from snn_deploy.costs.stopping import stopping_costs
from snn_deploy.cutoff.calibrate import calibrate
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.monitor import run_block, run_inputs
from snn_deploy.cutoff.rules.fixed import Fixed
from snn_deploy.cutoff.rules.retry import Retry
from snn_deploy.cutoff.rules.risk import Risk
from snn_deploy.cutoff.rules.rule import Settings
from snn_deploy.errors import CalibrationError
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.profile.pricing import Pricing
from snn_deploy.profile.rows import Rows

GOALS = ("energy", "latency")
COMPARED = (*GOALS, "throughput")
NOBODY = np.zeros(0, np.int64)  # reads the outputs
N_STREAMED = 50  # inputs that stand for all in a stream

Progress = Callable[[Iterable[RunResult]], Iterable[RunResult]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Costs:
    """Energy [J] and time [s], the last axis, at central prices."""

    serial: FloatArray  # (n, n_timesteps, 2), of each input stopped there, unread
    streamed: FloatArray  # (n_timesteps, 3), means of inputs of so many timesteps,
    # and the period, from the first timestep of an input to that of the next [s]
    poll: FloatArray  # (2,), of reading the outputs once


@dataclass(frozen=True, kw_only=True)
class Option:
    """A way to serve inputs, and what it costs on average."""

    settings: Settings
    is_streamed: bool
    mean_timesteps: float
    energy_j: float
    latency_s: float
    period_s: float

    @property
    def is_cutoff(self) -> bool:
        """Whether an input decides for itself when to stop."""
        return self.settings.method.decides_by_input

    @property
    def kind(self) -> str:
        """What it is, without its timesteps."""
        how = "streamed" if self.is_streamed else "one by one"
        return f"{self.settings.rule}, {how}"

    @property
    def in_words(self) -> str:
        """What it is, with its timesteps."""
        how = "streamed" if self.is_streamed else "one by one"
        settings = self.settings
        if settings.rule == Fixed.name:
            n = settings.at
            return f"{n} timestep{'s' * (n != 1)} for all, {how}"
        if settings.rule == Retry.name:
            return f"retry:{settings.at}, streamed"
        return f"{settings.rule}, looking every {settings.poll}, {how}"

    def cost(self, goal: str) -> float:
        """Return what is to be small."""
        return {
            "energy": self.energy_j,
            "latency": self.latency_s,
            "throughput": self.period_s,
        }[goal]


def measure(
    network: MappedNetwork,
    backend: Backend,
    stimuli: Iterable[tuple[int, Stimulus]],
    monitor: str,
    progress: Progress = iter,
) -> tuple[IntArray, Costs]:
    """Return the outputs of inputs at all timesteps, and what serving them costs.

    Raises
    ------
    CalibrationError
        If the target has no prices to compare.
    """
    prices = prices_for(network, monitor)
    program = backend.load(network)
    kept: list[tuple[int, Stimulus]] = []
    scores, serial = [], []
    for result in progress(run_inputs(program, network, _noted(stimuli, kept), never)):
        rest = (0, network.graph.training.timesteps - result.timesteps), (0, 0)
        scores.append(np.pad(result.scores, rest, "edge"))
        found = stopping_costs(network, result.activity, NOBODY, prices)
        serial.append(np.pad(np.stack(found, axis=-1), rest, "edge"))
    program.close()
    poll_s = prices.poll[CENTRAL]
    power = prices.power[CENTRAL]
    costs = Costs(
        serial=np.stack(serial),
        streamed=_streamed(network, backend, kept, monitor),
        poll=np.array([poll_s * power, poll_s]),
    )
    if not np.isfinite(costs.serial).all() or not np.isfinite(costs.poll).all():
        raise CalibrationError(
            f"{network.target.name}: some of its energies or times are unknown, so no "
            "way to serve is known to be the cheapest; choose --poll yourself"
        )
    return np.stack(scores), costs


def _noted(
    stimuli: Iterable[tuple[int, Stimulus]], kept: list[tuple[int, Stimulus]]
) -> Iterator[tuple[int, Stimulus]]:
    """Yield the stimuli, and keep the first ones."""
    for pair in stimuli:
        if len(kept) < N_STREAMED:
            kept.append(pair)
        yield pair


def _streamed(
    network: MappedNetwork,
    backend: Backend,
    stimuli: list[tuple[int, Stimulus]],
    monitor: str,
) -> FloatArray:
    """Return the mean costs of inputs in streams of 1, 2, ... timesteps."""
    found = []
    for t in range(1, network.graph.training.timesteps + 1):
        short = network.lasting(t)
        program = backend.load(short)
        block = run_block(program, short, [s for _, s in stimuli], never)
        program.close()
        nobody = np.zeros(len(block), np.int64)
        rows = Rows(len(block))
        rows.extend(Pricing(short, None, nobody, monitor).in_a_stream(nobody, [block]))
        times = (rows.column(name).mean() for name in ("latency_s", "period_s"))
        found.append((rows.energy().mean(), *times))
    return np.array(found)


def served(evidence: Evidence, costs: Costs, settings: Settings) -> Option:
    """Return what these settings cost, one by one; those of a retry, in its streams."""
    if settings.rule == Retry.name:
        return _retry(evidence, costs, settings)
    return _serial(evidence, costs, settings)


def options(evidence: Evidence, costs: Costs, settings: Settings) -> list[Option]:
    """Return every way that keeps the budget of ``settings`` on these inputs."""
    n_timesteps = evidence.n_timesteps
    found = []
    for k in range(1, n_timesteps):
        found.append(
            _serial(evidence, costs, replace(settings, rule=Risk.name, poll=k))
        )
    for t in range(1, n_timesteps + 1):
        fixed = replace(settings, rule=Fixed.name, at=t, score="gap", poll=1)
        bound = calibrate(evidence, fixed).loss_bound
        if t == n_timesteps or bound <= settings.budget:
            found.append(_serial(evidence, costs, fixed))
            found.append(_in_stream(fixed, t, costs.streamed[t - 1]))
        if t < n_timesteps:
            found.append(
                _retry(evidence, costs, replace(settings, rule=Retry.name, at=t))
            )
    return found


def _serial(evidence: Evidence, costs: Costs, settings: Settings) -> Option:
    calibration = calibrate(evidence, settings)
    timesteps = evidence.stops(calibration.cutoff)
    n_polls = calibration.n_polls(timesteps)
    each = costs.serial[np.arange(len(timesteps)), timesteps - 1]
    energy, latency = (each + n_polls[:, np.newaxis] * costs.poll).mean(axis=0)
    return Option(
        settings=settings,
        is_streamed=False,
        mean_timesteps=float(timesteps.mean()),
        energy_j=float(energy),
        latency_s=float(latency),
        period_s=float(latency),
    )


def _in_stream(settings: Settings, mean_timesteps: float, cost: FloatArray) -> Option:
    return Option(
        settings=settings,
        is_streamed=True,
        mean_timesteps=mean_timesteps,
        energy_j=float(cost[0]),
        latency_s=float(cost[1]),
        period_s=float(cost[2]),
    )


def _retry(evidence: Evidence, costs: Costs, settings: Settings) -> Option:
    """Return a stream of few timesteps, then one of all for what has not settled."""
    calibration = calibrate(evidence, settings)
    timesteps = evidence.stops(calibration.cutoff)
    again = float((timesteps > settings.at).mean())
    cost = costs.streamed[settings.at - 1] + again * costs.streamed[-1]
    return _in_stream(settings, calibration.mean_timesteps, cost)


def best_of_each_kind(found: list[Option], goal: str) -> list[Option]:
    """Return the cheapest option of each kind, the cheapest of all first."""
    best: dict[str, Option] = {}
    for option in sorted(found, key=lambda o: o.cost(goal)):
        best.setdefault(option.kind, option)
    return list(best.values())


def in_words(found: list[Option], mine: Option) -> str:
    """Return in a sentence which way is cheapest for each goal, and ``mine`` to it."""
    parts = []
    for goal in COMPARED:
        best = min(found, key=lambda option: option.cost(goal))
        more = mine.cost(goal) / best.cost(goal) - 1
        if best.settings == mine.settings and not best.is_streamed:
            parts.append(f"for {goal} this one")
        else:
            parts.append(f"for {goal} {best.in_words} (this one {more:+.0%})")
    return f"cheapest within the budget: {'; '.join(parts)}"
