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
    """Return the parts of what inputs cost [J], ``(..., 4, 3)``; see ``PARTS``.

    Parameters
    ----------
    cores : array, (..., n_core_events)
        Counts of ``CORE_EVENTS``.
    chip : array, (..., n_chip_events + n_links)
        Counts of ``CHIP_EVENTS``, then packets on each link between chips.
    wall_s : array, (..., 3)
        How long an input holds the chip: its latency if inputs are served one by one,
        its period in a stream.
    prices : Prices
    """
    # a row at a time: how floats are added must not depend on how many rows there are
    each = cores[..., np.newaxis, :], chip[..., np.newaxis, :]
    parts = [
        dynamic_energy(*each, prices)[..., 0, :],
        prices.static * wall_s,
        prices.reset + np.zeros_like(wall_s),
        prices.host * wall_s,
    ]
    return np.stack(parts, axis=-2)


def dynamic_energy(cores: IntArray, chip: IntArray, prices: Prices) -> FloatArray:
    """Return the energy ``(..., 3)`` [J] of counts of neurocores and of the chip."""
    return cost_of(cores, prices.core_energy) + cost_of(chip, prices.chip_energy)
