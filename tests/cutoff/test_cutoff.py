"""cutoff: each rule stops where a plain reading of it does."""

from collections.abc import Callable

import numpy as np
import pytest

from snn_deploy.arrays import BoolArray, IntArray
from snn_deploy.cutoff.decision import Cutoff, GapCutoff, looks_of, never, over, polled
from snn_deploy.cutoff.oracle import gaps
from snn_deploy.cutoff.rules.certain import certain
from snn_deploy.cutoff.rules.fixed import fixed
from snn_deploy.cutoff.rules.risk import risk
from snn_deploy.cutoff.rules.spikecp import spikecp
from snn_deploy.cutoff.rules.topk import topk
from snn_deploy.cutoff.scores import certainties, confidences
from snn_deploy.cutoff.thresholds import stops
from tests.cutoff.example import some_scores


def test_a_gap_equal_to_the_threshold_does_not_stop() -> None:
    scores = np.array([[5, 3, 0], [6, 3, 0]])

    np.testing.assert_array_equal(risk(2)(scores, 1), [False, True])
    np.testing.assert_array_equal(gaps(scores), [2, 3])


def test_fixed_and_never() -> None:
    scores = some_scores(0)

    assert set(stops(scores, fixed(3))) == {3}
    assert set(stops(scores, never)) == {6}


def by_hand(scores: IntArray, is_settled: Callable[[IntArray, int], bool]) -> list[int]:
    """Return the stops, one input and one timestep after the other."""
    last = scores.shape[1]
    return [
        next((t for t in range(1, last) if is_settled(row[t - 1], t)), last)
        for row in scores
    ]


def test_confidence_is_the_largest_softmax() -> None:
    scores = some_scores(1)
    betas = np.full(6, 0.6)

    found = stops(scores, over(confidences(0.5), betas))

    def is_settled(row: IntArray, _: int) -> bool:
        e = np.exp(0.5 * row)
        return bool(e.max() / e.sum() > 0.6)

    assert found.tolist() == by_hand(scores, is_settled)


def test_entropy_is_that_of_the_softmax_over_its_largest() -> None:
    scores = some_scores(2)
    betas = np.full(6, 0.3)

    found = stops(scores, over(certainties(0.5), betas))

    def is_settled(row: IntArray, _: int) -> bool:
        p = np.exp(0.5 * row) / np.exp(0.5 * row).sum()
        return bool(1 + (p * np.log(p)).sum() / np.log(4) > 0.3)

    assert found.tolist() == by_hand(scores, is_settled)


@pytest.mark.parametrize("size", [1, 2])
def test_spikecp_stops_once_few_classes_are_left(size: int) -> None:
    scores = some_scores(3)
    losses = np.array([np.inf, 1.0, 1.2, np.inf, 0.9, 1.0])

    found = stops(scores, spikecp(losses, 1.0, largest_set=size))

    def is_settled(row: IntArray, t: int) -> bool:
        p = np.exp(row) / np.exp(row).sum()
        return bool((-np.log(p) <= losses[t - 1]).sum() <= size)

    assert found.tolist() == by_hand(scores, is_settled)


def test_certain_of_counts_is_a_threshold_that_falls() -> None:
    rule = certain(np.ones((4, 4)), np.zeros(4), 6)

    assert isinstance(rule, GapCutoff)
    assert rule.betas(6).tolist() == [5, 4, 3, 2, 1, 0]


def test_certain_of_single_gains_compares_every_pair() -> None:
    scores = some_scores(4)
    gains = np.array([[0, 1, 3, 2], [1, 0, 1, 1], [2, 2, 0, 1], [3, 1, 1, 0]]) * 0.5

    found = stops(scores, certain(gains, np.full(4, 2.0), 6))

    def is_settled(row: IntArray, t: int) -> bool:
        top = int(row.argmax())
        return all(
            row[top] - row[k] > (6 - t) * gains[k, top] for k in range(4) if k != top
        )

    assert found.tolist() == by_hand(scores, is_settled)


def odd(scores: IntArray, timestep: int) -> BoolArray:
    is_odd: BoolArray = scores[:, 0] % 2 == 1
    return is_odd


@pytest.mark.parametrize("rule", [risk(0), odd], ids=["gap", "own"])
def test_a_polled_rule_stops_at_polled_timesteps_only(rule: Cutoff) -> None:
    scores = some_scores(5)

    found = stops(scores, polled(rule, np.array([2, 4])))

    def is_settled(row: IntArray, t: int) -> bool:
        return t in (2, 4) and bool(rule(row[np.newaxis], t)[0])

    assert found.tolist() == by_hand(scores, is_settled)
    assert isinstance(polled(rule, np.array([2])), GapCutoff) == (rule is not odd)


@pytest.mark.parametrize("n_classes", [1, 2, 3])
def test_few_classes(n_classes: int) -> None:
    scores = some_scores(6, k=n_classes)

    found = stops(scores, topk(np.full(6, 1.0)))

    assert found.min() >= 1
    if n_classes == 1:
        assert set(found) == {6}  # it leads none


def test_a_single_timestep_is_the_last() -> None:
    scores = some_scores(7, n_timesteps=1)

    assert set(stops(scores, risk(np.inf))) == {1}


def test_a_rule_looks_where_it_may_stop_and_at_the_end() -> None:
    def own(scores: IntArray, timestep: int) -> BoolArray:
        return np.ones(len(scores), np.bool_)

    every_third = np.array([3, 6])
    cases: dict[str, tuple[Cutoff, list[int]]] = {
        "never": (never, [7]),
        "fixed": (fixed(5), [5, 6, 7]),
        "risk": (risk(2), [1, 2, 3, 4, 5, 6, 7]),
        "polled": (polled(risk(2), every_third), [3, 6, 7]),
        "own": (own, [1, 2, 3, 4, 5, 6, 7]),
        "own, polled": (polled(own, every_third), [3, 6, 7]),
    }

    for name, (cutoff, expected) in cases.items():
        assert looks_of(cutoff, 7).tolist() == expected, name
