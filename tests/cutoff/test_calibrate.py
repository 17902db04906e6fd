"""calibrate: every rule on known outputs, settings that are refused, and halves."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snn_deploy.arrays import IntArray
from snn_deploy.cutoff.calibrate import (
    best_score,
    calibrate,
    cheapest_fixed,
    losses_by_class,
    refuse_used,
    require_inputs,
)
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.oracle import answers, gaps
from snn_deploy.cutoff.rules.rule import Calibration, Settings, rules
from snn_deploy.cutoff.thresholds import loss_of_stopping, safe_timesteps, stops
from snn_deploy.errors import CalibrationError
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.quantized import QuantizedGraph
from tests.build import RATE, dense, integers, population, rng
from tests.cutoff.example import LABELS, SCORES, some_scores


def graph(n_classes: int = 4) -> QuantizedGraph:
    """Return a network that counts up to two spikes a timestep of so many outputs."""
    return integers(
        [population("out", (n_classes,), max_spikes=2, reset=Reset.SOFT)],
        [dense("input", "out", np.ones((n_classes, 2)))],
        shape=(2,),
        training=RATE,
    )


def evidence(scores: IntArray, labels: IntArray | None = None) -> Evidence:
    n, _, n_classes = scores.shape
    return Evidence(
        scores=scores,
        labels=labels,
        graph=graph(n_classes),
        network_sha256="n",
        inputs_sha256="i",
        input_hashes=np.arange(n),
    )


def labelled(n: int = 600, seed: int = 0) -> Evidence:
    """Return outputs whose last answer is right nine times of ten."""
    scores = some_scores(seed, n=n)
    labels = answers(scores)[:, -1]
    wrong = rng(seed + 1).random(n) < 0.1
    return evidence(scores, np.where(wrong, (labels + 1) % 4, labels))


def settings(**changes: Any) -> Settings:
    return Settings(**{"budget": 0.1, **changes})


def test_too_few_inputs_never_stop_early() -> None:
    found = calibrate(evidence(SCORES, LABELS), Settings())

    assert not found.stops_early
    assert not found.is_kept
    assert found.mean_timesteps == 4
    assert (found.n_inputs, found.n_inputs_needed) == (6, 230)
    with pytest.raises(
        CalibrationError, match=r"6 calibration inputs .* at least 230 are needed; add"
    ):
        require_inputs(found)


@pytest.mark.parametrize("form", ["probability", "expectation"])
@pytest.mark.parametrize("score", ["gap", "confidence", "entropy"])
@pytest.mark.parametrize("has_labels", [True, False])
def test_risk_loses_no_more_than_its_budget_on_its_own_inputs(
    form: str, score: str, has_labels: bool
) -> None:
    seen = labelled()
    seen = seen if has_labels else replace(seen, labels=None)

    found = calibrate(seen, settings(form=form, score=score))

    timesteps = stops(seen.scores, found.cutoff)
    unsafe = (timesteps < safe_timesteps(seen.scores, seen.labels)).mean()
    assert found.stops_early
    assert found.mean_timesteps == timesteps.mean() < 6
    assert found.loss == loss_of_stopping(seen.scores, seen.labels, timesteps)
    assert found.loss <= unsafe < found.loss_bound <= 0.1
    assert (found.score, found.uses_labels) == (score, has_labels)


@pytest.mark.parametrize("rule", rules())
@pytest.mark.parametrize("poll", [1, 2, 4])
def test_every_rule_stops_at_timesteps_that_it_looks_at(rule: str, poll: int) -> None:
    seen = labelled()

    found = calibrate(seen, settings(rule=rule, at=2, poll=poll))

    timesteps = stops(seen.scores, found.cutoff)
    assert set(timesteps) <= {*found.looks.tolist(), 6}
    assert found.n_polls(np.array(6)) == len(found.looks)
    assert np.isinf(np.delete(found.betas, found.looks - 1)).all()
    np.testing.assert_array_equal(found.first_scores, np.sort(found.first_scores))
    assert len(found.first_scores) == 600
    if rule not in ("fixed", "retry"):
        assert (
            found.looks.tolist()
            == {1: [1, 2, 3, 4, 5, 6], 2: [2, 4, 6], 4: [4, 6]}[poll]
        )


def test_fixed_and_retry_look_once_before_the_end() -> None:
    seen = labelled()

    fixed = calibrate(seen, settings(rule="fixed", at=2))
    retry = calibrate(seen, settings(rule="retry", at=2))

    assert fixed.looks.tolist() == [2]
    assert (fixed.mean_timesteps, int(fixed.n_polls(np.array(2)))) == (2, 1)
    assert retry.looks.tolist() == [2, 6]
    n_again = (stops(seen.scores, retry.cutoff) == 6).sum()
    assert retry.mean_timesteps == pytest.approx(2 + 6 * n_again / 600)
    assert 0 < n_again < 600
    assert retry.is_kept
    assert retry.loss_bound <= 0.1
    assert not fixed.is_kept


def test_certain_loses_nothing() -> None:
    found = calibrate(labelled(), settings(rule="certain"))

    assert found.stops_early
    assert found.loss == found.loss_bound == 0


@pytest.mark.parametrize("rule", ["confidence", "entropy"])
def test_rules_without_a_promise_keep_the_budget_on_what_they_saw(rule: str) -> None:
    found = calibrate(labelled(), settings(rule=rule, budget=0.02))

    assert found.loss <= 0.02
    assert found.loss_bound == 1
    assert not found.is_kept
    assert found.score == rule


def test_a_budget_of_one_row_is_what_calibrating_at_it_gives() -> None:
    seen = labelled()

    found = dict(compared(settings(budget=0.03), 6))

    assert list(found) == ["0.001", "0.002", "0.005", "0.01", "0.02", "0.03", "0.05"]
    thresholds = [calibrate(seen, s).betas[0] for s in found.values()]
    assert thresholds == sorted(thresholds, reverse=True)
    timesteps = [calibrate(seen, s).mean_timesteps for s in found.values()]
    assert timesteps == sorted(timesteps, reverse=True)


def compared(asked: Settings, n_timesteps: int) -> list[tuple[str, Settings]]:
    return asked.method.variants(asked, n_timesteps)


def test_variants_of_the_other_rules() -> None:
    assert [
        name
        for name, _ in settings(rule="fixed", at=1).method.variants(
            settings(rule="fixed", at=1), 3
        )
    ] == [
        "fixed:1",
        "fixed:2",
        "fixed:3",
    ]
    sweep = settings(rule="topk", budget=0.01).method.variants(
        settings(rule="topk", budget=0.01), 3
    )
    assert [name for name, _ in sweep][:3] == ["0.0%", "1.0%", "2.0%"]
    assert len(sweep) == 10


@pytest.mark.parametrize("every", [1, 2, 3, 4, 6])
def test_polling_at_k_and_calibrating_at_k_agree(every: int) -> None:
    """A host that keeps silent in between stops where the calibration says."""
    seen = labelled()
    found = calibrate(seen, settings(poll=every))

    stopped = []
    for row in seen.scores:
        for t in range(1, 7):
            if (t % every == 0 and gaps(row[t - 1]) > found.betas[t - 1]) or t == 6:
                stopped.append(t)
                break

    assert np.mean(stopped) == found.mean_timesteps
    np.testing.assert_array_equal(stopped, stops(seen.scores, found.cutoff))


@pytest.mark.parametrize("rule", ["risk", "topk", "certain", "confidence"])
def test_thresholds_hold_where_fewer_timesteps_are_looked_at(rule: str) -> None:
    seen = labelled()
    found = calibrate(seen, settings(rule=rule))

    rarely = found.polled_every(2)

    assert rarely.looks.tolist() == [2, 4, 6]
    early, late = (stops(seen.scores, c.cutoff) for c in (found, rarely))
    assert set(late) <= {2, 4, 6}
    assert np.all(late >= early)
    unsafe = [
        (t < safe_timesteps(seen.scores, seen.labels)).mean() for t in (early, late)
    ]
    if rule == "risk":
        assert unsafe[1] <= unsafe[0]


def test_other_timesteps_than_those_calibrated_are_refused() -> None:
    found = calibrate(labelled(), settings(poll=2))

    with pytest.raises(CalibrationError, match="every 3 reads 3, 6; calibrate with"):
        found.polled_every(3)


def test_the_score_is_chosen_on_one_half_and_certified_on_the_other() -> None:
    seen = labelled()

    first, second = seen.halves()
    chosen = best_score(first, settings())

    every = sorted([*first.input_hashes, *second.input_hashes])
    assert every == list(range(600))
    assert len(first.scores) == len(second.scores) == 300
    means = {
        score: calibrate(first, settings(score=score)).mean_timesteps
        for score in ("gap", "confidence", "entropy")
    }
    assert means[chosen.score] == min(means.values())


def test_classes_add_up() -> None:
    seen = labelled()
    found = calibrate(seen, settings())
    assert seen.labels is not None

    losses = losses_by_class(seen, found)

    timesteps = stops(seen.scores, found.cutoff)
    assert sum(c.n for c in losses) == 600
    assert sum(c.n * c.lost for c in losses) / 600 == pytest.approx(found.loss)
    safe = safe_timesteps(seen.scores, seen.labels)
    assert sum(c.n_unsafe for c in losses) == (timesteps < safe).sum()
    assert [c.n_unsafe for c in losses] == sorted(
        (c.n_unsafe for c in losses), reverse=True
    )


def test_the_cheapest_fixed_timestep_loses_no_more() -> None:
    seen = labelled()

    found = cheapest_fixed(seen, 0.05)

    losses = [
        loss_of_stopping(seen.scores, seen.labels, np.full(600, t)) for t in range(1, 7)
    ]
    assert losses[found - 1] <= 0.05 < min(losses[: found - 1])
    assert cheapest_fixed(seen, -1) == 6


def test_inputs_that_the_network_has_seen_are_refused() -> None:
    seen = labelled()

    refuse_used(seen.input_hashes, np.array([600, 700]))
    with pytest.raises(
        CalibrationError, match="2 of 600 calibration inputs are exact copies"
    ):
        refuse_used(seen.input_hashes, np.array([3, 5, 700]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 0.0}, "budget is 0.0"),
        ({"budget": 1.5}, "budget is 1.5"),
        ({"budget": float("nan")}, "budget is nan"),
        ({"confidence": 1.0}, "confidence is 1.0"),
        ({"rule": "luck"}, "no rule is called 'luck'; choose from certain"),
        ({"form": "hope"}, "no promise is called 'hope'"),
        ({"score": "mood"}, "no score is called 'mood'"),
        ({"rule": "topk", "score": "entropy"}, "topk has a score of its own"),
        ({"rule": "topk", "budget": -0.1}, "budget is -0.1"),
    ],
)
def test_settings_out_of_range_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CalibrationError, match=message):
        Settings(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"poll": 7}, "poll interval is 7, an input lasts 6 timesteps; choose 1 to 6"),
        ({"poll": 0}, "poll interval is 0"),
        ({"rule": "fixed", "at": 7}, "fixed is 7, an input lasts 6"),
        ({"rule": "fixed", "at": 0}, "fixed is 0"),
        ({"rule": "retry", "at": 9}, "retry is 9"),
    ],
)
def test_timesteps_that_an_input_does_not_have_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CalibrationError, match=message):
        calibrate(labelled(), settings(**changes))


@pytest.mark.parametrize("rule", ["topk", "spikecp"])
def test_the_published_rules_need_labels(rule: str) -> None:
    with pytest.raises(CalibrationError, match=f"{rule} needs labels"):
        calibrate(evidence(SCORES), settings(rule=rule))


def test_a_network_with_one_output_has_nothing_to_stop_at() -> None:
    with pytest.raises(CalibrationError, match="has one output"):
        calibrate(evidence(some_scores(0, k=1)), settings())


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("n_timesteps", [1, 2])
@pytest.mark.parametrize("rule", rules())
def test_few_classes_and_timesteps(rule: str, n_timesteps: int, n_classes: int) -> None:
    scores = some_scores(0, n=300, n_timesteps=n_timesteps, k=n_classes)
    seen = evidence(scores, answers(scores)[:, -1])

    found = calibrate(seen, settings(rule=rule, at=1))

    most = n_timesteps + found.retry_at  # what starts again takes both streams
    assert 1 <= found.mean_timesteps <= most
    assert found.loss <= found.loss_bound


def test_outputs_that_are_all_equal_stop_at_once_or_never() -> None:
    seen = evidence(np.full((300, 4, 3), 7), np.zeros(300, np.int64))

    risk = calibrate(seen, settings())
    topk = calibrate(seen, settings(rule="topk"))

    assert (risk.betas[0], risk.mean_timesteps) == (-np.inf, 1)  # 0 is always right
    assert topk.mean_timesteps == 4  # no gap is over 0


def test_a_damaged_calibration_is_refused() -> None:
    found = calibrate(labelled(), settings())

    for changes, message in (
        ({"rule": "luck"}, "'luck' with"),
        ({"betas": np.zeros(2)}, r"\(2,\) thresholds for 6"),
        ({"score": "mood"}, "score 'mood'"),
        ({"polled": np.array([9])}, r"polls at \[9\] of 6"),
    ):
        with pytest.raises(CalibrationError, match=message):
            replace(found, **changes)
    assert isinstance(found, Calibration)
