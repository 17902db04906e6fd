"""Find the thresholds of a rule on calibration data, and what they cost there."""

from dataclasses import dataclass, replace

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.oracle import answers
from snn_deploy.cutoff.rules.rule import Calibration, Settings
from snn_deploy.cutoff.scores import SCORES, scale_of, score_called
from snn_deploy.cutoff.thresholds import loss_of_stopping, safe_timesteps
from snn_deploy.data.data import Data
from snn_deploy.errors import CalibrationError
from snn_deploy.ir.heads import HeadKind
from snn_deploy.ir.quantized import QuantizedGraph


@dataclass(frozen=True, kw_only=True)
class ClassLoss:
    """What inputs of one class spend of the budget."""

    label: int  # without labels the last answer
    n: int
    mean_timesteps: float
    n_unsafe: int  # inputs stopped before their answer was safe
    lost: float  # accuracy lost, or answers changed


def calibrate(evidence: Evidence, settings: Settings) -> Calibration:
    """Return the thresholds of a rule for what calibration inputs gave.

    Raises
    ------
    CalibrationError
        If a setting does not suit the network or the inputs, or labels are missing.
    """
    settings.check_labels(evidence.labels)
    n_timesteps, n_classes = evidence.scores.shape[1:]
    if n_classes < 2:
        raise CalibrationError(
            "the network has one output, so there is no answer to stop at; calibrate "
            "one with an output for each class"
        )
    looks, rule = settings.polled(n_timesteps), settings.method
    scale = scale_of(evidence.graph)
    gains, steps = rule.changes(evidence.graph)
    is_looked_at = np.isin(np.arange(1, n_timesteps + 1), looks)
    betas = rule.betas(evidence, settings, looks, scale)
    found = Calibration(
        rule=settings.rule,
        betas=np.where(is_looked_at, betas, np.inf),
        budget=settings.budget,
        confidence=settings.confidence,
        uses_labels=evidence.labels is not None,
        n_inputs=len(evidence.scores),
        n_inputs_needed=rule.inputs_needed(settings, len(looks)),
        timesteps=n_timesteps,
        network_sha256=evidence.network_sha256,
        inputs_sha256=evidence.inputs_sha256,
        mean_timesteps=0.0,
        loss=0.0,
        form=settings.form,
        score=rule.score(settings),
        scale=scale,
        polled=looks,
        gains=gains,
        steps=steps,
        input_hashes=evidence.input_hashes,
    )
    return _measured(found, evidence)


def _measured(found: Calibration, evidence: Evidence) -> Calibration:
    """Return the calibration with what it does on its own inputs."""
    scores, labels = evidence.scores, evidence.labels
    timesteps = evidence.stops(found.cutoff)
    n_unsafe = int((timesteps < safe_timesteps(scores, labels)).sum())
    first = score_called(found.score, found.scale)(scores[:, found.looks[0] - 1])
    loss = loss_of_stopping(scores, labels, timesteps)
    return replace(
        found,
        mean_timesteps=float(found.taken(timesteps).mean()),
        loss=loss,
        fixed_timesteps=cheapest_fixed(evidence, loss),
        loss_bound=found.method.bound(found, n_unsafe),
        first_scores=np.sort(first),
    )


def require_inputs(calibration: Calibration) -> None:
    """Raise a ``CalibrationError`` if the inputs are too few for the budget asked."""
    if calibration.n_inputs < calibration.n_inputs_needed:
        raise CalibrationError(
            f"{calibration.n_inputs} calibration inputs cannot promise a budget of "
            f"{calibration.budget:g}: at least {calibration.n_inputs_needed} are "
            "needed; add inputs or allow more"
        )


def losses_by_class(evidence: Evidence, calibration: Calibration) -> list[ClassLoss]:
    """Return where the budget is spent, the class that spends most first."""
    scores, labels = evidence.scores, evidence.labels
    timesteps = evidence.stops(calibration.cutoff)
    is_unsafe = timesteps < safe_timesteps(scores, labels)
    classes = answers(scores)[:, -1] if labels is None else labels
    found = []
    for label in np.unique(classes):
        mine = np.flatnonzero(classes == label)
        own = None if labels is None else labels[mine]
        found.append(
            ClassLoss(
                label=int(label),
                n=len(mine),
                mean_timesteps=float(calibration.taken(timesteps)[mine].mean()),
                n_unsafe=int(is_unsafe[mine].sum()),
                lost=loss_of_stopping(scores[mine], own, timesteps[mine]),
            )
        )
    return sorted(found, key=lambda c: (-c.n_unsafe, -c.mean_timesteps, c.label))


def cheapest_fixed(evidence: Evidence, loss: float) -> int:
    """Return the smallest fixed timestep that loses no more on these inputs."""
    n = len(evidence.scores)
    for timestep in range(1, evidence.n_timesteps):
        at = np.full(n, timestep)
        if loss_of_stopping(evidence.scores, evidence.labels, at) <= loss:
            return timestep
    return evidence.n_timesteps


def best_score(evidence: Evidence, settings: Settings) -> Settings:
    """Return the settings with the score that stops earliest on these inputs.

    The promise of a threshold does not hold on the inputs that its score was chosen on.
    """

    def timesteps(score: str) -> float:
        return calibrate(evidence, replace(settings, score=score)).mean_timesteps

    return replace(settings, score=min(SCORES, key=timesteps))


def refuse_values(data: Data, graph: QuantizedGraph) -> None:
    """Raise a ``CalibrationError`` if answers are values, where nothing leads."""
    head = graph.head
    is_told = head.kind is HeadKind.VALUES and head.name
    if data.targets is None and not is_told:
        return
    what = f"the head {head.name} gives values" if is_told else "y holds values"
    raise CalibrationError(
        f"{what}, and an early stop needs classes, one of which leads; run all "
        "timesteps, or compile with fewer: the profile says how large the error is at "
        "each (mean_squared_error_at_timestep)"
    )


def refuse_used(hashes: IntArray, used: IntArray) -> None:
    """Raise a ``CalibrationError`` if the network has seen some of the inputs before.

    ``used`` are the hashes of the inputs that it was trained, converted or placed on.
    """
    n_used = int(np.isin(hashes, used).sum())
    if n_used:
        raise CalibrationError(
            f"{n_used} of {len(hashes)} calibration inputs are exact copies of ones "
            "used to train or convert the network, so no promise would hold; take "
            "others"
        )
