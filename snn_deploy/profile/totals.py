"""What all inputs of a profile made the chip do together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.chip.events import CHIP_EVENTS, CORE_EVENTS


@dataclass(frozen=True, kw_only=True, eq=False)
class Totals:
    """Counts of all inputs together, by chip timestep of the input."""

    cores: IntArray  # (n_chip_timesteps, n_cores, 6), see CORE_EVENTS
    chip: IntArray  # (n_chip_timesteps, 3 + n_links), see CHIP_EVENTS and LINKS

    @classmethod
    def none(cls, n_chip_timesteps: int, n_cores: int, n_links: int) -> "Totals":
        """Return counts of 0."""
        n_chip_events = len(CHIP_EVENTS) + n_links
        return cls(
            cores=np.zeros((n_chip_timesteps, n_cores, len(CORE_EVENTS)), np.int64),
            chip=np.zeros((n_chip_timesteps, n_chip_events), np.int64),
        )

    def add(self, cores: IntArray, chip: IntArray) -> None:
        """Add the counts of an input."""
        self.cores[: len(chip)] += cores
        self.chip[: len(chip)] += chip


def sum_of(parts: Sequence[Totals]) -> Totals:
    """Return the counts of all parts, as long as the longest."""
    longest = max(parts, key=lambda part: len(part.chip))
    total = Totals(cores=np.zeros_like(longest.cores), chip=np.zeros_like(longest.chip))
    for part in parts:
        total.add(part.cores, part.chip)
    return total
