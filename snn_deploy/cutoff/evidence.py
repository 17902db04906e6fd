"""The outputs of calibration inputs, from which the rules find their thresholds."""

from dataclasses import dataclass, field, replace

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.cutoff.decision import Cutoff
from snn_deploy.cutoff.thresholds import stops
from snn_deploy.ir.quantized import QuantizedGraph

SPLIT_SEED = 0
FEWEST_JUDGED = 10  # inputs; of fewer a sound network may answer all wrong


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """The outputs of calibration inputs for all timesteps, and whose they are."""

    # (n, n_timesteps, n_classes), accumulated; behind the end of an input its last
    scores: IntArray
    labels: IntArray | None  # (n,)
    graph: QuantizedGraph
    network_sha256: str
    inputs_sha256: str
    lengths: IntArray | None = None  # (n,), of inputs that do not all last as long
    input_hashes: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def n_timesteps(self) -> int:
        return int(self.scores.shape[1])

    def stops(self, cutoff: Cutoff) -> IntArray:
        """Return when a rule, or its end, stops each input, ``(n,)``."""
        first = stops(self.scores, cutoff)
        return first if self.lengths is None else np.minimum(first, self.lengths)

    def remarks(self) -> list[str]:
        """Return in a sentence that labels may be those of others, if it seems so."""
        if self.labels is None:
            return []
        is_right = self.scores[:, -1].argmax(axis=1) == self.labels
        return by_chance(float(is_right.mean()), *self.scores[:, -1].shape)

    def take(self, positions: IntArray) -> "Evidence":
        """Return what some of the inputs gave."""
        hashes = self.input_hashes
        return replace(
            self,
            scores=self.scores[positions],
            labels=None if self.labels is None else self.labels[positions],
            lengths=None if self.lengths is None else self.lengths[positions],
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


def by_chance(accuracy: float, n_inputs: int, n_classes: int) -> list[str]:
    """Return in a sentence that answers are as right as guesses, if they are."""
    if n_inputs < FEWEST_JUDGED or n_classes < 2 or accuracy > 1 / n_classes:
        return []
    return [
        f"{accuracy:.1%} of {n_inputs:,} answers at all timesteps are right, and of "
        f"guesses among {n_classes} classes {1 / n_classes:.1%} would be; check the "
        "order of the labels, and whether they are those of the inputs"
    ]
