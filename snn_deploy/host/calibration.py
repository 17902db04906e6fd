"""What is asked of a calibration, and what it gives: thresholds and their promise."""

from dataclasses import dataclass, field, replace

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray, read_only
from snn_deploy.errors import CalibrationError
from snn_deploy.host.cutoff import Cutoff, certain, over, polled, spikecp
from snn_deploy.host.scores import SCORES, score_called
from snn_deploy.host.thresholds import polled_timesteps

RULES = (
    "risk",
    "topk",
    "certain",
    "fixed",
    "retry",
    "confidence",
    "entropy",
    "spikecp",
)
PROMISING = ("risk", "retry")  # the budget is kept, with confidence or on average
NEEDING_LABELS = ("topk", "spikecp")
FORMS = ("probability", "expectation")


def _no_integers() -> IntArray:
    return np.zeros(0, np.int64)


def _no_floats() -> FloatArray:
    return np.zeros(0)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is asked of a calibration."""

    rule: str = "risk"
    at: int = 0  # the timestep of fixed and retry
    budget: float = 0.01  # loss allowed; the epsilon of topk
    confidence: float = 0.9
    form: str = "probability"  # of the promise: with the confidence, or in expectation
    score: str = "gap"
    poll: int = 1  # look at the outputs every so many timesteps

    def __post_init__(self) -> None:
        _check_choice("rule", self.rule, RULES)
        _check_choice("score", self.score, SCORES)
        _check_choice("promise", self.form, FORMS)
        lowest = 0.0 if self.rule == "topk" else np.nextafter(0, 1)
        if not lowest <= self.budget < 1:
            raise CalibrationError(
                f"budget is {self.budget}; choose one between 0 and 1"
            )
        if not 0 < self.confidence < 1:
            raise CalibrationError(
                f"confidence is {self.confidence}; choose one between 0 and 1"
            )
        if self.score != "gap" and self.rule not in PROMISING:
            raise CalibrationError(
                f"the rule {self.rule} has a score of its own; leave out {self.score} "
                f"or use {' or '.join(PROMISING)}"
            )

    @property
    def has_promise(self) -> bool:
        """Whether the budget is kept on inputs that nobody has seen."""
        return self.rule in PROMISING

    def polled(self, n_timesteps: int) -> IntArray:
        """Return the timesteps at which the outputs are looked at.

        Raises
        ------
        CalibrationError
            If an input does not last so long.
        """
        asked = [("poll interval", self.poll)]
        if self.rule in ("fixed", "retry"):
            asked.append((self.rule, self.at))
        for name, value in asked:
            if not 1 <= value <= n_timesteps:
                raise CalibrationError(
                    f"{name} is {value}, an input lasts {n_timesteps} timesteps; "
                    f"choose 1 to {n_timesteps}"
                )
        if self.rule == "fixed":
            return np.array([self.at])
        if self.rule == "retry":
            return np.union1d([self.at], [n_timesteps])
        return polled_timesteps(n_timesteps, self.poll)

    def check_labels(self, labels: IntArray | None) -> None:
        """Raise a ``CalibrationError`` if labels are needed and missing."""
        if self.rule in NEEDING_LABELS and labels is None:
            raise CalibrationError(
                f"the rule {self.rule} needs labels; add y to the data, or use risk"
            )


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise CalibrationError(
            f"no {what} is called {value!r}; choose from {', '.join(choices)}"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Thresholds, what they promise, and for which network they hold."""

    rule: str
    betas: FloatArray  # (timesteps,), infinite where nobody looks
    budget: float
    confidence: float
    uses_labels: bool
    n_inputs: int
    n_inputs_needed: int  # fewer inputs than this can promise nothing
    timesteps: int
    network_sha256: str
    inputs_sha256: str
    mean_timesteps: float  # seen on the calibration inputs
    loss: float  # seen there: accuracy lost, or answers changed
    loss_bound: float = 1.0  # of an early stop that costs; 1: nothing is known
    form: str = "probability"
    score: str = "gap"
    scale: float = 1.0  # of the outputs, for their softmax
    polled: IntArray = field(default_factory=_no_integers)  # empty: every timestep
    gains: FloatArray = field(default_factory=_no_floats)  # of certain, as its steps
    steps: FloatArray = field(default_factory=_no_floats)
    input_hashes: IntArray = field(default_factory=_no_integers)  # (n,)
    first_scores: FloatArray = field(default_factory=_no_floats)  # (n,), ascending

    def __post_init__(self) -> None:
        for name in ("betas", "gains", "steps", "first_scores"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float64))
        for name in ("polled", "input_hashes"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.int64))
        if self.rule not in RULES or self.betas.shape != (self.timesteps,):
            raise CalibrationError(
                f"a calibration of rule {self.rule!r} with {self.betas.shape} "
                f"thresholds for {self.timesteps} timesteps is damaged"
            )
        if self.score not in SCORES or np.any(
            (self.polled < 1) | (self.polled > self.timesteps)
        ):
            raise CalibrationError(
                f"a calibration with score {self.score!r} that polls at "
                f"{self.polled.tolist()} of {self.timesteps} timesteps is damaged"
            )

    @property
    def cutoff(self) -> Cutoff:
        """The rule with its thresholds."""
        match self.rule:
            case "certain":
                rule = certain(self.gains, self.steps, self.timesteps)
            case "spikecp":
                rule = spikecp(self.betas, self.scale)
            case _:
                rule = over(score_called(self.score, self.scale), self.betas)
        return polled(rule, self.looks)

    @property
    def looks(self) -> IntArray:
        """The timesteps at which the host reads the outputs, ascending."""
        return self.polled if len(self.polled) else np.arange(1, self.timesteps + 1)

    @property
    def stops_early(self) -> bool:
        """Whether any input can stop before the last timestep."""
        return self.rule == "certain" or bool((self.betas[:-1] < np.inf).any())

    @property
    def is_kept(self) -> bool:
        """Whether the loss is promised to stay within the budget."""
        return self.rule in PROMISING and self.n_inputs >= self.n_inputs_needed

    @property
    def retry_at(self) -> int:
        """The timesteps of a stream whose undecided inputs start again; 0: no such."""
        return int(self.looks[0]) if self.rule == "retry" else 0

    def taken(self, stops: IntArray) -> IntArray:
        """Return the input timesteps that the chip takes until each stop, ``(n,)``.

        With ``retry`` those of the first stream count too for what starts again.
        """
        found: IntArray = stops + np.where(stops > self.retry_at, self.retry_at, 0)
        return found

    def n_polls(self, timesteps: int) -> int:
        """Return how often the outputs of an input are read until it stops."""
        return int(np.count_nonzero(self.looks <= timesteps))

    def polled_every(self, interval: int) -> "Calibration":
        """Return the same thresholds, looked at less often.

        The loss of fewer looks is bounded by that of more, so the promise holds for
        timesteps among those it was made for, and for no others.

        Raises
        ------
        CalibrationError
            If the interval is over the timesteps, or needs other timesteps.
        """
        asked = Settings(poll=interval).polled(self.timesteps)
        if not np.isin(asked, self.looks).all():
            raise CalibrationError(
                f"the thresholds hold for timesteps {_listed(self.looks)}, polling "
                f"every {interval} reads {_listed(asked)}; calibrate with --poll "
                f"{interval}"
            )
        betas = np.where(
            np.isin(np.arange(1, self.timesteps + 1), asked), self.betas, np.inf
        )
        return replace(self, betas=betas, polled=asked)


def _listed(timesteps: IntArray) -> str:
    shown = ", ".join(map(str, timesteps[:4]))
    return shown if len(timesteps) <= 4 else f"{shown}, ... {timesteps[-1]}"
