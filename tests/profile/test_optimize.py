"""optimize: options cost what running them costs, and the cheapest one is found."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from snn_deploy.backends.registry import open_backend
from snn_deploy.cutoff.calibrate import calibrate
from snn_deploy.cutoff.rules.rule import Settings
from snn_deploy.cutoff.thresholds import stops
from snn_deploy.profile.optimize import Costs, best_of_each_kind, measure, options
from snn_deploy.profile.profile import Schedule, profile_inputs
from tests.cutoff.test_calibrate import labelled
from tests.cutoff.test_monitor import loaded

N = 60  # more than stand for all in a stream
SETTINGS = Settings(budget=0.05)


def hand_made(poll: float) -> Costs:
    """Return costs of 1 for a timestep, of 4 for the pipeline, and of a poll."""
    serial = 4.0 + np.arange(1, 7)
    return Costs(
        serial=np.tile(serial[:, np.newaxis], (600, 1, 2)),
        streamed=np.tile(np.arange(1.0, 7.0)[:, np.newaxis], (1, 3)),
        poll=np.array([poll, poll]),
    )


def test_options_cost_what_a_profile_says() -> None:
    artifact, _, seen, data = loaded("mnist_lif")
    data = data.take(range(50))
    backend = open_backend("cpu")
    scores, costs = measure(
        artifact.network, backend, islice(data.stimuli(), 50), "embedded"
    )
    np.testing.assert_array_equal(scores, seen.scores[:50])
    evidence = seen.take(np.arange(50))
    settings = replace(SETTINGS, rule="risk", budget=0.1, poll=2)
    calibration = calibrate(evidence, settings)

    found = {
        (o.settings.rule, o.settings.poll, o.settings.at, o.is_streamed): o
        for o in options(evidence, costs, settings)
    }

    profile = profile_inputs(
        artifact, backend, data, cutoff=calibration.cutoff, calibration=calibration
    )
    for key, schedule in (
        (("risk", 2, 0, False), Schedule.CUTOFF),
        (("fixed", 1, 8, False), Schedule.SERIAL),
        (("fixed", 1, 8, True), Schedule.STREAMED),
    ):
        rows, option = profile.runs[schedule], found[key]
        assert option.energy_j == pytest.approx(rows.energy().mean())
        assert option.latency_s == pytest.approx(rows.column("latency_s").mean())
        assert option.mean_timesteps == rows.column("timesteps").mean()


def test_a_retry_costs_about_what_a_profile_says() -> None:
    """About: fifty inputs in a stream stand for the undecided ones in theirs."""
    artifact, _, seen, data = loaded("mnist_lif")
    backend = open_backend("cpu")
    _, costs = measure(artifact.network, backend, data.stimuli(), "embedded")
    settings = Settings(budget=0.01, confidence=0.5)

    (option,) = [
        o
        for o in options(seen, costs, settings)
        if o.settings.rule == "retry" and o.settings.at == 1
    ]

    rule = calibrate(seen, option.settings)
    rows = profile_inputs(
        artifact, backend, data, cutoff=rule.cutoff, calibration=rule
    ).rows
    assert 0 < rows.column("stopped_early").mean() < 1
    assert option.mean_timesteps == pytest.approx(rows.column("timesteps").mean())
    energy, latency = rows.energy().mean(), rows.column("latency_s").mean()
    assert option.energy_j == pytest.approx(energy, rel=0.05)
    assert option.latency_s == pytest.approx(latency, rel=0.05)


def test_every_option_keeps_the_budget() -> None:
    seen = labelled()

    found = options(seen, hand_made(0.1), SETTINGS)

    for option in found:
        calibration = calibrate(seen, option.settings)
        if option.is_cutoff:
            assert calibration.is_kept
        elif option.settings.at < 6:
            assert calibration.loss_bound <= 0.05
    assert {o.settings.poll for o in found if o.settings.rule == "risk"} == set(
        range(1, 6)
    )


def test_where_polls_cost_nothing_the_fewest_timesteps_win() -> None:
    found = options(labelled(), hand_made(0.0), SETTINGS)

    serial = [o for o in found if o.settings.rule == "risk"]
    best = best_of_each_kind(serial, "latency")[0]

    assert best.latency_s == min(o.latency_s for o in serial)
    assert best.mean_timesteps == min(o.mean_timesteps for o in serial)


def test_polls_that_cost_much_leave_no_cutoff_that_pays() -> None:
    seen = labelled()

    best = best_of_each_kind(options(seen, hand_made(100.0), SETTINGS), "energy")

    serial = [o for o in best if not o.is_streamed]
    assert not serial[0].is_cutoff
    assert [o.energy_j for o in best] == sorted(o.energy_j for o in best)
    assert len({o.kind for o in best}) == len(best) == 4


def test_what_has_not_settled_pays_twice_in_a_retry() -> None:
    seen = labelled()
    found = options(seen, hand_made(0.0), SETTINGS)

    (retry,) = [o for o in found if o.settings.rule == "retry" and o.settings.at == 3]

    calibration = calibrate(seen, retry.settings)
    again = (stops(seen.scores, calibration.cutoff) == 6).mean()
    assert retry.energy_j == pytest.approx(3 + 6 * again)
    assert retry.mean_timesteps == pytest.approx(3 + 6 * again)
    assert 0 < again < 1
