"""Inputs that a machine could not run: they are told, and no mean holds them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray
from snn_deploy.errors import BackendError
from snn_deploy.profile.measured import Measured, Run
from snn_deploy.profile.rows import Rows

Measure = Callable[[Run], Measured]


@dataclass(frozen=True, kw_only=True)
class Failed:
    """An input without numbers: a row of ``inputs.parquet`` that says why."""

    index: int
    input_hash: int
    label: int | None
    reason: str


class Successes:
    """What was measured so far, without the inputs that failed in any run.

    Parameters
    ----------
    n : int
        Inputs of the profile.
    measure : callable
        Runs them on the profile's machine.
    measure_alone : callable
        Runs them on a machine that does not fail, and computes the same.
    """

    def __init__(self, n: int, measure: Measure, measure_alone: Measure) -> None:
        self.n = n
        self.measure_here = measure
        self.measure_alone = measure_alone
        self.reasons: dict[int, str] = {}  # by input, of the first failure
        self.found: list[tuple[Run, Measured, set[int]]] = []  # and what it is without

    def measure(self, run: Run) -> Measured:
        """Return what all inputs of ``run`` gave; sums are without those that failed.

        So are, from now on, the sums of all that were measured before. Rows, and what
        there is of each input, still have a place for each.

        Raises
        ------
        BackendError
            If no input is left.
        """
        found = self.measure_here(run)
        self.found.append((run, found, {*found.failures}))
        self.reasons = {**found.failures, **self.reasons}
        if len(self.reasons) == self.n > 0:
            first = min(self.reasons)
            raise BackendError(
                f"all {self.n} inputs failed twice, input {first}: "
                f"{self.reasons[first]}"
            )
        for before, whole, without in self.found:
            for index in {*self.reasons} - without:
                if index in before.inputs:
                    whole.subtract(self.measure_alone(replace(before, inputs=(index,))))
                without.add(index)
        return found

    def rows(self, rows: Rows) -> Rows:
        """Return the rows of the inputs that failed in no run."""
        if not self.reasons:
            return rows
        return rows.some(~np.isin(rows.column("index"), [*self.reasons]))

    def scores(self, scores: FloatArray) -> FloatArray:
        """Return the scores of the inputs that failed in no run, if there are any."""
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
