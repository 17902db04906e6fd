"""Whether inputs still are like those of the calibration: two tests, and their alarm.

The scores at the first timestep looked at, which every input has, are compared with the
calibration's; and a share of the inputs, audited, runs all timesteps to see what the
cutoff loses. One look uses tests of a fixed size, a stream tests that stay valid
however often one looks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from snn_deploy.arrays import BoolArray, FloatArray, IntArray
from snn_deploy.cutoff.oracle import answers
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.cutoff.scores import score_called
from snn_deploy.errors import CalibrationError

SCORE_LEVEL = 0.01  # how often equal scores are taken for different ones, at most
LOSS_LEVEL = 0.05  # how often a loss within the budget is taken for a larger one
FEWEST_AUDITED = 230
WINDOW = 500  # inputs of a stream between two looks at the scores
TIMES_BUDGET = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)  # larger losses to be found
AUDIT_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What one look found."""

    n_inputs: int
    n_compared: int  # at once, with the calibration's scores; 0: too few yet
    distance: float  # of the scores' distributions, 0 to 1
    p_value: float  # of the distance, were the inputs like the calibration's
    scores_differ: bool
    n_audited: int
    n_lost: int  # audited inputs whose answer the cutoff made worse
    lost_at_least: float  # lower 95 % bound of their share
    budget: float
    loss_exceeds: bool

    @property
    def is_alarm(self) -> bool:
        """Whether the calibration should no longer be relied on."""
        return self.scores_differ or self.loss_exceeds

    @property
    def has_enough(self) -> bool:
        """Whether the audited inputs are enough to judge the loss."""
        return self.n_audited >= FEWEST_AUDITED


def first_score(calibration: Calibration, scores: IntArray) -> float:
    """Return the score of one input at the first timestep looked at.

    ``scores`` are its outputs up to its stop, ``(timesteps, n_classes)``.
    """
    score = score_called(calibration.score, calibration.scale)
    return float(
        score(scores[: calibration.looks[0]][-1])
    )  # one that is over: its last


def audits(share: float) -> Iterator[bool]:
    """Return for each input whether it is audited; always the same ones.

    Raises
    ------
    CalibrationError
        If the share is none.
    """
    if not 0 <= share <= 1:
        raise CalibrationError(f"audit is {share:g}; choose a share from 0 to 1")
    rng = np.random.default_rng(AUDIT_SEED)
    return (bool(rng.random() < share) for _ in count())


def is_lost(early: IntArray, last: IntArray, labels: IntArray | None) -> BoolArray:
    """Return which answers the cutoff made worse: right at the end, or changed."""
    changed: BoolArray = early != last
    return changed if labels is None else changed & (last == labels)


def answer_at(scores: IntArray, timestep: int) -> int:
    """Return the answer of one input after ``timestep`` timesteps."""
    return int(answers(scores[timestep - 1]))


def look(calibration: Calibration, first_scores: FloatArray, lost: BoolArray) -> Drift:
    """Return what one look at inputs finds.

    Parameters
    ----------
    calibration : Calibration
    first_scores : array, (n,)
        See ``first_score``.
    lost : array, (n_audited,)
        See ``is_lost``; empty if none is audited.
    """
    distance, p_value = compare(calibration, first_scores)
    low = least_share(int(lost.sum()), len(lost))
    has_enough = len(lost) >= FEWEST_AUDITED
    return Drift(
        n_inputs=len(first_scores),
        n_compared=len(first_scores) * bool(len(calibration.first_scores)),
        distance=distance,
        p_value=p_value,
        scores_differ=p_value < SCORE_LEVEL,
        n_audited=len(lost),
        n_lost=int(lost.sum()),
        lost_at_least=low,
        budget=calibration.budget,
        loss_exceeds=has_enough and low > calibration.budget,
    )


def compare(calibration: Calibration, first_scores: FloatArray) -> tuple[float, float]:
    """Return distance and p-value of the two-sample test of Kolmogorov and Smirnov.

    The p-value is that of the limit of many, corrected for few [1]_.

    References
    ----------
    .. [1] M. Stephens, "Use of the Kolmogorov-Smirnov, Cramer-von Mises and related
       statistics without extensive tables", J. R. Stat. Soc. B 32, 1970.
    """
    before, now = calibration.first_scores, np.sort(first_scores)
    if not len(before) or not len(now):
        return 0.0, 1.0
    every = np.concatenate([before, now])
    shares = (np.searchsorted(x, every, side="right") / len(x) for x in (before, now))
    distance = float(np.abs(np.subtract(*shares)).max())
    root = np.sqrt(len(before) * len(now) / (len(before) + len(now)))
    from scipy.special import kolmogorov

    return distance, float(kolmogorov((root + 0.12 + 0.11 / root) * distance))


def least_share(n_lost: int, n: int) -> float:
    """Return the lower 95 % bound of a share, as Clopper and Pearson have it."""
    from scipy.special import betaincinv

    return float(betaincinv(n_lost, n - n_lost + 1, LOSS_LEVEL)) if n_lost else 0.0


@dataclass
class StreamWatch:
    """Looks at a stream again and again; a false alarm stays as rare as at one look.

    The scores are compared window by window, each at a smaller level than the one
    before, whose sum is that of one look. For the loss a bet is kept [1]_: what it wins
    on audited inputs, were the loss within the budget, exceeds 1 / level with
    probability ``LOSS_LEVEL`` at most, whenever one looks.

    References
    ----------
    .. [1] G. Shafer et al., "Test martingales, Bayes factors and p-values", Statistical
       Science 26, 2011.
    """

    calibration: Calibration
    n_inputs: int = 0
    n_windows: int = 0
    n_audited: int = 0
    n_lost: int = 0
    scores_differ: bool = False
    loss_exceeds: bool = False
    distance: float = 0.0  # of the latest window
    p_value: float = 1.0
    waiting: list[float] = field(default_factory=list)

    def add(self, first_score: float, lost: bool | None) -> bool:
        """Take the next input, ``lost`` if it is audited; tell if an alarm is new."""
        was_alarm = self.is_alarm
        self.n_inputs += 1
        self.waiting.append(first_score)
        if lost is not None:
            self.n_audited += 1
            self.n_lost += lost
            may_win = lost or self.n_audited == FEWEST_AUDITED
            if may_win and self.n_audited >= FEWEST_AUDITED:
                self.loss_exceeds |= self.winnings >= 1 / LOSS_LEVEL
        if len(self.waiting) == WINDOW:
            self._compare()
        return self.is_alarm and not was_alarm

    @property
    def is_alarm(self) -> bool:
        """Whether the calibration should no longer be relied on."""
        return self.scores_differ or self.loss_exceeds

    @property
    def winnings(self) -> float:
        """What the bet against the budget has made of 1, over all larger losses."""
        budget = self.calibration.budget
        larger = budget * np.array(TIMES_BUDGET)
        larger = larger[larger < 1]
        if not 0 < budget < 1 or not len(larger):
            return 1.0
        won = self.n_lost * np.log(larger / budget)
        kept = (self.n_audited - self.n_lost) * np.log((1 - larger) / (1 - budget))
        return float(np.exp(np.minimum(won + kept, 700)).mean())

    @property
    def drift(self) -> Drift:
        """What has been found so far."""
        return Drift(
            n_inputs=self.n_inputs,
            n_compared=WINDOW if self.n_windows else 0,
            distance=self.distance,
            p_value=self.p_value,
            scores_differ=self.scores_differ,
            n_audited=self.n_audited,
            n_lost=self.n_lost,
            lost_at_least=least_share(self.n_lost, self.n_audited),
            budget=self.calibration.budget,
            loss_exceeds=self.loss_exceeds,
        )

    def _compare(self) -> None:
        self.n_windows += 1
        found = compare(self.calibration, np.array(self.waiting))
        self.distance, self.p_value = found
        level = SCORE_LEVEL * 6 / (np.pi * self.n_windows) ** 2
        self.scores_differ |= self.p_value < level
        self.waiting.clear()


def in_words(found: Drift) -> str:
    """Return what a look at new inputs found, in one line."""
    text = "scores: too few inputs to compare them with the calibration's"
    if found.n_compared:
        scores = "differ from" if found.scores_differ else "like"
        text = (
            f"scores {scores} those of the calibration (distance "
            f"{found.distance:.3f}, p {found.p_value:.2g})"
        )
    if not found.n_audited:
        return text
    text += f"; audit: {found.n_lost} of {found.n_audited} lost, "
    if not found.has_enough:
        return text + f"not enough to judge (at least {FEWEST_AUDITED})"
    verdict = "over" if found.loss_exceeds else "not over"
    return text + (
        f"at least {found.lost_at_least:.2%}, {verdict} the budget of {found.budget:g}"
    )
