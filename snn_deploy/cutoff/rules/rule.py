"""What a rule is, what is asked of it, and what it finds.

A rule knows its name, how its thresholds are found, how it decides, what it promises
and how to say so. Nobody else compares the names of rules.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray, read_only
from snn_deploy.cutoff.decision import Cutoff, over, polled
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.scores import SCORES, score_called
from snn_deploy.cutoff.thresholds import loss_bound, polled_timesteps
from snn_deploy.errors import CalibrationError
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.showing import Table, as_html, as_text

FORMS = ("probability", "expectation")
LARGEST_SCALE = 1e30  # of an output
MOST_INPUTS = 1 << 40
BUDGETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)


def _no_integers() -> IntArray:
    return np.zeros(0, np.int64)


def _no_floats() -> FloatArray:
    return np.zeros(0)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is asked of a calibration."""

    rule: str = "risk"
    at: int = 0  # the timestep of a rule that takes one
    budget: float = 0.01  # loss allowed; the epsilon of topk
    confidence: float = 0.9
    form: str = "probability"  # of the promise: with the confidence, or in expectation
    score: str = "gap"
    poll: int = 1  # look at the outputs every so many timesteps

    def __post_init__(self) -> None:
        _check_choice("rule", self.rule, tuple(rules()))
        _check_choice("score", self.score, SCORES)
        _check_choice("promise", self.form, FORMS)
        lowest = 0.0 if self.method.takes_zero_budget else np.nextafter(0, 1)
        if not lowest <= self.budget < 1:
            raise CalibrationError(
                f"budget is {self.budget}; choose one between 0 and 1"
            )
        if not 0 < self.confidence < 1:
            raise CalibrationError(
                f"confidence is {self.confidence}; choose one between 0 and 1"
            )
        if self.score != "gap" and not self.method.takes_score:
            others = " or ".join(n for n, rule in rules().items() if rule.takes_score)
            raise CalibrationError(
                f"the rule {self.rule} has a score of its own; leave out {self.score} "
                f"or use {others}"
            )

    @property
    def method(self) -> "Rule":
        """The rule that is asked."""
        return rules()[self.rule]

    def polled(self, n_timesteps: int) -> IntArray:
        """Return the timesteps at which the outputs are looked at.

        Raises
        ------
        CalibrationError
            If an input does not last so long.
        """
        asked = [("poll interval", self.poll)]
        if self.method.takes_timestep:
            asked.append((self.rule, self.at))
        for name, value in asked:
            if not 1 <= value <= n_timesteps:
                raise CalibrationError(
                    f"{name} is {value}, an input lasts {n_timesteps} timesteps; "
                    f"choose 1 to {n_timesteps}"
                )
        return self.method.looks(self, n_timesteps)

    def check_labels(self, labels: IntArray | None) -> None:
        """Raise a ``CalibrationError`` if labels are needed and missing."""
        if self.method.needs_labels and labels is None:
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
    betas: FloatArray  # (timesteps,), infinite where there is no poll
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
    fixed_timesteps: int = 0  # fewest that lose no more there; 0: unknown
    found_by: str = ""  # the rule that a chip took over

    def __repr__(self) -> str:
        return as_text(self._table())

    def _repr_html_(self) -> str:
        return as_html(self._table())

    def _table(self) -> Table:
        title, *notes = self.lines
        return Table(title=title, columns=(), rows=(), notes=notes)

    @property
    def lines(self) -> list[str]:
        """What was found and is promised, line by line."""
        return [
            f"rule {self.rule}: {self.method.in_words(self)}",
            *self.method.promise_in_words(self),
            f"seen: {self.mean_timesteps:.2f} of {self.timesteps} timesteps on "
            f"average, {self.loss_in_words} {self.loss:.4f}",
        ]

    def as_json(self) -> dict[str, Any]:
        """Return what the files say of it; a threshold that nothing meets is a text."""
        return {
            "rule": self.rule,
            "found_by": self.found_by or None,
            "budget": self.budget,
            "confidence": self.confidence,
            "form": self.form,
            "score": self.score,
            "uses_labels": self.uses_labels,
            "n_calibration_inputs": self.n_inputs,
            "n_calibration_inputs_needed": self.n_inputs_needed,
            "stops_early": self.stops_early,
            "mean_timesteps_calibration": self.mean_timesteps,
            "loss_calibration": self.loss,
            "beta": [float(b) if np.isfinite(b) else str(b) for b in self.betas],
            "looks": self.looks.tolist(),
        }

    def __post_init__(self) -> None:
        for name in ("betas", "gains", "steps", "first_scores"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float64))
        for name in ("polled", "input_hashes"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.int64))
        if self.rule not in known_rules() or self.betas.shape != (self.timesteps,):
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
        self._check_numbers()
        self._check_rows()
        self.method.check_found(self)

    def _check_numbers(self) -> None:
        most = 2.0 * self.timesteps  # of what starts again
        for name, low, high in (
            ("budget", 0.0, 1.0),
            ("confidence", 0.0, 1.0),
            ("loss", -1.0, 1.0),
            ("loss_bound", 0.0, 1.0),
            ("mean_timesteps", 0.0, most),
            ("scale", np.nextafter(0, 1), LARGEST_SCALE),
            ("n_inputs", 0, MOST_INPUTS),
            ("n_inputs_needed", 0, MOST_INPUTS),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise CalibrationError(
                    f"a calibration whose {name} is {value}, allowed is {low} to "
                    f"{high}, is damaged"
                )
        if self.form not in FORMS:
            raise CalibrationError(
                f"a calibration of the form {self.form[:100]!r} is damaged; known are "
                f"{', '.join(FORMS)}"
            )

    def _check_rows(self) -> None:
        for name in ("steps", "first_scores", "polled", "input_hashes"):
            if getattr(self, name).ndim != 1:
                raise CalibrationError(
                    f"a calibration with {name} of shape {getattr(self, name).shape} "
                    "is damaged; they are a row"
                )
        values = (self.gains, self.steps, self.first_scores)
        if np.isnan(self.betas).any() or not all(np.isfinite(v).all() for v in values):
            raise CalibrationError(
                "a calibration with NaN or infinite numbers is damaged"
            )
        if np.any(np.diff(self.polled) <= 0):
            raise CalibrationError(
                f"a calibration that polls at {len(self.polled)} timesteps that do not "
                "ascend is damaged"
            )

    @property
    def method(self) -> "Rule":
        """The rule that found the thresholds."""
        return known_rules()[self.rule]

    @property
    def cutoff(self) -> Cutoff:
        """The rule with its thresholds."""
        return polled(self.method.cutoff(self), self.looks)

    @property
    def looks(self) -> IntArray:
        """The timesteps at which the host reads the outputs, ascending."""
        return self.polled if len(self.polled) else np.arange(1, self.timesteps + 1)

    @property
    def reads(self) -> IntArray:
        """From which timesteps on an input has been read once more, ascending."""
        return np.ones(1, np.int64) if self.found_by else self.looks

    def check_ends(self, ends: IntArray) -> None:
        """Raise a ``CalibrationError`` if a chip that decides is given less time."""
        if self.found_by and np.any(ends < self.timesteps):
            raise CalibrationError(
                f"an input lasts {ends.min()} timesteps, and the chip decides by the "
                f"clock after {self.timesteps}; take the network that it was made of"
            )

    def check_audit(self) -> None:
        """Raise a ``CalibrationError`` if later timesteps cannot tell what is lost."""
        if self.found_by:
            raise CalibrationError(
                "an audit runs on behind the stop, and where the chip decides that "
                "changes no answer; audit the network it was made of"
            )

    @property
    def stops_early(self) -> bool:
        """Whether any input can stop before the last timestep."""
        return bool((self.betas[:-1] < np.inf).any())

    @property
    def is_kept(self) -> bool:
        """Whether the loss is promised to stay within the budget."""
        return self.method.has_promise and self.n_inputs >= self.n_inputs_needed

    @property
    def retry_at(self) -> int:
        """The timesteps of a stream whose undecided inputs start again; 0: no such."""
        return int(self.looks[0]) if self.method.starts_again else 0

    def taken(self, stops: IntArray) -> IntArray:
        """Return the input timesteps that the chip takes until each stop, ``(n,)``.

        Those of the first stream count too for what starts again.
        """
        found: IntArray = stops + np.where(stops > self.retry_at, self.retry_at, 0)
        return found

    def n_polls(self, timesteps: AnyArray) -> IntArray:
        """Return how often the outputs of inputs are read until they stop."""
        return np.searchsorted(self.reads, timesteps, side="right")

    def polled_every(self, interval: int) -> "Calibration":
        """Return the same thresholds, looked at less often.

        The loss of fewer looks is bounded by that of more, so the promise holds for
        timesteps among those it was made for, and for no others.

        Raises
        ------
        CalibrationError
            If the interval is over the timesteps, needs other timesteps, or the chip
            decides.
        """
        if self.found_by:
            raise CalibrationError(
                f"poll interval is {interval}, and the chip decides by itself: nobody "
                "reads before; leave --poll out, or take the network it was made of"
            )
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

    @property
    def loss_in_words(self) -> str:
        """What an early stop can cost."""
        return "accuracy lost" if self.uses_labels else "answers changed"

    @property
    def certainty_in_words(self) -> str:
        """How sure a bound of the loss is."""
        if self.form == "expectation":
            return "on average"
        return f"with confidence {self.confidence:g}"


def _listed(timesteps: IntArray) -> str:
    shown = ", ".join(map(str, timesteps[:4]))
    return shown if len(timesteps) <= 4 else f"{shown}, ... {timesteps[-1]}"


class Rule:
    """A rule: its name, its thresholds, its decision, its promise, its words."""

    name: ClassVar[str]
    is_asked: ClassVar[bool] = True  # of a calibration
    takes_timestep: ClassVar[bool] = False  # written name:T
    takes_score: ClassVar[bool] = False  # other than the gap
    takes_zero_budget: ClassVar[bool] = False  # a budget of 0 has a meaning
    needs_labels: ClassVar[bool] = False
    has_promise: ClassVar[bool] = False  # the budget is kept on unseen inputs
    decides_by_input: ClassVar[bool] = True
    starts_again: ClassVar[bool] = False  # what its only look leaves undecided
    reads_gap: ClassVar[bool] = True  # its thresholds are held against the gap
    budget_in_words: ClassVar[str] = "budget"

    def check(self, graph: QuantizedGraph) -> None:
        """Raise a ``CalibrationError`` if the rule cannot serve this network."""

    def check_found(self, found: Calibration) -> None:
        """Raise a ``CalibrationError`` for what this rule never finds."""

    def looks(self, settings: Settings, n_timesteps: int) -> IntArray:
        """Return the timesteps at which the outputs are looked at."""
        return polled_timesteps(n_timesteps, settings.poll)

    def score(self, settings: Settings) -> str:
        """Return the name of the score that is held against the thresholds."""
        return settings.score

    def inputs_needed(self, settings: Settings, n_looks: int) -> int:
        """Return how many calibration inputs the promise needs at least."""
        return 1

    def betas(
        self, evidence: Evidence, settings: Settings, looks: IntArray, scale: float
    ) -> FloatArray:
        """Return the threshold of each timestep; those without a poll are free.

        Parameters
        ----------
        evidence : Evidence
        settings : Settings
        looks : array
            The timesteps looked at, ascending.
        scale : float
            Of the outputs, for their softmax.

        Returns
        -------
        array, (n_timesteps,)
        """
        raise AssertionError(f"{self.name} does not say how its thresholds are found")

    def changes(self, graph: QuantizedGraph) -> tuple[FloatArray, FloatArray]:
        """Return the ``gains`` and ``steps`` of a calibration, if it has any."""
        return _no_floats(), _no_floats()

    def cutoff(self, found: Calibration) -> Cutoff:
        """Return the decision, at every timestep."""
        return over(score_called(found.score, found.scale), found.betas)

    def bound(self, found: Calibration, n_unsafe: int) -> float:
        """Return what bounds the loss on unseen inputs; 1: nothing does.

        Parameters
        ----------
        found : Calibration
        n_unsafe : int
            How many calibration inputs stop before that is safe.
        """
        return 1.0

    def variants(
        self, settings: Settings, n_timesteps: int
    ) -> list[tuple[str, Settings]]:
        """Return the settings that are worth comparing, each with what it is called."""
        budgets = sorted({*BUDGETS, settings.budget})
        return [(f"{b:.2g}", replace(settings, budget=b)) for b in budgets]

    def comparison_in_words(self) -> str:
        """Return what the rows of a table of ``variants`` promise."""
        return "each row's promise holds alone" if self.has_promise else "no promise"

    def threshold(self, found: Calibration, timestep: int) -> float | None:
        """Return what the score must pass at ``timestep``; ``None``: no such number."""
        return float(found.betas[timestep - 1])

    def in_words(self, found: Calibration) -> str:
        """Return when an input stops."""
        if not found.stops_early:
            few = found.n_inputs < found.n_inputs_needed
            why = ", since there are too few inputs" if few else ""
            return f"never stops early{why}"
        if found.betas[found.looks[0] - 1] == -np.inf:
            return f"stop at timestep {found.looks[0]}, whatever the outputs are"
        if len(np.unique(found.betas[found.looks - 1])) == 1:
            return f"stop once {settled_in_words(found)}{looks_in_words(found)}"
        return f"{thresholds_in_words(found)}{looks_in_words(found)}"

    def promise_in_words(self, found: Calibration) -> list[str]:
        """Return what is promised of unseen inputs, line by line."""
        return ["promise: none"]


def settled_in_words(found: Calibration) -> str:
    """Return what the outputs must do, where one threshold serves all timesteps."""
    beta = f"{found.betas[found.looks[0] - 1]:.6g}"
    if found.score == "gap":
        return f"the best output leads by more than {beta}"
    return f"the {found.score} is over {beta}"


def thresholds_in_words(found: Calibration) -> str:
    """Return the thresholds of all timesteps."""
    return f"thresholds per timestep {', '.join(f'{beta:.6g}' for beta in found.betas)}"


def looks_in_words(found: Calibration) -> str:
    """Return at which timesteps the outputs are read, unless it is all of them."""
    if len(found.looks) == found.timesteps:
        return ""
    return f", looking at timesteps {', '.join(map(str, found.looks))} only"


def bound_at(found: Calibration, n_lost: int) -> float:
    """Return what bounds the loss if ``n_lost`` calibration inputs were lost."""
    if not found.stops_early:
        return 0.0
    if found.form == "expectation":
        return (n_lost + 1) / (found.n_inputs + 1)
    return loss_bound(n_lost, found.n_inputs, found.confidence)


def rules() -> dict[str, Rule]:
    """Return every rule that can be asked for, by its name."""
    return {name: rule for name, rule in known_rules().items() if rule.is_asked}


def known_rules() -> dict[str, Rule]:
    """Return every rule by its name; ``snn_deploy.cutoff.rules`` imports them."""
    return {kind.name: kind() for kind in _kinds(Rule)}


def _kinds(kind: type[Rule]) -> Iterator[type[Rule]]:
    for child in kind.__subclasses__():
        if "name" in vars(child):
            yield child
        yield from _kinds(child)
