"""What a chip does that is counted and priced: one table, a row for each event.

Counters, prices, columns of profiles and their words follow from it. A further event is
a row here, and what counts it in ``backends/counting``.
"""

from dataclasses import dataclass
from enum import Enum


class Place(Enum):
    """Where events are counted, in the order of the counters."""

    NEUROCORE = "neurocore"  # each has its own counters
    CHIP = "chip"  # one for all neurocores
    LINK = "link"  # each link between two chips has its own
    REGISTERS = "registers"  # one for all neurons, in timesteps the answer rests on


class Work(Enum):
    """What an event takes time of; these go on side by side within a timestep."""

    GENERATING = "generating"  # what a neurocore computes and sends
    RECEIVING = "receiving"  # what it receives
    INJECTING = "injecting"  # what the host sends
    CROSSING = "crossing"  # what passes a link between chips


@dataclass(frozen=True, kw_only=True)
class Event:
    """One kind of event.

    Its prices are those of ``[cost.NAME]`` in the file of a target. A price that is
    unknown makes what it is part of unknown, unless it is ``left_out`` there.
    """

    name: str  # of its counter, its prices, and its column of detail.parquet
    place: Place
    meaning: str
    column: str = ""  # of inputs.parquet, to which it is added
    energy: str = ""  # whose energy it takes, if not its own
    work: Work | None = None  # ``None``: takes no time
    left_out: tuple[str, ...] = ()  # of "energy" and "time"

    @property
    def energy_name(self) -> str:
        """The name of the price of its energy."""
        return self.energy or self.name

    @property
    def is_priced(self) -> bool:
        """Whether it costs anything: states that meet a limit are counted only."""
        return self.place is not Place.REGISTERS


EVENTS = (
    Event(
        name="access",
        place=Place.NEUROCORE,
        meaning="neurons mapped",
        work=Work.GENERATING,
    ),
    Event(
        name="update",
        place=Place.NEUROCORE,
        meaning="neurons with something to compute",
        work=Work.GENERATING,
    ),
    Event(
        name="fire",
        place=Place.NEUROCORE,
        meaning="neurons that spiked",
        column="spikes",
        work=Work.GENERATING,
    ),
    Event(
        name="packet",
        place=Place.NEUROCORE,
        meaning="packets sent",
        column="packets",
        work=Work.GENERATING,
    ),
    Event(
        name="packet_in",
        place=Place.NEUROCORE,
        meaning="packets received",
        work=Work.RECEIVING,
    ),
    Event(
        name="synaptic_operation",
        place=Place.NEUROCORE,
        meaning="synapses read, stored zeros included",
        column="synaptic_operations",
        work=Work.RECEIVING,
    ),
    Event(
        name="hop_east_west",
        place=Place.CHIP,
        meaning="steps from tile to tile along x",
        column="hops",
    ),
    Event(
        name="hop_north_south",
        place=Place.CHIP,
        meaning="steps from tile to tile along y",
        column="hops",
    ),
    Event(
        name="injection",
        place=Place.CHIP,
        meaning="packets that the host sends",
        column="packets",
        energy="packet",
        work=Work.INJECTING,
        left_out=("time",),
    ),
    Event(
        name="chip_crossing",  # beside the hop that it is, too
        place=Place.LINK,
        meaning="packets on links between chips",
        column="crossings",
        work=Work.CROSSING,
        left_out=("energy", "time"),
    ),
    Event(
        name="saturation",
        place=Place.REGISTERS,
        meaning="voltages that stopped at the largest the chip holds",
        column="saturations",
    ),
    Event(
        name="wrap",
        place=Place.REGISTERS,
        meaning="currents that wrapped around, over the largest it holds",
        column="wraps",
    ),
)
# columns of inputs.parquet that hold counts
COLUMNS = {
    "spikes": "spikes of all neurons",
    "synaptic_operations": "synapses read, stored zeros included",
    "packets": "packets sent by neurons, and injected",
    "hops": "steps of packets from tile to tile",
    "crossings": "those of them that pass a link between chips",
    "saturations": "voltages that stopped at the largest the chip holds",
    "wraps": "currents that wrapped around, over the largest it holds",
}
assert {event.column for event in EVENTS} == {"", *COLUMNS}


def names_at(place: Place) -> tuple[str, ...]:
    """Return the names of the events that are counted there, in order."""
    return tuple(event.name for event in EVENTS if event.place is place)


CORE_EVENTS = names_at(Place.NEUROCORE)
CHIP_EVENTS = names_at(Place.CHIP)
(LINK_EVENT,) = names_at(Place.LINK)
LIMIT_EVENTS = names_at(Place.REGISTERS)
# positions among the counters of a neurocore, and among those of the chip
ACCESS, UPDATE, FIRE, PACKET, PACKET_IN, SYNAPTIC_OPERATION = (
    CORE_EVENTS.index(name)
    for name in (
        "access", "update", "fire", "packet", "packet_in", "synaptic_operation"
    )
)  # fmt: skip
HOP_EAST_WEST, HOP_NORTH_SOUTH, INJECTION = (
    CHIP_EVENTS.index(name)
    for name in ("hop_east_west", "hop_north_south", "injection")
)
LINKS = slice(len(CHIP_EVENTS), None)  # behind them
SATURATION, WRAP = (LIMIT_EVENTS.index(name) for name in ("saturation", "wrap"))
