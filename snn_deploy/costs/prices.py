"""A target's prices as arrays, to be multiplied with counts."""

from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.results import CHIP_EVENTS, CORE_EVENTS, INJECTION
from snn_deploy.chip.target import CENTRAL, EVENTS, Target, high_name
from snn_deploy.ir.mapped import MappedNetwork

BAND = ("central", "high")  # the last axis of every array of prices and of costs
GENERATING = ("access", "update", "fire", "packet")
RECEIVING = ("packet_in", "synaptic_operation")
MONITORS = ("embedded", "host")


@dataclass(frozen=True, kw_only=True, eq=False)
class Prices:
    """Energies [J], times [s] and powers [W]; not a number where nobody knows.

    The last axis is the band: central and high.
    """

    core_energy: FloatArray  # (6, 2), of CORE_EVENTS
    chip_energy: FloatArray  # (3 + n_links, 2), of CHIP_EVENTS, then of a crossing
    generating: FloatArray  # (6, 2), times of what a neurocore computes and sends
    receiving: FloatArray  # (6, 2), and of what it receives
    injection: FloatArray  # (2,), time of an input packet; 0 where unknown
    crossing: FloatArray  # (2,), of a packet on a link between chips; 0 where unknown
    barrier: FloatArray  # (2,), time at the end of a timestep
    poll: FloatArray  # (2,), time to read the outputs
    static: FloatArray  # (2,), power of the chips
    host: FloatArray  # (2,), power of the processor that feeds and polls it
    reset: FloatArray  # (2,), energy between two inputs


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

    Leakage and clearing are of every chip, and all of them wait for one another. What
    a packet pays on a link between chips, beside its hop, is left out where unknown.
    """
    # the packets of the input are packets too
    on_chip = _prices(target, (*CHIP_EVENTS[:INJECTION], "packet"), EVENTS, "energy_j")
    crossing = np.nan_to_num(_price(target, "chip_crossing", "energy_j"))
    return Prices(
        core_energy=_prices(target, CORE_EVENTS, CORE_EVENTS, "energy_j"),
        chip_energy=np.concatenate([on_chip, np.tile(crossing, (n_links, 1))]),
        generating=_prices(target, CORE_EVENTS, GENERATING, "time_s"),
        receiving=_prices(target, CORE_EVENTS, RECEIVING, "time_s"),
        injection=np.nan_to_num(_price(target, "injection", "time_s")),
        crossing=np.nan_to_num(_price(target, "chip_crossing", "time_s")),
        barrier=_barrier(target, n_tiles, n_chips),
        poll=_price(target, f"poll_{monitor}", "time_s"),
        static=n_chips * _price(target, "static", "power_w"),
        host=_price(target, "host", "power_w"),
        reset=n_chips * _price(target, "reset", "energy_j"),
    )


def _barrier(target: Target, n_tiles: int, n_chips: int) -> FloatArray:
    if n_chips > 1:
        return _price(target, "barrier_of_chips", "time_s")
    return np.array([target.barrier.time(n_tiles, high=end == "high") for end in BAND])


def _prices(
    target: Target, names: tuple[str, ...], priced: tuple[str, ...], quantity: str
) -> FloatArray:
    """Return a price for each name, 0 for those that are not priced."""
    return np.array(
        [
            _price(target, name, quantity) if name in priced else np.zeros(len(BAND))
            for name in names
        ]
    )


def _price(target: Target, name: str, quantity: str) -> FloatArray:
    cost = target.cost(name)
    values = (getattr(cost, quantity), getattr(cost, high_name(quantity)))
    return np.array([np.nan if value is None else value for value in values])


def cost_of(counts: IntArray, prices: FloatArray) -> FloatArray:
    """Return counts ``(..., n)`` times prices ``(n, 2)``, summed: ``(..., 2)``.

    Not a number where an event happened whose price nobody knows.
    """
    unknown = np.isnan(prices)
    total: FloatArray = np.asarray(counts, np.float64) @ np.where(unknown, 0.0, prices)
    if unknown.any():
        total[counts @ unknown.astype(np.int64) > 0] = np.nan
    return total


def unknown_prices(target: Target, monitor: str, n_chips: int = 1) -> list[str]:
    """Return what costs energy or time that nobody has published."""
    events = [name for name in EVENTS if name != "chip_crossing" or n_chips > 1]
    energies = [(name, "energy") for name in (*events, "reset")]
    powers = [(name, "power") for name in ("static", "host")]
    timed = [*GENERATING, *RECEIVING, "injection", f"poll_{monitor}"]
    timed += ["chip_crossing", "barrier_of_chips"] * (n_chips > 1)
    times = [(name, "time") for name in timed]
    quantities = dict(zip(("energy", "time", "power"), CENTRAL, strict=True))
    return [
        f"{'time' if kind == 'time' else 'energy'} of {name}"
        for name, kind in (*energies, *powers, *times)
        if getattr(target.cost(name), quantities[kind]) is None
    ]


@dataclass(frozen=True, kw_only=True)
class ListedPrice:
    """One constant of the model; ``None`` is unknown."""

    name: str
    unit: str
    central: float | None
    high: float | None
    source: str


def price_list(target: Target) -> list[ListedPrice]:
    """Return every constant that the model of energy and latency asks for."""
    asked = [
        *((name, "energy_j") for name in (*EVENTS, "reset")),
        *((name, "power_w") for name in ("static", "host")),
        *((name, "time_s") for name in (*GENERATING, *RECEIVING)),
        *((name, "time_s") for name in ("chip_crossing", "injection")),
        *((f"poll_{monitor}", "time_s") for monitor in MONITORS),
        ("barrier_of_chips", "time_s"),
    ]
    listed = [_listed(target, name, quantity) for name, quantity in asked]
    barrier = target.barrier
    for tiles, central, high in zip(
        barrier.tiles, barrier.time_s, barrier.time_high_s, strict=True
    ):
        name = f"barrier, from {tiles} tile{'s' if tiles > 1 else ''}: time"
        listed.append(
            ListedPrice(
                name=name, unit="s", central=central, high=high, source=barrier.source
            )
        )
    return listed


def _listed(target: Target, name: str, quantity: str) -> ListedPrice:
    cost = target.cost(name)
    kind, unit = quantity.rsplit("_", 1)
    central = getattr(cost, quantity)
    return ListedPrice(
        name=f"{name.replace('_', ' ')}: {kind}",
        unit=unit.upper() if unit != "s" else unit,
        central=central,
        high=getattr(cost, high_name(quantity)),
        source="no public source" if central is None else cost.source,
    )
