"""Calibrate a compiled network: run inputs for all timesteps, choose thresholds."""

from collections.abc import Callable, Iterable

from snn_deploy.arrays import IntArray
from snn_deploy.artifact import Artifact, pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.cutoff.calibrate import calibrate, refuse_values
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.monitor import collect_scores
from snn_deploy.cutoff.rules.rule import Settings
from snn_deploy.data.data import Data


def calibrated(
    artifact: Artifact,
    data: Data,
    settings: Settings,
    progress: Callable[[Iterable[IntArray]], Iterable[IntArray]] = iter,
) -> Artifact:
    """Return the network with thresholds that the inputs of ``data`` give."""
    evidence = collect_evidence(artifact, data, progress)
    return pack(artifact.network, calibrate(evidence, settings))


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
