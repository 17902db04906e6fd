"""The network in chip integers: populations, projections, and what was lost."""

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import numpy as np

from snn_deploy.arrays import (
    AnyArray,
    FloatArray,
    IntArray,
    Shape,
    n_neurons,
)
from snn_deploy.chip.target import Precision
from snn_deploy.errors import PassError
from snn_deploy.fixedpoint import (
    BIAS_EXPONENT_BITS,
    BIAS_MANTISSA_LIMIT,
    DECAY_BITS,
    PAYLOAD_BITS,
    REFRACTORY_BITS,
    THRESHOLD_BITS,
    VOLTAGE_LIMIT,
)
from snn_deploy.ir.connecting import freeze
from snn_deploy.ir.graph import LARGEST_LAYER, Training
from snn_deploy.ir.heads import Head, check_heads, heads_of, part_of
from snn_deploy.ir.inputs import check_inputs
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.order import LoopError, by_depth
from snn_deploy.ir.synapses import Synapses
from snn_deploy.names import flaw_of, shown

# what a neuron does in a timestep, in this order; ``ir.dynamics`` is its definition
UPDATE_ORDER = (
    "the current decays",
    "arriving spikes are added to it",
    "it wraps",
    "the voltage decays",
    "current and bias are added to it",
    "it saturates",
    "a neuron at rest keeps the voltage it had",
    "the voltage is compared with the threshold",
    "a spike is sent and the voltage reset",
)
LARGEST_WEIGHT = 256  # magnitude, on a grid of 9 bits
LARGEST_EXPONENT = 32  # magnitude, of a projection's weights
LARGEST_LEVELS = (1 << 31) - 1  # of an activation
LARGEST_DELAY = 1 << 17  # timesteps, of spikes and of populations
MOST_ON_THEIR_WAY = 1 << 26  # values of a delay's timesteps and neurons
MOST_CHANGES = 10_000
AT_LIMITS = ("saturate voltage", "wrap current")  # that the input may lead to
LOSSY_STEPS = (
    "round weights",
    "floor sums",
    "round bias",
    "round threshold",
    "compare strictly",
    "round reset amount",
    "round initial voltage",
    "round lowest voltage",
    "round maximum",
    "round current decay",
    "round voltage decay",
    *AT_LIMITS,
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One lossy step of the compilation."""

    layer: str
    kind: str  # of LOSSY_STEPS
    count: int  # values that changed, or that can
    largest: float  # largest and mean change, in the unit of the float model
    mean: float
    note: str = ""

    def __post_init__(self) -> None:
        for text in (self.layer, self.kind, self.note):
            if flaw := flaw_of(text):
                raise PassError(f"a lossy step's text {flaw}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """The input: integers that arrive from outside."""

    name: str
    shape: Shape
    largest_value: int  # of one spike; 1: binary

    def __post_init__(self) -> None:
        _check_shape(self.name, self.shape)
        if not 1 <= self.largest_value <= VOLTAGE_LIMIT:
            raise PassError(
                f"{self.name}: a spike is worth up to {self.largest_value}, allowed is "
                f"1 to {VOLTAGE_LIMIT}"
            )

    @property
    def size(self) -> int:
        return n_neurons(self.shape)


def _remedy(name: str) -> str:
    """Return what to do where a register is too small for a value."""
    called = name.replace("_", " ")
    if name in ("threshold", "reset_amount", "initial_voltage"):
        return (
            "integers count in units of the layer's smallest weights, so train with a "
            f"smaller {called}, or with larger weights"
        )
    return f"train with a {called} in that range"


@dataclass(frozen=True, kw_only=True, eq=False)
class Population:
    """Neurons with one kind of dynamics, in registers.

    Arrays broadcast against ``shape``: one value, one per channel, or one per neuron.
    Voltages, the reset amount and the initial voltage are in units of the voltage; the
    threshold is shifted left by 6 before it is compared.
    """

    name: str
    shape: Shape
    current_decay: IntArray  # of 4096; the effective decay adds the chip's offset
    voltage_decay: IntArray  # of 4096
    bias_mantissa: IntArray
    bias_exponent: int
    threshold: IntArray  # mantissa
    reset: Reset
    reset_amount: IntArray
    initial_voltage: IntArray
    comparison: Comparison
    spikes: bool  # False: an integrator, read out by its voltage
    scale: FloatArray  # float voltage = scale * integer voltage
    # where the voltage saturates below: at its register's end, or before
    lowest_voltage: IntArray = field(default_factory=lambda: np.array(-VOLTAGE_LIMIT))
    refractory: int = 0  # timesteps after a spike in which the voltage stays
    max_spikes: int = 1  # soft reset: spikes of one timestep, sent as one graded spike
    takes_bias: bool = False  # a stimulus may bring a bias in place of the mantissa
    levels: int = 0  # of the activation that its spikes stand for; 0: of none
    head_start: int = 0  # units of the initial voltage that make a > of a >=
    offset: int = 0  # chip timesteps by which local time lags behind the input's

    def __post_init__(self) -> None:
        freeze(self)
        _check_shape(self.name, self.shape)
        self._check_registers()
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray) and not _broadcasts(value, self.shape):
                raise PassError(
                    f"{self.name}: {item.name} has shape {value.shape}, the "
                    f"population {self.shape}"
                )
        if np.any(self.initial_voltage < self.lowest_voltage):
            raise PassError(
                f"{self.name}: initial_voltage is {self.initial_voltage.min()}, "
                f"allowed is the lowest voltage, {self.lowest_voltage.max()}, or more"
            )

    def _check_registers(self) -> None:
        for name, low, high in (
            ("current_decay", -1, (1 << DECAY_BITS) - 1),
            ("voltage_decay", 0, 1 << DECAY_BITS),
            ("bias_mantissa", -BIAS_MANTISSA_LIMIT, BIAS_MANTISSA_LIMIT),
            ("bias_exponent", 0, (1 << BIAS_EXPONENT_BITS) - 1),
            ("threshold", 0, (1 << THRESHOLD_BITS) - 1),
            ("reset_amount", 0, VOLTAGE_LIMIT),
            ("initial_voltage", -VOLTAGE_LIMIT, VOLTAGE_LIMIT),
            ("lowest_voltage", -VOLTAGE_LIMIT, self.head_start),
            ("refractory", 0, (1 << REFRACTORY_BITS) - 1),
            ("max_spikes", 1, (1 << PAYLOAD_BITS) - 1),
            ("levels", 0, LARGEST_LEVELS),
            ("head_start", 0, 1),
            ("offset", 0, LARGEST_DELAY),
        ):
            values = np.asarray(getattr(self, name))
            wrong = values[(values < low) | (values > high)]
            if wrong.size:
                raise PassError(
                    f"{self.name}: {name} is {wrong[0]}, allowed is {low} to {high}; "
                    + _remedy(name)
                )
        if not np.all((self.scale > 0) & np.isfinite(self.scale)):
            raise PassError(f"{self.name}: a scale is not a finite number over 0")
        if self.max_spikes > 1 and (
            self.reset is not Reset.SOFT or np.any(self.reset_amount == 0)
        ):
            raise PassError(
                f"{self.name}: several spikes in one timestep need a soft reset by "
                "more than 0"
            )

    @property
    def size(self) -> int:
        return n_neurons(self.shape)

    @property
    def has_lowest_voltage(self) -> bool:
        """Whether any voltage ends before its register does."""
        return bool(np.any(self.lowest_voltage > -VOLTAGE_LIMIT))


def _check_shape(name: str, shape: Shape) -> None:
    if not shape or min(shape) < 1 or n_neurons(shape) > LARGEST_LAYER:
        raise PassError(
            f"{name}: has shape {shape}; sizes must be over 0, and {LARGEST_LAYER} "
            "values in all at most"
        )


def _broadcasts(value: AnyArray, shape: Shape) -> bool:
    try:
        return np.broadcast_shapes(value.shape, shape) == shape
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """The synapses from one population, or the input, to another.

    The weighted sum is shifted left by ``exponent`` (right, rounding down, when it is
    negative). Weights of mixed sign are even, from -256 to 254. ``axon_delay``
    broadcasts against the source's shape and adds to ``delay``.
    """

    name: str
    source: str
    target: str
    synapses: Synapses
    exponent: int
    delay: int = 0  # timesteps from sending to arrival
    axon_delay: IntArray = field(default_factory=lambda: np.array(0))  # further ones

    def __post_init__(self) -> None:
        freeze(self)
        for what, values, low, high in (
            ("a weight", self.synapses.weights, -LARGEST_WEIGHT, LARGEST_WEIGHT - 1),
            ("the exponent", self.exponent, -LARGEST_EXPONENT, LARGEST_EXPONENT),
            ("the delay", self.delay, 0, LARGEST_DELAY),
            ("a delay of an axon", self.axon_delay, 0, LARGEST_DELAY),
        ):
            if np.min(values, initial=low) < low or np.max(values, initial=high) > high:
                wrong = np.extract((values < low) | (values > high), values)
                raise PassError(
                    f"{self.name}: {what} is {wrong[0]}, allowed is {low} to {high}"
                )

    @property
    def longest_delay(self) -> int:
        """Timesteps from sending to arrival, of the slowest axon."""
        return self.delay + int(self.axon_delay.max())


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedGraph:
    """A network in integers, with or without the chip's pipeline in time.

    Before ``retime`` delays are those of the trained network and 0 within a timestep.
    Behind it every spike takes at least one timestep, and populations have offsets.
    ``used_inputs`` are the hashes of the inputs that the conversion has looked at.
    """

    name: str
    source: Source
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    output: str
    training: Training
    precision: Precision
    changes: tuple[Change, ...] = ()
    used_inputs: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    one_pass_of: int = 0  # timesteps of the spiking network whose twin it is; 0: none

    def __post_init__(self) -> None:
        freeze(self)
        self._check_names()
        if len(self.changes) > MOST_CHANGES:
            raise PassError(
                f"{self.name}: {len(self.changes)} lossy steps, allowed are "
                f"{MOST_CHANGES}"
            )
        if self.output not in self._by_name:
            raise PassError(f"{self.output}: is read out, but is not a population")
        training = self.training
        check_heads(self.name, training.heads, self.readout.size, training.answers)
        check_inputs(self.name, training.inputs, self.source.shape)
        for projection in self.projections:
            self._check_ends(projection)
        _ = self.order

    def _check_names(self) -> None:
        names = [self.source.name, *(p.name for p in self.populations)]
        counts = Counter([*names, *(p.name for p in self.projections)])
        for name in (self.name, *counts):
            if flaw := flaw_of(name):
                raise PassError(f"{shown(name[:100])}: this name {flaw}")
        for name, count in counts.items():
            if count > 1:
                raise PassError(
                    f"{name}: {count} populations or projections have this name; each "
                    "needs its own"
                )

    def _check_ends(self, projection: Projection) -> None:
        name = projection.name
        if projection.target not in self._by_name or (
            projection.source not in (self.source.name, *self._by_name)
        ):
            raise PassError(f"{name}: leads from or to no population")
        shape = self.shape_of(projection.source)
        wanted = projection.synapses.output_shape(shape)
        if wanted is None or n_neurons(wanted) != n_neurons(
            self.shape_of(projection.target)
        ):
            raise PassError(
                f"{name}: weights of shape {projection.synapses.weights.shape} do not "
                f"lead from {shape} to {self.shape_of(projection.target)}"
            )
        if not _broadcasts(projection.axon_delay, shape):
            raise PassError(
                f"{name}: {projection.axon_delay.shape} delays of axons, the source "
                f"has {shape} neurons"
            )
        on_their_way = projection.longest_delay * n_neurons(shape)
        if on_their_way > MOST_ON_THEIR_WAY:
            raise PassError(
                f"{name}: a delay of {projection.longest_delay} for {n_neurons(shape)} "
                f"neurons keeps {on_their_way} values, allowed are {MOST_ON_THEIR_WAY}"
            )

    @cached_property
    def _by_name(self) -> dict[str, Population]:
        return {population.name: population for population in self.populations}

    def population(self, name: str) -> Population:
        """Return the population called ``name``."""
        return self._by_name[name]

    def shape_of(self, name: str) -> Shape:
        """Return the shape of a population or of the input."""
        return (
            self.source.shape if name == self.source.name else self._by_name[name].shape
        )

    def offset_of(self, name: str) -> int:
        """Return by how many chip timesteps a population, or the input, lags."""
        return 0 if name == self.source.name else self._by_name[name].offset

    @property
    def offsets(self) -> list[int]:
        """The offsets of the input and of all populations, each once."""
        return sorted({0, *(p.offset for p in self.populations)})

    def in_local_time(self) -> "QuantizedGraph":
        """Return the network as it is without the pipeline, see ``retime``."""

        def early(projection: Projection) -> Projection:
            pipeline = self.offset_of(projection.target)
            pipeline -= self.offset_of(projection.source)
            return replace(projection, delay=projection.delay - pipeline)

        return replace(
            self,
            populations=tuple(replace(p, offset=0) for p in self.populations),
            projections=tuple(early(p) for p in self.projections),
        )

    def largest_spike(self, name: str) -> int:
        """Return the largest integer that one spike of a sender carries."""
        if name == self.source.name:
            return self.source.largest_value
        return self._by_name[name].max_spikes

    def projections_into(self, population: Population) -> tuple[Projection, ...]:
        """Return the projections that end at ``population``."""
        return self._into.get(population.name, ())

    @cached_property
    def _into(self) -> dict[str, tuple[Projection, ...]]:
        found: dict[str, tuple[Projection, ...]] = {}
        for projection in self.projections:
            found[projection.target] = (*found.get(projection.target, ()), projection)
        return found

    @property
    def readout(self) -> Population:
        """The population that is read out."""
        return self._by_name[self.output]

    @property
    def heads(self) -> tuple[Head, ...]:
        """What the outputs stand for."""
        return heads_of(self.training.heads, self.readout.size)

    @property
    def head(self) -> Head:
        """The head that answers: its outputs are accumulated, the others are left."""
        return part_of(self.heads, self.training.answers)[0]

    @property
    def part(self) -> slice:
        """Which neurons of the read-out are the outputs of the head that answers."""
        return part_of(self.heads, self.training.answers)[1]

    def unit_of(self, head: str = "") -> float:
        """Return what a unit of a head's outputs was in training; of a spike, 1."""
        if self.readout.spikes:
            return 1.0
        whole = np.broadcast_to(self.readout.scale, self.readout.shape).ravel()
        return float(whole[part_of(self.heads, head)[1]].max())

    def in_units(self, outputs: AnyArray, timesteps: AnyArray | int) -> FloatArray:
        """Return accumulated outputs ``(..., n_outputs)`` in the network's units.

        They are those of the head that answers, after so many timesteps: one number, or
        ``(...,)``.
        """
        readout, head = self.readout, self.head
        unit = np.full(head.n_outputs, head.scale)
        if not readout.spikes:
            whole = np.broadcast_to(readout.scale, readout.shape).ravel()
            unit = unit * whole[self.part]
        passed = np.expand_dims(np.maximum(timesteps, 1), -1)
        values: FloatArray = outputs * unit / (passed if head.is_mean else 1)
        return values

    @property
    def n_connections(self) -> int:
        """The synapses of all neurons, weights of 0 too."""
        return sum(
            int(p.synapses.fan_outs(self.shape_of(p.source)).sum())
            for p in self.projections
        )

    @property
    def depth(self) -> int:
        """Chip timesteps from an input to the output that it causes."""
        return self.readout.offset

    @property
    def lag(self) -> int:
        """Chip timesteps by which the last population to begin lags; depth or more."""
        return self.offsets[-1]

    @cached_property
    def order(self) -> tuple[Population, ...]:
        """The populations, each after those it depends on within a timestep."""
        first = self.source.name
        within = (
            (p.source, p.target)
            for p in self.projections
            if p.delay == 0 and p.source != first
        )
        try:
            names = by_depth((name for name in self._by_name if name != first), within)
        except LoopError as error:
            raise PassError(
                f"{error}: a loop without delay cannot run; give one edge a delay"
            ) from None
        return tuple(self._by_name[name] for name in names)
