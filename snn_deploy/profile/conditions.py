"""Conditions on what changes between two profiles, as in ``energy>+5%``."""

import re
from dataclasses import dataclass

from snn_deploy.errors import DataError
from snn_deploy.profile.diff import Diff, MetricChange

UNITS = {"accuracy": "", "timesteps": "", "energy": "J", "latency": "s"}
PREFIXES = {
    "": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9, "p": 1e-12
}  # fmt: skip
FORM = re.compile(
    r"\s*(?P<metric>\w+)\s*(?P<sign>[<>])\s*(?P<number>[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)"
    r"\s*(?P<unit>%|[a-zA-Zµ]*)\s*"
)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A change that must not be: beyond an amount, absolute or relative."""

    text: str
    metric: str
    is_above: bool  # more than the amount; else less
    amount: float  # J, s, timesteps, a share of all inputs; or a share of the former
    is_relative: bool

    def holds(self, diff: Diff) -> bool:
        """Return whether the mean has changed so.

        Raises
        ------
        DataError
            If one of the profiles does not know it.
        """
        change = _value(diff.changes[self.metric], self)
        return change > self.amount if self.is_above else change < self.amount


def _value(change: MetricChange, condition: Condition) -> float:
    found = change.ratio if condition.is_relative else change.difference
    if found is not None:
        return found.mean
    why = "labels" if condition.metric == "accuracy" else "all prices of the target"
    if change.difference is not None:
        why = "a mean that is not 0"
    raise DataError(
        f"{condition.text}: how much it changed is unknown; both profiles need {why}"
    )


def parse_condition(text: str) -> Condition:
    """Return the condition that ``text`` states.

    >>> parse_condition("energy>+5%").amount
    0.05
    >>> parse_condition("latency > +20us").is_relative
    False

    Raises
    ------
    DataError
        If it is none.
    """
    form = FORM.fullmatch(text)
    if form is None:
        raise DataError(
            f"{text!r} is not a condition; write a metric, > or <, and a change, as in "
            "'energy>+5%', 'accuracy<-0.01' or 'latency>+20us'"
        )
    metric, number, unit = form["metric"], form["number"], form["unit"]
    if metric not in UNITS:
        raise DataError(
            f"{text!r}: {metric!r} is not a metric; choose from {', '.join(UNITS)}"
        )
    if number[0] not in "+-":
        raise DataError(
            f"{text!r}: {number} has no sign; a change has one: write "
            f"{metric}{form['sign']}+{number}{unit} or {metric}{form['sign']}-{number}"
            f"{unit}"
        )
    return Condition(
        text=text,
        metric=metric,
        is_above=form["sign"] == ">",
        amount=float(number) * _factor(text, metric, unit),
        is_relative=unit == "%" and metric != "accuracy",
    )


def _factor(text: str, metric: str, unit: str) -> float:
    """Return what one of a unit is worth; per cent of accuracy are points."""
    if unit == "%":
        return 0.01
    wanted = UNITS[metric]
    prefix = unit.removesuffix(wanted) if wanted else unit
    if prefix not in PREFIXES or not unit.endswith(wanted) or (prefix and not wanted):
        allowed = f"{wanted}, u{wanted} and the like, or %" if wanted else "none, or %"
        raise DataError(
            f"{text!r}: {unit or 'no unit'} is not a unit of {metric}; "
            f"it takes {allowed}"
        )
    return PREFIXES[prefix]
