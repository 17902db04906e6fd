"""How each number is known: measured, modelled with which prices, or not at all."""

from collections.abc import Sequence
from typing import Any

from snn_deploy.chip.target import OTHER_COSTS, PRICED_EVENTS, Target, band_of
from snn_deploy.report.exhibits import table
from snn_deploy.report.markup import Html, element, folded, items, section
from snn_deploy.report.units import UNKNOWN, with_prefix

Summary = dict[str, Any]


def how_known(target: Target, summary: Summary) -> Html:
    """Return the section on measured, modelled and unknown."""
    unknown = summary["unknown"]
    entries = (
        ("Measured", "counted on the simulated chip, exactly: answers, timesteps, "
         "spikes, synaptic operations, packets, hops, crossings from chip to chip."),
        ("Modelled", "counts times the prices of the target, not measured on a chip: "
         "energy and latency. Central is the likely price, low and high are the ends "
         f"of what sources give. {_note(summary)}"),
        ("Unknown", _unknown(unknown)),
    )  # fmt: skip
    words = [
        element("div", element("dt", name), element("dd", text))
        for name, text in entries
    ]
    return section(
        "How this is known",
        element("dl", *words, class_="known"),
        _formula(),
        folded(
            f"Prices of {target.name}, with their sources",
            _prices(target),
            _times(target),
            _limits(target),
        ),
    )


def _note(summary: Summary) -> str:
    note = summary["energy_note"]
    return f"{note[:1].upper()}{note[1:]}." if note else ""


def _unknown(unknown: Sequence[str]) -> object:
    if not unknown:
        return "nothing: every event has a price."
    return element(
        "span",
        "no price is public, so these are left out of every sum, and true costs are "
        "higher: ",
        items(unknown),
    )


def _formula() -> Html:
    return element(
        "p",
        "Energy of an input = events \N{MULTIPLICATION SIGN} their prices "
        "(neurocores, mesh, links, injection) + static power \N{MULTIPLICATION SIGN} "
        "time + one reset + power of the embedded processors "
        "\N{MULTIPLICATION SIGN} time, and beyond the board that of a host that polls. "
        "A chip timestep lasts as long as its busiest "
        "neurocore, or link between chips, plus the barrier; each poll of the outputs "
        "adds its time. A run without cutoff is read once, at its end.",
        class_="small",
    )


def _prices(target: Target) -> Html:
    rows = []
    for name in (*PRICED_EVENTS, *OTHER_COSTS):
        cost = target.cost(name)
        rows.append((
            name.replace("_", " "),
            _band(band_of(cost, "energy_j"), "J"),
            _band(band_of(cost, "time_s"), "s"),
            _band(band_of(cost, "power_w"), "W"),
            cost.source if cost.source != UNKNOWN else "no public source",
        ))  # fmt: skip
    return table(
        "prices",
        "Prices: central, and in brackets low to high where they differ",
        ("event", "energy", "time", "power", "source"),
        rows,
        words=("source",),
    )


def _band(band: Sequence[float | None], unit: str) -> str:
    if None in band:
        return "\N{EN DASH}"
    low, central, high = (with_prefix(value, unit) for value in band)
    return central if low == high else f"{central} ({low} to {high})"


def _times(target: Target) -> Html:
    barrier = target.barrier
    lines = zip(barrier.tiles, *barrier.times.values(), strict=True)
    rows = [(f"from {n}", _band(band, "s")) for n, *band in lines]
    caption = "Barrier at the end of a timestep, by tiles in use"
    return table("barrier", caption, ("tiles", "time"), rows)


def _limits(target: Target) -> Html:
    groups = (
        ("barrier", target.barrier.source),
        ("neurocore", target.neurocore.source),
        ("mesh", target.mesh.source),
        ("precision", target.precision.source),
    )
    columns = ("group", "source")
    return table("sources", "Other sources", columns, groups, words=("source",))
