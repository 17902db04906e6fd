"""schedules: the learning rate ends at nothing."""

import pytest

from snn_deploy.training.recipes import Schedule
from snn_deploy.training.schedules import share_of_rate


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
