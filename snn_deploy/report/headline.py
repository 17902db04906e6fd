"""What a profile says in one sentence, and in four pairs of numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from snn_deploy.costs.energy import TOTAL, parts_within
from snn_deploy.profile.intervals import paired_interval
from snn_deploy.profile.profile import Profile
from snn_deploy.profile.schedules import failures, limits, verdict, without_in_words
from snn_deploy.report.markup import Html, element, items
from snn_deploy.report.units import UNKNOWN, number, percent, with_prefix

Summary = dict[str, Any]


def headline(profile: Profile, summary: Summary) -> Html:
    """Return the head of the page: what ran, under which rule, and what it saves."""
    best = verdict(summary)
    notes = (*rule(profile, summary), *loss(profile, summary), *warnings(summary))
    return element(
        "header",
        element("p", "snn-deploy profile", class_="kind"),
        element("h1", summary["network"]),
        element("p", what_ran(profile, summary), class_="ran"),
        element("p", saving(profile, summary), class_="lead"),
        element("p", f"{best[:1].upper()}{best[1:]}.", class_="lead best"),
        _tiles(profile, summary),
        items(notes),
    )


def what_ran(profile: Profile, summary: Summary) -> str:
    """Return the network's place: chip, machine, inputs."""
    n = summary["n_inputs"]
    return (
        f"on {summary['target']} ({profile.artifact.network.target.description}), "
        f"backend {summary['backend']}, {_plural(n, 'input')}, "
        f"polled by the {_monitor(summary)}"
    )


def saving(profile: Profile, summary: Summary) -> str:
    """Return in one sentence what the cutoff saves, or what an input costs without."""
    fixed, early = summary["all_timesteps"], summary["with_cutoff"]
    n_timesteps = summary["timesteps"]
    energy, latency = mean_energy(fixed), with_prefix(fixed["mean_latency_s"], "s")
    served = (
        f"{number(fixed['mean_chip_timesteps'])} served one by one, "
        f"{number(summary['all_timesteps_streamed_chip_timesteps'])} streamed"
    )
    if early is None:
        return (
            f"Without a cutoff every input takes all {n_timesteps} timesteps (on the "
            f"chip {served}), with {_accuracy(fixed)}, {energy} and {latency} for "
            f"each; energy of {boundary(fixed)}."
        )
    accuracy = "accuracy unknown, since there are no labels"
    if fixed["accuracy"] is not None:
        accuracy = (
            f"accuracy {percent(early['accuracy'])} against "
            f"{percent(fixed['accuracy'])}{_interval(summary['accuracy_lost'])}"
        )
    return (
        f"With the cutoff an input takes {number(early['mean_timesteps'])} of "
        f"{n_timesteps} timesteps on average (on the chip "
        f"{number(early['mean_chip_timesteps'])}; all {n_timesteps} take {served}): "
        f"{accuracy}; mean energy {mean_energy(early)} against {energy}, of "
        f"{boundary(early)}; mean latency "
        f"{with_prefix(early['mean_latency_s'], 's')} against {latency}."
    )


def _interval(lost: dict[str, float] | None) -> str:
    if lost is None:
        return ""
    mean, low, high = lost["mean"], lost["low"], lost["high"]
    interval = f"95 % interval {_points(low)} to {_points(high)}"
    return f" (lost: {_points(mean)} points, {interval}, paired)"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.2f}".replace("-", "\N{MINUS SIGN}")


def mean_energy(means: Summary) -> str:
    """Return the mean energy up to the board, of the parts that are known."""
    known = known_parts(means)
    if not known:
        return UNKNOWN
    return with_prefix(sum(means[f"mean_energy_{part}_j"] for part in known), "J")


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
    if summary["drift"] is not None:
        alarm = "Drift alarm" if summary["drift"]["is_alarm"] else "No drift alarm"
        lines.append(f"{alarm}: {summary['drift']['text']}.")
    return lines


def _capital(line: str) -> str:
    return line[:1].upper() + line[1:]


def loss(profile: Profile, summary: Summary) -> list[str]:
    """Return what stopping did to the answers, and for which goal it pays."""
    if not profile.has_cutoff:
        return []
    early, fixed = profile.rows, profile.fixed_rows
    n = len(early)
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
    said = (*failures(summary), *limits(summary), text)
    return [f"{line[:1].upper()}{line[1:]}." for line in said]


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


def _tiles(profile: Profile, summary: Summary) -> Html:
    """Return the four numbers that matter, with the cutoff and without."""
    early, fixed = summary["with_cutoff"], summary["all_timesteps"]
    own = fixed if early is None else early

    def tile(name: str, text: Callable[[Summary], str], note: str) -> Html:
        against = "" if early is None else f"all timesteps: {text(fixed)}"
        rival = summary["best_rivals"].get(name)
        if rival is not None:
            best = summary["schedules"][rival["schedule"]]
            against = f"best rival: {text(best)} ({rival['text']})"
        return element(
            "div",
            element("dt", name),
            element("dd", text(own), class_="big"),
            *(element("dd", line) for line in (against, note) if line),
        )

    pipeline = f"measured; and {summary['pipeline_depth']} of pipeline on the chip"
    if profile.is_retry:
        pipeline = "measured; in two streams, which fill the pipeline"
    tiles = [
        tile("timesteps", lambda m: number(m["mean_timesteps"]), pipeline),
        tile("accuracy", lambda m: percent(m["accuracy"]), _interval_note(summary)),
        tile("energy", mean_energy, f"modelled, central; of {boundary(own)}"),
        tile("latency", lambda m: with_prefix(m["mean_latency_s"], "s"),
             "; ".join(["modelled, central", *without_in_words(own, "latency")])),
    ]  # fmt: skip
    return element("dl", *tiles, class_="tiles")


def _interval_note(summary: Summary) -> str:
    lost = summary["accuracy_lost"]
    if summary["all_timesteps"]["accuracy"] is None:
        return "there are no labels"
    if lost is None:
        return "measured"
    return f"measured; lost: {_points(lost['mean'])} points"


def _accuracy(means: Summary) -> str:
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
