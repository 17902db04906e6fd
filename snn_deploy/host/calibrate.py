"""Find the cutoff's thresholds on calibration data.

``risk`` promises: with probability ``confidence`` over the draw of the calibration
inputs, or on average over it, stopping early costs at most ``budget`` (accuracy lost
with labels, answers changed without). ``certain`` changes no answer. The others are
published rules and baselines, which promise nothing.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.errors import CalibrationError
from snn_deploy.host.calibration import PROMISING, Calibration, Settings
from snn_deploy.host.certain import largest_changes
from snn_deploy.host.oracle import answers
from snn_deploy.host.scores import SCORES, scale_of, score_called
from snn_deploy.host.thresholds import (
    conformal_threshold,
    critical_scores,
    epsilons,
    inputs_needed,
    inputs_needed_on_average,
    loss_bound,
    loss_of_stopping,
    most_lost,
    most_lost_on_average,
    risk_threshold,
    safe_timesteps,
    seen_threshold,
    spikecp_thresholds,
    stops,
    topk_thresholds,
)
from snn_deploy.ir.quantized import QuantizedGraph

BUDGETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
EPSILON = 0.01  # of the published rule, and the step of its sweep
SPLIT_SEED = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """The outputs of calibration inputs for all timesteps, and whose they are."""

    scores: IntArray  # (n, n_timesteps, n_classes), accumulated
    labels: IntArray | None  # (n,)
    graph: QuantizedGraph
    network_sha256: str
    inputs_sha256: str
    input_hashes: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def n_timesteps(self) -> int:
        return int(self.scores.shape[1])

    def take(self, positions: IntArray) -> "Evidence":
        """Return what some of the inputs gave."""
        hashes = self.input_hashes
        return replace(
            self,
            scores=self.scores[positions],
            labels=None if self.labels is None else self.labels[positions],
            input_hashes=hashes[positions] if len(hashes) else hashes,
        )

    def halves(self) -> "tuple[Evidence, Evidence]":
        """Return two halves at random, always the same: to choose on, to certify on."""
        first, second = self.half_positions()
        return self.take(first), self.take(second)

    def half_positions(self) -> tuple[IntArray, IntArray]:
        """Return which inputs are in which of the ``halves``."""
        order = np.random.default_rng(SPLIT_SEED).permutation(len(self.scores))
        middle = len(order) // 2
        return np.sort(order[:middle]), np.sort(order[middle:])


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
    polled = settings.polled(n_timesteps)
    scale = scale_of(evidence.graph)
    is_certain = settings.rule == "certain"
    nothing = (np.zeros(0), np.zeros(0))
    gains, steps = largest_changes(evidence.graph) if is_certain else nothing
    found = Calibration(
        rule=settings.rule,
        betas=_betas(evidence, settings, polled, scale),
        budget=settings.budget,
        confidence=settings.confidence,
        uses_labels=evidence.labels is not None,
        n_inputs=len(evidence.scores),
        n_inputs_needed=_needed(settings, len(polled)),
        timesteps=n_timesteps,
        network_sha256=evidence.network_sha256,
        inputs_sha256=evidence.inputs_sha256,
        mean_timesteps=0.0,
        loss=0.0,
        form=settings.form,
        score=_score_of(settings),
        scale=scale,
        polled=polled,
        gains=gains,
        steps=steps,
        input_hashes=evidence.input_hashes,
    )
    return _measured(found, evidence)


def _score_of(settings: Settings) -> str:
    is_score = settings.rule in ("confidence", "entropy")
    return settings.rule if is_score else settings.score


def _betas(
    evidence: Evidence, settings: Settings, polled: IntArray, scale: float
) -> FloatArray:
    """Return the threshold of each timestep, infinite where nobody looks."""
    scores, labels = evidence.scores, evidence.labels
    values = score_called(_score_of(settings), scale)(scores)
    match settings.rule:
        case "topk":
            assert labels is not None
            betas = topk_thresholds(scores, labels, settings.budget)
        case "spikecp":
            assert labels is not None
            return spikecp_thresholds(scores, labels, settings.budget, polled, scale)
        case "confidence" | "entropy":
            beta = seen_threshold(scores, labels, values, settings.budget, polled)
            betas = np.full(evidence.n_timesteps, beta)
        case "fixed" | "certain":
            betas = np.full(evidence.n_timesteps, -np.inf)
        case _:
            critical = critical_scores(values, safe_timesteps(scores, labels), polled)
            betas = np.full(evidence.n_timesteps, _promising(critical, settings))
    is_polled = np.isin(np.arange(1, evidence.n_timesteps + 1), polled)
    return np.where(is_polled, betas, np.inf)


def _promising(critical: FloatArray, settings: Settings) -> float:
    if settings.form == "expectation":
        return conformal_threshold(critical, settings.budget)
    return risk_threshold(critical, settings.budget, settings.confidence)


def _needed(settings: Settings, n_polled: int) -> int:
    if settings.rule == "spikecp":
        return inputs_needed_on_average(settings.budget / n_polled)
    if not settings.has_promise:
        return 1
    if settings.form == "expectation":
        return inputs_needed_on_average(settings.budget)
    return inputs_needed(settings.budget, settings.confidence)


def _measured(found: Calibration, evidence: Evidence) -> Calibration:
    """Return the calibration with what it does on its own inputs."""
    scores, labels = evidence.scores, evidence.labels
    timesteps = stops(scores, found.cutoff)
    n_unsafe = int((timesteps < safe_timesteps(scores, labels)).sum())
    first = score_called(found.score, found.scale)(scores[:, found.looks[0] - 1])
    return replace(
        found,
        mean_timesteps=float(found.taken(timesteps).mean()),
        loss=loss_of_stopping(scores, labels, timesteps),
        loss_bound=_bound(found, n_unsafe),
        first_scores=np.sort(first),
    )


def _bound(found: Calibration, n_unsafe: int) -> float:
    """Return what bounds the loss on inputs nobody has seen; 1: nothing does.

    A threshold that is a rank of these inputs is bounded at that rank, since ties leave
    fewer over it than would have been allowed; a fixed timestep at what is seen, as
    long as it was chosen on others.
    """
    n, budget, confidence = found.n_inputs, found.budget, found.confidence
    if found.rule not in (*PROMISING, "fixed", "certain"):
        return 1.0
    if not found.stops_early or found.rule == "certain":
        return 0.0
    is_on_average, n_lost = found.form == "expectation", n_unsafe
    if found.rule in PROMISING and is_on_average:
        n_lost = most_lost_on_average(n, budget)
    elif found.rule in PROMISING:
        n_lost = most_lost(n, budget, confidence)
    return (
        (n_lost + 1) / (n + 1) if is_on_average else loss_bound(n_lost, n, confidence)
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
    timesteps = stops(scores, calibration.cutoff)
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


def variants(settings: Settings, n_timesteps: int) -> list[tuple[str, Settings]]:
    """Return the settings that are worth comparing, each with what it is called.

    Budgets from 0.1 % to 5 %; of ``topk`` its authors' epsilons; of ``fixed`` every
    timestep.
    """
    match settings.rule:
        case "certain":
            return [("certain", settings)]
        case "fixed":
            timesteps = range(1, n_timesteps + 1)
            return [(f"fixed:{t}", replace(settings, at=t)) for t in timesteps]
        case "topk":
            found = epsilons(settings.budget or EPSILON)
            return [(f"{e:.1%}", replace(settings, budget=float(e))) for e in found]
    budgets = sorted({*BUDGETS, settings.budget})
    return [(f"{b:.2g}", replace(settings, budget=b)) for b in budgets]


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
