"""Parts of a profile: some inputs in a row, served in one way, and what they gave."""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.results import Activity, Failure, RunResult
from snn_deploy.costs.pricing import Pricing, Values
from snn_deploy.cutoff.drift import first_score
from snn_deploy.cutoff.oracle import answers
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.rows import COLUMNS, Rows
from snn_deploy.profile.totals import Totals


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to serve inputs, the same for all of them."""

    name: str
    inputs: Sequence[int]  # positions in the data, in the order they are served
    n_timesteps: int  # at most
    has_cutoff: bool = False  # each input ends once its outputs have settled
    is_serial: bool = True  # rows of inputs that are served one by one
    is_streamed: bool = False  # rows of inputs in a stream
    is_judged: bool = False  # answers are compared at every timestep
    is_looked_at: bool = False  # scores are compared with the calibration's

    def lead(self, lag: int) -> int:
        """Return how many inputs, before and after, share the pipeline with one."""
        return ceil(lag / self.n_timesteps) if self.is_streamed else 0


@dataclass(kw_only=True, eq=False)
class Part:
    """What inputs in a row gave, one row for each and sums of the rest."""

    serial: Rows
    streamed: Rows
    totals: Totals  # of inputs one by one, or of a stream if there is no other
    n_right: IntArray  # (n_timesteps,), answers that are the label
    n_agreeing: IntArray  # (n_timesteps,), answers that are the last one
    first_scores: FloatArray  # (n,), see ``host.drift``; empty: not looked at
    is_settled: IntArray  # (n,), 0 or 1, whether the rule stops it at the end
    failures: dict[int, str] = field(default_factory=dict)  # by input: the reason

    @classmethod
    def empty(cls, way: Way, n: int, network: MappedNetwork) -> "Part":
        """Return a part for ``n`` inputs, none of which is measured yet."""
        graph = network.graph
        n_chip_timesteps = way.n_timesteps + (
            graph.depth if way.is_serial else graph.lag
        )
        n_links = len(network.crossings.links)
        return cls(
            serial=Rows(n * way.is_serial),
            streamed=Rows(n * way.is_streamed),
            totals=Totals.none(n_chip_timesteps, len(network.cores), n_links),
            n_right=np.zeros(way.n_timesteps, np.int64),
            n_agreeing=np.zeros(way.n_timesteps, np.int64),
            first_scores=np.zeros(0),
            is_settled=np.zeros(0, np.int64),
        )

    def append(self, part: "Part") -> None:
        """Add the inputs that come next."""
        for mine, rows in ((self.serial, part.serial), (self.streamed, part.streamed)):
            if len(rows):
                mine.extend({name: rows.column(name) for name in COLUMNS})
        self.totals.add(part.totals.cores, part.totals.chip)
        self.n_right += part.n_right
        self.n_agreeing += part.n_agreeing
        self.first_scores = np.concatenate([self.first_scores, part.first_scores])
        self.is_settled = np.concatenate([self.is_settled, part.is_settled])
        self.failures.update(part.failures)

    def subtract(self, part: "Part") -> None:
        """Take the sums of some inputs out again."""
        self.totals.add(-part.totals.cores, -part.totals.chip)
        self.n_right -= part.n_right
        self.n_agreeing -= part.n_agreeing

    def continues(self, whole: "Part", way: Way, n: int) -> bool:
        """Whether this can be what ``n`` further inputs of ``whole`` gave."""
        n_looks = n * way.is_looked_at
        return (
            len(self.serial) == n * way.is_serial
            and len(self.streamed) == n * way.is_streamed
            and self.first_scores.shape == self.is_settled.shape == (n_looks,)
            and self.totals.cores.shape == whole.totals.cores.shape
            and self.totals.chip.shape == whole.totals.chip.shape
            and self.n_right.shape == self.n_agreeing.shape == whole.n_right.shape
        )


@dataclass(kw_only=True, eq=False)
class Gauge:
    """Turns results into parts, the same on every machine."""

    pricing: Pricing
    labels: IntArray | None  # (n,), of all inputs
    hashes: IntArray  # (n,)
    calibration: Calibration | None

    def part(
        self, way: Way, results: Iterable[RunResult | Failure], first: int, mine: range
    ) -> Generator[None, None, Part]:
        """Return what some inputs gave; yield after each of them.

        One that failed has a row without meaning, and its place in a stream is empty.

        Parameters
        ----------
        way : Way
        results : iterable of RunResult or Failure
            From place ``first`` of ``way.inputs`` on, and past ``mine``: those that
            are in the pipeline with them too.
        first : int
        mine : range
            The places that make the part.
        """
        part = Part.empty(way, len(mine), self.pricing.network)
        stream = self.pricing.stream(way.n_timesteps)
        looks: list[tuple[float, bool]] = []
        n_out = 0
        for place, found in enumerate(results, first):
            result = self._nothing(way, found) if isinstance(found, Failure) else found
            if place in mine:
                if way.is_serial:
                    self._store(part.serial, self._serial(way, result), is_mine=True)
                if way.is_looked_at:
                    looks.append(self._look(result))
                self._count(way, part, found)
                yield
            if way.is_streamed:
                for values in stream.push(result):
                    self._store(part.streamed, values, first + n_out in mine)
                    n_out += 1
        for values in stream.finish():
            self._store(part.streamed, values, first + n_out in mine)
            n_out += 1
        part.first_scores = np.array([score for score, _ in looks], np.float64)
        part.is_settled = np.array([settled for _, settled in looks], np.int64)
        return part

    def _nothing(self, way: Way, failure: Failure) -> RunResult:
        """Return what an input gives that does nothing at all."""
        network, n = self.pricing.network, way.n_timesteps
        graph, n_links = network.graph, len(network.crossings.links)
        none, tail = (
            Totals.none(n_rows, len(network.cores), n_links)
            for n_rows in (n + graph.depth, graph.lag)
        )
        return RunResult(
            index=failure.index,
            prediction=0,
            timesteps=n,
            chip_timesteps=len(none.chip),
            stopped_early=False,
            gap=0,
            scores=np.zeros((n, graph.readout.size), np.int64),
            activity=Activity(
                timesteps=n,
                cores=none.cores,
                chip=none.chip,
                tail_cores=tail.cores,
                tail_chip=tail.chip,
            ),
        )

    def _serial(self, way: Way, result: RunResult) -> Values:
        """Return the row of an input that has the chip for itself."""
        n_polls = 1
        if way.has_cutoff:
            n_polls = result.timesteps
            if self.calibration is not None:
                n_polls = self.calibration.n_polls(result.timesteps)
        return self.pricing.serial(result, n_polls=n_polls)

    def _count(self, way: Way, part: Part, result: RunResult | Failure) -> None:
        """Add an input to the sums, or to those that failed."""
        if isinstance(result, Failure):
            part.failures[result.index] = result.reason
            return
        if way.is_serial:
            part.totals.add(result.activity.cores, result.activity.chip)
        else:
            part.totals.add(*result.activity.streamed)
        if way.is_judged:
            found = answers(result.scores)
            part.n_agreeing += found == found[-1]
            if self.labels is not None:
                part.n_right += found == self.labels[result.index]

    def _look(self, result: RunResult) -> tuple[float, bool]:
        """Return the first score looked at, and whether the rule stops at the last."""
        rule = self.calibration
        assert rule is not None
        settled = rule.cutoff(result.scores[-1:], result.timesteps)[0]
        return first_score(rule, result.scores), bool(settled)

    def _store(self, rows: Rows, values: Values, is_mine: bool) -> None:
        """Add a row of this part, and which input it is of."""
        index = values["index"]
        assert index is not None
        if is_mine:
            rows.append({**values, "input_hash": int(self.hashes[int(index)])})
