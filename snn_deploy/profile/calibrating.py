"""Calibrate a compiled network: run inputs for all timesteps, choose thresholds."""

import logging
from collections.abc import Callable, Iterable

from snn_deploy.arrays import IntArray
from snn_deploy.artifact import Artifact, pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.compiler.lower.decide import decide
from snn_deploy.compiler.retarget import retarget
from snn_deploy.cutoff.calibrate import calibrate, refuse_used, refuse_values
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.monitor import collect_scores
from snn_deploy.cutoff.rules.on_chip import moved, thresholds
from snn_deploy.cutoff.rules.rule import Settings
from snn_deploy.data.data import Data
from snn_deploy.errors import CalibrationError

logger = logging.getLogger(__name__)


def calibrated(
    artifact: Artifact,
    data: Data,
    settings: Settings,
    progress: Callable[[Iterable[IntArray]], Iterable[IntArray]] = iter,
) -> Artifact:
    """Return the network with thresholds that the inputs of ``data`` give."""
    evidence = collect_evidence(artifact, data, progress)
    for remark in evidence.remarks():
        logger.warning("%s: %s", artifact.network.graph.name, remark)
    return pack(artifact.network, calibrate(evidence, settings))


def check_asked(artifact: Artifact, data: Data, settings: Settings) -> None:
    """Raise an error now, before all inputs run, if they would run for nothing."""
    graph, before = artifact.network.graph, artifact.calibration
    if before is not None and before.found_by:
        raise CalibrationError(
            f"{graph.name}: its neurons hold the rule {before.found_by} already; "
            "calibrate the network that it was made from"
        )
    refuse_values(data, graph)
    settings.check_labels(data.y)
    settings.polled(graph.training.timesteps)
    settings.method.check(graph)
    refuse_used(data.hashes, graph.used_inputs)


def decided_on_chip(artifact: Artifact, *, silences: bool = False) -> Artifact:
    """Return the calibrated network with neurons that hold the rule: see ``decide``.

    Raises
    ------
    CalibrationError
        If it is not calibrated, or the rule is no threshold on the gap.
    FitError
        If neurons of its target could not hold the rule exactly.
    """
    network, found = artifact.network, artifact.calibration
    if found is None:
        raise CalibrationError(
            f"{network.graph.name}: has no rule that neurons could hold; calibrate it"
        )
    graph = decide(network.graph, thresholds(found), silences=silences)
    mapped = retarget(graph, network.target, goal=network.goal or None)
    return pack(mapped, moved(found, pack(mapped).sha256))


def collect_evidence(
    artifact: Artifact,
    data: Data,
    progress: Callable[[Iterable[IntArray]], Iterable[IntArray]] = iter,
) -> Evidence:
    """Return what the inputs of ``data`` give on the cpu backend.

    ``progress`` wraps the outputs of each input as they come.
    """
    refuse_values(data, artifact.network.graph)
    program = open_backend("cpu").load(artifact.network)
    try:
        scores = collect_scores(program, artifact.network, data.stimuli(), progress)
    finally:
        program.close()
    return evidence_of(artifact, data, scores)


def evidence_of(artifact: Artifact, data: Data, scores: IntArray) -> Evidence:
    """Return outputs ``(n, n_timesteps, n_classes)`` with what they are of."""
    return Evidence(
        scores=scores,
        labels=data.y,
        lengths=data.lengths,
        graph=artifact.network.graph,
        network_sha256=artifact.sha256,
        inputs_sha256=data.sha256,
        input_hashes=data.hashes,
    )
