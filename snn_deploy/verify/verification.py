"""Verify a compiled network against the model that it was compiled from."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import groupby

from snn_deploy.artifact import Artifact, sha256_of
from snn_deploy.compiler.lower.one_pass import one_pass
from snn_deploy.compiler.lower.one_pass_floats import one_pass_floats
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.pipeline import to_neurons, to_spiking
from snn_deploy.data.data import Data
from snn_deploy.errors import ArtifactError
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.verify.comparison import FormComparison
from snn_deploy.verify.crosscheck import check_lava
from snn_deploy.verify.differences import Difference, compare, other_structure
from snn_deploy.verify.result import Verification

BATCH = 25
MOST_VALUES = 1 << 22  # neurons, timesteps and inputs of a batch, in one form
Progress = Callable[[Iterable[None], int], Iterable[None]]


def verify(
    artifact: Artifact,
    model: Graph,
    data: Data,
    *,
    limit: int | None = None,
    n_lava: int = 0,
    progress: Progress = lambda batches, n: batches,
) -> Verification:
    """Return where the integers of ``artifact`` part from ``model``, and why.

    Parameters
    ----------
    artifact : Artifact
    model : Graph
        As trained.
    data : Data
        Inputs for both.
    limit : int, optional
        Only the first inputs.
    n_lava : int
        Inputs to repeat on Lava, where it is installed.
    progress : callable
        Wraps the batches, of known number, to show progress.

    Raises
    ------
    ArtifactError
        If the network has another structure than the model.
    """
    found = artifact.network.graph
    _refuse_decided(artifact)
    n_timesteps = found.one_pass_of or found.training.timesteps
    told = found.training.answers
    training = replace(model.training, timesteps=n_timesteps, answers=told)
    model = replace(model, training=training, name=found.name)
    target, spiking = artifact.network.target, to_spiking(model)
    expected = quantize(spiking, target)
    if found.one_pass_of:
        spiking = to_spiking(one_pass_floats(to_neurons(model)))
        expected = one_pass(expected, target)
    # where neurons lie changes no integer, and reading the file has checked it
    fresh = retime(expected, target)
    other = other_structure(found, fresh)
    if other is not None:
        raise ArtifactError(
            f"{found.name}: is not compiled from this model: {other}; give the model "
            "that it was compiled from"
        )
    differences = compare(found, fresh)
    if not differences and sha256_of(fresh) != sha256_of(found):
        differences = [_differs_elsewhere(sha256_of(found), sha256_of(fresh))]
    n = len(data) if limit is None else min(limit, len(data))
    comparison = FormComparison(found, spiking, expected, data.targets)
    size = _batch_size(found)
    starts = range(0, n, size)

    def batches() -> Iterator[None]:
        for start in starts:
            some = (data.stimulus(i) for i in range(start, min(start + size, n)))
            for _, alike in groupby(some, key=lambda stimulus: stimulus.length):
                comparison.add([*alike])
            yield

    for _ in progress(batches(), len(starts)):
        pass
    labels = None if data.y is None else data.y[:n]
    forms, restored = comparison.accuracies(labels)
    lava, notes = check_lava(artifact, data, min(n_lava, n))
    return Verification(
        network=found.name,
        target=artifact.network.target.name,
        n_inputs=n,
        timesteps=found.training.timesteps,
        has_labels=labels is not None or data.targets is not None,
        differences=tuple(differences),
        faults=comparison.faults(),
        layers=comparison.reports(),
        forms=forms,
        restored=restored,
        errors=comparison.errors(),
        lava=lava,
        notes=(*notes, *comparison.notes()),
    )


def _refuse_decided(artifact: Artifact) -> None:
    found = artifact.calibration
    if found is not None and found.found_by:
        raise ArtifactError(
            f"{artifact.network.graph.name}: its neurons hold the rule "
            f"{found.found_by}, and its other integers are those of the network that "
            "it was made of; verify that"
        )


def _differs_elsewhere(found: str, expected: str) -> Difference:
    return Difference(
        layer="network", parameter="sha256", index=(), found=found, expected=expected
    )


def _batch_size(graph: QuantizedGraph) -> int:
    n_neurons = sum(p.size for p in graph.populations)
    return max(1, min(BATCH, MOST_VALUES // (n_neurons * graph.training.timesteps)))
