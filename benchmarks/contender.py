"""Who takes part: a program in one setting, and how its time is taken."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Clock = Callable[[], float]
LEAST_REPEATS = 2


class AbsentError(Exception):
    """A program that cannot run a network, and why; the results say so."""


@dataclass(frozen=True)
class Setting:
    """A program and how it runs; its name in the results."""

    program: str
    threads: int = 1
    batch: str = ""  # "1" or "best"; empty: one input after the other
    mode: str = ""  # "counted", "cutoff", "drained" or nothing

    @property
    def key(self) -> str:
        """A name without spaces at its ends, the same in every run."""
        parts = [self.program, f"{self.threads} thread{'s' * (self.threads > 1)}"]
        parts += [f"batch {self.batch}"] if self.batch else []
        return ", ".join([*parts, self.mode] if self.mode else parts)

    @property
    def is_wall(self) -> bool:
        """Whether wall time counts: several threads, or Lava's many processes."""
        return self.threads > 1 or self.program.startswith("lava")


@dataclass(frozen=True)
class Sample:
    """What one round found."""

    us: float  # per input and timestep
    notes: dict[str, float] = field(default_factory=dict)  # e.g. the batch that won


@dataclass(frozen=True, eq=False)
class Contender:
    """A program in one setting; ``measure`` takes about as many seconds as given."""

    setting: Setting
    measure: Callable[[float], Sample]


def clock_of(setting: Setting) -> Clock:
    """Return CPU time of the thread, or wall time where other threads work too."""
    return time.perf_counter if setting.is_wall else time.thread_time


def shortest(clock: Clock, seconds: float, work: Callable[[int], object]) -> float:
    """Return the shortest time [s] of ``work``, called with 0, 1, 2, ...

    It is called for about ``seconds``, twice at least unless once takes that long.
    """
    begun = time.perf_counter()
    times: list[float] = []
    while True:
        start = clock()
        work(len(times))
        times.append(clock() - start)
        is_late = time.perf_counter() - begun > seconds
        if is_late and (len(times) >= LEAST_REPEATS or times[0] > seconds):
            return min(times)
