"""What an input costs in joules: parts, each from counts, prices and time.

Each part belongs to one of the ``BOUNDARIES``, each of which holds those before it. A
sum goes up to one of them.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.chip.events import INJECTION, LINKS
from snn_deploy.costs.prices import Prices, cost_of

BOUNDARIES = ("neurocores", "chip", "board", "host")
PARTS = {
    "neurocores": "neurocores",  # events there
    "mesh": "chip",  # steps from tile to tile
    "static": "chip",  # leakage, for as long as the input holds the chip
    "reset": "chip",  # clearing the chip between inputs
    "links": "board",  # packets from chip to chip
    "injection": "board",  # packets that the host sends
    "embedded": "board",  # the processors beside the chip, for as long
    "host": "host",  # the computer that polls from outside, for as long
}
TOTAL = "board"  # of what is called the energy of an input
# of a sum where they are unknown; it says so
LEFT_OUT = ("links", "injection")


def parts_within(boundary: str) -> tuple[str, ...]:
    """Return the parts of a sum up to a boundary."""
    last = BOUNDARIES.index(boundary)
    return tuple(p for p, at in PARTS.items() if BOUNDARIES.index(at) <= last)


def energies(
    cores: IntArray, chip: IntArray, wall_s: FloatArray, prices: Prices
) -> FloatArray:
    """Return the parts of what inputs cost [J], ``(..., 8, 3)``; see ``PARTS``.

    Parameters
    ----------
    cores : array, (..., n_core_events)
        Counts of ``CORE_EVENTS``.
    chip : array, (..., n_chip_events + n_links)
        Counts of ``CHIP_EVENTS``, then packets on each link between chips.
    wall_s : array, (..., 3)
        How long an input holds the chip: its latency and the time to clear the chip if
        inputs are served one by one, its period in a stream.
    prices : Prices
    """
    # a row at a time: how floats are added must not depend on how many rows there are
    events = _of_events(cores[..., np.newaxis, :], chip[..., np.newaxis, :], prices)
    found = {
        **{part: energy[..., 0, :] for part, energy in events.items()},
        "static": prices.static * wall_s,
        "reset": prices.reset + np.zeros_like(wall_s),
        "embedded": prices.embedded * wall_s,
        "host": prices.host * wall_s,
    }
    return np.stack([found[part] for part in PARTS], axis=-2)


def dynamic_energy(cores: IntArray, chip: IntArray, prices: Prices) -> FloatArray:
    """Return the energy ``(..., 3)`` [J] of counts of neurocores and of the chip.

    Without links between chips and injected packets where their price is unknown.
    """
    events = _of_events(cores, chip, prices)
    return sum_of(events, events)


def sum_of(energy: Mapping[str, FloatArray], parts: Iterable[str]) -> FloatArray:
    """Return a sum [J]; not a number if a part is unknown that it cannot leave out."""
    total: FloatArray = np.sum(
        [np.nan_to_num(energy[p]) if p in LEFT_OUT else energy[p] for p in parts],
        axis=0,
    )
    return total


def _of_events(
    cores: IntArray, chip: IntArray, prices: Prices
) -> dict[str, FloatArray]:
    """Return the energy ``(..., 3)`` of each part that is of events [J]."""
    mesh, links = np.split(chip, [LINKS.start], axis=-1)
    injected = cores[..., INJECTION : INJECTION + 1]
    return {
        "neurocores": cost_of(cores, prices.core_energy),
        "mesh": cost_of(mesh, prices.mesh_energy),
        "links": cost_of(links, prices.link_energy),
        "injection": cost_of(injected, prices.injection_energy),
    }
