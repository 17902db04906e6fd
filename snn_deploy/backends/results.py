"""What a run gives: records of timesteps, counts of events, results of inputs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from snn_deploy.arrays import IntArray, read_only
from snn_deploy.chip.events import (
    CHIP_EVENTS,
    CORE_EVENTS,
    LIMIT_EVENTS,
    LINK_EVENT,
    LINKS,
    SATURATION,
    WRAP,
    Event,
    Place,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class StepRecord:
    """What the host reads after one input timestep of a batch."""

    timestep: int  # counted from 1
    inputs: IntArray  # (n,), which inputs of the batch are still running
    readout: IntArray  # (n, n_out), spikes or voltages


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of events; those of ``EVENTS`` lie side by side in the last axis."""

    values: IntArray  # (..., n_columns)
    n_cores: int

    @classmethod
    def none(
        cls, shape: Sequence[int], n_cores: int, n_links: int, dtype: type = np.int64
    ) -> "Counts":
        """Return counts of 0, ``shape`` without the last axis."""
        n_columns = n_cores * len(CORE_EVENTS) + len(CHIP_EVENTS) + n_links
        n_columns += len(LIMIT_EVENTS)
        return cls(np.zeros((*shape, n_columns), dtype), n_cores)

    def sum(self, axis: int) -> "Counts":
        """Return the sums along an axis, which is not the last one."""
        return Counts(self.values.sum(axis=axis), self.n_cores)

    def add(self, values: IntArray, start: int = 0) -> None:
        """Add ``values`` to rows of ours, the first axis, from ``start`` on."""
        mine = self.values[start : start + len(values)]
        mine += values

    def total(self, event: Event) -> IntArray:
        """Return how often an event happened, wherever it is counted."""
        at, names = {
            Place.NEUROCORE: (self.cores.sum(axis=-2), CORE_EVENTS),
            Place.CHIP: (self.chip, CHIP_EVENTS),
            Place.LINK: (
                self.chip[..., LINKS].sum(axis=-1, keepdims=True),
                (LINK_EVENT,),
            ),
            Place.REGISTERS: (self.limits, LIMIT_EVENTS),
        }[event.place]
        found: IntArray = at[..., names.index(event.name)]
        return found

    @property
    def cores(self) -> IntArray:
        """Those of each neurocore, ``(..., n_cores, n_core_events)``; a view."""
        own = self.values[..., : self.n_cores * len(CORE_EVENTS)]
        return own.reshape(*own.shape[:-1], self.n_cores, len(CORE_EVENTS))

    @property
    def chip(self) -> IntArray:
        """Those of the chip and of each link, ``(..., n_chip_events + n_links)``."""
        return self.values[..., self.n_cores * len(CORE_EVENTS) : -len(LIMIT_EVENTS)]

    @property
    def limits(self) -> IntArray:
        """Those of the registers of all neurons, ``(..., n_limit_events)``."""
        return self.values[..., -len(LIMIT_EVENTS) :]


@dataclass(frozen=True, kw_only=True, eq=False)
class Activity:
    """What one input made the chip do, by chip timestep; DESIGN.md, section 6.

    Packets of the input, which the host sends, are injections; output spikes, which go
    to the host, are packets of the neurocore that sends them. Hops count both, and so
    do the ``n_links`` links between chips, those of ``MappedNetwork.crossings``.

    ``cores`` and ``chip`` end with the answer: layers in front have gone on with this
    input by then, beyond the timestep that decides, and layers behind the output are
    cut short. In a stream every layer computes exactly the timesteps of the input:
    ``tail`` is what follows its last one.

    A layer for which the network's last timestep is over runs on until the answer is
    out: ``run_on`` is the part of ``cores`` and ``chip`` that is done then. On a chip
    that counts timesteps it rests, and what is left are updates: of neurons that come
    to rest, that have a bias, or that a late spike reaches.

    A voltage that saturates and a current that wraps are counted in the timesteps that
    the answer rests on, the same in a stream.
    """

    timesteps: int  # of the input, up to the stop
    cores: IntArray  # (timesteps + depth, n_cores, n), see CORE_EVENTS
    chip: IntArray  # (timesteps + depth, n + n_links), see CHIP_EVENTS and LINKS
    tail_cores: IntArray  # (lag, n_cores, n), mapped neurons left out
    tail_chip: IntArray  # (lag, n + n_links)
    run_on_cores: IntArray  # (depth, n_cores, n), mapped neurons left out
    run_on_chip: IntArray  # (depth, n + n_links)
    saturations: int = 0
    wraps: int = 0

    def __post_init__(self) -> None:
        for part in ("", "tail_", "run_on_"):
            for name in (f"{part}cores", f"{part}chip"):
                values = read_only(getattr(self, name), np.int64)
                object.__setattr__(self, name, values)

    @classmethod
    def of(
        cls, timesteps: int, whole: Counts, tail: Counts, run_on: Counts
    ) -> "Activity":
        """Return the counts of an input up to its answer, with its tail in a stream."""
        return cls(
            timesteps=timesteps,
            cores=whole.cores,
            chip=whole.chip,
            tail_cores=tail.cores,
            tail_chip=tail.chip,
            run_on_cores=run_on.cores,
            run_on_chip=run_on.chip,
            saturations=int(whole.limits[:, SATURATION].sum()),
            wraps=int(whole.limits[:, WRAP].sum()),
        )

    @property
    def n_chip_timesteps(self) -> int:
        return len(self.chip)

    @property
    def streamed(self) -> tuple[IntArray, IntArray]:
        """``cores`` and ``chip`` of the input in a stream, ``(timesteps + lag, ...)``.

        Mapped neurons are counted while the input enters: then the next one pays.
        """
        return (
            np.concatenate([self.cores[: self.timesteps], self.tail_cores]),
            np.concatenate([self.chip[: self.timesteps], self.tail_chip]),
        )

    def total(self, event: str) -> int:
        """Return how often ``event`` happened, for the whole input."""
        if event in CORE_EVENTS:
            return int(self.cores[..., CORE_EVENTS.index(event)].sum())
        return int(self.chip[..., CHIP_EVENTS.index(event)].sum())


def limited_in_words(saturations: int, wraps: int) -> str:
    """Return in words how often the chip's registers were too small."""
    found = [
        f"{what} {n:,} time{'s' * (n != 1)}"
        for what, n in (
            ("a voltage saturated", saturations),
            ("a current wrapped", wraps),
        )
        if n
    ]
    return " and ".join(found)


@dataclass(frozen=True, kw_only=True, eq=False)
class RunResult:
    """The answer to one input and what it took."""

    index: int  # of the input in the data
    prediction: int
    timesteps: int
    chip_timesteps: int
    stopped_early: bool
    gap: int  # largest less second largest score, at the stop
    scores: IntArray  # (timesteps, n_out), accumulated, what the monitor saw
    activity: Activity


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An input that a machine could not run."""

    index: int  # of the input in the data
    reason: str


def n_rows_of(n_timesteps: int, depth: int, lag: int) -> int:
    """Return the rows of counts of an input: those of ``Block``, in its order."""
    return n_timesteps + depth + lag + depth


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """What a machine did with inputs in a row, each until its stop."""

    # (n, n_timesteps, n_out), accumulated; behind the stop undefined, behind the end of
    # an input that lasts less its last ones
    scores: IntArray
    timesteps: IntArray  # (n,), of each input; 0: interrupted before its end
    counts: Counts  # (n, n_rows_of, n_columns); (0, ...): not counted
    depth: int  # of the pipeline
    failure: str = ""  # why the machine cannot run the one input that this is
    interrupt: BaseException | None = None  # Ctrl-C, to be raised with the rest used

    def __len__(self) -> int:
        return len(self.timesteps)

    def __getitem__(self, some: slice) -> "Block":
        return replace(
            self,
            scores=self.scores[some],
            timesteps=self.timesteps[some],
            counts=Counts(self.counts.values[some], self.counts.n_cores),
        )

    @property
    def n_timesteps(self) -> int:
        """Those of an input that does not stop."""
        return int(self.scores.shape[1])

    @property
    def whole(self) -> Counts:
        """By chip timestep up to the answer; 0 behind that, see ``Activity``."""
        end = self.n_timesteps + self.depth
        return Counts(self.counts.values[:, :end], self.counts.n_cores)

    @property
    def tail(self) -> Counts:
        """What follows the last timestep in a stream, ``(n, lag, n_columns)``."""
        start = self.n_timesteps + self.depth
        end = self.counts.values.shape[1] - self.depth
        return Counts(self.counts.values[:, start:end], self.counts.n_cores)

    @property
    def run_on(self) -> Counts:
        """What layers do behind their last timestep, ``(n, depth, n_columns)``."""
        start = self.counts.values.shape[1] - self.depth
        return Counts(self.counts.values[:, start:], self.counts.n_cores)

    @property
    def streamed(self) -> Counts:
        """In a stream, in all, ``(n, n_columns)``."""
        whole = self.whole
        found = Counts(self.tail.values.sum(axis=1), whole.n_cores)
        for i, end in enumerate(self.timesteps):
            mine = found.values[i]
            mine += whole.values[i, :end].sum(axis=0)
        found.limits[:] = whole.limits.sum(axis=1)  # the answer rests on no others
        return found

    def stream_total(self) -> IntArray:
        """Return the sum of ``rows_in_stream``, as long as the longest."""
        n_rows = self.n_timesteps + self.tail.values.shape[1]
        found = np.zeros((n_rows, self.counts.values.shape[-1]), np.int64)
        for rows in self.rows_in_stream():
            found[: len(rows)] += rows
        return found

    def rows_in_stream(self) -> Iterator[IntArray]:
        """Yield by chip timestep what each input adds to a stream, from its start."""
        for i, end in enumerate(self.timesteps):
            whole, tail = self.whole.values[i, :end], self.tail.values[i]
            yield np.concatenate([whole, tail])

    def activity(self, position: int) -> Activity:
        """Return what one input made the chip do."""
        t = int(self.timesteps[position])
        whole, tail, run_on = (
            Counts(part.values[position], part.n_cores)
            for part in (self.whole, self.tail, self.run_on)
        )
        whole = Counts(whole.values[: t + self.depth if t else 0], whole.n_cores)
        return Activity.of(t, whole, tail, run_on)
