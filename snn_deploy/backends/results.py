"""What a run gives: records of timesteps, counts of events, results of inputs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import IntArray, read_only
from snn_deploy.chip.events import (
    CHIP_EVENTS,
    CORE_EVENTS,
    LIMIT_EVENTS,
    SATURATION,
    WRAP,
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

    A voltage that saturates and a current that wraps are counted in the timesteps that
    the answer rests on, the same in a stream.
    """

    timesteps: int  # of the input, up to the stop
    cores: IntArray  # (timesteps + depth, n_cores, n), see CORE_EVENTS
    chip: IntArray  # (timesteps + depth, n + n_links), see CHIP_EVENTS and LINKS
    tail_cores: IntArray  # (lag, n_cores, n), mapped neurons left out
    tail_chip: IntArray  # (lag, n + n_links)
    saturations: int = 0
    wraps: int = 0

    def __post_init__(self) -> None:
        for name in ("cores", "chip", "tail_cores", "tail_chip"):
            values = read_only(getattr(self, name), np.int64)
            object.__setattr__(self, name, values)

    @classmethod
    def of(cls, timesteps: int, whole: Counts, tail: Counts) -> "Activity":
        """Return the counts of an input up to its answer, with its tail in a stream."""
        return cls(
            timesteps=timesteps,
            cores=whole.cores,
            chip=whole.chip,
            tail_cores=tail.cores,
            tail_chip=tail.chip,
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


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchResult:
    """What a machine found that ran inputs, and stopped them, by itself."""

    scores: IntArray  # (n, n_timesteps, n_out), accumulated; undefined behind the stop
    timesteps: IntArray  # (n,), of each input; 0: interrupted before its end
    activities: Sequence[Activity]  # of each input; empty: not counted
    interrupt: BaseException | None  # Ctrl-C, to be raised once the rest is used
