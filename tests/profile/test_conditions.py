"""conditions: what a change must not be, and every way to write that wrongly."""

import pytest

from snn_deploy.errors import DataError
from snn_deploy.profile.conditions import parse_condition
from snn_deploy.profile.diff import Diff, MetricChange
from snn_deploy.profile.intervals import Interval


def diff(metric: str, before: float, after: float | None) -> Diff:
    """Return a change of one metric."""
    found, share = None, None
    if after is not None:
        found = Interval(mean=after - before, low=None, high=None)
        if before and metric != "accuracy":
            share = Interval(mean=after / before - 1, low=None, high=None)
    change = MetricChange(before=before, after=after, difference=found, ratio=share)
    return Diff(
        n_before=1, n_after=1, is_paired=True, note="", changes={metric: change}
    )


@pytest.mark.parametrize(
    ("text", "before", "after", "fails"),
    [
        ("energy>+5%", 100e-6, 106e-6, True),
        ("energy>+5%", 100e-6, 104e-6, False),
        ("energy > +5 %", 100e-6, 106e-6, True),
        ("energy>-10%", 100e-6, 91e-6, True),  # it was to fall by 10 %
        ("energy>-10%", 100e-6, 89e-6, False),
        ("energy>+5uJ", 100e-6, 106e-6, True),
        ("energy>+5µJ", 100e-6, 104e-6, False),
        ("energy>+1e-3mJ", 100e-6, 102e-6, True),
        ("latency>+0.0001s", 1e-3, 1.2e-3, True),
        ("latency<-20us", 1e-3, 0.97e-3, True),
        ("timesteps>+0.5", 2.0, 2.6, True),
        ("timesteps>+.5", 2.0, 2.4, False),
        ("timesteps>+10%", 2.0, 2.3, True),
        ("accuracy<-0.01", 0.98, 0.965, True),
        ("accuracy<-0.01", 0.98, 0.975, False),
        ("accuracy<-1%", 0.5, 0.493, False),  # points: 0.7, though 1.4 % of 0.5
        ("accuracy<-1%", 0.5, 0.489, True),
    ],
)
def test_a_mean_that_changes_so_fails(
    text: str, before: float, after: float, fails: bool
) -> None:
    condition = parse_condition(text)

    assert condition.holds(diff(condition.metric, before, after)) is fails


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a condition"),
        ("energy", "is not a condition"),
        ("energy=5%", "is not a condition"),
        ("energy>", "is not a condition"),
        ("energy>+five%", "is not a condition"),
        ("energy>+5%%", "is not a condition"),
        ("energy>+5% or worse", "is not a condition"),
        ("power>+5%", "'power' is not a metric; choose from accuracy, timesteps"),
        ("energy>5%", r"5 has no sign; a change has one: write energy>\+5% or"),
        (
            "energy>+5",
            "no unit is not a unit of energy; it takes J, uJ and the like, or",
        ),
        ("energy>+5us", "us is not a unit of energy"),
        ("energy>+5xJ", "xJ is not a unit of energy"),
        ("latency>+5uJ", "uJ is not a unit of latency"),
        ("timesteps>+1u", "u is not a unit of timesteps; it takes none, or %"),
        ("accuracy<-1points", "points is not a unit of accuracy"),
    ],
)
def test_what_is_no_condition_is_refused(text: str, why: str) -> None:
    with pytest.raises(DataError, match=why):
        parse_condition(text)


@pytest.mark.parametrize(
    ("text", "before", "after", "why"),
    [
        ("accuracy<-0.01", 0.9, None, "both profiles need labels"),
        ("energy>+5%", 1e-6, None, "both profiles need all prices of the target"),
        ("timesteps>+5%", 0.0, 1.0, "both profiles need a mean that is not 0"),
    ],
)
def test_an_unknown_change_is_not_judged(
    text: str, before: float, after: float | None, why: str
) -> None:
    condition = parse_condition(text)

    with pytest.raises(DataError, match=why):
        condition.holds(diff(condition.metric, before, after))
