"""Where everything of a network lies in C: names, order of neurons, types, the state.

Neurons of a map lie position by position, the channels of one side by side, so that a
spike of a convolution adds to sums that are neighbours.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snn_deploy.arrays import IntArray, Shape, n_neurons
from snn_deploy.errors import FitError
from snn_deploy.exporters.c.tables import size_of, smallest_type
from snn_deploy.fixedpoint import DECAY_BITS, STATE_BITS, VOLTAGE_LIMIT
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph
from snn_deploy.ir.synapses import ConvSynapses

KEEPS_ALL = 1 << DECAY_BITS
# names that the files need themselves, see templates/
RESERVED = (
    "n",
    "layers",
    "inputs",
    "outputs",
    "timesteps",
    "state_bytes",
    "h",
    "input",
)
MOST_INDEXED = (1 << 31) - 1  # weights of a projection, bytes of a state


@dataclass(frozen=True, kw_only=True)
class Member:
    """A field of the state."""

    ctype: str
    name: str
    sizes: tuple[int | str, ...] = ()
    size: int = 1  # values
    meaning: str = ""
    where: str = ""  # the layer, as the user calls it

    @property
    def n_bytes(self) -> int:
        return self.size * size_of(self.ctype)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sender:
    """The input, or a layer of neurons: what its spikes look like."""

    name: str  # in C
    shown: str  # as the user calls it
    model_shape: Shape
    shape: Shape  # maps, where the neurons of a row lie as such
    is_input: bool
    spike_type: str  # of a spike's value; empty: a spike is worth 1
    is_listed: bool  # spikes of this timestep are read
    slots: int  # timesteps of spikes that are kept for later; 0: none

    @property
    def size(self) -> int:
        return n_neurons(self.shape)

    @property
    def n_channels(self) -> int:
        return self.shape[0]

    @property
    def n_positions(self) -> int:
        return self.size // self.shape[0]

    @cached_property
    def order(self) -> IntArray:
        """Which neuron of the network lies at each place."""
        numbers = np.arange(self.size).reshape(self.n_channels, -1)
        return numbers.T.reshape(-1)

    @property
    def index_type(self) -> str:
        return "uint16_t" if self.size <= 1 << 16 else "uint32_t"

    def in_model(self, place: str) -> str:
        """Return what gives the neuron's number in the network, in C."""
        if 1 in (self.n_channels, self.n_positions):
            return place
        return f"{place} % {self.n_channels} * {self.n_positions} + {place} / " + str(
            self.n_channels
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Wire:
    """A projection: its weights as C stores them, and how often their sum doubles."""

    name: str
    projection: Projection
    source: Sender
    target: Sender
    weights: IntArray  # like those of the synapses, halved where all are even
    exponent: int
    largest_sum: int

    @property
    def is_late(self) -> bool:
        """Whether a spike arrives in a later timestep than it is sent in."""
        return bool(self.projection.longest_delay)


class CLayout:
    """All of a network, whose layers act within one timestep.

    Raises
    ------
    FitError
        If C cannot hold it.
    """

    def __init__(self, graph: QuantizedGraph) -> None:
        self.graph = graph
        _check(graph)
        names = _names([graph.source.name, *(p.name for p in graph.populations)])
        silent = {p.name for p in graph.populations if not p.spikes}
        self.projections = [p for p in graph.projections if p.source not in silent]
        self.senders = {name: self._sender(name, names[name]) for name in names}
        wires = _names([p.name for p in self.projections])
        self.wires = tuple(self._wire(p, wires[p.name]) for p in self.projections)
        self.sum_type = self._sum_type()

    @property
    def source(self) -> Sender:
        return self.senders[self.graph.source.name]

    @property
    def readout(self) -> Sender:
        return self.senders[self.graph.output]

    @cached_property
    def input_type(self) -> str:
        largest = self.graph.source.largest_value
        return "uint8_t" if largest <= 255 else "int32_t"

    @cached_property
    def score_type(self) -> str:
        """The type of an accumulated output, and of the lead of one over another."""
        readout, training = self.graph.readout, self.graph.training
        largest = readout.max_spikes if readout.spikes else VOLTAGE_LIMIT
        n = training.timesteps if training.functional is Functional.SUM else 1
        return smallest_type(0, 2 * largest * n, ("int32_t", "int64_t"))

    @property
    def target_type(self) -> str:
        """The type of the targets of single synapses."""
        largest = max(p.size for p in self.graph.populations)
        return smallest_type(0, largest - 1, ("uint16_t", "uint32_t"))

    def wires_into(self, population: Population) -> list[Wire]:
        """Return the projections that end at a population."""
        return [w for w in self.wires if w.projection.target == population.name]

    def adds_up(self, population: Population) -> bool:
        """Whether all sums of a population can lie in one place.

        Sums that are rounded down are shifted one by one.
        """
        wires = self.wires_into(population)
        return len(wires) == 1 or all(w.exponent >= 0 for w in wires)

    def base(self, population: Population) -> int:
        """Return the exponent of the place in which all sums lie."""
        return min(w.exponent for w in self.wires_into(population))

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """The state, largest types first, so that nothing is left between fields."""
        found = [
            Member(ctype="int32_t", name="timestep", meaning="of this input"),
            Member(
                ctype=self.score_type,
                name="scores",
                sizes=("SNN_OUTPUTS",),
                size=self.readout.size,
                meaning="outputs so far",
            ),
            Member(
                ctype="int32_t",
                name="n_spikes",
                sizes=("SNN_LAYERS",),
                size=len(self.graph.populations),
                meaning="of each layer in this timestep",
            ),
            *self._kept(self.source),
        ]
        for population in self.graph.order:
            found += self._of(population)
        found += self._scratch()
        return tuple(sorted(found, key=lambda m: -size_of(m.ctype)))

    @property
    def n_bytes(self) -> int:
        """The bytes of the state."""
        widest = max(size_of(m.ctype) for m in self.members)
        return -(-sum(m.n_bytes for m in self.members) // widest) * widest

    def _of(self, population: Population) -> Iterator[Member]:
        layer = self.senders[population.name]

        def each(ctype: str, name: str, meaning: str) -> Member:
            return Member(
                ctype=ctype,
                name=f"{layer.name}_{name}",
                sizes=(layer.size,),
                size=layer.size,
                meaning=meaning,
                where=layer.shown,
            )

        yield each("int32_t", "voltage", "")
        if self.keeps_current(population):
            yield each("int32_t", "current", "")
        if not population.spikes:
            return
        if population.refractory:
            yield each("uint8_t", "resting", "timesteps for which it rests")
        if layer.is_listed:
            yield each(layer.index_type, "spikes", "which neurons spiked")
            if layer.spike_type:
                yield each(layer.spike_type, "values", "how often each of them did")
        yield from self._kept(layer)

    def _kept(self, sender: Sender) -> Iterator[Member]:
        if not sender.slots:
            return
        ctype = sender.spike_type or "uint8_t"
        row = sender.size if sender.spike_type else -(-sender.size // 8)
        yield Member(
            ctype=ctype,
            name=f"{sender.name}_sent",
            sizes=(sender.slots, row),
            size=sender.slots * row,
            meaning="spikes of the latest timesteps, which arrive later",
            where=sender.shown,
        )

    def _scratch(self) -> Iterator[Member]:
        driven = [p for p in self.graph.populations if self.wires_into(p)]
        n = max((p.size for p in driven), default=0)
        if n:
            yield Member(
                ctype=self.sum_type, name="sums", sizes=(n,), size=n,
                meaning="of the weights that a layer's spikes read",
            )  # fmt: skip
        n = max((p.size for p in driven if not self.adds_up(p)), default=0)
        if n:
            yield Member(
                ctype="uint32_t", name="arriving", sizes=(n,), size=n,
                meaning="sums of several connections",
            )  # fmt: skip

    def keeps_current(self, population: Population) -> bool:
        """Whether anything is left of a current in the next timestep."""
        return bool((self.current_kept(population) > 0).any()) and bool(
            self.wires_into(population)
        )

    def current_kept(self, population: Population) -> IntArray:
        """Return how much of 4096 a current keeps."""
        offset = self.graph.precision.current_decay_offset
        kept: IntArray = KEEPS_ALL - (population.current_decay + offset)
        return kept

    def _sum_type(self) -> str:
        largest = {p.name: self._largest_sum(p) for p in self.graph.populations}
        for name, value in largest.items():
            if value >= 1 << 63:
                raise FitError(
                    f"{name}: sums of up to {value} are over the 64 bits of C; use "
                    "smaller spikes of the input, or smaller weights"
                )
        most = max(largest.values())
        return smallest_type(-most, most, ("int32_t", "int64_t"))

    def _largest_sum(self, population: Population) -> int:
        """Return the largest magnitude in ``sums`` while this population computes."""
        wires = self.wires_into(population)
        if not wires:
            return 0
        if not self.adds_up(population):
            return max(w.largest_sum for w in wires)
        base = self.base(population)
        return sum(w.largest_sum << (w.exponent - base) for w in wires)

    def _sender(self, name: str, in_c: str) -> Sender:
        graph = self.graph
        wires = [p for p in self.projections if p.source == name]
        longest = max((p.longest_delay for p in wires), default=0)
        is_input = name == graph.source.name
        is_read = name == graph.output and graph.readout.spikes
        spike_type = ""
        if is_input:
            spike_type = self.input_type
        elif graph.largest_spike(name) > 1:
            spike_type = "uint16_t"
        return Sender(
            name=in_c,
            shown=name,
            model_shape=graph.shape_of(name),
            shape=_laid_out(graph, name),
            is_input=is_input,
            spike_type=spike_type,
            is_listed=is_read or any(p.longest_delay == 0 for p in wires),
            slots=longest + 1 if longest else 0,
        )

    def _wire(self, projection: Projection, name: str) -> Wire:
        synapses = projection.synapses
        source, target = (
            self.senders[projection.source],
            self.senders[projection.target],
        )
        if isinstance(synapses, ConvSynapses):
            reached = synapses.output_shape(source.shape)
            if reached != target.shape:
                raise FitError(
                    f"{projection.name}: leads to maps of {reached} that lie as "
                    f"{target.shape} in {target.shown}, which C is not written for; "
                    "give both the same shape"
                )
        weights, exponent = synapses.weights, projection.exponent
        if not np.any(weights & 1):
            weights, exponent = weights // 2, exponent + 1
        largest = self.graph.largest_spike(projection.source)
        if source.is_input:
            largest = max(largest, 255)  # whatever a byte of the input holds
        return Wire(
            name=name,
            projection=projection,
            source=source,
            target=target,
            weights=weights,
            # 24 bits and more are all lost when the current wraps
            exponent=min(exponent, STATE_BITS),
            largest_sum=max(1, synapses.largest_sum) * largest,
        )


def _laid_out(graph: QuantizedGraph, name: str) -> Shape:
    """Return the shape in which a sender's neurons lie: maps, if some lead there."""
    shape = graph.shape_of(name)
    if len(shape) == 3:
        return shape
    for projection in graph.projections:
        if projection.target == name and isinstance(projection.synapses, ConvSynapses):
            maps = projection.synapses.output_shape(graph.shape_of(projection.source))
            return maps or shape
    return shape


def _check(graph: QuantizedGraph) -> None:
    biased = [p.name for p in graph.populations if p.takes_bias]
    if len(biased) > 1:
        raise FitError(
            f"{', '.join(biased)}: {len(biased)} layers take a bias from the data, C "
            "is written for 1; give the others a bias of their own"
        )
    for projection in graph.projections:
        if projection.delay < 0:
            raise FitError(
                f"{projection.name}: its spikes arrive {-projection.delay} timesteps "
                "before they are sent, seen from the layers; compile the model again"
            )
        if projection.synapses.weights.size > MOST_INDEXED:
            raise FitError(
                f"{projection.name}: {projection.synapses.weights.size} weights, "
                f"allowed are {MOST_INDEXED}; use a smaller layer"
            )


def _names(shown: list[str]) -> dict[str, str]:
    """Return a name in C for each, none of them twice."""
    found: dict[str, str] = {}
    for name in shown:
        plain = re.sub(r"#\d+$", "", name.lower()).replace("->", "_to_")
        plain = re.sub(r"[^a-z0-9]+", "_", plain)
        plain = plain.strip("_")
        if not plain or plain[0].isdigit():
            plain = f"layer_{plain}".rstrip("_")
        wanted, number = plain, 2
        while wanted in found.values() or (wanted in RESERVED and name != shown[0]):
            wanted, number = f"{plain}_{number}", number + 1
        found[name] = wanted
    return found
