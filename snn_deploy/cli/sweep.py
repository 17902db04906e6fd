"""``snn-deploy sweep``: one network, compiled and stopped in many ways."""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn_deploy.cli.console import add_json_option
from snn_deploy.cli.reading import add_worker_options, workers_of

if TYPE_CHECKING:
    from snn_deploy.profile.sweep import Outcome


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "sweep",
        help="compare targets, weight bits, timesteps and budgets",
        description="Compile, calibrate and profile a network in every way that a TOML "
        "file lists, and say which ways no other beats. What is done is kept: the same "
        "command goes on where it stopped.",
    )
    parser.add_argument("sweep", type=Path, help="what to vary, a .toml file")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("sweep"), help="folder (sweep/)"
    )
    add_worker_options(parser)
    add_json_option(parser)
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> None:
    """Measure, write the files, print the table."""
    from snn_deploy.cli.console import give_json, note, out
    from snn_deploy.front.progress import with_progress
    from snn_deploy.profile.sweep import (
        Bench,
        Measure,
        one_by_one,
        run_sweep,
        unbeaten,
    )
    from snn_deploy.profile.sweep_file import read_sweep
    from snn_deploy.report.sweep import write_sweep

    sweep = read_sweep(options.sweep)
    folder = options.output / "ways"
    try:
        with workers_of(options) as workers:
            measure: Measure = one_by_one
            if workers is not None:
                measure = partial(workers.map, Bench.measure)
            outcomes = run_sweep(sweep, folder, measure, with_progress)
    except (KeyboardInterrupt, OSError):
        if folder.is_dir():
            note(f"what is done lies in {folder}; the same command goes on")
        raise
    best = unbeaten(outcomes)
    write_sweep(outcomes, best, options.output)
    _show(outcomes, best)
    out(f"wrote {options.output / 'sweep.csv'} and sweep.svg")
    ways = zip(outcomes, best, strict=True)
    give_json(options, {"ways": [{**way, "unbeaten": bool(b)} for way, b in ways]})


def _show(outcomes: Sequence["Outcome"], best: Sequence[bool]) -> None:
    from snn_deploy.cli.console import note, out, show_table

    done = [
        (way, o, b)
        for way, (o, b) in enumerate(zip(outcomes, best, strict=True), 1)
        if not o["refusal"]
    ]
    columns = ("way", "", "target", "weight bits", "timesteps", "budget", "neurocores")
    is_of_values = any(o["mean_squared_error"] is not None for _, o, _ in done)
    goodness = "mean squared error" if is_of_values else "accuracy"
    results = (goodness, "mean timesteps", "energy", "latency")
    rows = [(way, *_cells(outcome, is_best)) for way, outcome, is_best in done]
    show_table("* no other way beats it", (*columns, *results), rows)
    refused = Counter((o["target"], o["refusal"]) for o in outcomes if o["refusal"])
    for (target, refusal), n in refused.items():
        note(f"{n} ways on {target}: {refusal}")
    if not done:
        out("no way is possible")


def _cells(outcome: "Outcome", is_best: bool) -> Iterator[str]:
    from snn_deploy.report.units import number, percent, with_prefix

    yield "*" if is_best else ""
    yield outcome["target"]
    for name in ("weight_bits", "timesteps"):
        yield str(outcome[name] or "as is")
    yield percent(outcome["budget"])
    yield str(outcome["neurocores"])
    error = outcome["mean_squared_error"]
    yield percent(outcome["accuracy"]) if error is None else number(error)
    yield f"{outcome['mean_timesteps']:.2f}"
    for name, unit in (("energy_j", "J"), ("latency_s", "s")):
        value = outcome[name]
        yield "unknown" if value is None else with_prefix(value, unit)
