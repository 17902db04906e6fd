"""Lava, looked at rarely: the same stops as the cpu, and silence between two looks."""

from collections.abc import Iterator

import numpy as np
import pytest

from snn_deploy.arrays import BoolArray, IntArray
from snn_deploy.backends.engine.cpu import CpuBackend
from snn_deploy.backends.lava import compat as lava_compat
from snn_deploy.backends.lava.backend import LavaBackend, LavaProgram
from snn_deploy.cutoff.decision import Cutoff, looks_of, never, polled
from snn_deploy.cutoff.monitor import collect_scores, run_inputs, watch_input
from snn_deploy.cutoff.rules.fixed import fixed
from snn_deploy.cutoff.thresholds import polled_timesteps, stops
from snn_deploy.errors import BackendError
from snn_deploy.ir.stimuli import Stimulus
from tests.counting import COUNTS

try:
    lava_compat.import_lava()
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

from tests.backends.test_lava import N_TIMESTEPS, NETWORKS, expected, stimuli


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def program(request: pytest.FixtureRequest) -> Iterator[LavaProgram]:
    loaded = LavaBackend().load(NETWORKS[request.param])
    yield loaded
    loaded.close()


@pytest.fixture
def told(program: LavaProgram, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what host and Lava tell each other, as it happens."""
    found: list[str] = []
    listen, answer = program.machine.listen, program.machine.answer

    def noted_listen(n_chip_timesteps: int) -> None:
        listen(n_chip_timesteps)
        found.append("report")

    def noted_answer(*, goes_on: bool) -> None:
        answer(goes_on=goes_on)
        found.append("go on" if goes_on else "stop")

    monkeypatch.setattr(program.machine, "listen", noted_listen)
    monkeypatch.setattr(program.machine, "answer", noted_answer)
    return found


def numbered(program: LavaProgram) -> list[tuple[int, Stimulus]]:
    return list(enumerate(stimuli(program.network)))


def over(total: float) -> Cutoff:
    def is_settled(scores: IntArray, timestep: int) -> BoolArray:
        settled: BoolArray = scores.sum(axis=-1) > total
        return settled

    return is_settled


def varied(program: LavaProgram) -> Cutoff:
    """Return a rule that stops the inputs at most different timesteps."""
    scores = collect_scores(
        CpuBackend().load(program.network), program.network, numbered(program)
    )
    totals = np.unique(scores.sum(axis=-1))
    best = max(totals, key=lambda total: len(set(stops(scores, over(total)))))
    assert len(set(stops(scores, over(best)))) > 1
    return over(best)


@pytest.mark.parametrize("every", range(1, N_TIMESTEPS + 1))
def test_stops_counts_and_outputs_are_those_of_the_cpu(
    program: LavaProgram, told: list[str], every: int
) -> None:
    looks = polled_timesteps(N_TIMESTEPS, every)
    cutoff = polled(varied(program), looks)
    cpu = CpuBackend().load(program.network)
    wanted = list(run_inputs(cpu, program.network, numbered(program), cutoff))

    for index, stimulus in numbered(program):
        told.clear()
        (found,) = run_inputs(program, program.network, [(index, stimulus)], cutoff)

        other = wanted[index]
        assert found.timesteps == other.timesteps
        assert found.chip_timesteps == other.chip_timesteps
        np.testing.assert_array_equal(found.scores, other.scores)
        for name in COUNTS:
            one, two = (getattr(r.activity, name) for r in (found, other))
            np.testing.assert_array_equal(one, two)
        assert program.session is not None
        executed = {n for _, n in program.session.executed}
        assert executed == {found.timesteps + program.network.graph.depth}
        n_looks = int((looks <= found.timesteps).sum())
        last = [] if found.timesteps == N_TIMESTEPS else ["stop"]
        assert told == ["report", "go on"] * (n_looks - 1) + ["report", *last]
        assert not program.machine.line.poll()  # nobody says more


@pytest.mark.parametrize(
    ("cutoff", "expected_"),
    [(never, ["report"]), (fixed(3), ["report", "stop"])],
    ids=["never", "fixed"],
)
def test_a_rule_that_looks_once_is_told_of_once(
    program: LavaProgram, told: list[str], cutoff: Cutoff, expected_: list[str]
) -> None:
    (found,) = run_inputs(program, program.network, numbered(program)[:1], cutoff)

    assert told == expected_
    wanted = np.cumsum(expected(program.network, numbered(program)[0][1]), axis=0)
    np.testing.assert_array_equal(found.scores, wanted[: found.timesteps])


def test_a_rule_of_ones_own_looks_at_every_timestep(
    program: LavaProgram, told: list[str]
) -> None:
    def never_settled(scores: IntArray, timestep: int) -> BoolArray:
        return np.zeros(len(scores), np.bool_)

    list(run_inputs(program, program.network, numbered(program)[:1], never_settled))

    assert told == ["report", "go on"] * (N_TIMESTEPS - 1) + ["report"]
    assert len(looks_of(never_settled, N_TIMESTEPS)) == N_TIMESTEPS


def test_the_timesteps_between_two_looks_can_be_watched(program: LavaProgram) -> None:
    stimulus = stimuli(program.network)[0]
    cutoff = polled(fixed(4), np.array([4, N_TIMESTEPS]))

    found = list(watch_input(program, program.network, stimulus, cutoff))

    wanted = np.cumsum(expected(program.network, stimulus), axis=0)
    np.testing.assert_array_equal(found, wanted[:4])


def test_watching_that_ends_early_stops_lava_at_the_look(program: LavaProgram) -> None:
    one, other, _ = stimuli(program.network)
    cutoff = polled(never, np.array([3, N_TIMESTEPS]))
    session = program.start([one], np.array([3, N_TIMESTEPS]))
    session.step()

    session.close()

    assert {n for _, n in session.executed} == {3 + program.network.graph.depth}
    assert session.step() is None
    found = list(watch_input(program, program.network, other, cutoff))
    wanted = np.cumsum(expected(program.network, other), axis=0)
    np.testing.assert_array_equal(found, wanted)


def test_an_input_cannot_be_retired_where_nobody_was_to_look(
    program: LavaProgram,
) -> None:
    session = program.start(stimuli(program.network)[:1], np.array([4, N_TIMESTEPS]))
    session.step()

    with pytest.raises(BackendError, match=r"timesteps \[4, 7\] only, and is at 1"):
        session.retire(np.array([0]))
    session.close()
