"""What a profile says in three sentences, and in five numbers with their rivals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from snn_deploy.chip.target import end_name
from snn_deploy.costs.energy import TOTAL, parts_within
from snn_deploy.profile.intervals import paired_interval, share_interval
from snn_deploy.profile.profile import Profile
from snn_deploy.profile.schedules import (
    THROUGHPUTS,
    chip_decides,
    failures,
    limits,
    on_schedules,
    without_in_words,
)
from snn_deploy.report.markup import Html, element, folded, items
from snn_deploy.report.units import Quantity, number, percent, with_prefix

Summary = dict[str, Any]


def headline(profile: Profile, summary: Summary) -> Html:
    """Return the head of the page: what ran, what it takes, and who does better."""
    best = on_schedules(summary)[0]
    notes = (*rule(profile, summary), *loss(profile, summary), *warnings(summary))
    return element(
        "header",
        element("p", "snn-deploy profile", class_="kind"),
        element("h1", summary["network"]),
        element("p", what_ran(profile, summary), class_="ran"),
        *(element("p", line, class_="lead") for line in saving(summary)),
        element("p", f"{best[:1].upper()}{best[1:]}.", class_="lead best"),
        _tiles(profile, summary),
        *(element("p", line, class_="alarm") for line in alarms(summary)),
        folded("The rule, its promise, and what stopping changed", items(notes)),
    )


def what_ran(profile: Profile, summary: Summary) -> str:
    """Return the network's place: chip, machine, inputs."""
    n = summary["n_inputs"]
    return (
        f"on {summary['target']} ({profile.artifact.network.target.description}), "
        f"backend {summary['backend']}, {_plural(n, 'input')}, "
        f"polled by the {_monitor(summary)}"
    )


def saving(summary: Summary) -> list[str]:
    """Return in two sentences what an input takes, with the cutoff and without."""
    fixed, early = summary["all_timesteps"], summary["with_cutoff"]
    n_timesteps = summary["timesteps"]
    energy, latency = mean_energy(fixed), with_prefix(fixed["mean_latency_s"], "s")
    if early is None:
        return [
            f"Without a cutoff every input takes all {n_timesteps} timesteps, with "
            f"{_accuracy(fixed)}.",
            f"It costs {energy} and {latency}, modelled.",
        ]
    accuracy = _accuracy(early)
    is_known = not chip_decides(summary)  # else it is the same at all timesteps
    if is_known and fixed["accuracy"] is not None:
        accuracy += f" against {percent(fixed['accuracy'])}"
        accuracy += _interval(summary["accuracy_lost"])
    elif is_known and fixed["mean_squared_error"] is not None:
        accuracy += f" against {number(fixed['mean_squared_error'])}"
    return [
        f"With the cutoff an input takes {number(early['mean_timesteps'])} of "
        f"{n_timesteps} timesteps on average, with {accuracy}.",
        f"It costs {mean_energy(early)} against {energy} at all timesteps, and takes "
        f"{with_prefix(early['mean_latency_s'], 's')} against {latency}, modelled.",
    ]


def _interval(lost: dict[str, float] | None) -> str:
    if lost is None:
        return ""
    mean, low, high = lost["mean"], lost["low"], lost["high"]
    interval = f"95 % interval {_points(low)} to {_points(high)}"
    return f" (lost: {_points(mean)} points, {interval}, paired)"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.2f}".replace("-", "\N{MINUS SIGN}")


def mean_energy(means: Summary, end: str = "central") -> Quantity:
    """Return the mean energy up to the board, of the parts that are known."""
    known = [end_name(f"mean_energy_{part}_j", end) for part in known_parts(means)]
    return with_prefix(sum(means[part] for part in known) if known else None, "J")


def known_parts(means: Summary) -> list[str]:
    """Return the parts of the energy up to the board that are known."""
    parts = parts_within(TOTAL)
    return [part for part in parts if means[f"mean_energy_{part}_j"] is not None]


def boundary(means: Summary) -> str:
    """Return how far an energy goes, and what it is without."""
    known = known_parts(means)
    missing = [part for part in parts_within(TOTAL) if part not in known]
    missing += [name for name in means["without"]["energy"] if name not in missing]
    text = "neurocores, chips and board"
    return f"{text}, without {', '.join(missing)}" if missing and known else text


def rule(profile: Profile, summary: Summary) -> list[str]:
    """Return what stopped the inputs, and what was promised."""
    calibration = profile.artifact.calibration
    if not profile.has_cutoff:
        is_calibrated = calibration is not None
        why = (
            "it was switched off" if is_calibrated else "the network is not calibrated"
        )
        return [f"Rule: no cutoff, {why}."]
    if calibration is None:
        return ["Rule: a cutoff that does not come from this network's calibration."]
    rule = calibration.method
    labels = "labels were" if calibration.uses_labels else "no labels were"
    lines = [
        f"Rule {calibration.rule}: {rule.in_words(calibration)}.",
        *(f"{_capital(line)}." for line in rule.promise_in_words(calibration)),
        f"The {rule.budget_in_words} was {_budget(calibration.budget)}, calibrated on "
        f"{_plural(calibration.n_inputs, 'input')}; {labels} used.",
    ]
    if summary["drift"] is not None and not summary["drift"]["is_alarm"]:
        lines.append(f"No drift alarm: {summary['drift']['text']}.")
    return lines


def alarms(summary: Summary) -> list[str]:
    """Return what nobody may overlook: inputs that failed, registers, drift."""
    lines = [f"{_capital(line)}." for line in (*failures(summary), *limits(summary))]
    if summary["drift"] is not None and summary["drift"]["is_alarm"]:
        lines.append(f"Drift alarm: {summary['drift']['text']}.")
    return lines


def _capital(line: str) -> str:
    return line[:1].upper() + line[1:]


def loss(profile: Profile, summary: Summary) -> list[str]:
    """Return what stopping did to the answers, and for which goal it pays."""
    if not profile.has_cutoff:
        return []
    early, fixed = profile.rows, profile.fixed_rows
    n = len(early)
    if chip_decides(summary):
        return [_schedules(summary, is_retry=False)]
    is_changed = early.column("prediction") != fixed.column("prediction")
    changed = int(is_changed.sum())
    lines = [
        f"Answers that differ from those at all timesteps: {changed} of {n} "
        f"({percent(changed / n)}{_changed_interval(changed, n)})."
    ]
    if summary["accuracy_lost"] is not None:
        lost = int((fixed.is_right & ~early.is_right).sum())
        won = int((early.is_right & ~fixed.is_right).sum())
        lines.append(f"Right answers lost by stopping: {lost}; won: {won}.")
    return [*lines, _schedules(summary, is_retry=profile.is_retry)]


def warnings(summary: Summary) -> list[str]:
    """Return what to know before quoting an energy."""
    note, n_unknown = summary["energy_note"], len(summary["unknown"])
    text = f"Energy and latency are modelled, not measured{_prices(summary)}"
    text += f"; {note}" if note else ""
    if n_unknown:
        text += f"; {_plural(n_unknown, 'price')} unknown and left out (see the end)"
    return [f"{text}."]


def _prices(summary: Summary) -> str:
    """Return whose prices they are, where the target has several sets."""
    return f", by the prices of {summary['prices']}" if summary["prices"] else ""


def _changed_interval(changed: int, n: int) -> str:
    if changed == 0:
        # 1 - 0.05 ** (1 / n): the share that stays unseen n times with a chance of 5 %
        most = percent(1 - 0.05 ** (1 / n))
        return f"; in other inputs under {most}, with 95 % confidence"
    if changed == n:
        return ""
    ends = paired_interval(np.repeat([1.0, 0.0], [changed, n - changed]))
    low, high = max(ends["low"], 0.0), min(ends["high"], 1.0)
    return f", 95 % interval {percent(low)} to {percent(high)}"


def _schedules(summary: Summary, *, is_retry: bool) -> str:
    early, fixed = summary["with_cutoff"], summary["all_timesteps"]
    streamed = summary["all_timesteps_streamed_chip_timesteps"]
    chip = early["mean_chip_timesteps"]
    how = "one by one"
    if is_retry:
        how = f"{summary['schedules']['cutoff']['text']}; all timesteps are {how}"
    text = (
        f"Chip timesteps of an input: {number(chip)} with the cutoff, "
        f"{number(fixed['mean_chip_timesteps'])} for all timesteps one by one, "
        f"{streamed} in a stream, which fills the "
        f"{_plural(summary['pipeline_depth'], 'timestep')} of the pipeline. Energies "
        f"and latencies here are those of serving {how}"
    )
    warning = summary["cutoff_costs_more"]
    return f"{text}; {warning}." if warning else f"{text}."


@dataclass(frozen=True, kw_only=True)
class _Tile:
    """A number that matters, its band, what does better, and how it is known."""

    name: str
    goal: str  # of ``best_rivals``
    text: Callable[[Summary], str]  # of a schedule's means
    band: str
    note: str


def _tiles(profile: Profile, summary: Summary) -> Html:
    """Return the five numbers that matter, each with the best rival's."""
    early, fixed = summary["with_cutoff"], summary["all_timesteps"]
    own = fixed if early is None else early
    streamed = number(summary["all_timesteps_streamed_chip_timesteps"])
    pipeline = f"and {summary['pipeline_depth']} of pipeline on the chip"
    if profile.is_retry:
        pipeline = "in two streams, which fill the pipeline"
    tiles = [
        _Tile(
            name="timesteps",
            goal="chip timesteps",
            text=lambda means: number(means["mean_timesteps"]),
            band=f"of {summary['timesteps']}; on the chip "
            f"{number(own['mean_chip_timesteps'])}",
            note=f"measured; {pipeline}; all: {number(fixed['mean_chip_timesteps'])} "
            f"one by one, {streamed} streamed",
        ),
        _error_tile(own)
        if profile.has_errors
        else _Tile(
            name="accuracy",
            goal="energy",
            text=lambda means: percent(means["accuracy"]),
            band=_accuracy_band(profile),
            note=_interval_note(summary),
        ),
        _Tile(
            name="energy",
            goal="energy",
            text=mean_energy,
            band=_band(*(mean_energy(own, end) for end in ("low", "high"))),
            note=f"modelled; {boundary(own)}",
        ),
        _Tile(
            name="latency",
            goal="latency",
            text=lambda means: with_prefix(means["mean_latency_s"], "s"),
            band=_band(*(_latency(own, end) for end in ("low", "high"))),
            note="; ".join(["modelled", *without_in_words(own, "latency")]),
        ),
        _Tile(
            name="inputs a second",
            goal="throughput",
            text=lambda means: number(means["throughput_per_s"]),
            band=_band(*(number(own[THROUGHPUTS[end]]) for end in ("high", "low"))),
            note="; ".join(["modelled", *without_in_words(own, "throughput")]),
        ),
    ]
    return element(
        "dl", *(_drawn(tile, own, summary) for tile in tiles), class_="tiles"
    )


def _error_tile(own: Summary) -> _Tile:
    """Return the number that stands for accuracy where answers are values."""
    return _Tile(
        name="mean squared error",
        goal="energy",
        text=lambda means: number(means["mean_squared_error"]),
        band=f"absolute {number(own['mean_absolute_error'])}",
        note="measured, in the trained network's units",
    )


def _drawn(tile: _Tile, own: Summary, summary: Summary) -> Html:
    lines = (
        ("band", tile.band),
        ("rival", _rival(tile, summary)),
        ("note", tile.note),
    )
    return element(
        "div",
        element("dt", tile.name),
        element("dd", tile.text(own), class_="big"),
        *(element("dd", text, class_=kind) for kind, text in lines if text),
    )


def _rival(tile: _Tile, summary: Summary) -> str:
    """Return the best rival's number; without a cutoff, the best schedule's."""
    runs, rival = summary["schedules"], summary["best_rivals"].get(tile.goal)
    if rival is not None:
        text = tile.text(runs[rival["schedule"]])
        return f"best rival: {text} ({rival['text']})"
    if summary["with_cutoff"] is not None:
        return f"all timesteps: {tile.text(summary['all_timesteps'])}"
    best = summary["best_schedule"].get(tile.goal)
    if best is None or best == "serial":
        return ""
    return f"best schedule: {tile.text(runs[best])} ({runs[best]['text']})"


def _latency(means: Summary, end: str) -> Quantity:
    return with_prefix(means[end_name("mean_latency_s", end)], "s")


def _band(low: Quantity, high: Quantity) -> str:
    if low.number is None or high.number is None:
        return ""
    return low if low == high else f"{low} to {high}"


def _accuracy_band(profile: Profile) -> str:
    rows = profile.rows
    if not rows.has_labels:
        return ""
    right = np.array(rows.is_right.sum())
    low, high = share_interval(right, np.array(len(rows)))
    return f"{percent(float(low))} to {percent(float(high))}"


def _interval_note(summary: Summary) -> str:
    lost = summary["accuracy_lost"]
    if summary["all_timesteps"]["accuracy"] is None:
        return "there are no labels"
    note = "measured, 95 % interval"
    return note if lost is None else f"{note}; lost: {_points(lost['mean'])} points"


def _accuracy(means: Summary) -> str:
    if means["mean_squared_error"] is not None:
        return f"a mean squared error of {number(means['mean_squared_error'])}"
    if means["accuracy"] is None:
        return "accuracy unknown, since there are no labels"
    return f"accuracy {percent(means['accuracy'])}"


def _budget(value: float) -> str:
    return f"{100 * value:g} %"


def _monitor(summary: Summary) -> str:
    places = {
        "embedded": "embedded processor on the board",
        "host": "host computer",
    }
    monitor: str = summary["monitor"]
    return places.get(monitor, monitor)


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
