"""Where the chip's integers part from the trained model: tables, and one picture."""

from collections.abc import Sequence
from typing import Any

from snn_deploy.report.exhibits import Look, table
from snn_deploy.report.markup import Html, element, items, section
from snn_deploy.report.units import percent
from snn_deploy.verify.result import Accuracy, LayerReport, Verification, cause, place

POINTS = 3  # decimals of a share


def verification_section(verification: Verification) -> Html:
    """Return the section on float against integers."""
    n, timesteps = verification.n_inputs, verification.timesteps
    return section(
        "Float against integers",
        element(
            "p",
            f"The trained network in float and the chip's integers on the same {n:,} "
            f"inputs of {timesteps} timesteps. {_verdict(verification)}",
        ),
        _layers(verification.layers),
        element(
            "p",
            "Bars: the share of spikes that differ (of answers, where voltages are "
            "read out; of a single voltage, the root mean square of the difference to "
            "its own), each form in its own network. Alone: the same when the float "
            "layer gets the chip's spikes. In brackets: of the neurons that part then, "
            "how many part alike with this aspect of the chip by itself.",
            class_="small",
        ),
        *([_accuracies(verification)] if verification.forms else []),
        *_wrong(verification),
    )


def _verdict(verification: Verification) -> str:
    if verification.is_faithful:
        return "The integers are exactly what the model compiles to."
    return (
        "The network is not what the model compiles to. Parameters that differ: "
        f"{len(verification.differences)}; layers that compute something else: "
        f"{len(verification.faults)}."
    )


def _layers(reports: Sequence[LayerReport]) -> Html:
    largest = max((r.differing for r in reports), default=0.0) or 1.0
    rows = [
        (
            report.layer,
            _bar(report.differing, largest),
            percent(report.differing_alone, POINTS),
            percent(report.by_parameters, POINTS),
            percent(report.by_arithmetic, POINTS),
            place(report.first) or "never",
            cause(report),
            f"{report.saturations:,}",
            f"{report.wraps:,}",
        )
        for report in reports
    ]
    columns = (
        "layer", "differ", "alone", "by parameters", "by arithmetic",
        "first: timestep, input, neuron", "cause", "saturations", "wraps",
    )  # fmt: skip
    caption = "Where each layer parts"
    return table("verification", caption, columns, rows, words=("cause",))


def _bar(share: float, largest: float) -> Look:
    """Return a share over a bar, the longest of which is the largest share's."""
    style = f"--share: {100 * share / largest:.1f}%"
    text = percent(share, POINTS)
    return Look(look=element("span", text, class_="used", style=style), value=text)


def _accuracies(verification: Verification) -> Html:
    what = "accuracy" if verification.has_labels else "agreement with float"
    rows = [_accuracy(found) for found in (*verification.forms, *verification.restored)]
    return table(
        "rounding",
        "What rounding costs: all layers, and one layer in float at a time",
        ("form", what, "more than chip", "95 % interval, paired"),
        rows,
    )


def _accuracy(found: Accuracy) -> tuple[str, ...]:
    gain = found.gain
    if found.form == "chip":
        return found.form, percent(found.accuracy), "", ""
    return (
        found.form,
        percent(found.accuracy),
        f"{_points(gain['mean'])} points",
        f"{_points(gain['low'])} to {_points(gain['high'])}",
    )


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.1f}".replace("-", "\N{MINUS SIGN}")


def _wrong(verification: Verification) -> list[Any]:
    lines = [*map(str, verification.differences), *map(str, verification.faults)]
    return [items([*lines, *verification.notes])] if lines or verification.notes else []
