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


@dataclass(frozen=True)
class Event:
    """One kind of event.

    Its prices are those of ``[cost.NAME]`` in the file of a target. A price that is
    unknown makes what it is part of unknown, unless it ``is_left_out`` of sums, which
    then say so.
    """

    name: str  # of its counter, its prices, and its column of detail.parquet
    place: Place
    meaning: str
    column: str = ""  # of inputs.parquet, to which it is added
    work: Work | None = None  # ``None``: takes no time
    is_left_out: bool = False

    @property
    def is_priced(self) -> bool:
        """Whether it costs anything: states that meet a limit are counted only."""
        return self.place is not Place.REGISTERS


WORDS_OF_READS = "synapses read, stored zeros included where the target reads them"
_AT_CORE, _ON_CHIP, _AT_LINK, _IN_REGISTERS = Place
EVENTS = (
    Event("access", _AT_CORE, "neurons mapped", work=Work.GENERATING),
    Event("update", _AT_CORE, "neurons with something to compute",
          work=Work.GENERATING),
    Event("fire", _AT_CORE, "neurons that spiked", "spikes", work=Work.GENERATING),
    Event("packet", _AT_CORE, "packets sent", "packets", work=Work.GENERATING),
    Event("packet_in", _AT_CORE, "packets received", work=Work.RECEIVING),
    Event("synaptic_operation", _AT_CORE, WORDS_OF_READS,
          "synaptic_operations", work=Work.RECEIVING),
    # at the neurocore that receives it, where it is a packet received as well
    Event("injection", _AT_CORE, "packets that the host sends", "packets",
          work=Work.INJECTING, is_left_out=True),
    Event("hop_east_west", _ON_CHIP, "steps from tile to tile along x", "hops"),
    Event("hop_north_south", _ON_CHIP, "steps from tile to tile along y", "hops"),
    # beside the hop that it is, too
    Event("chip_crossing", _AT_LINK, "packets on links between chips", "crossings",
          work=Work.CROSSING, is_left_out=True),
    Event("saturation", _IN_REGISTERS,
          "voltages that stopped at the largest the chip holds", "saturations"),
    Event("wrap", _IN_REGISTERS,
          "currents that wrapped around, over the largest it holds", "wraps"),
)  # fmt: skip
# columns of inputs.parquet that hold counts
COLUMNS = {
    "spikes": "spikes of all neurons",
    "synaptic_operations": WORDS_OF_READS,
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


LEFT_OUT = tuple(event.name for event in EVENTS if event.is_left_out)
CORE_EVENTS = names_at(Place.NEUROCORE)
CHIP_EVENTS = names_at(Place.CHIP)
(LINK_EVENT,) = names_at(Place.LINK)
LIMIT_EVENTS = names_at(Place.REGISTERS)
# positions among the counters of a neurocore, and among those of the chip
ACCESS, UPDATE, FIRE, PACKET, PACKET_IN, SYNAPTIC_OPERATION, INJECTION = (
    CORE_EVENTS.index(name)
    for name in (
        "access", "update", "fire", "packet", "packet_in", "synaptic_operation",
        "injection",
    )
)  # fmt: skip
HOP_EAST_WEST, HOP_NORTH_SOUTH = (
    CHIP_EVENTS.index(name) for name in ("hop_east_west", "hop_north_south")
)
LINKS = slice(len(CHIP_EVENTS), None)  # behind them
SATURATION, WRAP = (LIMIT_EVENTS.index(name) for name in ("saturation", "wrap"))
