"""Accuracy against energy, over every schedule and every fixed number of timesteps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from snn_deploy.profile.intervals import share_interval
from snn_deploy.profile.profile import Profile, Schedule
from snn_deploy.profile.rows import Rows
from snn_deploy.profile.schedules import text_of
from snn_deploy.report.axes import plain_log_ticks
from snn_deploy.report.colors import Colors
from snn_deploy.report.units import Quantity, shared_prefix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from snn_deploy.report.chart import Chart

SERIAL, STREAMED = "one by one", "streamed"
SMALL = 9
FIXED = {
    Schedule.SERIAL: SERIAL,
    Schedule.STREAMED: STREAMED,
    Schedule.SERIAL_FIXED: SERIAL,
    Schedule.STREAMED_FIXED: STREAMED,
    Schedule.SERIAL_ONE: SERIAL,
    Schedule.STREAMED_ONE: STREAMED,
}


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """A way to serve inputs: how many answers are right, for which energy."""

    text: str
    line: str  # of fixed timesteps that it belongs to, or none
    timesteps: float  # mean
    accuracy: float
    energy_j: float
    n_inputs: int  # that the energy is the mean of


def points_of(profile: Profile) -> list[FrontPoint]:
    """Return all ways whose accuracy and energy are known, the cutoff first."""
    if not len(profile.accuracy_at):
        return []
    found = {(p.line, p.text): p for p in _fixed(profile)}
    for schedule, rows in profile.runs.items():
        point = _measured(profile, schedule, rows)
        found[point.line, point.text] = point
    order = sorted(found.values(), key=lambda p: (p.line, p.timesteps))
    return [p for p in order if np.isfinite(p.energy_j)]


def _measured(profile: Profile, schedule: Schedule, rows: Rows) -> FrontPoint:
    return FrontPoint(
        text=text_of(profile, schedule),
        line=FIXED.get(schedule, ""),
        timesteps=float(rows.column("timesteps").mean()),
        accuracy=float(rows.is_right.mean()),
        energy_j=float(rows.energy().mean()),
        n_inputs=len(rows),
    )


def _fixed(profile: Profile) -> Iterator[FrontPoint]:
    costs = profile.at_fixed
    if costs is None:
        return
    for line, energies in ((SERIAL, costs.serial), (STREAMED, costs.streamed)):
        for t, energy in zip(costs.timesteps.tolist(), energies.tolist(), strict=True):
            yield FrontPoint(
                text=f"{t} timestep{'s' * (t != 1)}, {line}",
                line=line,
                timesteps=t,
                accuracy=float(profile.accuracy_at[t - 1]),
                energy_j=energy,
                n_inputs=costs.n_inputs,
            )


def unbeaten(points: Sequence[FrontPoint]) -> list[FrontPoint]:
    """Return the front, cheapest first: no other is as right for less."""
    front: list[FrontPoint] = []
    for point in sorted(points, key=lambda p: (p.energy_j, -p.accuracy)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


def front_data(profile: Profile) -> tuple[Sequence[str], list[Sequence[object]]]:
    """Return the points as a table."""
    points = points_of(profile)
    front = unbeaten(points)
    columns = ("way", "timesteps", "accuracy", "low", "high", "energy", "inputs of "
               "the energy", "on the front")  # fmt: skip
    n = len(profile.rows)
    rows: list[Sequence[object]] = []
    for p in points:
        ends = share_interval(np.array(p.accuracy * n), np.array(n))
        energy = Quantity("", p.energy_j, "J")
        is_best = "yes" if p in front else "no"
        numbers = (p.timesteps, p.accuracy, *map(float, ends), energy)
        rows.append((p.text, *numbers, p.n_inputs, is_best))
    return columns, rows


def draw_points(axes: "Axes | Chart", profile: Profile, colors: Colors) -> None:
    """Draw the front, the fixed timesteps on their two lines, and the other ways."""
    points = points_of(profile)
    unit, unit_name = shared_prefix([min(p.energy_j for p in points)], "J")
    front = unbeaten(points)
    _draw_front(axes, [(p.energy_j / unit, 100 * p.accuracy) for p in front], colors)
    for line, color, marker in ((SERIAL, "full", "o"), (STREAMED, "neurocores", "s")):
        some = [p for p in points if p.line == line]
        x = [p.energy_j / unit for p in some]
        y = [100 * p.accuracy for p in some]
        axes.plot(
            x, y, f"{marker}-", color=colors[color], ms=4, lw=1.2,
            label=f"fixed timesteps, {line}",
        )  # fmt: skip
        _number_ends(axes, some, unit, colors[color], is_left=line == STREAMED)
    others = [p for p in points if not p.line]
    cutoff = text_of(profile, Schedule.CUTOFF) if profile.has_cutoff else ""
    for p in others:
        is_cutoff = p.text == cutoff
        axes.plot(
            [p.energy_j / unit], [100 * p.accuracy], "D" if is_cutoff else "^",
            color=colors["early" if is_cutoff else "ink"], ms=8 if is_cutoff else 6,
            label="the cutoff" if is_cutoff else p.text, zorder=4,
        )  # fmt: skip
    axes.set_xscale("log")
    low, high = (100 * f(p.accuracy for p in points) for f in (min, max))
    room = max(high - low, 1.0)
    axes.set_ylim(max(0.0, low - 0.35 * room), high + 0.35 * room)
    axes.set_yticks([t for t in axes.get_yticks() if low - 0.35 * room <= t <= 100])
    energies = [p.energy_j / unit for p in points]
    axes.set_xlim(min(energies) / 1.25, max(energies) * 1.25)
    plain_log_ticks(axes, *axes.get_xlim())
    axes.set_xlabel(f"mean energy of an input [{unit_name}], central prices")
    axes.set_ylabel("accuracy [%]")


def _draw_front(
    axes: "Axes | Chart", front: list[tuple[float, float]], colors: Colors
) -> None:
    x, y = zip(*front, strict=True)
    right = 1e3 * max(x)  # goes on: more energy buys no more
    axes.step(
        [*x, right], [*y, y[-1]], where="post", color=colors["rule"], lw=7,
        solid_capstyle="butt", label="front: nothing is better for less", zorder=1,
    )  # fmt: skip


def _number_ends(
    axes: "Axes | Chart",
    some: list[FrontPoint],
    unit: float,
    color: str,
    *,
    is_left: bool,
) -> None:
    """Write the timesteps below where a line begins, and above where it ends."""
    for p in dict.fromkeys([*some[:1], *some[-1:]]):
        is_last = p == some[-1]
        axes.annotate(
            f"{p.timesteps:.0f}", (p.energy_j / unit, 100 * p.accuracy),
            (0, 6 if is_last else -7), textcoords="offset points", color=color,
            ha="right" if is_left else "left", va="bottom" if is_last else "top",
            fontsize=SMALL,
        )  # fmt: skip
