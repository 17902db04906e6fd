"""Tables of what an input costs, on average."""

from collections.abc import Iterator, Sequence
from typing import Any

from snn_deploy.chip.target import BAND, CENTRAL, end_name
from snn_deploy.costs.energy import BOUNDARIES, PARTS
from snn_deploy.profile.schedules import COUNTS, RUN_ON, SUMS, without_in_words
from snn_deploy.report.exhibits import table
from snn_deploy.report.markup import Html, folded, items, section, together
from snn_deploy.report.units import Quantity, number, percent, with_prefix

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
    rows = []
    for name, key, unit in (*_energies(runs), ("latency", "mean_latency_s", "s")):
        bands = [tuple(run[end_name(key, end)] for end in BAND) for _, run in runs]
        rows.append(_compared(name, bands, unit))
    if len(runs) == 2:
        columns.append("saved, central")
    notes = [
        f"{kind}, {name}: {text}"
        for name, run in runs
        for kind in ("energy", "latency", "throughput")
        for text in without_in_words(run, kind)
    ]
    caption = "Energy and latency of an input, modelled, mean; each sum holds those "
    caption += "above it"
    found = [table("costs", caption, columns, rows), *([items(notes)] if notes else [])]
    return together(found)


def _energies(runs: Sequence[tuple[str, Summary]]) -> Iterator[tuple[str, str, str]]:
    """Yield name, key and unit of the parts, each boundary with its sum at its end."""
    for boundary in BOUNDARIES:
        mine = [part for part, at in PARTS.items() if at == boundary]
        values = [run[f"mean_energy_{part}_j"] for part in mine for _, run in runs]
        if not any(value != 0 for value in values):  # no host polls
            continue
        for part in mine:
            yield f"energy, {part}", f"mean_energy_{part}_j", "J"
        key = f"mean_energy_{RUN_ON}_j"
        if boundary == "neurocores" and any(run[key] for _, run in runs):
            yield f"energy of events {LATE}", key, "J"
        if boundary in SUMS:
            yield f"energy, up to {boundary}", f"mean_{SUMS[boundary]}_j", "J"


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
    return table("counts", "Activity of an input, measured, mean", columns, rows)


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
        folded(
            f"Links between chips ({len(links)})",
            table("links", caption, columns, rows),
        )
    ]


def _saved(early: float | None, fixed: float | None) -> Quantity:
    if early is None or fixed is None:
        return percent(None)
    if fixed == 0:
        return Quantity("\N{EN DASH}" if early == 0 else "more", None)
    share = percent(1 - early / fixed)
    return Quantity(share.replace("-", "\N{MINUS SIGN}"), share.number)
