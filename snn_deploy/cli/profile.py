"""``snn-deploy profile``: what each input gives and costs."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn_deploy.backends.registry import BACKENDS, CHECK, DEFAULT, open_backend
from snn_deploy.cli.compile import not_negative
from snn_deploy.cli.console import add_json_option
from snn_deploy.cli.profile_tables import (
    show,
    show_detail,
    show_neurobench,
    show_targets,
)
from snn_deploy.cli.reading import (
    add_head,
    add_model_options,
    add_worker_options,
    positive,
    workers_of,
)
from snn_deploy.cli.run import FAILED, backend_name
from snn_deploy.cli.serve import DRIFTED, add_drift_options
from snn_deploy.cli.verify import make_verification, refuse
from snn_deploy.cli.verify import show as show_verification
from snn_deploy.errors import BackendError

if TYPE_CHECKING:
    from snn_deploy.artifact import Artifact
    from snn_deploy.cutoff.rules.rule import Calibration
    from snn_deploy.data.data import Data
    from snn_deploy.ir.graph import Graph
    from snn_deploy.profile.profile import Profile
    from snn_deploy.profile.store import Unfinished
    from snn_deploy.profile.targets import LaidOut
    from snn_deploy.profile.workers import Workers
    from snn_deploy.report.profile_files import Additions

MOST_VERIFIED = 100
MOST_TOLD = 5  # inputs that failed; the files have all


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "profile",
        help="run a data set; answers, timesteps, energy and latency of each input",
        description="Run a data set with the cutoff and without, and price each input.",
    )
    parser.add_argument("network", type=Path, help="a compiled network, .snn")
    add_head(parser, "the outputs that are measured")
    parser.add_argument("--data", type=Path, required=True, help="inputs, .npz")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("profile"), help="folder (profile/)"
    )
    parser.add_argument(
        "--backend",
        choices=("auto", *BACKENDS),
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
        "--prices",
        metavar="NAME",
        help="another set of prices that the target has for its events (snn-deploy "
        "targets NAME --costs)",
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
    parser.add_argument(
        "--targets",
        type=_names,
        default=[],
        metavar="A,B",
        help="what the same integers would take on other targets: names, or .toml "
        "files",
    )
    parser.add_argument(
        "--pictures",
        nargs="?",
        type=Path,
        const=True,  # beside the report
        metavar="FOLDER",
        help="write every figure and table of the report as SVG, PNG and CSV files "
        "too, into a folder (pictures/ there)",
    )
    parser.add_argument(
        "--csv", action="store_true", help="write the tables as .csv as well"
    )
    parser.add_argument(
        "--full", action="store_true", help="print all means, and NeuroBench's metrics"
    )
    parser.add_argument(
        "--detail",
        action="store_true",
        help="events and dynamic energy of each layer, neurocore and chip timestep, "
        "also as detail.parquet",
    )
    add_json_option(parser)
    add_worker_options(parser)
    add_drift_options(parser)
    add_model_options(parser)
    parser.set_defaults(call=call)


def _names(text: str) -> list[str]:
    """Return names that commas separate."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(
            f"{text!r} lacks a name; give targets, separated by commas"
        )
    return names


@dataclass(frozen=True, kw_only=True, eq=False)
class _Job:
    """What is asked, read and checked."""

    artifact: "Artifact"
    data: "Data"
    model: "Graph | None"  # to compare with
    calibration: "Calibration | None"
    elsewhere: "tuple[LaidOut, ...]"
    n_cross_checked: int


def call(options: argparse.Namespace) -> None:
    """Profile, write the files, print the table."""
    import json

    from snn_deploy.cli.console import give_json, out
    from snn_deploy.profile.store import Unfinished
    from snn_deploy.report.picture_files import write_pictures
    from snn_deploy.report.profile_files import write_profile

    job = _checked(options)
    pictures = options.pictures
    if pictures is True:
        pictures = options.output / "pictures"
    for folder in filter(None, (options.output, pictures)):
        folder.mkdir(parents=True, exist_ok=True)  # fails now, not at the end
    with _kept(Unfinished(options.output)) as unfinished:
        profile, additions = _measured(job, options, unfinished)
        wrote = write_profile(profile, options.output, additions)
        if not profile.failed:  # else the same command goes on with what has not
            unfinished.remove()
    if pictures is not None:
        page = (options.output / wrote[wrote.index("report.html")]).read_text("utf-8")
        drawn = write_pictures(page, profile, pictures)
        wrote.append(f"{len(drawn)} figures and tables in {pictures}")
    _show(profile, additions, is_full=options.full)
    out(f"wrote {options.output / wrote[0]}, {', '.join(wrote[1:])}")
    summary = options.output / "summary.json"
    give_json(options, json.loads(summary.read_text(encoding="utf-8")))
    if additions.verification is not None:
        refuse(additions.verification, options.network)
    if profile.failed:
        raise SystemExit(FAILED)
    if options.fail_on_drift and profile.drift is not None and profile.drift.is_alarm:
        raise SystemExit(DRIFTED)


def _checked(options: argparse.Namespace) -> _Job:
    """Read what is asked; what cannot be done fails now, not at the end."""
    from snn_deploy.artifact import priced
    from snn_deploy.chip.target_file import read_target
    from snn_deploy.cli.console import out
    from snn_deploy.cli.reading import (
        asked_calibration,
        note_overlap,
        read_inputs,
        read_network,
        read_trained,
    )
    from snn_deploy.cutoff.drift import audits
    from snn_deploy.profile.targets import lay_out

    artifact = read_network(options)
    targets = [read_target(name) for name in options.targets]
    if options.prices is not None:
        artifact = priced(artifact, options.prices)
        targets = [target.with_prices(options.prices) for target in targets]
    graph = artifact.network.graph
    data = read_inputs(options.data, graph)
    calibration = asked_calibration(artifact, options, data)
    if calibration is not None:
        note_overlap(calibration, data, options.data)
    if graph.head.n_outputs == 1:
        out("no cutoff: the network has one output, a value and no class")
    elif data.targets is not None and calibration is None:
        out("no cutoff: y holds values, and an early stop needs classes")
    elif artifact.calibration is None:
        out("no cutoff: the network is not calibrated (snn-deploy calibrate)")
    next(audits(options.audit))
    return _Job(
        artifact=artifact,
        data=data,
        model=read_trained(options.verify, options, graph) if options.verify else None,
        calibration=calibration,
        elsewhere=lay_out(artifact, targets),
        n_cross_checked=_n_cross_checked(options.backend, options.cross_check),
    )


def _measured(
    job: _Job, options: argparse.Namespace, unfinished: "Unfinished"
) -> "tuple[Profile, Additions]":
    """Return the profile and all that is asked beside it."""
    from snn_deploy.profile.closeups import look_closer
    from snn_deploy.profile.neurobench import metrics
    from snn_deploy.profile.targets import on_targets
    from snn_deploy.report.profile_files import Additions

    artifact, data = job.artifact, job.data
    with workers_of(options) as workers:
        measure = partial(
            make_profile,
            data=data,
            calibration=job.calibration,
            backend=options.backend,
            audit=options.audit,
            limit=options.limit,
            monitor=options.monitor,
            n_cross_checked=0,
            unfinished=unfinished,
            workers=workers,
        )
        profile = measure(
            artifact, n_cross_checked=job.n_cross_checked, has_rivals=True
        )
        targets = on_targets(profile, job.elsewhere, measure) if options.targets else ()
    cutoff = None if job.calibration is None else job.calibration.cutoff
    n_inputs = len(profile.rows) + len(profile.failed)
    verification = None
    if job.model is not None:
        limit = min(options.limit or MOST_VERIFIED, MOST_VERIFIED)
        verification = make_verification(artifact, job.model, data, limit=limit)
    return profile, Additions(
        verification=verification,
        targets=targets,
        closeups=look_closer(profile, data, open_backend("cpu")),  # equal to others
        neurobench=metrics(artifact.network, data.stimuli, n_inputs, cutoff),
        detail=profile.detail if options.detail else None,
        has_csv=options.csv,
        command=options.as_given,
    )


def _show(profile: "Profile", additions: "Additions", *, is_full: bool) -> None:
    show(profile, is_full=is_full)
    if additions.detail is not None:
        show_detail(additions.detail)
    show_targets(profile, additions.targets)
    if is_full and additions.neurobench is not None:
        show_neurobench(additions.neurobench)
    if additions.verification is not None:
        show_verification(additions.verification)


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
    unfinished: "Unfinished | None" = None,
    workers: "Workers | None" = None,
    has_rivals: bool = False,
) -> "Profile":
    """Return the profile, with progress bars, and say what else was done.

    It goes on with what lies in ``unfinished``, and keeps there what is done.
    """
    from snn_deploy.cli.console import note, out
    from snn_deploy.front.progress import with_progress
    from snn_deploy.profile.profile import profile_inputs
    from snn_deploy.verify.crosscheck import cross_check

    cutoff = None if calibration is None else calibration.cutoff
    if n_cross_checked > 0:
        out(cross_check(artifact, data, cutoff, n_cross_checked))
    name = backend_name(backend)
    store = None
    if unfinished is not None:
        store = unfinished.place(
            artifact,
            data,
            calibration,
            n=min(limit or len(data), len(data)),
            backend=name,
            monitor=monitor,
        )
        if store.hashes:
            out(f"goes on where it stopped: {len(store.hashes)} parts are done")
    profile = profile_inputs(
        artifact,
        open_backend(name),
        data,
        cutoff=cutoff,
        calibration=calibration,
        audit=audit,
        monitor=monitor,
        limit=limit,
        store=store,
        workers=workers,
        has_rivals=has_rivals,
        progress=with_progress,
    )
    for failed in profile.failed[:MOST_TOLD]:
        note(f"input {failed.index} failed twice: {failed.reason}")
    return profile


@contextmanager
def _kept(unfinished: "Unfinished") -> Iterator["Unfinished"]:
    """Say where what is kept lies, if something comes between."""
    from snn_deploy.cli.console import note

    try:
        yield unfinished
    except (BackendError, KeyboardInterrupt, OSError):
        if unfinished.n_blocks:
            note(f"what is done lies in {unfinished.path}; the same command goes on")
        raise


def _n_cross_checked(backend: str, asked: int | None) -> int:
    """Return how many inputs to repeat on Lava, 2 of the default if not asked."""
    if asked and backend == CHECK:
        raise BackendError(
            f"--cross-check repeats inputs of the {DEFAULT} backend on {CHECK}; leave "
            f"it out with --backend {CHECK}, or choose {DEFAULT} or auto"
        )
    return asked if asked is not None else 2 * (backend == "auto")
