"""retry: two streams, priced by hand, and the same numbers from engine and Python."""

from collections.abc import Iterator
from functools import cache, partial

import numpy as np
import pytest

from snn_deploy.arrays import IntArray
from snn_deploy.artifact import Artifact, pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.backends.results import Activity, Block, RunResult
from snn_deploy.chip.events import (
    ACCESS,
    CHIP_EVENTS,
    CORE_EVENTS,
    FIRE,
    INJECTION,
    PACKET,
)
from snn_deploy.chip.target import CENTRAL
from snn_deploy.chip.target_file import target_from_table
from snn_deploy.costs.latency import timestep_durations
from snn_deploy.costs.prices import prices_for
from snn_deploy.cutoff.calibrate import calibrate
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.monitor import block_of, collect_scores
from snn_deploy.cutoff.oracle import answers
from snn_deploy.cutoff.rules.rule import Calibration, Settings
from snn_deploy.cutoff.thresholds import stops
from snn_deploy.data.data import Data
from snn_deploy.profile.measured import Run, sum_of
from snn_deploy.profile.meter import Meter, measure
from snn_deploy.profile.profile import Profile, Schedule, profile_inputs
from snn_deploy.profile.retry import two_streams
from snn_deploy.profile.schedules import other_monitor
from snn_deploy.profile.store import NoStore
from snn_deploy.profile.summary import summarize
from tests.build import RATE
from tests.chip.test_target import table
from tests.conformance.test_equality import alone_in_stream, no_chip_events
from tests.cutoff.test_monitor import loaded
from tests.profile import test_profile
from tests.profile.test_profile import N, data, shortened
from tests.report.profiles import network

LAST = RATE.timesteps


def artifact() -> Artifact:
    return test_profile.artifact(output_threshold=200)  # so that some outputs lead


@cache
def scores() -> IntArray:
    mapped = artifact().network
    program = open_backend("cpu").load(mapped)
    return collect_scores(program, mapped, data().stimuli())


def calibrated(at: int, beta: float) -> Calibration:
    """Return the rule with a threshold of ours, as calibrating would write it."""
    seen = Evidence(
        scores=scores(),
        labels=None,
        graph=artifact().network.graph,
        network_sha256="n",
        inputs_sha256="i",
    )
    found = calibrate(seen, Settings(rule="retry", at=at))
    betas = np.where(np.isin(np.arange(1, LAST + 1), found.looks), beta, np.inf)
    return Calibration(**{**vars(found), "betas": betas})


def profiled(at: int, beta: float, monitor: str = "embedded") -> Profile:
    found = calibrated(at, beta)
    backend = open_backend("cpu")
    return profile_inputs(
        artifact(),
        backend,
        data(),
        cutoff=found.cutoff,
        calibration=found,
        monitor=monitor,
    )


def result(index: int, n_timesteps: int, n_fired: int, gap: int) -> RunResult:
    """Return an input that fires in its first timestep only; depth 2, one core."""
    n = n_timesteps + 2
    cores = np.zeros((n, 1, len(CORE_EVENTS)), np.int64)
    cores[0, 0, FIRE] = n_fired
    chip = np.zeros((n, len(CHIP_EVENTS)), np.int64)
    return RunResult(
        index=index,
        prediction=index,
        timesteps=n_timesteps,
        chip_timesteps=n,
        stopped_early=False,
        gap=gap,
        scores=gap * np.tile(np.eye(3, dtype=np.int64)[index], (n_timesteps, 1)),
        activity=Activity(
            timesteps=n_timesteps,
            cores=cores,
            chip=chip,
            tail_cores=cores[n_timesteps:],
            tail_chip=chip[n_timesteps:],
            run_on_cores=np.zeros_like(cores[n_timesteps:]),
            run_on_chip=np.zeros_like(chip[n_timesteps:]),
        ),
    )


def test_two_inputs_cost_what_a_hand_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Firing: 2 pJ, 3 ns. A timestep's barrier: 10 ns. A poll: 100 ns. Power: 1 mW.

    First stream, one timestep each: the chip's timesteps last 13, 13, 110 and 110 ns.
    Second stream, all of three timesteps for input 1: 16, 10, 10, 10 and 110 ns.
    """
    chip = table()
    chip["mesh"]["height"] = 4  # one chip holds it
    free = {"energy_pj": 0, "time_ns": 0, "source": "made up"}
    for name in ("access", "update", "packet", "packet_in", "synaptic_operation"):
        chip["cost"][name] = free
    chip["cost"]["poll_embedded"] = {"time_us": 0.1, "source": "made up"}
    chip["cost"]["static"] = {"power_mw": 1, "source": "made up"}
    mapped = pack(network(target_from_table(chip, "tiny.toml")))
    rule = Calibration(
        rule="retry",
        betas=np.array([5.0, np.inf, 5.0]),
        budget=0.01,
        confidence=0.9,
        uses_labels=True,
        n_inputs=500,
        n_inputs_needed=230,
        timesteps=3,
        network_sha256="n",
        inputs_sha256="i",
        mean_timesteps=2.5,
        loss=0.0,
        polled=np.array([1, 3]),
    )
    inputs = Data(x=np.zeros((2, 2)), y=np.array([0, 0]), training=RATE)
    meter = Meter(mapped, open_backend("cpu"), inputs, None, rule, "embedded")
    meter.pricing.hashes = np.array([7, 7])
    asked = []

    def by_hand(run: Run, places: range) -> Iterator[Block]:
        asked.append((run.n_timesteps, list(run.inputs)))
        fired, gap = (1, 6) if run.n_timesteps == 1 else (2, 10)
        found = [result(i, run.n_timesteps, fired, gap - i) for i in run.inputs]
        yield block_of(found, shortened(meter.network, run.n_timesteps))

    monkeypatch.setattr(meter, "_run", by_hand)
    measured = partial(
        measure, meter, store=NoStore(), progress=lambda done, n, what: done
    )

    rows, parts, first_scores = two_streams(rule, np.full(2, 3), measured)

    totals = sum_of(parts)
    assert asked == [(1, [0, 1]), (3, [1])]
    assert first_scores.tolist() == [6, 5]
    expected = {
        "timesteps": (1, 1 + 3),
        "chip_timesteps": (1, 1 + 3),
        "prediction": (0, 1),
        "label": (0, 0),
        "gap": (6, 9),
        "input_hash": (7, 7),
        "stopped_early": (True, False),
        "spikes": (1, 1 + 2),
        "latency_s": (136e-9, (13 + 110 + 110 + 156) * 1e-9),
        "period_s": (13e-9, (13 + 36) * 1e-9),
        "energy_neurocores_j": (2e-12, 6e-12),
        "energy_static_j": (13e-12, 49e-12),
    }
    for name, values in expected.items():
        assert rows.column(name) == pytest.approx(values), name
    assert totals.cores[:, 0, FIRE].tolist() == [4, 0, 0, 0, 0]


@pytest.mark.parametrize("at", [3, 5])
def test_engine_and_python_take_the_same_timesteps_and_give_the_same_answers(
    at: int,
) -> None:
    rule = calibrated(at, 0)
    in_python = stops(scores(), rule.cutoff)
    assert 0 < (in_python == at).sum() < N  # some settle, some do not

    found = profiled(at, 0).rows

    taken = [at if stop == at else at + LAST for stop in in_python]
    assert found.column("timesteps").tolist() == taken == rule.taken(in_python).tolist()
    assert found.column("chip_timesteps").tolist() == taken
    assert found.column("stopped_early").tolist() == (in_python == at).tolist()
    last = answers(scores())[np.arange(N), in_python - 1]
    assert found.column("prediction").tolist() == last.tolist()


def test_calibrate_says_the_timesteps_that_a_profile_counts() -> None:
    network_, _, seen, inputs = loaded("mnist_lif")
    rule = calibrate(seen, Settings(rule="retry", at=1, budget=0.01, confidence=0.5))
    again = stops(seen.scores, rule.cutoff) > 1
    assert 0 < again.sum() < len(again)

    found = profile_inputs(
        network_, open_backend("cpu"), inputs, cutoff=rule.cutoff, calibration=rule
    )

    assert found.rows.column("timesteps").tolist() == (1 + 8 * again).tolist()
    assert found.rows.column("timesteps").mean() == rule.mean_timesteps


def streamed(at: int, inputs: list[int]) -> tuple[list[float], list[float]]:
    """Return latency and period of inputs in one stream, laid out by the oracle."""
    mapped = artifact().network
    depth = mapped.graph.depth
    prices = prices_for(mapped, "embedded")
    n = len(inputs) * at + depth
    cores = np.zeros((n, len(mapped.cores), len(CORE_EVENTS)), np.int64)
    chip = no_chip_events(mapped, n)
    for place, index in enumerate(inputs):
        rows = slice(place * at, (place + 1) * at + depth)
        stimulus = data().stimulus(index)
        counted = alone_in_stream(shortened(mapped, at), stimulus, at)
        cores[rows] += counted[0]
        chip[rows] += counted[1]
    cores[..., ACCESS] = [core.n_compartments for core in mapped.cores]
    durations = timestep_durations(cores, chip, prices)[:, CENTRAL]
    durations[at * (1 + np.arange(len(inputs))) + depth - 1] += prices.poll[CENTRAL]
    starts = at * np.arange(len(inputs))
    latencies = [durations[s : s + at + depth].sum() for s in starts]
    return latencies, [durations[s : s + at].sum() for s in starts]


def test_both_streams_take_the_time_of_what_the_oracle_counts_in_them() -> None:
    again = np.flatnonzero(stops(scores(), calibrated(3, 0).cutoff) == LAST).tolist()
    first, second = streamed(3, list(range(N))), streamed(LAST, again)

    rows = profiled(3, 0).rows

    for i, row in enumerate(rows):
        latency, period = first[0][i], first[1][i]
        if i in again:
            latency += second[0][again.index(i)]
            period += second[1][again.index(i)]
        assert row.latency_s == pytest.approx(latency)
        assert row.period_s == pytest.approx(period)


def test_sums_over_neurocores_and_timesteps_are_those_of_the_rows() -> None:
    found = profiled(3, 0)

    counts = found.totals.cores.sum(axis=(0, 1))
    assert counts[FIRE] == found.rows.column("spikes").sum() > 0
    packets = found.rows.column("packets").sum()
    assert counts[PACKET] + counts[INJECTION] == packets


@pytest.mark.parametrize(
    ("at", "beta", "like"), [(LAST, 0, LAST), (3, -np.inf, 3), (3, np.inf, 0)]
)
def test_at_the_ends_it_is_a_stream_of_fixed_timesteps(
    at: int, beta: float, like: int
) -> None:
    """All timesteps at once; nobody starts again; everybody does."""
    found = profiled(at, beta)

    both = [streamed(t, list(range(N)))[1] for t in ((like,) if like else (at, LAST))]
    assert found.rows.column("period_s") == pytest.approx(np.sum(both, axis=0))
    assert found.rows.column("stopped_early").all() == (0 < like < LAST)


def test_the_schedules_say_what_it_is() -> None:
    found = profiled(3, 0)

    summary = summarize(found)

    assert summary["schedules"]["cutoff"]["text"] == (
        f"3 timesteps, the undecided again for {LAST}, streamed"
    )
    assert summary["with_cutoff"]["mean_timesteps"] == (
        found.rows.column("timesteps").mean()
    )
    assert list(other_monitor(found)) == ["monitor", "serial"]  # those one by one
    assert found.n_polls(found.rows.column("timesteps")).tolist() == [
        1 if row.stopped_early else 2 for row in found.rows
    ]
    assert Schedule.STREAMED in found.runs
