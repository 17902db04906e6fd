"""Options that commands share, and the model and the inputs that they name."""

import argparse
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn_deploy.errors import DataError
from snn_deploy.importers.options import OPTIONS, ReadOptions

if TYPE_CHECKING:
    from snn_deploy.artifact import Artifact
    from snn_deploy.cutoff.rules.rule import Calibration
    from snn_deploy.data.data import Data
    from snn_deploy.ir.graph import Graph
    from snn_deploy.ir.quantized import QuantizedGraph
    from snn_deploy.profile.workers import Workers

DEFAULT_TARGET = "loihi-sim"


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add what a model's file may leave out."""
    group = parser.add_argument_group("what the file of a model may leave out")
    parsers: dict[type, Any] = {int: positive, tuple: _shapes}
    for option in OPTIONS:
        shown = dict(option.metadata)
        kind = shown.pop("kind")
        if kind is bool:
            shown["action"] = "store_true"
        else:
            shown["type"] = parsers.get(kind, kind)
        flag = shown.pop("flag", f"--{option.name.replace('_', '-')}")
        group.add_argument(flag, dest=option.name, **shown)


def add_worker_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say who measures."""
    many = parser.add_mutually_exclusive_group()
    many.add_argument(
        "--workers", type=positive, metavar="N", help="measure on N processes"
    )
    many.add_argument(
        "--scheduler",
        default="",
        metavar="ADDRESS",
        help="measure on a cluster of Dask, such as tcp://host:8786",
    )


def workers_of(
    options: argparse.Namespace,
) -> "AbstractContextManager[Workers | None]":
    """Return who measures; ``None`` is this process."""
    if not options.workers and not options.scheduler:
        return nullcontext()
    from snn_deploy.profile.workers import open_workers

    return open_workers(options.workers or 0, options.scheduler)


def share(text: str) -> float:
    """Return a share such as 0.01 or 1%."""
    number = text.strip()
    try:
        if number.endswith("%"):
            return float(number[:-1]) / 100
        return float(number)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no share; write it like 0.01 or 1%"
        ) from None


def positive(text: str) -> int:
    """Return a number over 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not over 0")
    return value


def _shapes(text: str) -> tuple[int, ...] | dict[str, tuple[int, ...]]:
    """Return a shape, or those of several inputs by name."""
    if "=" not in text:
        return _shape(text)
    pairs = [part.partition("=") for part in text.split("/")]
    shapes = {name: _shape(sizes) for name, _, sizes in pairs}
    if len(shapes) < len(pairs):
        raise argparse.ArgumentTypeError(
            f"{text!r} names an input twice; give each its own name"
        )
    return shapes


def _shape(text: str) -> tuple[int, ...]:
    """Return sizes, separated by commas."""
    try:
        sizes = tuple(int(size) for size in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a shape; give sizes over 0, as in 1,28,28"
        )
    return sizes


def read_model(path: Path, options: argparse.Namespace) -> "Graph":
    """Return the model at ``path``, with the options of ``add_model_options``."""
    from snn_deploy.data.data import dark_bytes, load_arrays
    from snn_deploy.data.named import as_named
    from snn_deploy.importers.registry import load_with
    from snn_deploy.ir.inputs import BESIDE, LABELS

    arrays = None
    if options.balance_on:
        arrays = load_arrays(options.balance_on)
        inputs = [name for name in arrays if name.lower() not in (*LABELS, *BESIDE)]
        try:
            arrays |= as_named(options.balance_on, arrays, "x")
            note_remarks(dark_bytes(arrays["x"]), options.balance_on)
        except DataError:
            if len(inputs) < 2:  # else they may be several
                raise
            for name in inputs:
                note_remarks(dark_bytes(arrays[name], name), options.balance_on)
    return load_with(path, _told(options, balance_on=arrays))


def read_shapes(path: Path | None, options: argparse.Namespace) -> "Graph":
    """Return a model that need not be trained, with the same options."""
    from snn_deploy.importers.registry import load_shapes

    if path is not None and options.balance_on is not None:
        return read_model(path, options)
    return load_shapes(path, _told(options))


def read_trained(
    path: Path, options: argparse.Namespace, network: "QuantizedGraph"
) -> "Graph":
    """Return the model of a compiled network, which answers what the options do not."""
    training = network.training
    # bias senders have no threshold
    resets = {p.reset for p in network.populations if p.spikes and p.threshold.any()}
    known = {
        "dt": training.dt,
        "reset": resets.pop().value if len(resets) == 1 else None,
        "timesteps": network.one_pass_of or training.timesteps,
        "input_shape": {given.name: given.shape for given in training.inputs}
        or network.source.shape,
        "encoding": training.encoding.value,
        "input_range": None if training.inputs else training.input_range,
    }
    given = {key: value for key, value in vars(options).items() if value is not None}
    return read_model(path, argparse.Namespace(**{**vars(options), **known, **given}))


def _told(options: argparse.Namespace, balance_on: Any = None) -> ReadOptions:
    """Return what readers of models are told, with the inputs of a file."""
    given = {option.name: getattr(options, option.name) for option in OPTIONS}
    return ReadOptions(**{**given, "balance_on": balance_on})


def show_gap(graph: "Graph", path: Path) -> None:
    """Print what the conversion to spikes costs on the inputs of ``--balance-on``."""
    from snn_deploy.cli.console import out
    from snn_deploy.data.data import read_data
    from snn_deploy.verify.conversion_gap import conversion_gap

    n_outputs = graph.head.n_outputs
    data = read_data(path, graph.input.shape, graph.training, n_outputs=n_outputs)
    if data.y is None:
        return
    gap = conversion_gap(graph, data)
    out(
        f"conversion, {gap.n_inputs} inputs of {path}: {gap.network:.1%} right before, "
        "in spikes after T timesteps"
    )
    for timesteps, accuracy in gap.shown:
        points = 100 * (accuracy - gap.network)
        out(f"  T {timesteps:3d}  {accuracy:7.1%}  {points:+6.1f} points")


def add_head(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option that chooses among heads."""
    parser.add_argument(
        "--head", metavar="NAME", help=f"{what}, of several (default: the first)"
    )


def read_network(options: argparse.Namespace) -> "Artifact":
    """Return the compiled network, of whose heads the one that is asked answers."""
    from snn_deploy.artifact import answering, read_artifact

    artifact = read_artifact(options.network)
    asked = answering(artifact, options.head)
    if artifact.calibration is not None and asked.calibration is None:
        name = artifact.network.graph.head.name
        print(
            f"note: {options.network}: the cutoff looks at the head {name}, so none "
            f"is used for {options.head}",
            file=sys.stderr,
        )
    return asked


def read_inputs(path: Path, graph: "QuantizedGraph") -> "Data":
    """Return the inputs at ``path`` for a network; on stderr, what it does not get."""
    from snn_deploy.data.data import read_data

    data = read_data(
        path, graph.source.shape, graph.training, n_outputs=graph.head.n_outputs
    )
    note_remarks(data.remarks(), path)
    return data


def note_remarks(remarks: Iterable[str], path: Path) -> None:
    """Say on stderr what the network does not get as it may be meant."""
    for remark in remarks:
        print(f"note: {path}: {remark}", file=sys.stderr)


def read_calibration(
    artifact: "Artifact", path: Path, *, poll: int | None = None
) -> "Calibration":
    """Return the thresholds of a network, looked at every ``poll`` timesteps.

    Raises
    ------
    CalibrationError
        If it has none, or none that hold so.
    """
    from snn_deploy.errors import CalibrationError

    if artifact.calibration is None:
        raise CalibrationError(
            f"{path}: the network is not calibrated; run snn-deploy calibrate"
        )
    calibration = artifact.calibration
    return calibration if poll is None else calibration.polled_every(poll)


def asked_calibration(
    artifact: "Artifact", options: argparse.Namespace, data: "Data"
) -> "Calibration | None":
    """Return the thresholds to run with; ``None``: all timesteps.

    Raises
    ------
    CalibrationError
        If options ask about a cutoff that there is not, or what ``data`` cannot tell.
    """
    from snn_deploy.errors import CalibrationError

    given = vars(options)
    about = [
        f"--{name.replace('_', '-')}"
        for name in ("poll", "audit", "fail_on_drift")
        if given.get(name)
    ]
    if options.no_cutoff and about:
        raise CalibrationError(
            f"{', '.join(about)}: --no-cutoff leaves no cutoff to look at; leave out "
            "the one or the other"
        )
    if options.no_cutoff or (artifact.calibration is None and not about):
        return None
    calibration = read_calibration(artifact, options.network, poll=options.poll)
    calibration.check_ends(data.ends)
    if given.get("audit") and calibration.uses_labels and data.y is None:
        raise CalibrationError(
            f"{options.data}: --audit needs labels y to see what is lost; add them, or "
            "calibrate without labels to audit the answers that change"
        )
    return calibration


def note_repeated(data: "Data", path: Path) -> None:
    """Say on stderr how many of the inputs are exact copies of others."""
    import numpy as np

    n = len(data) - len(np.unique(data.hashes))
    if n:
        print(
            f"note: {path}: {n} of {len(data)} inputs are exact copies of others; the "
            "promise takes all for independent ones, and is too good (copies that "
            "differ in a value are not found)",
            file=sys.stderr,
        )


def note_overlap(calibration: "Calibration", data: "Data", path: Path) -> None:
    """Say on stderr how many of the inputs the cutoff was calibrated on."""
    import numpy as np

    hashes = calibration.input_hashes
    n = int(np.isin(data.hashes, hashes).sum()) if len(hashes) else 0
    if n:
        print(
            f"note: {path}: {n} of {len(data)} inputs are exact copies of ones that "
            "the cutoff was calibrated on; what it loses on them says little about "
            "others",
            file=sys.stderr,
        )
