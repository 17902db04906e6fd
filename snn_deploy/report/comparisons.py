"""Schedules side by side; a conventional network, other targets and NeuroBench."""

from collections.abc import Callable, Sequence
from typing import Any

from snn_deploy.profile.schedules import GOALS, on_schedules
from snn_deploy.report.exhibits import Look, table
from snn_deploy.report.markup import Html, element, items, section
from snn_deploy.report.units import UNKNOWN, Quantity, number, percent, with_prefix

Summary = dict[str, Any]
RUNS = {"with_cutoff": "with cutoff", "all_timesteps": "all timesteps"}
OPERATIONS = {
    "Effective_ACs": "effective ACs",
    "Effective_MACs": "effective MACs",
    "Dense": "dense",
}


def winners(summary: Summary) -> Html:
    """Return the table of schedules, best cells marked, and what to know of it."""
    columns: list[tuple[str, str, Callable[[Any], Quantity]]] = [
        ("accuracy, measured", "accuracy", percent),
        ("timesteps, measured", "mean_timesteps", number),
        ("on the chip", "mean_chip_timesteps", number),
        (
            "energy up to the board, modelled",
            "mean_energy_j",
            lambda v: with_prefix(v, "J"),
        ),
        ("latency, modelled", "mean_latency_s", lambda v: with_prefix(v, "s")),
        ("inputs a second, modelled", "throughput_per_s", number),
    ]
    if any(
        run["mean_squared_error"] is not None for run in summary["schedules"].values()
    ):
        columns[0] = ("mean squared error, measured", "mean_squared_error", number)
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
            "schedules",
            "Means of all inputs, at central prices",
            ["schedule", *(name for name, _, _ in columns)],
            rows,
        ),
        # the first one, the verdict, is in the headline
        items(f"{line[:1].upper()}{line[1:]}." for line in on_schedules(summary)[1:]),
    )


def _marked(cell: Quantity) -> Look:
    look = element("strong", f"best: {cell}", class_="best")
    return Look(look=look, value=cell)


def comparisons(summary: Summary) -> Html:
    """Return the section; what was not asked for is left out."""
    parts = [_conventional(summary)]
    if summary["targets"]:
        parts += _targets(summary["targets"])
    if summary["neurobench"] is not None:
        parts.append(_neurobench(summary["neurobench"]))
    return section("Compared with", *parts)


def _conventional(summary: Summary) -> Html:
    """Return the operations of an input, beside those of the same network unspiking."""
    found = summary["conventional"]
    joules = " or ".join(
        f"{with_prefix(energy, 'J')} ({name})"
        for name, energy in found["energy_j"].items()
    )
    rows: list[Sequence[object]] = []
    for key, name in RUNS.items():
        run = summary[key]
        if run is not None:
            energy = with_prefix(run["mean_energy_neurocores_j"], "J")
            rows.append(
                (
                    f"this network, {name}",
                    "synaptic operations, measured",
                    number(run["mean_synaptic_operations"]),
                    f"{energy}, modelled: neurocores of {summary['target']}",
                )
            )
    rows.append(
        (
            "a conventional network with these connections",
            "multiply-accumulates, counted",
            number(found["multiply_accumulates"]),
            f"{joules}, modelled: {found['energy_source']}",
        )
    )
    columns = ("network", "what", "of an input", "energy")
    caption = f"Operations of an input; {found['note']}"
    return table("operations", caption, columns, rows, words=("what", "energy"))


def _targets(targets: Sequence[dict[str, Any]]) -> list[Html]:
    able = [target for target in targets if not target["refusal"]]
    runs = [next(iter(target["found"]["schedules"].values())) for target in able]
    rows: list[list[object]] = [
        [name, *(number(target["found"][name]) for target in able)]
        for name in ("neurocores", "tiles", "chips")
    ]
    for name, key, text in _quantities():
        rows.append([name, *(text(run[key]) for run in runs)])
    columns = ["", *(target["target"] for target in able)]
    caption = f"The same integers on each target, {runs[0]['text']}; central prices; "
    caption += "the others are mapped without a goal of compile --optimize"
    notes = [f"Not on {t['target']}: {t['refusal']}." for t in targets if t["refusal"]]
    notes += [
        f"{t['target']}: {t['found']['energy_note']}."
        for t in able
        if t["found"]["energy_note"]
    ]
    return [
        table("targets", caption, columns, rows),
        *([items(notes)] if notes else []),
    ]


def _quantities() -> list[tuple[str, str, Callable[[Any], str]]]:
    return [
        ("packets, measured", "mean_packets", number),
        ("hops, measured", "mean_hops", number),
        (
            "energy up to the board, modelled",
            "mean_energy_j",
            lambda v: with_prefix(v, "J"),
        ),
        ("latency, modelled", "mean_latency_s", lambda v: with_prefix(v, "s")),
        ("inputs a second, modelled", "throughput_per_s", number),
    ]


def _bytes(n: int) -> Quantity:
    return Quantity(f"{n:,} bytes", n, "bytes")


def _neurobench(found: Summary) -> Html:
    shown = {text: found[name] for name, text in RUNS.items() if name in found}
    rows: list[list[object]] = [
        ["footprint", *(_bytes(found["footprint"]) for _ in shown)],
        [
            "connection sparsity",
            *(percent(found["connection_sparsity"]) for _ in shown),
        ],
        [
            "activation sparsity",
            *(percent(run["activation_sparsity"]) for run in shown.values()),
        ],
    ]
    for kind, name in OPERATIONS.items():
        values = (run["synaptic_operations"][kind] for run in shown.values())
        rows.append([f"synaptic operations, {name}", *(number(v) for v in values)])
    n = f"{found['n_inputs']:,} input{'s' * (found['n_inputs'] > 1)}"
    caption = f"NeuroBench's metrics, measured, means of {n}"
    return table("neurobench", caption, ["", *shown], rows)
