"""Chips: limits, precision, abilities and costs."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.chip.events import EVENTS
from snn_deploy.chip.neurocore import NeurocoreLimits, check_counts
from snn_deploy.errors import TargetError
from snn_deploy.names import LONGEST_NAME, LONGEST_TEXT, flaw_of, shown

QUANTITIES = ("energy_j", "time_s", "power_w")
BAND = ("low", "central", "high")  # of a price, and the last axis of all costs
CENTRAL = BAND.index("central")
MOST_NEUROCORES = 1 << 20  # on a chip; a million neurons are a large chip
MOST_CHIPS = 1 << 12  # on a board
HIGHEST_PRICE = 1e6  # J, s or W; sums over a run stay finite


def end_name(name: str, end: str) -> str:
    """Return the name of one of a ``BAND``: ``energy_high_j`` for ``energy_j``."""
    return name if end == "central" else f"{name[:-2]}_{end}_{name[-1]}"


def band_of(part: object, name: str) -> tuple[Any, ...]:
    """Return what stands in the fields of a quantity: low, central, high."""
    return tuple(getattr(part, end_name(name, end)) for end in BAND)


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """How neurocores lie: tiles on a grid, packets travel along x, then y."""

    neurocores: int  # usable on one chip
    neurocores_per_tile: int
    height: int  # tiles
    width: int
    source: str

    def __post_init__(self) -> None:
        check_counts(self)
        room = self.height * self.width * self.neurocores_per_tile
        if room > MOST_NEUROCORES:
            raise TargetError(
                f"{self.height} x {self.width} tiles of {self.neurocores_per_tile} "
                f"hold {room} neurocores, allowed are {MOST_NEUROCORES}; give the "
                "tiles of one chip"
            )
        if self.neurocores > room:
            raise TargetError(
                f"'neurocores' is {self.neurocores}, but {self.height} x {self.width} "
                f"tiles of {self.neurocores_per_tile} hold {room}; correct one of them"
            )


@dataclass(frozen=True, kw_only=True)
class Board:
    """Chips side by side, their meshes joined by links at the edges."""

    height: int = 1  # chips
    width: int = 1
    source: str = "one chip"

    def __post_init__(self) -> None:
        check_counts(self)
        if self.chips > MOST_CHIPS:
            raise TargetError(
                f"{self.height} x {self.width} chips are {self.chips}, allowed are "
                f"{MOST_CHIPS}; give a smaller board"
            )

    @property
    def chips(self) -> int:
        return self.height * self.width


@dataclass(frozen=True, kw_only=True)
class Precision:
    """The registers and what the chip's neurons can do."""

    weight_bits: int  # stored, sign included
    weight_exponent_min: int
    weight_exponent_max: int
    accumulator_bits: int  # of the weighted sum of one timestep, sign included
    current_decay_offset: int  # added to the decay register of the current
    current_decay_min: int  # the smallest register
    delay_max: int  # timesteps beyond the one that every spike takes
    soft_reset: bool
    graded_spikes: bool
    per_neuron_parameters: bool  # threshold and reset amount of each neuron its own
    source: str
    greater_equal: bool = False  # neurons can spike at voltage == threshold as well
    counts_timesteps: bool = False  # and rest once those of the input are over

    def __post_init__(self) -> None:
        for name, low, high in (
            ("weight_bits", 2, 8),
            ("accumulator_bits", 9, 24),
            ("weight_exponent_min", -32, 32),
            ("weight_exponent_max", self.weight_exponent_min, 32),
            ("current_decay_offset", 0, 1),
            ("current_decay_min", -1, (1 << 12) - 1),
            ("delay_max", 0, 1 << 16),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise TargetError(f"{name!r} is {value}; allowed is {low} to {high}")

    @property
    def weight_step(self) -> int:
        """How far apart weights of mixed sign lie, which reach from -256 to 255."""
        return 1 << (9 - self.weight_bits)

    @property
    def weight_limit(self) -> int:
        """The largest weight of mixed sign."""
        return 256 - self.weight_step


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The price of one event, or of one unit of something that lasts.

    ``None`` is unknown. ``low`` and ``high`` are the ends of the band; one that is not
    given is the central value.
    """

    energy_low_j: float | None = None
    energy_j: float | None = None
    energy_high_j: float | None = None
    time_low_s: float | None = None
    time_s: float | None = None
    time_high_s: float | None = None
    power_low_w: float | None = None
    power_w: float | None = None
    power_high_w: float | None = None
    source: str

    def __post_init__(self) -> None:
        for name in QUANTITIES:
            low, central, high = band_of(self, name)
            for end, price in zip(BAND, (low, central, high), strict=True):
                _check_price(end_name(name, end), price)
            if high is not None and (central is None or high < central):
                raise TargetError(
                    f"{end_name(name, 'high')!r} is under {name!r}, or alone; give both"
                )
            if low is not None and (central is None or low > central):
                raise TargetError(
                    f"{end_name(name, 'low')!r} is over {name!r}, or alone; give both"
                )
            for end, price in (("low", low), ("high", high)):
                if price is None:
                    object.__setattr__(self, end_name(name, end), central)


def _check_price(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= HIGHEST_PRICE:
        raise TargetError(
            f"{name!r} is {value}; give 0 to {HIGHEST_PRICE:g}, or leave it out if "
            "it is unknown"
        )


@dataclass(frozen=True, kw_only=True)
class Barrier:
    """How long the chip-wide synchronization of a timestep takes, by tiles in use."""

    tiles: tuple[int, ...]  # ascending
    time_s: tuple[float, ...]
    time_high_s: tuple[float, ...]
    source: str
    time_low_s: tuple[float, ...] = ()  # none given: the central ones

    def __post_init__(self) -> None:
        if not self.time_low_s:
            object.__setattr__(self, "time_low_s", self.time_s)
        sizes = {len(self.tiles), *map(len, self.times.values())}
        if len(sizes) > 1 or not self.tiles or [*self.tiles] != sorted(self.tiles):
            raise TargetError(
                "tiles and times must be lists of one length, tiles ascending; give "
                "a time for each number of tiles"
            )
        for end, times in self.times.items():
            for time in times:
                _check_price(end_name("time_s", end), time)
        for band in zip(*self.times.values(), strict=True):
            if [*band] != sorted(band):
                raise TargetError(
                    f"times {', '.join(f'{x:g} s' for x in band)} are not low, "
                    "central, high; give them in this order"
                )

    @property
    def times(self) -> dict[str, tuple[float, ...]]:
        """Those of each end of the band [s]."""
        return dict(zip(BAND, band_of(self, "time_s"), strict=True))

    def time(self, n_tiles: int, end: str = "central") -> float:
        """Return the time for ``n_tiles`` [s]: that of the last entry not over it."""
        below = [i for i, tiles in enumerate(self.tiles) if tiles <= max(n_tiles, 1)]
        return self.times[end][below[-1] if below else 0]


PRICED_EVENTS = tuple(
    event.name for event in EVENTS if event.is_priced and not event.energy
)
OTHER_COSTS = (
    "static", "reset", "injection", "poll_embedded", "poll_host", "host",
    "barrier_of_chips",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Target:
    """One kind of chip."""

    name: str
    description: str
    energy_note: str  # printed with every energy; empty when there is nothing to say
    neurocore: NeurocoreLimits
    mesh: Mesh
    precision: Precision
    barrier: Barrier
    costs: tuple[tuple[str, Cost], ...] = field(metadata={"key": "cost"})
    board: Board = Board()

    def __post_init__(self) -> None:
        self._check_texts()
        names = [name for name, _ in self.costs]
        if len({*names}) < len(names) or not {*names} <= {*PRICED_EVENTS, *OTHER_COSTS}:
            raise TargetError(
                f"prices of {shown(', '.join(names))[:1000]}; give each of them once, "
                f"known are {', '.join((*PRICED_EVENTS, *OTHER_COSTS))}"
            )
        formats, bits = self.neurocore.weight_formats, self.precision.weight_bits
        if formats and formats[-1] < bits:
            raise TargetError(
                f"[neurocore]: 'weight_formats' ends at {formats[-1]}, but weights "
                f"have {bits} bits ('weight_bits' of [precision]); add {bits}"
            )

    def _check_texts(self) -> None:
        """Raise a ``TargetError`` for a text that cannot be shown, or is too long."""
        parts = (self, self.neurocore, self.mesh, self.precision, self.barrier)
        for part in (*parts, self.board, *(cost for _, cost in self.costs)):
            for name, text in vars(part).items():
                longest = LONGEST_NAME if name == "name" else LONGEST_TEXT
                if isinstance(text, str) and (flaw := flaw_of(text, longest)):
                    raise TargetError(f"{name!r} {flaw}")

    def with_weight_bits(self, n: int) -> "Target":
        """Return the target with weights of ``n`` bits."""
        return replace(self, precision=replace(self.precision, weight_bits=n))

    def stored_bits(self, weights: IntArray) -> int:
        """Return the bits that a layer's weights are stored in.

        Weights of ``n`` bits are multiples of ``2 ** (9 - n)``; of a layer of zeros,
        such as one that is not trained, nothing is known.
        """
        bits, formats = self.precision.weight_bits, self.neurocore.weight_formats
        if not formats:
            return bits
        bit_pattern = int(np.bitwise_or.reduce(np.abs(weights), axis=None))
        step = bit_pattern & -bit_pattern
        if step:
            bits = max(1, min(bits, 10 - step.bit_length()))
        return next(n for n in formats if n >= bits)

    @property
    def neurocores(self) -> int:
        """Those of all chips."""
        return self.mesh.neurocores * self.board.chips

    @property
    def size_name(self) -> str:
        """Name and number of chips."""
        n = self.board.chips
        return f"{self.name}, {'one chip' if n == 1 else f'{n} chips'}"

    def cost(self, name: str) -> Cost:
        """Return a price; everything in it is unknown where the file has none."""
        return dict(self.costs).get(name, Cost(source="unknown"))
