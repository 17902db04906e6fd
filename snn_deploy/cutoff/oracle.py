"""When an answer is right, stays right, or stops changing: measures that look ahead.

None of them is a rule: they need the label, or the outputs of all timesteps.
Accumulated outputs ("scores") are ``(n, n_timesteps, n_classes)``.
"""

import numpy as np

from snn_deploy.arrays import BoolArray, IntArray


def answers(scores: IntArray) -> IntArray:
    """Return the best class at every timestep; of equal ones the first, as argmax."""
    best: IntArray = np.argmax(scores, axis=-1)
    return best


def gaps(scores: IntArray) -> IntArray:
    """Return the largest less the second largest score, ``scores.shape[:-1]``.

    0 for a single output, which leads none.
    """
    if scores.shape[-1] == 1:
        return np.zeros(scores.shape[:-1], np.int64)
    top = np.partition(scores, -2, axis=-1)[..., -2:]
    gap: IntArray = top[..., 1] - top[..., 0]
    return gap


def stays_true(holds: BoolArray) -> BoolArray:
    """Return where something holds now and at every later timestep, ``(n, T)``."""
    return np.logical_and.accumulate(holds[:, ::-1], axis=1)[:, ::-1]


def optimal_cutoff_timesteps(scores: IntArray, labels: IntArray) -> IntArray:
    """Return the OCT: the first timestep from which the answer is right and stays so.

    Inputs that are wrong at the end get the last timestep, as in the code of [1]_; see
    ``documented_cutoff_timesteps`` for its documentation.

    References
    ----------
    .. [1] D. Wu et al., "Optimizing event-driven spiking neural network with
       regularization and cutoff", Front. Neurosci. 19, 2025.
    """
    return _first_true(stays_true(answers(scores) == labels[:, np.newaxis]))


def documented_cutoff_timesteps(scores: IntArray, labels: IntArray) -> IntArray:
    """Return the OCT as documented by its authors, not as their code computes it.

    The first timestep such that the answer is right at every *later* one: one less than
    the code's where the last answer is right, and never less than 1.
    """
    is_right = answers(scores) == labels[:, np.newaxis]
    later = np.ones_like(is_right)
    later[:, :-1] = stays_true(is_right)[:, 1:]
    return _first_true(later)


def first_correct_timesteps(scores: IntArray, labels: IntArray) -> IntArray:
    """Return the first timestep with the right answer, the last one if none has it."""
    return _first_true(answers(scores) == labels[:, np.newaxis])


def agreement_timesteps(scores: IntArray) -> IntArray:
    """Return the first timestep from which the answer is the final one; no labels."""
    found = answers(scores)
    return _first_true(stays_true(found == found[:, -1:]))


def _first_true(holds: BoolArray) -> IntArray:
    last = holds.shape[1]
    first: IntArray = np.where(holds.any(axis=1), holds.argmax(axis=1) + 1, last)
    return first
