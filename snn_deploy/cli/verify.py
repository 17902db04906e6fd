"""``snn-deploy verify``: where the chip's integers part from the trained model."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn_deploy.cli.compile import not_negative
from snn_deploy.cli.console import add_json_option
from snn_deploy.cli.reading import add_head, add_model_options, positive
from snn_deploy.errors import ArtifactError, BackendError

if TYPE_CHECKING:
    from snn_deploy.artifact import Artifact
    from snn_deploy.data.data import Data
    from snn_deploy.ir.graph import Graph
    from snn_deploy.verify.result import Accuracy, LayerReport, Verification

MOST_SHOWN = 20  # differing parameters


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "verify",
        help="find where the chip's integers part from the trained model, and why",
        description="Run a model and its compiled network on the same inputs; find "
        "for each layer where they part, why, and what it costs. The status is 1 if "
        "the integers are not what the model compiles to.",
    )
    parser.add_argument("network", type=Path, help="a compiled network, .snn")
    add_head(parser, "the outputs that are compared")
    parser.add_argument(
        "--against", type=Path, required=True, help="the model, as compile reads it"
    )
    parser.add_argument("--data", type=Path, required=True, help="inputs, .npz")
    parser.add_argument("--limit", type=positive, help="only the first inputs")
    parser.add_argument(
        "--lava",
        type=not_negative,
        default=1,
        metavar="N",
        help="inputs to repeat on Lava, where it is installed (default 1)",
    )
    add_json_option(parser)
    add_model_options(parser)
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> None:
    """Verify and print; an error if the integers are not what they should be."""
    from snn_deploy.cli.console import give_json
    from snn_deploy.cli.reading import read_inputs, read_network, read_trained

    artifact = read_network(options)
    data = read_inputs(options.data, artifact.network.graph)
    model = read_trained(options.against, options, artifact.network.graph)
    verification = make_verification(
        artifact, model, data, limit=options.limit, n_lava=options.lava
    )
    show(verification)
    give_json(options, verification.as_json())
    refuse(verification, options.network)


def make_verification(
    artifact: "Artifact",
    model: "Graph",
    data: "Data",
    *,
    limit: int | None,
    n_lava: int = 0,
) -> "Verification":
    """Return the verification against a trained model, with a progress bar."""
    from snn_deploy.front.progress import with_progress
    from snn_deploy.verify.verification import verify

    return verify(
        artifact,
        model,
        data,
        limit=limit,
        n_lava=n_lava,
        progress=lambda batches, n: with_progress(batches, n, "verify"),
    )


def refuse(verification: "Verification", network: Path) -> None:
    """Raise an error if the network is not what its model compiles to."""
    if verification.is_faithful:
        return
    lava = verification.lava
    if lava is not None and lava.mismatch:
        raise BackendError(
            f"{network}: {lava.mismatch}; report this with the model and the input"
        )
    found = [*map(str, verification.differences), *map(str, verification.faults)]
    n = len(verification.differences)
    what = "1 parameter is" if n == 1 else f"{n} parameters are"
    raise ArtifactError(
        f"{network}: {what} not what the model compiles to, first {found[0]}; compile "
        "again, or give the model that it was compiled from"
        if n
        else f"{network}: {found[0]}; report this with the model and the input"
    )


def show(verification: "Verification") -> None:
    """Print the tables."""
    from snn_deploy.cli.console import out, show_table
    from snn_deploy.report.units import number, percent

    show_table(
        f"{verification.network} on {verification.target}: float against chip, "
        f"{verification.n_inputs} inputs of {verification.timesteps} timesteps",
        ("layer", "neurons", "differ", "alone", "first: timestep, input, neuron",
         "float", "chip", "cause"),
        [_layer_row(report) for report in verification.layers],
    )  # fmt: skip
    out(
        "differ: share of spikes (of answers, where voltages are read out; of a single "
        "voltage, the root mean\nsquare of the difference to its own), each form in "
        "its own network; alone:\nthe same with the chip's spikes as input of both; "
        "float, chip: voltage less threshold there; cause: in\nbrackets the share of "
        "parted neurons that this aspect of the chip by itself reproduces"
    )
    show_table(
        "where the difference comes from, and what left the registers' range",
        ("layer", "float to quantized parameters", "those to chip arithmetic",
         "saturations", "wraps"),
        [(report.layer, percent(report.by_parameters, 3),
          percent(report.by_arithmetic, 3), report.saturations, report.wraps)
         for report in verification.layers],
    )  # fmt: skip
    what = "accuracy" if verification.has_labels else "agreement with float"
    if verification.forms:
        show_table(
            "what each layer's rounding costs: one layer in float, the others in "
            "integers",
            ("form", what, "more than chip", "95 % interval, paired"),
            [_accuracy_row(a) for a in (*verification.forms, *verification.restored)],
        )
    if verification.errors:
        told = "what they should be" if verification.has_labels else "the float form's"
        show_table(
            f"values against {told}, in the network's units",
            ("form", "mean squared error", "mean absolute error"),
            [
                (e.form, number(e.mean_squared_error), number(e.mean_absolute_error))
                for e in verification.errors
            ],
        )
    if verification.differences:
        show_table(
            "not what the model compiles to",
            ("layer", "parameter", "index", "found", "expected", "values"),
            [
                (d.layer, d.parameter, list(d.index), d.found, d.expected, d.count)
                for d in verification.differences[:MOST_SHOWN]
            ],
        )
    for fault in verification.faults:
        out(str(fault))
    for line in _closing(verification):
        out(line)


def _layer_row(report: "LayerReport") -> tuple[object, ...]:
    from snn_deploy.report.units import percent
    from snn_deploy.verify.result import cause, place

    first = report.first
    voltages = ("", "") if first is None else first.voltages
    return (
        report.layer,
        "x".join(map(str, report.shape)),
        percent(report.differing, 3),
        percent(report.differing_alone, 3),
        place(first) or "never",
        *(f"{voltage:+.3g}" if first else "" for voltage in voltages),
        cause(report),
    )


def _accuracy_row(accuracy: "Accuracy") -> tuple[str, ...]:
    from snn_deploy.report.units import percent

    gain = accuracy.gain
    bounds = f"{100 * gain['low']:+.1f} to {100 * gain['high']:+.1f} points"
    is_chip = accuracy.form == "chip"
    return (
        accuracy.form,
        percent(accuracy.accuracy),
        "" if is_chip else f"{100 * gain['mean']:+.1f} points",
        "" if is_chip else bounds,
    )


def _closing(verification: "Verification") -> list[str]:
    lines = [f"note: {note}" for note in verification.notes]
    shown = {fault.layer for fault in verification.faults}
    hidden = {d.layer for d in verification.differences} - shown
    if hidden:
        lines.append(
            f"{', '.join(sorted(hidden))}: on these inputs the difference never shows"
        )
    lava = verification.lava
    if lava is not None and not lava.mismatch:
        n = "1 input" if lava.n_inputs == 1 else f"{lava.n_inputs} inputs"
        lines.append(
            f"Lava: {n}, all {lava.n_values:,} spikes, currents and voltages equal"
        )
    if verification.is_faithful:
        lines.append("the integers are exactly what the model compiles to")
    return lines
