"""Inputs that a machine could not run: they are told, and no mean holds them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray
from snn_deploy.errors import BackendError
from snn_deploy.profile.parts import Part, Way
from snn_deploy.profile.rows import Rows

Measure = Callable[[Way], Part]


@dataclass(frozen=True, kw_only=True)
class Failed:
    """An input without numbers: a row of ``inputs.parquet`` that says why."""

    index: int
    input_hash: int
    label: int | None
    reason: str


class Tried:
    """What was measured so far, without the inputs that failed in any way of serving.

    Parameters
    ----------
    n : int
        Inputs of the profile.
    measure : callable
        Measures a way on the profile's machine.
    measure_alone : callable
        Measures a way on a machine that does not fail, and computes the same.
    """

    def __init__(self, n: int, measure: Measure, measure_alone: Measure) -> None:
        self.n = n
        self.measure_here = measure
        self.measure_alone = measure_alone
        self.reasons: dict[int, str] = {}  # by input, of the first failure
        self.parts: list[tuple[Way, Part, set[int]]] = []  # and what it is without

    def measure(self, way: Way) -> Part:
        """Return what all inputs of ``way`` gave; sums are without those that failed.

        So are, from now on, the sums of all that were measured before. Rows, and what
        there is of each input, still have a place for each.

        Raises
        ------
        BackendError
            If no input is left.
        """
        part = self.measure_here(way)
        self.parts.append((way, part, {*part.failures}))
        self.reasons = {**part.failures, **self.reasons}
        if len(self.reasons) == self.n > 0:
            first = min(self.reasons)
            raise BackendError(
                f"all {self.n} inputs failed twice, input {first}: "
                f"{self.reasons[first]}"
            )
        for before, whole, without in self.parts:
            for index in {*self.reasons} - without:
                if index in before.inputs:
                    whole.subtract(self.measure_alone(replace(before, inputs=(index,))))
                without.add(index)
        return part

    def rows(self, rows: Rows) -> Rows:
        """Return the rows of the inputs that failed in no way."""
        if not self.reasons:
            return rows
        return rows.some(~np.isin(rows.column("index"), [*self.reasons]))

    def scores(self, scores: FloatArray) -> FloatArray:
        """Return the scores of the inputs that failed in no way, if there are any."""
        return np.delete(scores, [*self.reasons]) if len(scores) else scores

    def failed(self, hashes: AnyArray, labels: AnyArray | None) -> tuple[Failed, ...]:
        """Return the inputs that failed, in order."""
        return tuple(
            Failed(
                index=index,
                input_hash=int(hashes[index]),
                label=None if labels is None else int(labels[index]),
                reason=reason,
            )
            for index, reason in sorted(self.reasons.items())
        )
