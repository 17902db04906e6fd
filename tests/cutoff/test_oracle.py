"""oracle: measures that look ahead, on the example worked out by hand."""

import numpy as np

from snn_deploy.cutoff.oracle import (
    agreement_timesteps,
    answers,
    documented_cutoff_timesteps,
    first_correct_timesteps,
    gaps,
    optimal_cutoff_timesteps,
)
from snn_deploy.cutoff.thresholds import loss_of_stopping
from tests.cutoff.example import LABELS, SCORES


def test_measures_that_look_ahead() -> None:
    oct_ = optimal_cutoff_timesteps(SCORES, LABELS)

    np.testing.assert_array_equal(oct_, [1, 3, 2, 1, 2, 4])
    assert oct_.mean() == 13 / 6
    np.testing.assert_array_equal(
        first_correct_timesteps(SCORES, LABELS), [1, 1, 2, 1, 2, 1]
    )
    np.testing.assert_array_equal(agreement_timesteps(SCORES), [1, 3, 2, 1, 2, 3])


def test_the_documentation_of_the_oct_asks_for_the_later_timesteps_only() -> None:
    documented = documented_cutoff_timesteps(SCORES, LABELS)

    np.testing.assert_array_equal(documented, [1, 2, 1, 1, 1, 4])


def test_stopping_at_the_oct_is_as_accurate_as_the_end() -> None:
    timesteps = optimal_cutoff_timesteps(SCORES, LABELS)

    assert loss_of_stopping(SCORES, LABELS, timesteps) == 0


def test_equal_scores_answer_the_first_class_with_no_gap() -> None:
    scores = np.array([[4, 7, 7]])

    assert answers(scores).tolist() == [1]
    assert gaps(scores).tolist() == [0]


def test_one_class_leads_none() -> None:
    assert gaps(np.array([[[5], [6]]])).tolist() == [[0, 0]]
