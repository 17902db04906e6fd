"""``snn-deploy diff``: what changes from one profile to another."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn_deploy.cli.console import add_json_option
from snn_deploy.errors import DataError

if TYPE_CHECKING:
    from snn_deploy.profile.conditions import Condition
    from snn_deploy.profile.diff import Diff, MetricChange, SavedProfile
    from snn_deploy.profile.intervals import Interval

FAILED = 3  # exit status, as of a drift that must not be


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "diff",
        help="compare two profiles: accuracy, timesteps, energy and latency",
        description="Compare two profiles, input by input where both hold the same "
        "ones, with 95 % intervals.",
    )
    parser.add_argument("before", type=Path, help="folder of a profile")
    parser.add_argument("after", type=Path, help="folder of another one")
    add_json_option(parser)
    parser.add_argument(
        "--fail-if",
        type=_condition,
        action="append",
        default=[],
        metavar="CONDITION",
        help=f"exit status {FAILED} if a mean changes so: accuracy, timesteps, energy "
        "or latency, > or <, and a change, which has a sign; in %% of BEFORE (of "
        "accuracy: in points), or absolute, as 'accuracy<-0.01', 'latency>+20us'; may "
        "be given several times",
    )
    parser.set_defaults(call=call)


def _condition(text: str) -> "Condition":
    from snn_deploy.profile.conditions import parse_condition

    try:
        return parse_condition(text)
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def call(options: argparse.Namespace) -> None:
    """Print the changes, and which of them must not be."""
    from snn_deploy.cli.console import give_json, note
    from snn_deploy.profile.diff import compare, read_profile

    before, after = read_profile(options.before), read_profile(options.after)
    diff = compare(before, after)
    failed = [c.text for c in options.fail_if if c.holds(diff)]
    _show(diff, before, after)
    give_json(options, _as_json(diff, before, after, failed))
    for text in failed:
        note(f"failed: {text}")
    if failed:
        raise SystemExit(FAILED)


def _as_json(
    diff: "Diff", before: "SavedProfile", after: "SavedProfile", failed: list[str]
) -> dict[str, Any]:
    sides = {"before": before, "after": after}
    profiles = {
        name: {key: side.summary.get(key) for key in ("network", "target", "backend")}
        | {"folder": side.folder}
        for name, side in sides.items()
    }
    return {"profiles": profiles, **diff.as_json(), "failed": failed}


def _show(diff: "Diff", before: "SavedProfile", after: "SavedProfile") -> None:
    from snn_deploy.cli.console import out, show_table
    from snn_deploy.profile.diff import METRICS

    for name, side in (("before", before), ("after", after)):
        out(f"{name}: {_in_words(side)}")
    how = f"{diff.n_before} inputs, each with itself"
    if not diff.is_paired:
        how = (
            f"{diff.n_before} and {diff.n_after} inputs, means only: {diff.note}, so "
            "intervals are wider"
        )
    elif diff.note:
        how += f"; {diff.note}"
    show_table(
        how,
        ("", "before", "after", "change", "95 % interval", "change", "95 % interval"),
        [_cells(name, unit, diff.changes[name]) for name, unit in METRICS.items()],
    )
    out(
        "intervals are over the inputs; energy and latency are modelled, at central "
        "prices"
    )


def _in_words(side: "SavedProfile") -> str:
    summary = side.summary
    cutoff = summary.get("cutoff")
    rule = "no cutoff" if cutoff is None else f"cutoff {cutoff['rule']}"
    return (
        f"{side.folder}: {summary.get('network')} on {summary.get('target')}, "
        f"{len(side.rows)} inputs, {rule}, {summary.get('monitor')} monitor"
    )


def _cells(metric: str, unit: str, change: "MetricChange") -> tuple[str, ...]:
    name = metric.replace("_", ", ")
    if metric == "energy":
        name = "energy, up to the board"
    values = [_value(value, metric, unit) for value in (change.before, change.after)]
    return (
        name,
        *values,
        *_interval(change.difference, metric, unit),
        *_interval(change.ratio, "ratio", "%"),
    )


def _interval(found: "Interval | None", metric: str, unit: str) -> tuple[str, str]:
    if found is None:
        return "", ""
    mean = _signed(found.mean, metric, unit)
    if found.low is None or found.high is None:
        return mean, "unknown: one input"
    ends = (_signed(end, metric, unit) for end in (found.low, found.high))
    return mean, " to ".join(ends)


def _value(value: float | None, metric: str, unit: str) -> str:
    from snn_deploy.report.units import number, percent, with_prefix

    if metric == "accuracy":
        return percent(value)
    return with_prefix(value, unit) if unit else number(value)


def _signed(value: float, metric: str, unit: str) -> str:
    from snn_deploy.report.units import with_prefix

    if metric in ("accuracy", "ratio"):
        return f"{100 * value:+.1f} {'points' if metric == 'accuracy' else '%'}"
    if not unit:
        return f"{value:+.3g}"
    return ("+" if value >= 0 else "") + with_prefix(value, unit)
