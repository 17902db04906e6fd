"""The rivals of the cutoff: ways to serve that answer as well, and the best of them."""

from typing import Any

import numpy as np

from snn_deploy.ir.heads import HeadKind
from snn_deploy.profile.profile import Profile, Schedule
from snn_deploy.profile.rows import Rows

# goal: the mean that is compared, its name, and whether more of it is better
GOALS = {
    "energy": ("mean_energy_j", False),
    "latency": ("mean_latency_s", False),
    "throughput": ("throughput_per_s", True),
    "chip timesteps": ("mean_chip_timesteps", False),
}
ONE_PASS = (Schedule.ONE_PASS, Schedule.STREAMED_ONE_PASS)
# these may answer worse than the cutoff; the others are chosen so that they do not
DOUBTFUL = (Schedule.SERIAL_ONE, Schedule.STREAMED_ONE, *ONE_PASS)
AS_MUCH = 0.005  # less than half a percent is told as nothing


def fair(profile: Profile) -> list[Schedule]:
    """Return the schedules that answer as well as the cutoff, on these inputs.

    With labels as many are right; without, as many are the answer at all timesteps.
    Values are as good if their squared error is no larger, which must be known.
    """
    wanted = _goodness(profile, profile.rows)
    return [
        schedule
        for schedule, rows in profile.runs.items()
        if schedule is not Schedule.CUTOFF
        and (schedule not in DOUBTFUL or _goodness(profile, rows) >= wanted)
    ]


def _goodness(profile: Profile, rows: Rows) -> float:
    """Return a number that is larger for better answers; NaN: unknown."""
    if profile.artifact.network.graph.head.kind is HeadKind.VALUES or (rows.has_errors):
        return -float(rows.column("squared_error").mean())
    if rows.has_labels:
        return int(np.count_nonzero(rows.is_right))
    last = profile.fixed_rows.column("prediction")
    return int(np.count_nonzero(rows.column("prediction") == last))


def best_rivals(
    profile: Profile, runs: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return for each goal the best rival, and how the cutoff compares with it.

    Goals whose means are unknown are left out; so are all without a cutoff.
    """
    if not profile.has_cutoff:
        return {}
    found: dict[str, dict[str, Any]] = {}
    early = runs[Schedule.CUTOFF.value]
    names = [schedule.value for schedule in fair(profile)]
    for goal, (key, more_is_better) in GOALS.items():
        values = {name: runs[name][key] for name in names}
        if early[key] is None or None in values.values():
            continue
        pick = max if more_is_better else min
        name = pick(values, key=lambda name: values[name])
        change = early[key] / values[name] - 1
        found[goal] = {
            "schedule": name,
            "text": runs[name]["text"],
            "value": values[name],
            "cutoff": early[key],
            "change": change,
            "cutoff_wins": (change if more_is_better else -change) > 0,
        }
    return found


def in_words(rivals: dict[str, dict[str, Any]]) -> str:
    """Return in a sentence how the cutoff compares with the best rival of each goal."""
    if not rivals:
        return ""
    parts = [
        f"{goal} {_change(found['change'])} ({found['text']})"
        for goal, found in rivals.items()
    ]
    won = [goal for goal, found in rivals.items() if found["cutoff_wins"]]
    pays = "it pays for nothing here"
    if won:
        only = "" if len(won) == len(rivals) else " only"
        pays = f"it pays for {' and '.join(won)}{only}"
    return (
        f"the cutoff against the best rival that loses no more: {', '.join(parts)}; "
        f"{pays}"
    )


def warning(rivals: dict[str, dict[str, Any]]) -> str:
    """Return the same sentence if a rival wins anything, else nothing."""
    has_lost = any(
        not found["cutoff_wins"] and abs(found["change"]) >= AS_MUCH
        for found in rivals.values()
    )
    return in_words(rivals) if has_lost else ""


def _change(change: float) -> str:
    return "as much" if abs(change) < AS_MUCH else f"{change:+.0%}"


def one_pass_compared(
    profile: Profile, runs: dict[str, dict[str, Any]]
) -> dict[str, Any] | None:
    """Return the conventional network in one pass beside the best spiking schedule.

    ``None`` if it was not measured; then nothing is claimed.
    """
    if Schedule.ONE_PASS not in profile.runs:
        return None
    passes = [runs[schedule.value] for schedule in ONE_PASS]
    spiking = [
        run for name, run in runs.items() if name not in {s.value for s in ONE_PASS}
    ]
    found: dict[str, Any] = {"accuracy": passes[0]["accuracy"]}
    for key in ("mean_squared_error", "mean_packets", "mean_synaptic_operations"):
        found[key] = passes[1][key]
    for goal, (key, more_is_better) in GOALS.items():
        pick = max if more_is_better else min
        here, there = ([run[key] for run in some] for some in (passes, spiking))
        if None in (*here, *there):
            found[goal.replace(" ", "_")] = None
            continue
        found[goal.replace(" ", "_")] = {
            "one_pass": pick(here),
            "spiking": pick(there),
            "spiking_over_one_pass": pick(there) / pick(here),
        }
    return found


def conventional_wins(profile: Profile, one_pass: dict[str, Any] | None) -> bool:
    """Return whether one pass answers as well, for less energy than any schedule."""
    if one_pass is None or one_pass["energy"] is None:
        return False
    is_fair = Schedule.ONE_PASS in fair(profile)
    return is_fair and one_pass["energy"]["spiking_over_one_pass"] > 1


def one_pass_in_words(summary: dict[str, Any]) -> str:
    """Return in a sentence what the conventional network takes on the same chip."""
    found = summary["one_pass"]
    if found is None:
        return ""
    accuracy, error = found["accuracy"], found["mean_squared_error"]
    accuracy = "" if accuracy is None else f"{accuracy:.1%} right, "
    if error is not None:
        accuracy = f"a mean squared error of {error:.4g}, "
    if found["energy"] is None:
        return f"in one pass of graded spikes: {accuracy}energy unknown"
    ratio = found["energy"]["spiking_over_one_pass"]
    text = (
        f"in one pass of graded spikes the same weights give {accuracy}for "
        f"{1 / ratio:.2f} times the energy of the cheapest spiking schedule"
    )
    if not summary["conventional_wins"]:
        return text
    return f"{text}: the conventional network wins here"
