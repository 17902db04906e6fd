"""``snn-deploy calibrate``: find the threshold at which the chip may stop."""

import argparse
from pathlib import Path
from typing import Any


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "calibrate",
        help="find the threshold of the cutoff on calibration data",
        description="Find the threshold of the cutoff and write it into the .snn file.",
    )
    parser.add_argument("network", type=Path, help="a compiled network, .snn")
    parser.add_argument(
        "--data", type=Path, required=True, help="calibration inputs, .npz"
    )
    parser.add_argument(
        "--rule",
        choices=("risk", "topk"),
        default="risk",
        help="risk: one threshold whose loss is bounded (default); topk: as published",
    )
    parser.add_argument(
        "--budget",
        type=float,
        default=0.01,
        help="loss allowed, as a fraction (default 0.01); epsilon of topk",
    )
    parser.add_argument(
        "--confidence",
        type=float,
        default=0.9,
        help="probability with which the bound holds (default 0.9)",
    )
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> None:
    """Run the calibration inputs for all timesteps and store the thresholds."""
    from snn_deploy.artifact import pack, read_artifact, write_artifact
    from snn_deploy.backends import open_backend
    from snn_deploy.cli.console import out, with_progress
    from snn_deploy.cli.reading import read_inputs
    from snn_deploy.host.calibrate import calibrate, check_settings
    from snn_deploy.host.monitor import collect_scores

    artifact = read_artifact(options.network)
    network = artifact.network
    graph = network.graph
    data = read_inputs(options.data, graph)
    check_settings(options.rule, options.budget, options.confidence, data.y)
    program = open_backend("cpu").load(network)
    scores = collect_scores(
        program,
        network,
        data.stimuli(),
        lambda r: with_progress(r, len(data), "inputs"),
    )
    calibration = calibrate(
        scores,
        data.y,
        rule=options.rule,
        budget=options.budget,
        confidence=options.confidence,
        network_sha256=artifact.sha256,
        inputs_sha256=data.sha256,
    )
    write_artifact(pack(network, calibration), options.network)
    for line in describe(calibration):
        out(line)
    out(f"wrote {options.network}")


def describe(calibration: Any) -> list[str]:
    """Return what a calibration found and promises, line by line."""
    loss = "accuracy lost" if calibration.uses_labels else "answers changed"
    n = calibration.n_inputs
    lines = []
    if calibration.rule == "risk":
        lines.append(
            f"rule risk: stop once the best output leads by more than "
            f"{calibration.betas[0]:g}"
        )
        lines.append(
            f"promise: {loss} <= {calibration.budget:g}, with confidence "
            f"{calibration.confidence:g} over the draw of the {n} calibration inputs"
        )
        if n < calibration.n_inputs_needed:
            lines[0] = "rule risk: never stops early, since there are too few inputs"
            lines.append(
                f"{n} calibration inputs cannot promise that; at least "
                f"{calibration.n_inputs_needed} are needed"
            )
    else:
        thresholds = ", ".join(f"{beta:g}" for beta in calibration.betas)
        lines.append(f"rule topk: thresholds per timestep {thresholds}")
        lines.append("promise: none (the published rule)")
    lines.append(
        f"seen: {calibration.mean_timesteps:.2f} of {calibration.timesteps} timesteps "
        f"on average, {loss} {calibration.loss:.4f}"
    )
    return lines
