"""What is measured of inputs, and in which run of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import ceil

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.results import Counts
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.rows import Rows


class Kind(Enum):
    """How inputs are served in a run, and what is asked of them."""

    CUTOFF = "cutoff"  # one by one, each until its outputs have settled
    FIXED = "fixed"  # for all timesteps of the run: one by one, and in a stream
    STREAM = "stream"  # for all timesteps of the run, in a stream only


@dataclass(frozen=True, kw_only=True)
class Run:
    """Inputs that are served in one way, the same for all of them."""

    kind: Kind
    inputs: Sequence[int]  # positions in the data, in the order they are served
    n_timesteps: int  # of an input, at most
    words: str = ""  # for the user

    @property
    def key(self) -> str:
        """What tells it from the other runs of a profile."""
        return f"{self.kind.value}-{self.n_timesteps}"

    @property
    def is_serial(self) -> bool:
        """Whether there are rows of inputs that are served one by one."""
        return self.kind is not Kind.STREAM

    @property
    def is_streamed(self) -> bool:
        """Whether there are rows of inputs in a stream."""
        return self.kind is not Kind.CUTOFF

    def n_neighbours(self, lag: int, shortest: int) -> int:
        """Return how many inputs, before and after, may share the pipeline with one.

        None is shorter than so many timesteps.
        """
        return ceil(lag / min(shortest, self.n_timesteps)) if self.is_streamed else 0


@dataclass(kw_only=True, eq=False)
class Measured:
    """What inputs in a row gave in a run: one row for each, and sums of the rest."""

    serial: Rows
    streamed: Rows
    totals: Counts  # by chip timestep; one by one, or in a stream if that is all
    n_right: IntArray  # (n_timesteps,), answers that are the label; not of a cutoff
    n_agreeing: IntArray  # (n_timesteps,), answers that are the last one
    squared_errors: FloatArray  # (n_timesteps,), of values; not of a cutoff
    first_scores: FloatArray  # (n,), see ``host.drift``; empty: no calibration, fixed
    is_settled: IntArray  # (n,), 0 or 1, whether the rule stops it at the end
    failures: dict[int, str] = field(default_factory=dict)  # by input: the reason
    packed: bytes = b""  # as a store keeps it, if it was packed where it was measured

    @classmethod
    def empty(cls, run: Run, n: int, network: MappedNetwork) -> "Measured":
        """Return what ``n`` inputs give, none of which is measured yet."""
        graph = network.graph
        behind = graph.depth if run.is_serial else graph.lag
        n_links = len(network.crossings.links)
        shape = (run.n_timesteps + behind,)
        return cls(
            serial=Rows(n * run.is_serial),
            streamed=Rows(n * run.is_streamed),
            totals=Counts.none(shape, len(network.cores), n_links),
            n_right=np.zeros(run.n_timesteps, np.int64),
            n_agreeing=np.zeros(run.n_timesteps, np.int64),
            squared_errors=np.zeros(run.n_timesteps),
            first_scores=np.zeros(0),
            is_settled=np.zeros(0, np.int64),
        )

    def append(self, other: "Measured") -> None:
        """Add the inputs that come next."""
        self.serial.extend(other.serial.table)
        self.streamed.extend(other.streamed.table)
        self.totals.add(other.totals.values)
        self.n_right += other.n_right
        self.n_agreeing += other.n_agreeing
        self.squared_errors += other.squared_errors
        self.first_scores = np.concatenate([self.first_scores, other.first_scores])
        self.is_settled = np.concatenate([self.is_settled, other.is_settled])
        self.failures.update(other.failures)

    def subtract(self, other: "Measured") -> None:
        """Take the sums of some inputs out again."""
        self.totals.add(-other.totals.values)
        self.n_right -= other.n_right
        self.n_agreeing -= other.n_agreeing
        self.squared_errors -= other.squared_errors

    def continues(self, whole: "Measured", run: Run, n: int) -> bool:
        """Whether this can be what ``n`` further inputs of ``whole`` gave."""
        return (
            len(self.serial) == n * run.is_serial
            and len(self.streamed) == n * run.is_streamed
            and self.first_scores.shape == self.is_settled.shape
            and len(self.first_scores) in (0, n)
            and self.totals.values.shape == whole.totals.values.shape
            and self.n_right.shape == self.n_agreeing.shape == whole.n_right.shape
            and self.squared_errors.shape == whole.squared_errors.shape
        )


def sum_of(parts: Sequence[Counts]) -> Counts:
    """Return the counts of all parts, as long as the longest."""
    longest = max(parts, key=lambda part: len(part.values))
    total = Counts(np.zeros_like(longest.values), longest.n_cores)
    for part in parts:
        total.add(part.values)
    return total
