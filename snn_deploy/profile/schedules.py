"""Which way to serve inputs wins: for latency, for throughput, for energy."""

from typing import Any

import numpy as np

from snn_deploy.backends.results import limited_in_words
from snn_deploy.chip.events import COLUMNS as COUNTED
from snn_deploy.chip.target import BAND, end_name
from snn_deploy.costs.energy import PARTS
from snn_deploy.costs.prices import MONITORS, prices_for
from snn_deploy.cutoff.evidence import by_chance
from snn_deploy.profile.profile import Profile, Schedule
from snn_deploy.profile.rivals import in_words, one_pass_in_words
from snn_deploy.profile.rows import ERRORS, Rows

# goal: what is compared, and whether more is better
GOALS = {
    "latency": ("mean_latency_s", False),
    "throughput": ("throughput_per_s", True),
    "energy": ("mean_energy_j", False),
}
# the sum up to each boundary, as it is called in files
SUMS = {"chip": "energy_to_chip", "board": "energy", "host": "energy_to_host"}
COUNTS = ("timesteps", "chip_timesteps", *COUNTED, "run_on_synaptic_operations")
RUN_ON = "run_on"  # a part of the events' energy: layers after their last timestep
# at the other end of the prices of what takes time
THROUGHPUTS = {"low": "throughput_high_per_s", "central": "throughput_per_s",
               "high": "throughput_low_per_s"}  # fmt: skip


def means(rows: Rows) -> dict[str, Any]:
    """Return the means of one schedule; ``None`` is unknown."""
    found: dict[str, Any] = {
        f"mean_{name}": float(rows.column(name).mean()) for name in COUNTS
    }
    for end in BAND:
        latency = end_name("latency_s", end)
        found[f"mean_{latency}"] = known(rows.column(latency).mean())
        for boundary, name in SUMS.items():
            mean = known(rows.energy(end, boundary).mean())
            found[end_name(f"mean_{name}_j", end)] = mean
        for part in (*PARTS, RUN_ON):
            mean = known(rows.part(part, end).mean())
            found[end_name(f"mean_energy_{part}_j", end)] = mean
        period = known(rows.column(end_name("period_s", end)).mean())
        found[THROUGHPUTS[end]] = 1 / period if period else None
    found["accuracy"] = float(rows.is_right.mean()) if rows.has_labels else None
    for name in ERRORS:
        found[f"mean_{name}"] = known(rows.column(name).mean())
    found["stopped_early"] = float(rows.column("stopped_early").mean())
    return found


def means_of(profile: Profile, schedule: Schedule) -> dict[str, Any]:
    """Return the means of a schedule, and what its sums are without."""
    return {**means(profile.runs[schedule]), "without": without(profile, schedule)}


def without(profile: Profile, schedule: Schedule) -> dict[str, list[str]]:
    """Return which costs nobody knows, and so are in no energy, latency, throughput."""
    names = {"links": "chip_crossing", "injection": "injection"}
    found: dict[str, list[str]] = {
        kind: [name for name, event in names.items()
               if f"{kind} of {event}" in profile.unknown]
        for kind in ("energy", "time")
    }  # fmt: skip
    is_serial = schedule in (Schedule.SERIAL, Schedule.SERIAL_FIXED)
    is_serial |= schedule is Schedule.CUTOFF and not profile.is_retry
    clearing = ["clearing"] * (is_serial and "time of reset" in profile.unknown)
    return {
        "energy": [*found["energy"], *(f"time of {name}" for name in clearing)],
        "latency": found["time"],
        "throughput": [*found["time"], *clearing],
    }


def without_in_words(means: dict[str, Any], kind: str) -> list[str]:
    """Return what an energy, latency or throughput is without, if anything."""
    names = means["without"][kind]
    return [f"without {', '.join(names)}"] if names else []


def known(value: float) -> float | None:
    """Return a number, or ``None`` for one that is none."""
    return None if np.isnan(value) else float(value)


def schedules(profile: Profile) -> dict[str, dict[str, Any]]:
    """Return for each schedule its name in words and its means."""
    return {
        schedule.value: {
            "text": text_of(profile, schedule),
            **means_of(profile, schedule),
        }
        for schedule in profile.runs
    }


def text_of(profile: Profile, schedule: Schedule) -> str:
    """Return a schedule in words."""
    n, fewest = (
        profile.artifact.network.graph.training.timesteps,
        profile.fixed_timesteps,
    )
    few, first = _timesteps(fewest), _timesteps(profile.retry_at)
    cutoff = f"{first}, the undecided again for {n}, streamed"
    return {
        Schedule.CUTOFF: cutoff if profile.is_retry else "with cutoff, one by one",
        Schedule.SERIAL: f"{_timesteps(n)}, one by one",
        Schedule.STREAMED: f"{_timesteps(n)}, streamed",
        Schedule.SERIAL_FIXED: f"{few}, one by one",
        Schedule.STREAMED_FIXED: f"{few}, streamed",
        Schedule.SERIAL_ONE: "1 timestep, one by one",
        Schedule.STREAMED_ONE: "1 timestep, streamed",
        Schedule.ONE_PASS: "one pass, one by one",
        Schedule.STREAMED_ONE_PASS: "one pass, streamed",
    }[schedule]


def _timesteps(n: int) -> str:
    return "1 timestep" if n == 1 else f"{n} timesteps"


def winners(found: dict[str, dict[str, Any]]) -> dict[str, str | None]:
    """Return for each goal the schedule that is best at central prices.

    ``None`` where the cost is unknown. Of equal ones the first.
    """
    best: dict[str, str | None] = {}
    for goal, (key, more_is_better) in GOALS.items():
        values = {name: run[key] for name, run in found.items()}
        if None in values.values():
            best[goal] = None
            continue
        pick = max if more_is_better else min
        best[goal] = pick(values, key=lambda name: values[name])
    return best


def other_monitor(profile: Profile) -> dict[str, Any]:
    """Return what the other monitor would make of the schedules served one by one.

    Polls add their time, and with it static energy and the host's, and nothing else;
    unknown where it also injects at another price.
    """
    network = profile.artifact.network
    other = MONITORS[1 - MONITORS.index(profile.monitor)]
    here, there = (prices_for(network, name) for name in (profile.monitor, other))
    found: dict[str, Any] = {"monitor": other}
    one_by_one = [Schedule.SERIAL]
    if profile.has_cutoff and not profile.is_retry:
        one_by_one.insert(0, Schedule.CUTOFF)
    for schedule in one_by_one:
        rows = profile.runs[schedule]
        polls = 1.0
        if schedule is Schedule.CUTOFF:
            polls = float(profile.n_polls(rows.column("timesteps")).mean())
        more_s = polls * (there.poll - here.poll)
        if not np.array_equal(here.injecting, there.injecting, equal_nan=True):
            more_s = np.full(len(BAND), np.nan)
        more_j = more_s * here.power
        costs = {}
        for i, end in enumerate(BAND):
            latency = rows.column(end_name("latency_s", end)).mean() + more_s[i]
            energy = rows.energy(end).mean() + more_j[i]
            costs[end_name("mean_latency_s", end)] = known(latency)
            costs[end_name("mean_energy_j", end)] = known(energy)
        found[schedule.value] = costs
    return found


def remarks(summary: dict[str, Any]) -> list[str]:
    """Return in sentences which schedule wins, and what to know before quoting it."""
    lines = [*failures(summary), *limits(summary), *on_schedules(summary)]
    if summary["drift"] is not None:
        lines.append(f"drift: {summary['drift']['text']}")
    energies = (
        run["mean_energy_neurocores_j"] for run in summary["schedules"].values()
    )
    if summary["energy_note"] and any(energy is not None for energy in energies):
        lines.append(f"energy and latency are modelled; {summary['energy_note']}")
    if summary["prices"]:
        lines.append(f"prices of events are those of {summary['prices']}")
    if summary["unknown"]:
        lines.append(f"unknown, and left out: {', '.join(summary['unknown'])}")
    return lines


def labels_doubted(profile: Profile) -> list[str]:
    """Return in a sentence that the labels may be those of others, if it seems so."""
    if not len(profile.accuracy_at):
        return []
    n_classes = profile.artifact.network.graph.head.n_outputs
    return by_chance(float(profile.accuracy_at[-1]), len(profile.rows), n_classes)


def failures(summary: dict[str, Any]) -> list[str]:
    """Return in a sentence how many inputs failed, if any has."""
    n, n_in_all = summary["n_failed"], summary["n_failed"] + summary["n_inputs"]
    if not n:
        return []
    are = "is" if n == 1 else "are"
    return [
        f"{n:,} of {n_in_all:,} inputs failed twice and {are} in no number here; "
        "inputs.parquet says why, and the same command tries again"
    ]


def limits(summary: dict[str, Any]) -> list[str]:
    """Return in a sentence how often the chip's registers were too small, if ever."""
    found = summary["limits"]
    if not found["n_inputs"]:
        return []
    words = limited_in_words(found["saturations"], found["wraps"])
    layers = ", ".join(found["layers"])
    return [
        f"{words} in {found['n_inputs']:,} of {summary['n_inputs']:,} inputs at all "
        f"timesteps, where the chip's registers end ({layers} can); the trained "
        "network has no such limit, snn-deploy verify says what it changes"
    ]


def chip_decides(summary: dict[str, Any]) -> bool:
    """Return whether answers at all timesteps are those of the stop, by design."""
    cutoff = summary["cutoff"]
    return cutoff is not None and cutoff["found_by"] is not None


def on_schedules(summary: dict[str, Any]) -> list[str]:
    """Return in sentences which schedule wins, the verdict first."""
    if chip_decides(summary):
        return [
            "the chip decides, so that later timesteps change no answer: what the stop "
            "loses, and its best rival, tells the profile of the network it was made of"
        ]
    lines = [
        verdict(summary),
        in_words(summary["best_rivals"]),
        one_pass_in_words(summary),
        fair_comparison(summary),
        *_monitors(summary),
    ]
    return [line for line in lines if line]


def verdict(summary: dict[str, Any]) -> str:
    """Return which schedule is best for which goal."""
    runs, best = summary["schedules"], summary["best_schedule"]
    goals: dict[str, list[str]] = {}
    if not any(best.values()):
        return "best schedule: unknown, without prices"
    for goal, name in best.items():
        text = "unknown" if name is None else runs[name]["text"]
        goals.setdefault(text, []).append(goal)
    return "best for " + "; for ".join(
        f"{' and '.join(names)}: {text}" for text, names in goals.items()
    )


def fair_comparison(summary: dict[str, Any]) -> str:
    """Return how the cutoff compares with fewer timesteps for all inputs."""
    if summary["with_cutoff"] is None:
        return ""
    n = summary["fixed_timesteps"]
    if n == summary["timesteps"]:
        return f"fewer than {n} timesteps for all inputs lose more than the cutoff"
    where = "the calibration" if summary["fixed_is_calibrated"] else "these"
    return (
        f"{n} of {summary['timesteps']} timesteps for all inputs lose no more than the "
        f"cutoff on {where} inputs, on which they were chosen"
    )


def _monitors(summary: dict[str, Any]) -> list[str]:
    other, early = summary["other_monitor"], summary["with_cutoff"]
    key = "mean_energy_j"
    if early is None or "cutoff" not in other or other["cutoff"][key] is None:
        return []
    here, there = (
        "pays" if early[key] < summary["all_timesteps"][key] else "does not pay",
        "pays" if other["cutoff"][key] < other["serial"][key] else "does not pay",
    )
    return [
        f"polled by the {summary['monitor']} processor the cutoff {here} in energy, "
        f"one by one; polled by the {other['monitor']} one it {there}"
    ]
