"""The ways to serve inputs side by side, and which one wins for which goal."""

from collections.abc import Callable
from typing import Any

from snn_deploy.profile.schedules import GOALS, on_schedules
from snn_deploy.report.markup import Html, element, items, section, table
from snn_deploy.report.units import UNKNOWN, number, percent, with_prefix

Summary = dict[str, Any]


def winners(summary: Summary) -> Html:
    """Return the table of schedules, best cells marked, and what to know of it."""
    columns: list[tuple[str, str, Callable[[Any], str]]] = [
        ("accuracy, measured", "accuracy", percent),
        ("timesteps, measured", "mean_timesteps", number),
        ("on the chip", "mean_chip_timesteps", number),
        ("energy, modelled", "mean_energy_j", lambda v: with_prefix(v, "J")),
        ("latency, modelled", "mean_latency_s", lambda v: with_prefix(v, "s")),
        ("inputs a second, modelled", "throughput_per_s", number),
    ]
    goals = {key: goal for goal, (key, _) in GOALS.items()}
    rows = []
    for name, run in summary["schedules"].items():
        row: list[object] = [run["text"]]
        for _, key, text in columns:
            best = summary["best_schedule"].get(goals.get(key, ""))
            cell = text(run[key])
            row.append(_marked(cell) if best == name and cell != UNKNOWN else cell)
        rows.append(row)
    return section(
        "Which schedule wins",
        table(
            "Means of all inputs, at central prices",
            ["schedule", *(name for name, _, _ in columns)],
            rows,
        ),
        # the first one, the verdict, is in the headline
        items(f"{line[:1].upper()}{line[1:]}." for line in on_schedules(summary)[1:]),
    )


def _marked(cell: str) -> Html:
    return element("strong", f"best: {cell}", class_="best")
