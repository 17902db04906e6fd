"""``snn-deploy calibrate``: find the threshold at which the chip may stop."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn_deploy.cli.console import add_json_option
from snn_deploy.cli.reading import add_head, positive, share

if TYPE_CHECKING:
    from snn_deploy.artifact import Artifact
    from snn_deploy.cutoff.evidence import Evidence
    from snn_deploy.cutoff.rules.rule import Settings
    from snn_deploy.data.data import Data

N_COMPARED = 1000  # inputs on which ways to serve are compared


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "calibrate",
        help="find the threshold of the cutoff on calibration data",
        description="Find the threshold of the cutoff and write it into the .snn file.",
    )
    parser.add_argument("network", type=Path, help="a compiled network, .snn")
    add_head(parser, "the outputs that decide when to stop")
    parser.add_argument(
        "--data", type=Path, required=True, help="calibration inputs, .npz"
    )
    parser.add_argument(
        "--rule",
        type=rule_at,
        default="risk",
        help="risk (default: one threshold whose loss is bounded), certain, retry:T, "
        "fixed:T, topk, or another; '?' lists them",
    )
    parser.add_argument(
        "--budget",
        type=share,
        help="loss allowed, such as 0.01 or 1%% (the default); epsilon of topk",
    )
    parser.add_argument(
        "--confidence",
        type=share,
        help="probability with which the bound holds (default 0.9)",
    )
    parser.add_argument(
        "--promise",
        choices=("probability", "expectation"),
        default="probability",
        help="the bound holds with the confidence (default), or on average",
    )
    parser.add_argument(
        "--score",
        choices=("gap", "confidence", "entropy", "best"),
        default="gap",
        help="what the threshold is for (default gap); best: chosen on half the inputs",
    )
    parser.add_argument(
        "--poll",
        type=positive,
        default=1,
        metavar="K",
        help="read the outputs every K timesteps, and at the last (default 1)",
    )
    parser.add_argument(
        "--split",
        action="store_true",
        help="the table shows one half of the inputs, the promise is of the other: to "
        "choose a row",
    )
    parser.add_argument(
        "--optimize",
        choices=("energy", "latency"),
        help="search rule, poll interval and schedule that cost least within the "
        "budget, on one half of the inputs; the promise is of the other",
    )
    parser.add_argument(
        "--monitor",
        choices=("embedded", "host"),
        help="with --optimize: which processor polls the chip (default: embedded)",
    )
    parser.add_argument(
        "--on-chip",
        type=Path,
        metavar="FILE",
        help="write a network too, .snn, whose own neurons hold the rule and end a run",
    )
    parser.add_argument(
        "--silence",
        action="store_true",
        help="with --on-chip: behind the answer the first layers are inhibited",
    )
    add_json_option(parser)
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> None:
    """Run the calibration inputs for all timesteps and store the thresholds."""
    from snn_deploy.artifact import pack
    from snn_deploy.cli.calibration import show_budgets, show_classes, verdict
    from snn_deploy.cli.console import give_json, out
    from snn_deploy.cli.reading import (
        note_remarks,
        note_repeated,
        read_inputs,
        read_network,
    )
    from snn_deploy.cutoff.calibrate import best_score, calibrate, require_inputs
    from snn_deploy.profile.calibrating import check_asked

    settings = read_settings(options)
    artifact = read_network(options)
    data = read_inputs(options.data, artifact.network.graph)
    check_asked(artifact, data, settings)
    note_repeated(data, options.data)
    if options.optimize:
        settings, shown = _optimized(options, artifact, data, settings)
        certified = shown
    else:
        shown = certified = _evidence(artifact, data)
    note_remarks(certified.remarks(), options.data)
    if options.split or options.score == "best":
        shown, certified = certified.halves()
    if options.score == "best":
        settings = best_score(shown, settings)
        out(f"score {settings.score}, chosen on {len(shown.scores)} of the inputs")
    calibration = calibrate(certified, settings)
    if options.budget is not None:
        require_inputs(calibration)
    show_budgets(shown, settings)
    wrote = _write(options, pack(artifact.network, calibration))
    show_classes(certified, calibration)
    for line in (*calibration.lines, *verdict(certified, calibration)):
        out(line)
    out(f"wrote {wrote}")
    give_json(options, calibration.as_json())
    if not options.optimize and not options.json:
        for line in _cheapest(artifact, data, settings, options.monitor):
            out(line)


def _write(options: argparse.Namespace, calibrated: "Artifact") -> str:
    """Write the network, and one that decides by itself if asked; return their names.

    Neither is written if that one cannot be made.
    """
    from snn_deploy.artifact import write_artifact
    from snn_deploy.profile.calibrating import decided_on_chip

    if options.on_chip is None:
        write_artifact(calibrated, options.network)
        return str(options.network)
    decided = decided_on_chip(calibrated, silences=options.silence)
    write_artifact(calibrated, options.network)
    write_artifact(decided, options.on_chip)
    return f"{options.network}, and {options.on_chip}, which decides by itself"


def rule_at(text: str) -> tuple[str, int]:
    """Return the name of a rule, and its timestep (0 if it takes none)."""
    from snn_deploy.cutoff.rules.rule import rules

    name, colon, at = text.partition(":")
    rule = rules().get(name)
    if (
        rule is None
        or rule.takes_timestep != bool(colon)
        or (colon and not at.isdecimal())
    ):
        known = ", ".join(
            f"{name}:T" if rule.takes_timestep else name
            for name, rule in rules().items()
        )
        raise argparse.ArgumentTypeError(
            f"{text!r} is not one of {known}, where T is a timestep; choose one"
        )
    return name, int(at or 0)


def read_settings(options: argparse.Namespace) -> "Settings":
    """Return what the command line asks for."""
    from snn_deploy.cutoff.rules.rule import Settings
    from snn_deploy.errors import CalibrationError

    rule, at = options.rule
    if options.monitor and not options.optimize:
        raise CalibrationError(
            "--monitor says who polls for --optimize; leave it out, or add --optimize"
        )
    if options.silence and options.on_chip is None:
        raise CalibrationError(
            "--silence is for a chip that decides; leave it out, or add --on-chip FILE"
        )
    if options.confidence is not None and options.promise == "expectation":
        raise CalibrationError(
            "--confidence is not part of a promise on average; leave it out, or ask "
            "for --promise probability"
        )
    return Settings(
        rule=rule,
        at=at,
        budget=0.01 if options.budget is None else options.budget,
        confidence=0.9 if options.confidence is None else options.confidence,
        form=options.promise,
        score="gap" if options.score == "best" else options.score,
        poll=options.poll,
    )


def _cheapest(
    artifact: "Artifact", data: "Data", settings: "Settings", monitor: str | None
) -> list[str]:
    """Return which way to serve is the cheapest, on the first inputs, and how to ask.

    Nothing where the target has no prices.
    """
    from snn_deploy.backends.registry import open_backend
    from snn_deploy.errors import CalibrationError
    from snn_deploy.profile.calibrating import evidence_of
    from snn_deploy.profile.optimize import in_words, measure, options, served

    some = data.take(range(min(N_COMPARED, len(data))))
    backend, who = open_backend("cpu"), monitor or "embedded"
    try:
        scores, costs = measure(artifact.network, backend, some.stimuli(), who)
    except CalibrationError:
        return []
    evidence = evidence_of(artifact, some, scores)
    found = options(evidence, costs, replace(settings, score="gap"))
    return [
        f"{in_words(found, served(evidence, costs, settings))} (modelled, the first "
        f"{len(some)} inputs)",
        "--optimize energy or --optimize latency chooses such a way on one half of the "
        "inputs and certifies it on the other",
    ]


def _optimized(
    options: argparse.Namespace,
    artifact: "Artifact",
    data: "Data",
    settings: "Settings",
) -> "tuple[Settings, Evidence]":
    """Return the settings that cost least, and the inputs to certify them on."""
    from snn_deploy.backends.registry import open_backend
    from snn_deploy.cli.optimize import choose
    from snn_deploy.cutoff.rules.rule import Settings
    from snn_deploy.errors import CalibrationError
    from snn_deploy.front.progress import with_progress
    from snn_deploy.profile.calibrating import evidence_of
    from snn_deploy.profile.optimize import measure

    if options.split or settings.rule != Settings().rule or settings.poll != 1:
        raise CalibrationError(
            "--optimize chooses rule, poll interval and halves itself; leave out "
            "--rule, --poll and --split"
        )
    scores, costs = measure(
        artifact.network,
        open_backend("cpu"),
        data.stimuli(),
        options.monitor or "embedded",
        lambda results: with_progress(results, len(data), "inputs"),
    )
    evidence = evidence_of(artifact, data, scores)
    return choose(evidence, costs, settings, options.optimize)


def _evidence(artifact: "Artifact", data: "Data") -> "Evidence":
    """Return the outputs of all inputs."""
    from snn_deploy.front.progress import with_progress
    from snn_deploy.profile.calibrating import collect_evidence

    return collect_evidence(
        artifact, data, lambda results: with_progress(results, len(data), "inputs")
    )
