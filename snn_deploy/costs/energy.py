"""What an input costs in joules: four parts, each from counts, prices and time."""

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.costs.prices import Prices, cost_of

# events on the chip; leakage, for as long as the input holds the chip; clearing the
# chip between inputs; the processor that feeds and polls the chip
PARTS = ("dynamic", "static", "reset", "host")


def energies(
    cores: IntArray, chip: IntArray, wall_s: FloatArray, prices: Prices
) -> FloatArray:
    """Return the parts of what an input costs [J], ``(4, 2)``; see ``PARTS``.

    Parameters
    ----------
    cores : array, (n, n_cores, n_core_events)
        Counts of ``CORE_EVENTS``.
    chip : array, (n, n_chip_events + n_links)
        Counts of ``CHIP_EVENTS``, then packets on each link between chips.
    wall_s : array, (2,)
        How long the input holds the chip: its latency if inputs are served one by one,
        its period in a stream.
    prices : Prices
    """
    return np.array(
        [
            dynamic_energy(cores.sum(axis=(0, 1)), chip.sum(axis=0), prices),
            prices.static * wall_s,
            prices.reset,
            prices.host * wall_s,
        ]
    )


def dynamic_energy(cores: IntArray, chip: IntArray, prices: Prices) -> FloatArray:
    """Return the energy ``(..., 2)`` [J] of counts of neurocores and of the chip."""
    return cost_of(cores, prices.core_energy) + cost_of(chip, prices.chip_energy)
