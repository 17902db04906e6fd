"""A target's prices as arrays, to be multiplied with counts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.chip.events import EVENTS, INJECTION, Event, Place, Work
from snn_deploy.chip.target import (
    BAND,
    CENTRAL,
    PRICED_EVENTS,
    QUANTITIES,
    Target,
    band_of,
)
from snn_deploy.ir.mapped import MappedNetwork

TIMED_EVENTS = tuple(event.name for event in EVENTS if event.work is not None)
OF_CHIPS = ("chip_crossing", "barrier_of_chips")  # asked for where there are several
MONITORS = ("embedded", "host")


@dataclass(frozen=True, kw_only=True, eq=False)
class Prices:
    """Energies [J], times [s] and powers [W]; NaN where unknown.

    The last axis is the band: low, central and high.
    """

    core_energy: FloatArray  # (n_core_events, 3), of CORE_EVENTS; injection: 0
    injection_energy: FloatArray  # (1, 3), of a packet that the host sends
    mesh_energy: FloatArray  # (n_chip_events, 3), of CHIP_EVENTS
    link_energy: FloatArray  # (n_links, 3), of a packet on each link
    generating: FloatArray  # (n_core_events, 3), times of each ``Work``
    receiving: FloatArray  # (n_core_events, 3)
    injecting: FloatArray  # (n_core_events, 3)
    crossing: FloatArray  # (1, 3), of a packet on a link
    barrier: FloatArray  # (3,), time at the end of a timestep
    poll: FloatArray  # (3,), time to read the outputs
    static: FloatArray  # (3,), power of the chips
    embedded: FloatArray  # (3,), power of the processors beside the chips
    host: FloatArray  # (3,), power of the computer outside, if it polls
    reset: FloatArray  # (3,), energy between two inputs
    clearing: FloatArray  # (3,), time between two inputs; 0: unknown, and left out

    @property
    def power(self) -> FloatArray:
        """The power of the board [W]."""
        return self.static + self.embedded


def prices_for(network: MappedNetwork, monitor: str) -> Prices:
    """Return what a network pays where it lies, polled by a ``monitor``."""
    return prices_of(
        network.target,
        n_tiles=network.n_tiles,
        n_chips=network.n_chips,
        n_links=len(network.crossings.links),
        monitor=monitor,
    )


def prices_of(
    target: Target, *, n_tiles: int, monitor: str, n_chips: int = 1, n_links: int = 0
) -> Prices:
    """Return what a network on ``n_tiles`` tiles of ``n_chips`` chips pays.

    Leakage and clearing are of every chip, and all of them wait for one another. The
    time that an injected packet takes, or one on a link between chips beside its hop,
    and that of clearing are left out where unknown.
    """
    core_energy = _energies(target, Place.NEUROCORE)
    injection_energy = core_energy[[INJECTION]]
    core_energy[INJECTION] = 0
    return Prices(
        core_energy=core_energy,
        injection_energy=injection_energy,
        mesh_energy=_energies(target, Place.CHIP),
        link_energy=np.tile(_energies(target, Place.LINK), (n_links, 1)),
        generating=_times(target, Place.NEUROCORE, Work.GENERATING),
        receiving=_times(target, Place.NEUROCORE, Work.RECEIVING),
        injecting=_times(_fed_by(target, monitor), Place.NEUROCORE, Work.INJECTING),
        crossing=_times(target, Place.LINK, Work.CROSSING),
        barrier=_barrier(target, n_tiles, n_chips),
        poll=_price(target, f"poll_{monitor}", "time_s"),
        static=_of_chips(target, "static", "power_w", n_chips),
        embedded=_of_chips(target, "embedded", "power_w", n_chips),
        host=(
            _price(target, "host", "power_w")
            if monitor == "host"
            else np.zeros(len(BAND))
        ),
        reset=_of_chips(target, "reset", "energy_j", n_chips),
        clearing=np.nan_to_num(_price(target, "reset", "time_s")),
    )


def _fed_by(target: Target, monitor: str) -> Target:
    """Return the target with the price of a packet that this monitor injects."""
    from_outside = dict(target.costs).get("injection_host")
    if monitor != "host" or from_outside is None:
        return target
    costs = {**dict(target.costs), "injection": from_outside}
    return replace(target, costs=tuple(costs.items()))


def _of_chips(target: Target, name: str, quantity: str, n_chips: int) -> FloatArray:
    return target.number_of(name, n_chips) * _price(target, name, quantity)


def _barrier(target: Target, n_tiles: int, n_chips: int) -> FloatArray:
    if n_chips > 1:
        return _price(target, "barrier_of_chips", "time_s")
    return np.array([target.barrier.time(n_tiles, end) for end in BAND])


def _energies(target: Target, place: Place) -> FloatArray:
    """Return the energy of each event that is counted there."""
    return np.array(
        [
            _price(target, event.name, "energy_j")
            for event in EVENTS
            if event.place is place
        ]
    )


def _times(target: Target, place: Place, work: Work) -> FloatArray:
    """Return the time of each event that is counted there, 0 if it is other work."""
    return np.array(
        [
            _time(target, event) if event.work is work else np.zeros(len(BAND))
            for event in EVENTS
            if event.place is place
        ]
    )


def _time(target: Target, event: Event) -> FloatArray:
    price = _price(target, event.name, "time_s")
    return np.nan_to_num(price) if event.is_left_out else price


def _price(target: Target, name: str, quantity: str) -> FloatArray:
    band = band_of(target.cost(name), quantity)
    return np.array([np.nan if value is None else value for value in band])


def cost_of(counts: IntArray, prices: FloatArray) -> FloatArray:
    """Return counts ``(..., n)`` times prices ``(n, 3)``, summed: ``(..., 3)``.

    NaN where an event happened whose price is unknown.
    """
    unknown = np.isnan(prices)
    total: FloatArray = np.asarray(counts, np.float64) @ np.where(unknown, 0.0, prices)
    if unknown.any():
        total[counts @ unknown.astype(np.int64) > 0] = np.nan
    return total


def _powers(monitor: str) -> tuple[str, ...]:
    return ("static", "embedded", "host")[: 3 if monitor == "host" else 2]


def unknown_prices(target: Target, monitor: str, n_chips: int = 1) -> list[str]:
    """Return what costs energy or time but has no published price."""
    target = _fed_by(target, monitor)
    energies = [(name, "energy") for name in (*PRICED_EVENTS, "reset")]
    powers = [(name, "power") for name in _powers(monitor)]
    events = [name for name in TIMED_EVENTS if name not in OF_CHIPS]
    names = (*events, f"poll_{monitor}", "reset", *OF_CHIPS)
    times = [(name, "time") for name in names]
    quantities = dict(zip(("energy", "time", "power"), QUANTITIES, strict=True))
    return [
        f"{'time' if kind == 'time' else 'energy'} of {name}"
        for name, kind in (*energies, *powers, *times)
        if (n_chips > 1 or name not in OF_CHIPS)
        and getattr(target.cost(name), quantities[kind]) is None
    ]


@dataclass(frozen=True, kw_only=True)
class ListedPrice:
    """One constant of the model; ``None`` is unknown."""

    name: str
    unit: str
    band: tuple[float | None, ...]  # low, central, high
    source: str


def price_list(target: Target, only: Sequence[str] = ()) -> list[ListedPrice]:
    """Return every constant that the model of energy and latency asks for.

    Or those of some events, and the barrier.
    """
    asked = [
        *((name, "energy_j") for name in (*PRICED_EVENTS, "reset")),
        *((name, "power_w") for name in _powers("host")),
        *((name, "time_s") for name in (*TIMED_EVENTS, "reset")),
        *((f"poll_{monitor}", "time_s") for monitor in MONITORS),
        ("injection_host", "time_s"),
        ("barrier_of_chips", "time_s"),
    ]
    listed = [
        _listed(target, name, quantity)
        for name, quantity in asked
        if not only or name in only
    ]
    barrier = target.barrier
    for tiles, *band in zip(barrier.tiles, *barrier.times.values(), strict=True):
        name = f"barrier, from {tiles} tile{'s' if tiles > 1 else ''}: time"
        listed.append(
            ListedPrice(name=name, unit="s", band=(*band,), source=barrier.source)
        )
    return listed


def _listed(target: Target, name: str, quantity: str) -> ListedPrice:
    cost = target.cost(name)
    kind, unit = quantity.rsplit("_", 1)
    band = band_of(cost, quantity)
    return ListedPrice(
        name=f"{name.replace('_', ' ')}: {kind}",
        unit=unit.upper() if unit != "s" else unit,
        band=band,
        source="no public source" if band[CENTRAL] is None else cost.source,
    )
