"""rivals: what answers as well as the cutoff, and what one pass of it takes."""

import numpy as np
import pytest

from snn_deploy.backends.registry import open_backend
from snn_deploy.cutoff.calibrate import calibrate, cheapest_fixed
from snn_deploy.cutoff.rules.rule import Settings
from snn_deploy.profile.profile import Profile, Schedule, profile_inputs
from snn_deploy.profile.rivals import best_rivals, fair, in_words, warning
from snn_deploy.profile.rows import ROW
from snn_deploy.profile.schedules import schedules
from snn_deploy.profile.summary import summarize
from snn_deploy.profile.twin import twin_of
from tests.cutoff.test_monitor import loaded

N = 60


@pytest.fixture(scope="module")
def profiled() -> Profile:
    artifact, _, seen, data = loaded("mnist_qcfs")
    calibration = calibrate(seen, Settings(budget=0.05))
    assert calibration.fixed_timesteps == cheapest_fixed(seen, calibration.loss)
    return profile_inputs(
        artifact,
        open_backend("cpu"),
        data.take(range(N)),
        cutoff=calibration.cutoff,
        calibration=calibration,
        has_rivals=True,
    )


def test_fixed_timesteps_are_those_of_the_calibration(profiled: Profile) -> None:
    _, _, seen, _ = loaded("mnist_qcfs")
    loss = calibrate(seen, Settings(budget=0.05)).loss

    assert profiled.fixed_is_calibrated
    assert profiled.fixed_timesteps == cheapest_fixed(seen, loss)


def test_one_timestep_costs_what_it_costs_alone(profiled: Profile) -> None:
    if profiled.fixed_timesteps == 1:
        pytest.skip("one timestep is the fixed schedule already")
    one = profiled.runs[Schedule.STREAMED_ONE]

    assert set(one.column("timesteps")) == {1}
    right = np.count_nonzero(one.is_right) / N
    assert right == pytest.approx(profiled.accuracy_at[0])


def test_one_pass_is_the_twin_on_its_own(profiled: Profile) -> None:
    artifact, _, _, data = loaded("mnist_qcfs")
    twin = twin_of(artifact, data.take(range(N)))
    assert twin is not None

    alone = profile_inputs(twin[0], open_backend("cpu"), twin[1], cutoff=None)

    for mine, theirs in (
        (Schedule.ONE_PASS, Schedule.SERIAL),
        (Schedule.STREAMED_ONE_PASS, Schedule.STREAMED),
    ):
        for name in ROW.names or ():
            np.testing.assert_array_equal(
                profiled.runs[mine].column(name), alone.runs[theirs].column(name), name
            )


def test_a_network_that_leaks_has_no_twin() -> None:
    artifact, _, _, data = loaded("mnist_lif")

    assert twin_of(artifact, data) is None


def test_a_rival_that_answers_worse_is_none(profiled: Profile) -> None:
    runs = dict(profiled.runs)
    worse = runs[Schedule.ONE_PASS].some(np.ones(N, np.bool_))
    worse.table["prediction"] = (worse.table["label"] + 1) % 10
    runs[Schedule.ONE_PASS] = worse
    changed = Profile(**{**vars(profiled), "runs": runs})

    assert Schedule.ONE_PASS in fair(profiled)
    assert Schedule.ONE_PASS not in fair(changed)
    assert {Schedule.SERIAL, Schedule.STREAMED} < {*fair(changed)}


def test_the_best_rival_is_the_best_of_those(profiled: Profile) -> None:
    runs = schedules(profiled)

    found = best_rivals(profiled, runs)

    names = [schedule.value for schedule in fair(profiled)]
    for goal, key, pick in (
        ("energy", "mean_energy_j", min),
        ("latency", "mean_latency_s", min),
        ("throughput", "throughput_per_s", max),
    ):
        best = pick(runs[name][key] for name in names)
        early = runs["cutoff"][key]
        assert found[goal]["value"] == best
        assert found[goal]["change"] == pytest.approx(early / best - 1)
        assert found[goal]["cutoff_wins"] == (
            early > best if pick is max else early < best
        )


def test_the_words_say_for_what_it_pays() -> None:
    def rival(change: float, *, wins: bool) -> dict[str, object]:
        return {"text": "all, streamed", "change": change, "cutoff_wins": wins}

    lost = {"energy": rival(0.5, wins=False), "latency": rival(-0.2, wins=True)}
    assert in_words(lost) == warning(lost)
    assert in_words(lost).endswith(
        "energy +50% (all, streamed), latency -20% (all, streamed); "
        "it pays for latency only"
    )
    won = {"energy": rival(-0.5, wins=True)}
    assert warning(won) == ""
    assert in_words(won).endswith("it pays for energy")
    assert in_words({"energy": rival(0.5, wins=False)}).endswith(
        "pays for nothing here"
    )
    assert in_words({}) == ""


def test_the_summary_compares_spiking_with_one_pass(profiled: Profile) -> None:
    found = summarize(profiled)

    one_pass = found["one_pass"]
    assert one_pass["energy"]["spiking_over_one_pass"] == pytest.approx(
        one_pass["energy"]["spiking"] / one_pass["energy"]["one_pass"]
    )
    spiking = [
        run["mean_energy_j"]
        for name, run in found["schedules"].items()
        if "one pass" not in name
    ]
    assert one_pass["energy"]["spiking"] == min(spiking)
    wins = one_pass["energy"]["spiking_over_one_pass"] > 1
    assert found["conventional_wins"] == (wins and Schedule.ONE_PASS in fair(profiled))
