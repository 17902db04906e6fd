"""schedules: the learning rate ends at nothing."""

import pytest

from snn_deploy.training.recipes import Schedule, Training
from snn_deploy.training.schedules import learning_rate, share_of_rate


@pytest.mark.parametrize(
    ("schedule", "progress", "share"),
    [
        (Schedule.COSINE, 0.0, 1.0),
        (Schedule.COSINE, 0.5, 0.5),
        (Schedule.COSINE, 1.0, 0.0),
        (Schedule.ONE_CYCLE, 0.0, 0.05),
        (Schedule.ONE_CYCLE, 0.1, 0.525),
        (Schedule.ONE_CYCLE, 0.2, 1.0),
        (Schedule.ONE_CYCLE, 0.6, 0.5),
        (Schedule.ONE_CYCLE, 1.0, 0.0),
    ],
)
def test_share_is_that_of_the_curve(
    schedule: Schedule, progress: float, share: float
) -> None:
    assert share_of_rate(schedule, progress) == pytest.approx(share, abs=1e-12)


def test_the_rate_is_the_largest_times_the_share() -> None:
    training = Training(
        epochs=4,
        batch_size=1,
        learning_rate=2.0,
        weight_decay=0.0,
        schedule=Schedule.COSINE,
    )

    rates = [learning_rate(training, epoch) for epoch in (0, 2, 4)]

    assert rates == pytest.approx([2.0, 1.0, 0.0])
