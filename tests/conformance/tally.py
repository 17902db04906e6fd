"""How much the property tests have compared: networks, and timesteps of neurons."""

import math
from collections import defaultdict
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, settings

from snn_deploy.arrays import AnyArray


@dataclass
class Count:
    """What one comparison has seen so far."""

    networks: int = 0
    timesteps: int = 0  # of whole networks
    values: int = 0  # spikes, currents and voltages, each of one neuron and timestep


@dataclass
class Ties:
    """Spikes of a framework in single precision, and those that rounding decided."""

    networks: int = 0
    spikes: int = 0  # neurons and timesteps compared
    ties: int = 0
    farthest: float = 0.0  # from the threshold, in thresholds


@dataclass
class Tally:
    """The counts of this test run, by comparison."""

    share: float = 0.5  # of the networks that a property is written for
    counts: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    ties: dict[str, Ties] = field(default_factory=lambda: defaultdict(Ties))

    def add(self, comparison: str, timesteps: int, values: int) -> None:
        """Count one network more, compared in so many timesteps and values."""
        count = self.counts[comparison]
        count.networks += 1
        count.timesteps += timesteps
        count.values += values

    def tie(self, comparison: str, spikes: int, ties: int, farthest: float) -> None:
        """Count one network more, and how many of its spikes are ties."""
        found = self.ties[comparison]
        found.networks += 1
        found.spikes += spikes
        found.ties += ties
        found.farthest = max(found.farthest, farthest)

    def lines(self) -> list[str]:
        """Return a line for each comparison."""
        equal = [
            f"{name}: {count.networks} networks, {count.timesteps} timesteps, "
            f"{count.values} values equal"
            for name, count in self.counts.items()
        ]
        ties = [
            f"{name}: {found.networks} networks, {found.spikes} decisions to spike, "
            f"{found.ties} decided otherwise"
            + (f", ties within {found.farthest:.1g} thresholds" if found.ties else "")
            for name, found in self.ties.items()
        ]
        return equal + ties


TALLY = Tally()


def examples(n: int, *, shrinks: bool = True) -> settings:
    """Have hypothesis draw half of ``n`` networks; with ``--run-slow`` ten times ``n``.

    They are the same in every run, until the code or a package changes. Where each
    takes long, a failing one is shown as it was drawn.
    """
    return settings(
        phases=[Phase.generate, *([Phase.shrink] if shrinks else [])],
        max_examples=math.ceil(n * TALLY.share),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def n_values(arrays: "dict[tuple[str, str], AnyArray]") -> int:
    """Return how many values there are in all of them."""
    return sum(array.size for array in arrays.values())
