"""The learning rate over the epochs."""

import math

from snn_deploy.training.recipes import Schedule, Training

_RISE = 0.2  # share of the time that one cycle rises
_START = 0.05  # share of the largest rate that it starts with


def learning_rate(training: Training, epoch: float) -> float:
    """Return the rate when ``epoch`` epochs, a part of one included, are done."""
    share = share_of_rate(training.schedule, epoch / training.epochs)
    return training.learning_rate * share


def share_of_rate(schedule: Schedule, progress: float) -> float:
    """Return the share of the largest rate when ``progress``, 0 to 1, is done."""
    match schedule:
        case Schedule.COSINE:
            return 0.5 * (1 + math.cos(math.pi * progress))
        case Schedule.ONE_CYCLE:
            if progress < _RISE:
                return _START + (1 - _START) * progress / _RISE
            return (1 - progress) / (1 - _RISE)
