"""Tables of what an input costs, on average."""

from collections.abc import Sequence
from typing import Any

from snn_deploy.chip.target import BAND, CENTRAL, end_name
from snn_deploy.costs.energy import PARTS
from snn_deploy.profile.schedules import COUNTS, RUN_ON
from snn_deploy.report.markup import Html, folded, section, table
from snn_deploy.report.units import UNKNOWN, number, percent, with_prefix

Summary = dict[str, Any]
# shown only if there are any
RARE = ("crossings", "saturations", "wraps", "run_on_synaptic_operations")
LATE = "after a layer's last timestep"  # what is shown of ``RUN_ON``


def costs(summary: Summary) -> Html:
    """Return the tables of means: energy, latency, activity."""
    runs = [("all timesteps", summary["all_timesteps"])]
    if summary["with_cutoff"] is not None:
        runs.insert(0, ("with cutoff", summary["with_cutoff"]))
    links = _links(summary["links"])
    return section("What an input costs", _prices(runs), _activity(runs), *links)


def _prices(runs: Sequence[tuple[str, Summary]]) -> Html:
    columns = [
        "",
        *(f"{name}, {end}" for name, _ in runs for end in BAND),
    ]
    quantities = [(f"energy, {part}", f"mean_energy_{part}_j", "J") for part in PARTS]
    quantities.append(("latency", "mean_latency_s", "s"))
    if any(run[f"mean_energy_{RUN_ON}_j"] for _, run in runs):
        key = f"mean_energy_{RUN_ON}_j"
        quantities.insert(1, (f"energy, dynamic, {LATE}", key, "J"))
    rows = []
    for name, key, unit in quantities:
        bands = [tuple(run[end_name(key, end)] for end in BAND) for _, run in runs]
        rows.append(_compared(name, bands, unit))
    known = [p for p in PARTS if runs[0][1][f"mean_energy_{p}_j"] is not None]
    if known:
        name = "energy, all" if len(known) == len(PARTS) else "energy, known parts"
        sums = [tuple(_sum(run, known, end) for end in BAND) for _, run in runs]
        rows.insert(-1, _compared(name, sums, "J"))
    if len(runs) == 2:
        columns.append("saved, central")
    return table("Energy and latency of an input, modelled, mean", columns, rows)


def _sum(run: Summary, parts: Sequence[str], end: str) -> float | None:
    values = [run[end_name(f"mean_energy_{part}_j", end)] for part in parts]
    return None if None in values else float(sum(values))


def _compared(
    name: str, bands: Sequence[tuple[float | None, ...]], unit: str
) -> list[str]:
    row = [name, *(with_prefix(value, unit) for band in bands for value in band)]
    if len(bands) == 2:
        row.append(_saved(*(band[CENTRAL] for band in bands)))
    return row


def _activity(runs: Sequence[tuple[str, Summary]]) -> Html:
    columns = ["", *(name for name, _ in runs)]
    rows = []
    for name in COUNTS:
        values = [run[f"mean_{name}"] for _, run in runs]
        if name in RARE and not any(values):
            continue
        words = name.replace("_", " ")
        if name == "run_on_synaptic_operations":
            words = f"synaptic operations {LATE}"
        row = [words, *(number(value) for value in values)]
        rows.append([*row, _saved(*values)] if len(runs) == 2 else row)
    if len(runs) == 2:
        columns.append("saved")
    return table("Activity of an input, measured, mean", columns, rows)


def _links(links: Sequence[Summary]) -> list[Html]:
    """Return the table of the links between chips, if there are several chips."""
    if not links:
        return []
    rows = [
        (
            ", ".join(map(str, link["from"])),
            ", ".join(map(str, link["to"])),
            number(link["mean_packets"]),
        )
        for link in sorted(links, key=lambda link: -link["mean_packets"])
    ]
    caption = "Links between chips, busiest first; column and row on the board"
    columns = ("from chip", "to chip", "packets of an input, measured, mean")
    return [
        folded(f"Links between chips ({len(links)})", table(caption, columns, rows))
    ]


def _saved(early: float | None, fixed: float | None) -> str:
    if early is None or fixed is None:
        return UNKNOWN
    if fixed == 0:
        return "\N{EN DASH}" if early == 0 else "more"
    return percent(1 - early / fixed).replace("-", "\N{MINUS SIGN}")
