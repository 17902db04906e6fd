"""The outcomes of a sweep as a table and as a picture."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snn_deploy.files import write_together

COLUMNS = {
    "target": "",
    "weight_bits": "0: the target's",
    "timesteps": "given; 0: the model's",
    "budget": "",
    "refusal": "why it cannot be; empty: it can",
    "neurocores": "",
    "accuracy_all_timesteps": "",
    "accuracy": "with the cutoff",
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
        for outcome, is_best in zip(outcomes, best, strict=True):
            writer.writerow({**outcome, "is_unbeaten": is_best})


def _write_picture(
    outcomes: Sequence[Mapping[str, Any]], best: Sequence[bool], path: Path
) -> None:
    """Draw accuracy against energy, or timesteps if energies are unknown, as SVG."""
    from matplotlib import style
    from matplotlib.figure import Figure

    pairs = zip(outcomes, best, strict=True)
    done = [(o, b) for o, b in pairs if not o["refusal"] and o["accuracy"] is not None]
    is_priced = bool(done) and all(o["energy_j"] is not None for o, _ in done)
    name, unit = ("energy_j", 1e-6) if is_priced else ("mean_timesteps", 1)
    with style.context(["default", {"svg.fonttype": "none", "svg.hashsalt": "sweep"}]):
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot()
        for is_best, marker, label in ((False, "x", "beaten"), (True, "o", "unbeaten")):
            some = [o for o, b in done if b is is_best]
            x = [o[name] / unit for o in some]
            y = [100 * o["accuracy"] for o in some]
            axes.scatter(x, y, marker=marker, label=label)
        for outcome, is_best in done:
            if is_best:
                where = (outcome[name] / unit, 100 * outcome["accuracy"])
                axes.annotate(
                    _short(outcome),
                    where,
                    xytext=(4, 4),
                    textcoords="offset points",
                    fontsize=7,
                )
        axes.set_xlabel("energy of an input [µJ]" if is_priced else "mean timesteps")
        axes.set_ylabel("accuracy with the cutoff [%]")
        axes.legend(frameon=False)
        nothing = {"Date": None, "Creator": None}
        figure.savefig(path, format="svg", metadata=nothing)


def _short(outcome: Mapping[str, Any]) -> str:
    words = [outcome["target"].rpartition("/")[2]]
    if outcome["weight_bits"]:
        words.append(f"{outcome['weight_bits']} bits")
    if outcome["timesteps"]:
        words.append(f"T {outcome['timesteps']}")
    return f"{', '.join(words)}, {100 * outcome['budget']:g} %"
