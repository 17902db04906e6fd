"""The outcomes of a sweep as a table and as a picture."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snn_deploy.files.writing import write_together
from snn_deploy.names import cell

FRONT = "#dcdcd7"
COLUMNS = {
    "way": "its number in the picture",
    "target": "",
    "weight_bits": "0: the target's",
    "timesteps": "given; 0: the model's",
    "budget": "",
    "refusal": "why it cannot be; empty: it can",
    "neurocores": "",
    "accuracy_all_timesteps": "",
    "accuracy": "with the cutoff",
    "mean_squared_error": "of values, in the network's units",
    "mean_absolute_error": "the same",
    "mean_timesteps": "with the cutoff",
    "energy_all_timesteps_j": "[J], mean",
    "energy_j": "[J], mean with the cutoff",
    "latency_s": "[s], mean with the cutoff",
    "stops_early": "",
    "n_inputs": "",
    "is_unbeaten": "no other way is as good in all and better in one",
}


def write_sweep(
    outcomes: Sequence[Mapping[str, Any]], best: Sequence[bool], folder: Path
) -> None:
    """Write ``sweep.csv`` and ``sweep.svg``; ``best`` says which are unbeaten."""
    write_together(
        folder,
        {
            "sweep.csv": lambda path: _write_table(outcomes, best, path),
            "sweep.svg": lambda path: _write_picture(outcomes, best, path),
        },
    )


def _write_table(
    outcomes: Sequence[Mapping[str, Any]], best: Sequence[bool], path: Path
) -> None:
    """Write one row for each outcome; what is unknown is empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="raise")
        writer.writeheader()
        for way, (outcome, is_best) in enumerate(zip(outcomes, best, strict=True), 1):
            cells = {
                k: cell(v) if isinstance(v, str) else v for k, v in outcome.items()
            }
            writer.writerow({"way": way, **cells, "is_unbeaten": is_best})


def _write_picture(
    outcomes: Sequence[Mapping[str, Any]], best: Sequence[bool], path: Path
) -> None:
    """Draw accuracy, or the error of values, against energy as SVG.

    Against timesteps if energies are unknown.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    done = [
        (way, o, b)
        for way, (o, b) in enumerate(zip(outcomes, best, strict=True), 1)
        if not o["refusal"] and (o["accuracy"], o["mean_squared_error"]) != (None, None)
    ]
    is_of_values = any(o["mean_squared_error"] is not None for _, o, _ in done)
    goodness, factor, label_of_it = "accuracy", 100, "accuracy with the cutoff [%]"
    if is_of_values:
        goodness, factor = "mean_squared_error", 1
        label_of_it = "mean squared error, in the network's units"
    is_priced = all(o["energy_j"] is not None for _, o, _ in done)
    name, unit = ("energy_j", 1e-6) if is_priced else ("mean_timesteps", 1)
    what = "energy" if is_priced else "timesteps"
    ways = defaultdict[tuple[float, float], list[str]](list)  # that share a place
    for way, outcome, _ in done:
        ways[outcome[name] / unit, factor * outcome[goodness]].append(str(way))
    with style.context(["default", {"svg.fonttype": "none", "svg.hashsalt": "sweep"}]):
        figure = Figure(figsize=(6, 4.2), layout="constrained")
        axes = figure.add_subplot()
        front = _front([*ways], is_of_values=is_of_values)
        if front:
            axes.step(
                *zip(*front, strict=True), where="post", color=FRONT, lw=6, zorder=1,
                label=f"front: nothing is as good for less {what}",
            )  # fmt: skip
        for is_best, marker, label in ((False, "x", "beaten"), (True, "o", "unbeaten")):
            some = [o for _, o, b in done if b is is_best]
            x = [o[name] / unit for o in some]
            y = [factor * o[goodness] for o in some]
            axes.scatter(x, y, marker=marker, label=label, zorder=2)
        middle = sum(axes.get_xlim()) / 2
        for where, numbers in ways.items():
            is_left = where[0] <= middle  # words stay inside
            axes.annotate(
                ", ".join(numbers),
                where,
                xytext=(5 if is_left else -5, 5),
                ha="left" if is_left else "right",
                textcoords="offset points",
                fontsize=8,
            )
        axes.margins(0.08, 0.12)
        good = "Error" if is_of_values else "Accuracy"
        axes.set_title(f"{good} against {what}: {_told(outcomes)}", fontsize=11)
        axes.set_xlabel("energy of an input [µJ]" if is_priced else "mean timesteps")
        axes.set_ylabel(label_of_it)
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
        nothing = {"Date": None, "Creator": None}
        figure.savefig(path, format="svg", metadata=nothing)


def _front(
    points: Sequence[tuple[float, float]], *, is_of_values: bool
) -> list[tuple[float, float]]:
    """Return the points that none further left is as good as, from the left."""
    sign = -1 if is_of_values else 1  # the less an error is, the better
    front: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -sign * point[1])):
        if not front or sign * y > sign * front[-1][1]:
            front.append((x, y))
    return front


def _told(outcomes: Sequence[Mapping[str, Any]]) -> str:
    n = len(outcomes)
    refused = sum(bool(o["refusal"]) for o in outcomes)
    text = f"{n - refused} ways, numbered as in sweep.csv"
    return f"{text}; {refused} cannot be" if refused else text
