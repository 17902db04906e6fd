"""What an input costs in joules: four parts, each from counts, prices and time."""

import math
from dataclasses import dataclass

from snn_deploy.latency import Schedule, latency
from snn_deploy.results import Activity
from snn_deploy.target import EVENTS, Target

PARTS = ("dynamic", "static", "reset", "host")


@dataclass(frozen=True, kw_only=True)
class Price:
    """Energy and latency of one input, at the central or the high prices.

    A part is ``None`` if a price that it needs is unknown.
    """

    dynamic_j: float | None  # events on the chip
    static_j: float | None  # leakage, for as long as the input takes
    reset_j: float | None  # clearing the chip between inputs
    host_j: float | None  # the processor that feeds and polls the chip
    latency_s: float | None


def price(
    activity: Activity, target: Target, schedule: Schedule, *, high: bool
) -> Price:
    """Return what one input cost on ``target``.

    Parameters
    ----------
    activity : Activity
        Everything that the chip did for it, to the last timestep executed.
    target : Target
    schedule : Schedule
    high : bool
        The upper end of the band in place of the central prices.
    """
    wall_s = latency(activity, target, schedule, high=high)
    static_w = _power(target, "static", high=high)
    host_w = _power(target, "host", high=high)
    reset = target.cost("reset")
    reset_j = reset.energy_high_j if high else reset.energy_j
    chips = schedule.n_chips
    return Price(
        dynamic_j=_dynamic(activity, target, high=high),
        static_j=_product(static_w, wall_s, chips),
        reset_j=_product(reset_j, chips),
        host_j=_product(host_w, wall_s),
        latency_s=wall_s,
    )


def _dynamic(activity: Activity, target: Target, *, high: bool) -> float | None:
    counts = {event: activity.total(event) for event in EVENTS}
    counts["packet"] += activity.total("injection")  # inputs travel as packets too
    total = 0.0
    for event, count in counts.items():
        cost = target.cost(event)
        energy = cost.energy_high_j if high else cost.energy_j
        if energy is None and count:
            return None
        total += count * (energy or 0.0)
    return total


def _product(*factors: float | None) -> float | None:
    """Return the product, or ``None`` if a factor is unknown."""
    known = [factor for factor in factors if factor is not None]
    return math.prod(known) if len(known) == len(factors) else None


def _power(target: Target, name: str, *, high: bool) -> float | None:
    cost = target.cost(name)
    return cost.power_high_w if high else cost.power_w


def unknown_energies(target: Target) -> list[str]:
    """Return what costs energy that nobody has published."""
    events = [name for name in EVENTS if target.cost(name).energy_j is None]
    others = [name for name in ("static", "host") if target.cost(name).power_w is None]
    reset = ["reset"] if target.cost("reset").energy_j is None else []
    return events + others + reset
