"""The tables that ``snn-deploy profile`` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snn_deploy.arrays import FloatArray
    from snn_deploy.profile.detail import Detail
    from snn_deploy.profile.profile import Profile
    from snn_deploy.profile.targets import OnTarget

Row = tuple[str, ...]
_ENERGIES = ("dynamic energy, low", "central", "high")
LATE = "  after a layer's last timestep"  # a part of the row before
WITHOUT = "  without"
ENDS = ("low", "high")
SHORT = ("schedule", "accuracy", "MSE", "MAE", "timesteps",
         "on the chip", "energy", "low to high", "latency",
         "inputs a second")  # fmt: skip
ERRORS = ("mean_squared_error", "mean_absolute_error")
UNKNOWN = "unknown"  # as ``units.with_prefix`` says it


def show(profile: "Profile", *, is_full: bool = False) -> None:
    """Print what each schedule gives and costs, and which one wins; or all means."""
    from snn_deploy.cli.console import out, show_table
    from snn_deploy.profile.schedules import labels_doubted, remarks
    from snn_deploy.profile.summary import summarize

    summary = summarize(profile)
    runs = [*summary["schedules"].values()]
    n, target = summary["n_inputs"], summary["target"]
    title = f"{summary['network']} on {target}, means of {n} inputs"
    if is_full:
        columns = ("", *(means["text"] for means in runs))
        show_table(title, columns, [*_answers(runs), *_costs(runs)])
    else:
        cells = [SHORT, *(_short(means) for means in runs)]
        known = [c for c in zip(*cells, strict=True) if {*c[1:]} != {UNKNOWN}]
        columns, *rows = zip(*known, strict=True)
        title += f"; energy to the {summary['energy_boundary']}, modelled"
        show_table(title, columns, rows)
    for line in (*labels_doubted(profile), *remarks(summary)):
        out(line)
    out(_conventional(summary["conventional"]))


def _short(means: dict[str, Any]) -> Row:
    """Return what people look at first, of one schedule."""
    from snn_deploy.report.units import number, percent, with_prefix

    low, high = (with_prefix(means[f"mean_energy_{end}_j"], "J") for end in ENDS)
    return (
        means["text"],
        percent(means["accuracy"]),
        *(number(means[key]) for key in ERRORS),
        number(means["mean_timesteps"]),
        number(means["mean_chip_timesteps"]),
        with_prefix(means["mean_energy_j"], "J"),
        low if low == high else f"{low} to {high}",
        with_prefix(means["mean_latency_s"], "s"),
        number(means["throughput_per_s"]),
    )


def _conventional(found: dict[str, Any]) -> str:
    from snn_deploy.report.units import with_prefix

    n = found["multiply_accumulates"]
    joules = " or ".join(
        f"{with_prefix(energy, 'J')} ({name})"
        for name, energy in found["energy_j"].items()
    )
    return (
        f"a conventional network with these connections: {n:,} multiply-accumulates an "
        f"input, {joules}; {found['energy_source']}"
    )


def show_targets(profile: "Profile", targets: "Sequence[OnTarget]") -> None:
    """Print what the same integers take on each target, or why they cannot run."""
    from snn_deploy.cli.console import out, show_table
    from snn_deploy.profile.profile import Schedule

    schedule = Schedule.CUTOFF if profile.has_cutoff else Schedule.SERIAL
    if not targets:
        return
    able = [target for target in targets if not target.refusal]
    runs = [target.found["schedules"][schedule.value] for target in able]
    places = [
        (name.replace("_", " "), *(f"{target.found[name]}" for target in able))
        for name in ("mapped_for", "neurocores", "tiles", "chips")
    ]
    show_table(
        f"the same integers on each target, {runs[0]['text']}",
        ("", *(target.target for target in able)),
        [*places, *_costs(runs)],
    )
    for target in targets:
        if target.refusal:
            out(f"not on {target.target}: {target.refusal}")
        elif target.found["energy_note"]:
            out(f"{target.target}: {target.found['energy_note']}")


def show_detail(found: "Detail") -> None:
    """Print events and dynamic energy of each layer, and of each chip timestep."""
    from snn_deploy.chip.events import FIRE, INJECTION, PACKET, SYNAPTIC_OPERATION
    from snn_deploy.cli.console import show_table
    from snn_deploy.profile.detail import MESH

    counts = found.cores[..., [FIRE, PACKET, INJECTION, SYNAPTIC_OPERATION]]
    rows: list[Row] = []
    for layer in dict.fromkeys(found.layers):
        here = [name == layer for name in found.layers]
        n, energy = counts[:, here].sum((0, 1)), found.core_energy[:, here].sum((0, 1))
        rows.append((layer, f"{sum(here)}", *_counted(n), *_joules(energy)))
    rows.append((MESH, "", "", "", "", "", *_joules(found.chip_energy.sum(axis=0))))
    names = ("spikes", "packets sent", "injected", "synaptic operations", *_ENERGIES)
    show_table("each layer, mean of an input", ("layer", "neurocores", *names), rows)
    in_all = found.core_energy.sum(axis=1) + found.chip_energy
    show_table(
        "each chip timestep, mean of an input (0 once it has stopped)",
        ("chip timestep", *names),
        [
            (f"{t}", *_counted(n), *_joules(energy))
            for t, (n, energy) in enumerate(
                zip(counts.sum(axis=1), in_all, strict=True), start=1
            )
        ],
    )


def _counted(counts: "FloatArray") -> Row:
    from snn_deploy.report.units import number

    return tuple(number(float(n)) for n in counts)


def _joules(energy: "FloatArray") -> Row:
    from snn_deploy.profile.schedules import known
    from snn_deploy.report.units import with_prefix

    return tuple(with_prefix(known(value), "J") for value in energy)


def show_neurobench(found: dict[str, Any]) -> None:
    """Print the metrics of NeuroBench."""
    from snn_deploy.cli.console import show_table

    names = {"with_cutoff": "with cutoff", "all_timesteps": "all timesteps"}
    shown = {text: found[name] for name, text in names.items() if name in found}
    rows = [
        (
            "activation sparsity",
            *(f"{run['activation_sparsity']:.4f}" for run in shown.values()),
        )
    ]
    for kind in ("Effective_ACs", "Effective_MACs", "Dense"):
        values = (run["synaptic_operations"][kind] for run in shown.values())
        name = f"synaptic operations, {kind.replace('_', ' ')}"
        rows.append((name, *(f"{value:,.0f}" for value in values)))
    show_table(
        f"NeuroBench, {found['n_inputs']} inputs: footprint {found['footprint']:,} "
        f"bytes, connection sparsity {found['connection_sparsity']}",
        ("", *shown),
        rows,
    )


def _goodness(runs: Sequence[dict[str, Any]]) -> list[Row]:
    """Return the rows of errors, where answers are values; else that of accuracy."""
    from snn_deploy.report.units import number, percent

    if any(means[ERRORS[0]] is None for means in runs):
        return [("accuracy", *(percent(means["accuracy"]) for means in runs))]
    return [
        (key.replace("_", " "), *(number(means[key]) for means in runs))
        for key in ERRORS
    ]


def _answers(runs: Sequence[dict[str, Any]]) -> list[Row]:
    return [
        *_goodness(runs),
        _row(runs, "timesteps", "mean_timesteps"),
        _row(runs, "chip timesteps", "mean_chip_timesteps"),
        _row(runs, "spikes", "mean_spikes"),
    ]


def _costs(runs: Sequence[dict[str, Any]]) -> list[Row]:
    rows = [
        _row(runs, "synaptic operations", "mean_synaptic_operations"),
        _row(runs, LATE, "mean_run_on_synaptic_operations"),
        _row(runs, "packets", "mean_packets"),
        _row(runs, "hops", "mean_hops"),
    ]
    if not any(means["mean_run_on_synaptic_operations"] for means in runs):
        del rows[1]
    if any(means["mean_crossings"] for means in runs):  # several chips
        rows.append(_row(runs, "  from chip to chip", "mean_crossings"))
    for name in ("saturations", "wraps"):
        if any(means[f"mean_{name}"] for means in runs):
            rows.append(_row(runs, name, f"mean_{name}"))
    times = [
        *_band(runs, "latency", "mean_latency_s", "s"),
        *_without(runs, "latency"),
        _row(runs, "inputs in a second", "throughput_per_s"),
        _row(runs, "  at low prices", "throughput_high_per_s"),
        _row(runs, "  at high prices", "throughput_low_per_s"),
        *_without(runs, "throughput"),
    ]
    for some in (_energies(runs), times):
        if any({*row[1:]} != {UNKNOWN} for row in some if row[0] != WITHOUT):
            rows += some  # else said once, below
    return rows


def _energies(runs: Sequence[dict[str, Any]]) -> list[Row]:
    """Return the rows of the parts, each boundary with its sum at its head."""
    from snn_deploy.costs.energy import BOUNDARIES, PARTS
    from snn_deploy.profile.schedules import SUMS

    rows = []
    for boundary in BOUNDARIES:
        mine = [part for part, at in PARTS.items() if at == boundary]
        keys = [f"mean_energy_{part}_j" for part in mine]
        is_any = {key: any(run[key] != 0 for run in runs) for key in keys}
        if not any(is_any.values()):  # no host polls
            continue
        total = f"mean_{SUMS.get(boundary, f'energy_{boundary}')}_j"
        name = f"energy to {boundary}" if boundary in SUMS else f"energy, {boundary}"
        rows += _band(runs, name, total, "J")
        if boundary == "neurocores" and any(
            run["mean_energy_run_on_j"] for run in runs
        ):
            rows.append(_row(runs, LATE, "mean_energy_run_on_j", "J"))
        if boundary == "board":
            rows += _without(runs, "energy")
        if boundary in SUMS:
            names = zip(mine, keys, strict=True)
            rows += [_row(runs, f"  {p}", key, "J") for p, key in names if is_any[key]]
    return rows


def _without(runs: Sequence[dict[str, Any]], kind: str) -> list[Row]:
    """Return the row of what is unknown, and so in no number of the row above."""
    texts = [", ".join(run["without"][kind]) for run in runs]
    return [(WITHOUT, *texts)] if any(texts) else []


def _band(runs: Sequence[dict[str, Any]], name: str, key: str, unit: str) -> list[Row]:
    """Return the row of central prices, and that of the ends."""
    from snn_deploy.chip.target import BAND, end_name
    from snn_deploy.report.units import with_prefix

    ends = []
    for means in runs:
        low, central, high = (means[end_name(key, end)] for end in BAND)
        texts = [with_prefix(value, unit) for value in (low, high)]
        ends.append(UNKNOWN if central is None else " to ".join(dict.fromkeys(texts)))
    return [_row(runs, name, key, unit), ("  low to high", *ends)]


def _row(
    runs: Sequence[dict[str, Any]], name: str, key: str, unit: str | None = None
) -> Row:
    from snn_deploy.report.units import with_prefix

    values = [means[key] for means in runs]
    if unit is not None:
        return name, *(with_prefix(value, unit) for value in values)
    return name, *(UNKNOWN if v is None else f"{v:,.4g}" for v in values)
