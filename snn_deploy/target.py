"""Chips: limits, precision, abilities and costs."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.errors import TargetError

CENTRAL = ("energy_j", "time_s", "power_w")


T = TypeVar("T", int, IntArray)

COMPARTMENTS, BITS = "compartments", "bits of synaptic memory"
INPUT_AXONS, OUTPUT_AXONS = "input axons", "output axons"
MEMORY = "bits of memory"
FAN_IN, FAN_OUT = "synapses of fan-in", "synapses of fan-out"


def high_name(name: str) -> str:
    """Return the name of a price's upper end: ``energy_high_j`` for ``energy_j``."""
    return f"{name[:-2]}_high_{name[-1]}"


def _check_counts(limits: object, *, or_none: tuple[str, ...] = ()) -> None:
    for name, value in vars(limits).items():
        least = 0 if name in or_none else 1
        if type(value) is int and value < least:
            raise TargetError(f"{name!r} is {value}; at least {least} is needed")


@dataclass(frozen=True, kw_only=True)
class NeurocoreLimits:
    """What one neurocore holds, and how synapses lie in its memory.

    Neurons of a layer can share an input axon, if each says with its spike which of
    them it is: those at one position of a convolution's input, or any of a dense
    layer's. Weights lie in blocks with a header, rounded up to words; weights that are
    not dense have an index each.

    ``memory_bits`` is the room that synapses, neurons and output axons share, where a
    chip divides it as a network needs it; ``output_axons`` the room for these alone.
    ``weight_formats`` are the bits that the weights of a layer may have, if not all
    layers have those of the precision: the fewest that hold all of its weights count.
    ``fan_in`` and ``fan_out`` are the most synapses onto, and from, one neuron.
    ``None`` is no such limit.
    """

    compartments: int
    synaptic_memory_bits: int
    input_axons: int
    shares_kernels: bool  # True: a convolution stores each kernel once per neurocore
    source: str
    neurons_per_axon: int = 1  # that can share an input axon
    index_bits: int = 0  # of a weight in a convolution, or one of single synapses
    synapses_per_block: int = 1
    block_header_bits: int = 0
    memory_word_bits: int = 1
    output_axons: int | None = None
    memory_bits: int | None = None
    neuron_bits: int = 0  # of the shared memory, for each neuron
    output_axon_bits: int = 0
    fan_in: int | None = None
    fan_out: int | None = None
    weight_formats: tuple[int, ...] = ()  # ascending

    def __post_init__(self) -> None:
        formats = self.weight_formats
        if [*formats] != sorted({*formats}) or any(
            type(bits) is not int or not 1 <= bits <= 8 for bits in formats
        ):
            raise TargetError(
                f"'weight_formats' is {[*formats]}; give whole numbers from 1 to 8, "
                "ascending"
            )
        may_be_0 = ("index_bits", "block_header_bits", "neuron_bits")
        _check_counts(self, or_none=(*may_be_0, "output_axon_bits"))

    @property
    def room(self) -> dict[str, int]:
        """What there is of each resource that is limited."""
        limits = {
            COMPARTMENTS: self.compartments,
            BITS: self.synaptic_memory_bits,
            INPUT_AXONS: self.input_axons,
            OUTPUT_AXONS: self.output_axons,
            MEMORY: self.memory_bits,
        }
        return {what: limit for what, limit in limits.items() if limit is not None}

    def taken(
        self, n_neurons: T, synapse_bits: T, n_input_axons: T, n_output_axons: T
    ) -> dict[str, T]:
        """Return what these take of each resource that is limited."""
        neurons, routes = (
            n_neurons * self.neuron_bits,
            n_output_axons * self.output_axon_bits,
        )
        found = {
            COMPARTMENTS: n_neurons,
            BITS: synapse_bits,
            INPUT_AXONS: n_input_axons,
            OUTPUT_AXONS: n_output_axons,
            MEMORY: synapse_bits + neurons + routes,
        }
        return {what: found[what] for what in self.room}

    def bits_of_weights(self, n_weights: int, weight_bits: int) -> int:
        """Return the memory that a run of weights takes, their indices included."""
        n_blocks, rest = divmod(n_weights, self.synapses_per_block)
        full = self._block_bits(self.synapses_per_block, weight_bits)
        return n_blocks * full + (self._block_bits(rest, weight_bits) if rest else 0)

    def _block_bits(self, n_weights: int, weight_bits: int) -> int:
        bits = n_weights * weight_bits + self.block_header_bits
        return -(-bits // self.memory_word_bits) * self.memory_word_bits


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """How neurocores lie: tiles on a grid, packets travel along x, then y."""

    neurocores: int  # usable on one chip
    neurocores_per_tile: int
    height: int  # tiles
    width: int
    source: str

    def __post_init__(self) -> None:
        _check_counts(self)
        room = self.height * self.width * self.neurocores_per_tile
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
        _check_counts(self)

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

    def __post_init__(self) -> None:
        for name, low, high in (
            ("weight_bits", 2, 8),
            ("accumulator_bits", 9, 24),
            ("weight_exponent_max", self.weight_exponent_min, 32),
            ("current_decay_offset", 0, 1),
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

    ``None`` is unknown. ``high`` is the upper end of the band.
    """

    energy_j: float | None = None
    energy_high_j: float | None = None
    time_s: float | None = None
    time_high_s: float | None = None
    power_w: float | None = None
    power_high_w: float | None = None
    source: str

    def __post_init__(self) -> None:
        for name in CENTRAL:
            central, high = getattr(self, name), getattr(self, high_name(name))
            if high is not None and (central is None or high < central):
                raise TargetError(
                    f"{high_name(name)!r} is under {name!r}, or alone; give both"
                )


@dataclass(frozen=True, kw_only=True)
class Barrier:
    """How long the chip-wide synchronization of a timestep takes, by tiles in use."""

    tiles: tuple[int, ...]  # ascending
    time_s: tuple[float, ...]
    time_high_s: tuple[float, ...]
    source: str

    def __post_init__(self) -> None:
        sizes = {len(self.tiles), len(self.time_s), len(self.time_high_s)}
        if len(sizes) > 1 or not self.tiles or [*self.tiles] != sorted(self.tiles):
            raise TargetError(
                "tiles and times must be lists of one length, tiles ascending; give "
                "a time for each number of tiles"
            )

    def time(self, n_tiles: int, *, high: bool) -> float:
        """Return the time for ``n_tiles`` [s]: that of the last entry not over it."""
        times = self.time_high_s if high else self.time_s
        below = [i for i, tiles in enumerate(self.tiles) if tiles <= max(n_tiles, 1)]
        return times[below[-1] if below else 0]


EVENTS = (
    "synaptic_operation",
    "access",
    "update",
    "fire",
    "packet",
    "packet_in",
    "hop_east_west",
    "hop_north_south",
    "chip_crossing",
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
    costs: tuple[tuple[str, Cost], ...]
    board: Board = Board()

    def __post_init__(self) -> None:
        formats, bits = self.neurocore.weight_formats, self.precision.weight_bits
        if formats and formats[-1] < bits:
            raise TargetError(
                f"[neurocore]: 'weight_formats' ends at {formats[-1]}, but weights "
                f"have {bits} bits ('weight_bits' of [precision]); add {bits}"
            )

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
