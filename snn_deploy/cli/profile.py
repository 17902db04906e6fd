"""``snn-deploy profile``: what each input gives and costs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn_deploy.cli.compile import not_negative, positive
from snn_deploy.cli.run import BACKENDS
from snn_deploy.cli.serve import DRIFTED, add_drift_options
from snn_deploy.cli.verify import make_verification, refuse
from snn_deploy.cli.verify import show as show_verification
from snn_deploy.errors import BackendError

if TYPE_CHECKING:
    from snn_deploy.artifact import Artifact
    from snn_deploy.host.calibration import Calibration
    from snn_deploy.inputs.data import Data
    from snn_deploy.profile.profile import Profile

MOST_VERIFIED = 100


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "profile",
        help="run a data set; answers, timesteps, energy and latency of each input",
        description="Run a data set with the cutoff and without, and price each input.",
    )
    parser.add_argument("network", type=Path, help="a compiled network, .snn")
    parser.add_argument("--data", type=Path, required=True, help="inputs, .npz")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("profile"), help="folder (profile/)"
    )
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        default="auto",
        help="auto: cpu, with a few inputs repeated on Lava where it is installed",
    )
    parser.add_argument("--limit", type=positive, help="only the first inputs")
    parser.add_argument("--no-cutoff", action="store_true", help="run all timesteps")
    parser.add_argument(
        "--cross-check",
        type=not_negative,
        metavar="N",
        help="inputs to repeat on Lava (default: 2 with --backend auto, else none)",
    )
    parser.add_argument(
        "--monitor",
        choices=("embedded", "host"),
        default="embedded",
        help="which processor polls the chip (default: embedded, on the board)",
    )
    parser.add_argument(
        "--verify",
        type=Path,
        metavar="MODEL",
        help=f"compare with the trained model, on up to {MOST_VERIFIED} inputs; adds a "
        "section to the report",
    )
    parser.add_argument(
        "--poll", type=positive, metavar="K", help="read the outputs every K timesteps"
    )
    add_drift_options(parser)
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> None:
    """Profile, write the files, print the table."""
    from snn_deploy.artifact import read_artifact
    from snn_deploy.cli.console import out
    from snn_deploy.cli.reading import note_overlap, read_calibration, read_inputs
    from snn_deploy.host.drift import audits
    from snn_deploy.report.profile_files import write_profile

    artifact = read_artifact(options.network)
    graph = artifact.network.graph
    data = read_inputs(options.data, graph)
    options.output.mkdir(parents=True, exist_ok=True)  # fails now, not at the end
    calibration = None
    if not options.no_cutoff and (artifact.calibration or options.poll):
        calibration = read_calibration(artifact, options.network, poll=options.poll)
        note_overlap(calibration, data, options.data)
    next(audits(options.audit))  # fails now, not at the end
    profile = make_profile(
        artifact,
        data,
        calibration,
        backend=options.backend,
        audit=options.audit,
        limit=options.limit,
        monitor=options.monitor,
        n_cross_checked=_n_cross_checked(options.backend, options.cross_check),
    )
    verification = None
    if options.verify is not None:
        limit = min(options.limit or MOST_VERIFIED, MOST_VERIFIED)
        verification = make_verification(artifact, options.verify, data, limit=limit)
    write_profile(profile, options.output, verification)
    show(profile)
    if verification is not None:
        show_verification(verification)
    out(f"wrote {options.output / 'inputs.parquet'}, summary.json and report.html")
    if verification is not None:
        refuse(verification, options.network)
    if options.fail_on_drift and profile.drift is not None and profile.drift.is_alarm:
        raise SystemExit(DRIFTED)


def _n_cross_checked(backend: str, asked: int | None) -> int:
    """Return how many inputs to repeat on Lava, 2 if nobody asks but the default."""
    if asked and backend == "lava":
        raise BackendError(
            "--cross-check repeats inputs of the cpu backend on Lava; leave it out "
            "with --backend lava, or choose cpu or auto"
        )
    return asked if asked is not None else 2 * (backend == "auto")


def make_profile(
    artifact: "Artifact",
    data: "Data",
    calibration: "Calibration | None",
    *,
    backend: str,
    audit: float = 0.0,
    limit: int | None = None,
    monitor: str = "embedded",
    n_cross_checked: int = 2,
) -> "Profile":
    """Return the profile, with progress bars, and say what else was done."""
    from snn_deploy.backends import open_backend
    from snn_deploy.cli.console import out, with_progress
    from snn_deploy.crosscheck import cross_check
    from snn_deploy.profile.profile import profile_inputs

    cutoff = None if calibration is None else calibration.cutoff
    if artifact.calibration is None:
        out("no cutoff: the network is not calibrated (snn-deploy calibrate)")
    if n_cross_checked > 0:
        out(cross_check(artifact, data, cutoff, n_cross_checked))
    name = "cpu" if backend == "auto" else backend
    return profile_inputs(
        artifact,
        open_backend(name),
        data,
        cutoff=cutoff,
        calibration=calibration,
        audit=audit,
        monitor=monitor,
        limit=limit,
        progress=with_progress,
    )


def show(profile: "Profile") -> None:
    """Print the means of each schedule, and which one wins."""
    from snn_deploy.cli.console import out, show_table
    from snn_deploy.profile.schedules import remarks
    from snn_deploy.profile.summary import summarize
    from snn_deploy.report.units import percent, with_prefix

    summary = summarize(profile)
    runs = summary["schedules"].values()

    def row(name: str, key: str, unit: str | None = None) -> tuple[str, ...]:
        values = [means[key] for means in runs]
        if unit is not None:
            return name, *(with_prefix(value, unit) for value in values)
        return name, *("unknown" if v is None else f"{v:,.4g}" for v in values)

    rows = [
        ("accuracy", *(percent(means["accuracy"]) for means in runs)),
        row("timesteps", "mean_timesteps"),
        row("chip timesteps", "mean_chip_timesteps"),
        row("spikes", "mean_spikes"),
        row("synaptic operations", "mean_synaptic_operations"),
        row("packets", "mean_packets"),
        row("hops", "mean_hops"),
    ]
    for part in ("dynamic", "static", "reset", "host"):
        rows.append(row(f"energy, {part}", f"mean_energy_{part}_j", "J"))
        rows.append(row("  high", f"mean_energy_{part}_high_j", "J"))
    rows.append(row("energy, all", "mean_energy_j", "J"))
    rows.append(row("  high", "mean_energy_high_j", "J"))
    rows.append(row("latency", "mean_latency_s", "s"))
    rows.append(row("  high", "mean_latency_high_s", "s"))
    rows.append(row("inputs in a second", "throughput_per_s"))
    rows.append(row("  at high prices", "throughput_low_per_s"))
    n, target = summary["n_inputs"], summary["target"]
    show_table(
        f"{summary['network']} on {target}, means of {n} inputs",
        ("", *(means["text"] for means in runs)),
        rows,
    )
    for line in remarks(summary):
        out(line)
