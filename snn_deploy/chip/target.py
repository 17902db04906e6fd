"""Chips: limits, precision, abilities and costs."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.chip.events import EVENTS, LEFT_OUT
from snn_deploy.chip.neurocore import NeurocoreLimits, check_counts
from snn_deploy.errors import TargetError
from snn_deploy.fixedpoint import BIAS_EXPONENT_BITS, REFRACTORY_BITS
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
    per_neuron_parameters: (
        bool  # decays, threshold, reset amount of each neuron its own
    )
    source: str
    greater_equal: bool = False  # neurons can spike at voltage == threshold as well
    lowest_voltage: bool = False  # voltages can be cut off below a value of their own
    counts_timesteps: bool = False  # and rest once those of the input are over
    bias_exponent_min: int = 0  # biases are multiples of 2 ** this
    bias_exponent_max: int = (1 << BIAS_EXPONENT_BITS) - 1
    refractory_max: int = (1 << REFRACTORY_BITS) - 1  # timesteps
    initial_voltage: bool = True  # neurons can start at another than 0
    sums_of_branches: bool = True  # several layers can send to one
    delayed_convolutions: bool = True  # what a convolution receives can be delayed
    graded_input_only: bool = False  # graded spikes come from the input, not neurons

    def __post_init__(self) -> None:
        for name, low, high in (
            ("weight_bits", 2, 8),
            ("accumulator_bits", 9, 24),
            ("weight_exponent_min", -32, 32),
            ("weight_exponent_max", self.weight_exponent_min, 32),
            ("current_decay_offset", 0, 1),
            ("current_decay_min", -1, (1 << 12) - 1),
            ("delay_max", 0, 1 << 16),
            ("bias_exponent_min", 0, (1 << BIAS_EXPONENT_BITS) - 1),
            (
                "bias_exponent_max",
                self.bias_exponent_min,
                (1 << BIAS_EXPONENT_BITS) - 1,
            ),
            ("refractory_max", 0, (1 << REFRACTORY_BITS) - 1),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise TargetError(f"{name!r} is {value}; allowed is {low} to {high}")

    @property
    def neurons_send_graded(self) -> bool:
        """Whether spikes of neurons can carry a number, not of the input alone."""
        return self.graded_spikes and not self.graded_input_only

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
    per_chip: bool | None = None  # else of the board; not given: see ``OF_EACH_CHIP``
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
    source: str
    time_low_s: tuple[float, ...] = ()  # none given: the central ones
    time_high_s: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("time_low_s", "time_high_s"):
            if not getattr(self, name):
                object.__setattr__(self, name, self.time_s)
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


PRICED_EVENTS = tuple(event.name for event in EVENTS if event.is_priced)
# of one source, or of several that belong together: a set of prices has no others
FAMILY = tuple(name for name in PRICED_EVENTS if name not in LEFT_OUT)
OTHER_COSTS = (
    "static", "reset", "embedded", "host", "poll_embedded", "poll_host",
    "injection_host", "barrier_of_chips",
)  # fmt: skip
OF_EACH_CHIP = {"static": True, "reset": True, "embedded": False}


@dataclass(frozen=True, kw_only=True)
class PriceSet:
    """What the events of neurocores and mesh cost by another family of sources."""

    costs: tuple[tuple[str, Cost], ...] = field(metadata={"key": "cost"})
    barrier: Barrier

    def __post_init__(self) -> None:
        check_names(self.costs, FAMILY)


def check_names(costs: Sequence[tuple[str, Cost]], known: Sequence[str]) -> None:
    """Raise a ``TargetError`` for prices of what is not known, or given twice."""
    names = [name for name, _ in costs]
    if len({*names}) < len(names) or not {*names} <= {*known}:
        raise TargetError(
            f"prices of {shown(', '.join(names))[:1000]}; give each of them once, "
            f"known are {', '.join(known)}"
        )


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
    price_set: str = ""  # the name of the sources of ``costs`` of events, and barrier
    price_sets: tuple[tuple[str, PriceSet], ...] = field(
        default=(), metadata={"key": "prices"}
    )

    def __post_init__(self) -> None:
        self._check_texts()
        check_names(self.costs, (*PRICED_EVENTS, *OTHER_COSTS))
        for name, cost in self.costs:
            if cost.per_chip is not None and name not in OF_EACH_CHIP:
                raise TargetError(
                    f"[cost.{name}]: 'per_chip' is for {', '.join(OF_EACH_CHIP)}; "
                    "remove it"
                )
        names = [name for name, _ in self.price_sets]
        if names and (not self.price_set or self.price_set in names):
            raise TargetError(
                f"'price_set' is {self.price_set!r}; give the prices of [cost] a name "
                f"other than {', '.join(names)}"
            )
        formats, bits = self.neurocore.weight_formats, self.precision.weight_bits
        if formats and formats[-1] < bits:
            raise TargetError(
                f"[neurocore]: 'weight_formats' ends at {formats[-1]}, but weights "
                f"have {bits} bits ('weight_bits' of [precision]); add {bits}"
            )

    def _check_texts(self) -> None:
        """Raise a ``TargetError`` for a text that cannot be shown, or is too long."""
        parts: list[object] = [
            self, self.neurocore, self.mesh, self.precision, self.board, self.barrier
        ]  # fmt: skip
        parts += [cost for _, cost in self.costs]
        for _, found in self.price_sets:
            parts += [found.barrier, *(cost for _, cost in found.costs)]
        for part in parts:
            for name, text in vars(part).items():
                is_name = name in ("name", "price_set")
                longest = LONGEST_NAME if is_name else LONGEST_TEXT
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

    def number_of(self, name: str, n_chips: int) -> int:
        """Return how many times a network on so many chips pays a price."""
        per_chip = self.cost(name).per_chip
        if per_chip is None:
            per_chip = OF_EACH_CHIP.get(name, False)
        return n_chips if per_chip else 1

    def with_prices(self, name: str) -> "Target":
        """Return the target with the prices of events by the sources called ``name``.

        What events cost that these sources do not give is unknown then; what has
        nothing to do with events stays.

        Raises
        ------
        TargetError
            If it has no such prices.
        """
        if name == self.price_set:
            return self
        sets = dict(self.price_sets)
        if name not in sets:
            known = ", ".join(filter(None, (self.price_set, *sets)))
            raise TargetError(
                f"{self.name}: no prices are called {shown(name)!r}; "
                + (f"choose from {known}" if known else "its file has one set only")
            )
        found = sets.pop(name)
        mine = tuple(pair for pair in self.costs if pair[0] in FAMILY)
        others = tuple(pair for pair in self.costs if pair[0] not in FAMILY)
        sets[self.price_set] = PriceSet(costs=mine, barrier=self.barrier)
        return replace(
            self,
            costs=(*found.costs, *others),
            barrier=found.barrier,
            price_set=name,
            price_sets=tuple(sorted(sets.items())),
        )
