"""Turn floats into chip integers, and note everything that is lost."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray, n_neurons, row_blocks
from snn_deploy.chip.target import Target
from snn_deploy.compiler.lower.abilities import (
    abilities,
    check_input,
    largest_count,
    unconnectable,
)
from snn_deploy.compiler.lower.collect import (
    Arrival,
    bias_source,
    by_synapse,
    collect,
    synapses_of,
)
from snn_deploy.compiler.lower.compare_strictly import compare_strictly
from snn_deploy.compiler.lower.compose import Weights
from snn_deploy.compiler.lower.grid import as_they_stand, weights_on_grid
from snn_deploy.compiler.lower.note_limits import note_limits
from snn_deploy.compiler.lower.scales import choose_scales
from snn_deploy.errors import FitError, PassError
from snn_deploy.fixedpoint import (
    DECAY_BITS,
    INPUT_SHIFT,
    VOLTAGE_LIMIT,
    bias_registers,
    to_integers,
    to_multiples,
)
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.neurons import Comparison, Lif, Neuron, Reset
from snn_deploy.ir.quantized import (
    Change,
    Population,
    Projection,
    QuantizedGraph,
    Source,
)
from snn_deploy.names import free_name

WEAK = 1 / 64  # of a voltage kept: its rounding in the register shows
ON_GRID = 1e-4  # of a step, by which trained weights may miss it
LEAST = 4  # of 4096: with less, the reset amount leaves few units to the threshold
logger = logging.getLogger(__name__)


def quantize(graph: Graph, target: Target) -> QuantizedGraph:
    """Return ``graph`` in the integers of ``target``.

    Each population has one scale, or one for each channel where the target allows it;
    the population that is read out has one for each head. ``scales`` says how it is
    chosen. What a rounding or a missing ability changes is listed in ``changes``.

    Raises
    ------
    FitError
        If the target's neurons cannot do what the network asks for.
    PassError
        If the network must be restructured.
    """
    check_input(graph, target)
    source = Source(
        name=graph.input.name,
        shape=graph.input.shape,
        largest_value=graph.training.largest_value,
    )
    largest = {source.name: source.largest_value}  # integer that one spike carries
    nodes = [node for node in graph.order if isinstance(node, Neuron)]
    names = {source.name, *(node.name for node in nodes)}
    populations: list[Population] = []
    projections: list[Projection] = []
    changes: list[Change] = []
    for node in nodes:  # one by one: the floats of a layer go before those of the next
        layer = _Layer(graph, node, target, largest)
        largest[node.name] = layer.max_spikes
        populations += layer.populations()
        projections += _each_once(layer.projections(), names)
        changes += layer.changes
    quantized = QuantizedGraph(
        name=graph.name,
        source=source,
        populations=tuple(populations),
        projections=tuple(projections),
        output=graph.output.name,
        training=_in_spikes(graph),
        precision=target.precision,
        changes=tuple(changes),
        used_inputs=to_integers(graph.used_inputs),
    )
    for problem in unconnectable(quantized, target):
        raise FitError(str(problem))
    return note_limits(compare_strictly(quantized))


def _in_spikes(graph: Graph) -> Training:
    """Return the training, where a read-out's spikes are worth what they were."""
    output, training = graph.output, graph.training
    if not isinstance(output, Lif) or output.spike_value == 1:
        return training
    heads = [replace(h, scale=h.scale * output.spike_value) for h in graph.heads]
    return replace(training, heads=tuple(heads))


def _with_lasting_reset(node: Neuron) -> Neuron:
    """Return neurons whose soft reset survives the rounding of a strong decay.

    Where the trained reset acts behind the next decay, the amount is the threshold
    through what that decay keeps. It is fitted to what the register keeps, which is
    never nothing.
    """
    if not isinstance(node, Lif) or node.reset is not Reset.SOFT:
        return node
    kept = 1 - node.voltage_decay
    is_strong = (kept > 0) & (kept < WEAK) & (node.reset_amount > node.threshold)
    if not is_strong.any():
        return node
    rounded = np.maximum(np.rint(kept * (1 << DECAY_BITS)), LEAST) / (1 << DECAY_BITS)
    return replace(
        node,
        voltage_decay=np.where(is_strong, 1 - rounded, node.voltage_decay),
        reset_amount=node.reset_amount * np.where(is_strong, kept / rounded, 1),
    )


def _each_once(
    projections: Sequence[Projection], names: set[str]
) -> Iterator[Projection]:
    """Yield all projections; the name of each is its own, among ``names`` as well."""
    for projection in projections:
        name = free_name(projection.name, names)
        names.add(name)
        yield replace(projection, name=name)


def _groups(graph: Graph, node: Neuron, *, is_output: bool, target: Target) -> IntArray:
    """Return a number for each channel; those with the same have one scale."""
    channels = node.shape[0]
    if not target.precision.per_neuron_parameters:
        return np.zeros(channels, np.int64)
    if not is_output:
        return np.arange(channels)
    sizes = [head.n_outputs for head in graph.heads]
    if sum(sizes) != channels or isinstance(node, Lif):
        return np.zeros(channels, np.int64)
    return np.repeat(np.arange(len(sizes)), sizes)


class _Layer:
    """The quantization of one neuron layer and everything that arrives at it."""

    def __init__(
        self, graph: Graph, node: Neuron, target: Target, largest: Mapping[str, int]
    ) -> None:
        self.decay = node.voltage_decay
        is_output = node is graph.output
        node = self.node = _with_lasting_reset(node)
        self.precision = target.precision
        self.is_on_grid = graph.is_on_grid
        self.changes: list[Change] = []
        self.integers: dict[tuple[int, int], IntArray] = {}  # by weights and exponent
        self.rounded: dict[tuple[int, int], Change | None] = {}
        self.arrivals = collect(graph, node)
        self.bias_source = bias_source(graph, node)
        self.bias = self._total_bias()
        self.abilities = abilities(node, target)
        self.max_spikes = largest_count(node, self.arrivals, largest, self.bias)
        if graph.is_on_grid:
            self.scales = as_they_stand(node, self.arrivals, self.precision)
            return
        self.scales = choose_scales(
            node,
            self.arrivals,
            [largest.get(a.source, 1) for a in self.arrivals],
            self.bias,
            self.precision,
            n_timesteps=graph.training.timesteps,
            groups=_groups(graph, node, is_output=is_output, target=target),
        )

    def _total_bias(self) -> FloatArray:
        """Return what is added to the voltage every timestep, ``(channel, ...)``."""
        node = self.node
        total: FloatArray = np.array(node.bias)
        for arrival in self.arrivals:
            bias = arrival.layer.bias
            shape = bias.shape + (1,) * (len(node.shape) - bias.ndim)
            total = total + bias.reshape(shape)
        channels = node.shape[0]
        rest = total.shape[1:] if total.ndim == len(node.shape) else ()
        return np.broadcast_to(
            total, (channels, *(rest or (1,) * (len(node.shape) - 1)))
        )

    def populations(self) -> list[Population]:
        """Return the neurons of this layer, and those that send its bias, if any."""
        name = self.bias_source
        if name in [arrival.source for arrival in self.arrivals]:
            return [self._population(), self._metronome(name)]
        return [self._population()]

    def _metronome(self, name: str) -> Population:
        """Return neurons that spike at every timestep."""
        zero = np.array(0)
        return Population(
            name=name,
            shape=(1, *self.node.shape[1:]),
            current_decay=zero,
            voltage_decay=zero,
            bias_mantissa=np.array(1),
            bias_exponent=0,
            initial_voltage=zero,
            threshold=zero,
            reset=Reset.HARD,
            reset_amount=zero,
            comparison=Comparison.GREATER,
            spikes=True,
            scale=np.array(1.0),
        )

    def _population(self) -> Population:
        node, scale = self.node, self._along(self.scales.voltage)
        mantissa, exponent = self._bias_registers(scale)
        if exponent > self.precision.bias_exponent_max:
            raise PassError(
                f"{node.name}: the bias does not fit its register; scale the layer down"
            )
        self._note("round bias", (mantissa << exponent) * scale, self.bias)
        resting = Population(
            name=node.name,
            shape=node.shape,
            current_decay=self._current_decay(),
            voltage_decay=self._voltage_decay(),
            bias_mantissa=mantissa,
            bias_exponent=exponent,
            initial_voltage=self._initial_voltage(scale),
            lowest_voltage=self._lowest_voltage(scale),
            threshold=np.array(0),
            reset=Reset.HARD,
            reset_amount=np.array(0),
            comparison=Comparison.GREATER,
            spikes=False,
            scale=scale,
            takes_bias=node.takes_bias,
        )
        return self._spiking(node, resting) if isinstance(node, Lif) else resting

    def _bias_registers(self, scale: FloatArray) -> tuple[IntArray, int]:
        if self.node.takes_bias and self.is_on_grid:  # so do biases of the data
            return to_integers(self.bias), INPUT_SHIFT
        return bias_registers(self.bias / scale, self.precision.bias_exponent_min)

    def _spiking(self, node: Lif, population: Population) -> Population:
        scale = population.scale
        amount = to_integers(node.reset_amount / scale)
        if node.reset is Reset.SOFT:
            self._note("round reset amount", amount * scale, node.reset_amount)
        return replace(
            population,
            spikes=True,
            threshold=self._threshold(node, scale),
            reset=node.reset,
            reset_amount=amount,
            comparison=self.abilities.comparison,
            refractory=node.refractory,
            max_spikes=self.max_spikes,
            levels=node.levels,
            head_start=self.abilities.head_start,
        )

    def _threshold(self, node: Lif, scale: FloatArray) -> IntArray:
        unit = scale * (1 << INPUT_SHIFT)
        threshold = to_integers(node.threshold / unit)
        self._note("round threshold", threshold * unit, node.threshold)
        return threshold

    def _along(self, values: FloatArray) -> FloatArray:
        """Return one value per channel so that it broadcasts against the shape."""
        return values.reshape(-1, *(1,) * (len(self.node.shape) - 1))

    def _initial_voltage(self, scale: FloatArray) -> IntArray:
        node = self.node
        initial = to_integers(node.initial_voltage / scale)
        self._note("round initial voltage", initial * scale, node.initial_voltage)
        return initial + self.abilities.head_start

    def _lowest_voltage(self, scale: FloatArray) -> IntArray:
        """Return where the voltage is cut off, by the register's end at the latest."""
        if not self.node.has_lowest_voltage:
            return np.array(-VOLTAGE_LIMIT)
        wanted = np.maximum(self.node.lowest_voltage / scale, -float(VOLTAGE_LIMIT))
        lowest = to_integers(wanted)
        self._note("round lowest voltage", lowest * scale, wanted * scale)
        return np.where(
            lowest > -VOLTAGE_LIMIT, lowest + self.abilities.head_start, lowest
        )

    def _current_decay(self) -> IntArray:
        node, offset = self.node, self.precision.current_decay_offset
        register = to_integers(node.current_decay * (1 << DECAY_BITS)) - offset
        lowest = self.precision.current_decay_min
        register = np.clip(register, lowest, (1 << DECAY_BITS) - 1)
        kept = (register + offset) / (1 << DECAY_BITS)
        self._note("round current decay", kept, node.current_decay)
        return register

    def _voltage_decay(self) -> IntArray:
        node = self.node
        register = to_integers(node.voltage_decay * (1 << DECAY_BITS))
        register = np.clip(register, 0, 1 << DECAY_BITS)
        kept = register / (1 << DECAY_BITS)
        self._note("round voltage decay", kept, self.decay)
        return register

    def projections(self) -> list[Projection]:
        """Return the projections that end at this layer."""
        arriving = [*zip(self.arrivals, self.scales.exponents, strict=True)]
        self._note_floors()
        self._note_rounding()
        if not self.is_on_grid:
            for arrival, exponent in arriving:
                self._note_weights(arrival, exponent)
        return [
            Projection(
                name=f"{arrival.source}->{self.node.name}#{number}",
                source=arrival.source,
                target=self.node.name,
                synapses=synapses_of(arrival.layer, self._weights(arrival, exponent)),
                exponent=exponent,
                delay=arrival.delay,
                axon_delay=to_integers(arrival.axon_delay),
            )
            for number, (arrival, exponent) in enumerate(arriving)
        ]

    def _weights(self, arrival: Arrival, exponent: int) -> IntArray:
        """Return the integers, one array for all arrivals of the same weights."""
        key = id(arrival.layer.weight), exponent
        if key not in self.integers:
            self.integers[key] = self._integers(arrival.layer, exponent)
            self.integers[key].setflags(write=False)
        return self.integers[key]

    def _integers(self, layer: Weights, exponent: int) -> IntArray:
        if self.is_on_grid:
            return weights_on_grid(layer, exponent, self.precision)
        step, limit = self.precision.weight_step, self.precision.weight_limit
        unit = self._unit(layer, exponent)
        found = np.empty(layer.weight.shape, np.int64)
        for rows in row_blocks(found):
            weights = to_multiples(layer.weight[rows] / unit[rows], step)
            np.clip(weights, -limit - step, limit, out=found[rows])
        return found

    def _unit(self, layer: Weights, exponent: int) -> FloatArray:
        """Return what one unit of the weights is worth, for each row of them."""
        return by_synapse(self.scales.synaptic * 2.0**exponent, layer)

    def _note_floors(self) -> None:
        """Note the sums that are shifted right, which drops up to one unit of each."""
        for arrival, exponent in zip(self.arrivals, self.scales.exponents, strict=True):
            if exponent >= 0:
                continue
            if np.any(self._weights(arrival, exponent) % (1 << -exponent)):
                self.changes.append(
                    Change(
                        layer=arrival.layer.name,
                        kind="floor sums",
                        count=n_neurons(self.node.shape),
                        largest=float(self.scales.synaptic.max()),
                        mean=float(self.scales.synaptic.mean() / 2),
                    )
                )

    def _note_rounding(self) -> None:
        """Note numbers that neurons send in steps, unless all that arrives is whole."""
        step = self.node.rounds_to if isinstance(self.node, Lif) else 0.0
        if not step:
            return
        rows = [arrival.rows.ravel() for arrival in self.arrivals]
        steps = np.concatenate([*rows, self.bias.ravel() - step / 2]) / step
        if np.any(np.abs(steps - np.rint(steps)) > ON_GRID):
            change = Change(
                layer=self.node.name,
                kind="round maximum",
                count=n_neurons(self.node.shape),
                largest=step / 2,
                mean=step / 4,
                note="the largest of currents, in steps",
            )
            self.changes.append(change)

    def _note_weights(self, arrival: Arrival, exponent: int) -> None:
        """Note how weights are rounded; those of several arrivals are looked at once.

        Trained ones are rounded to single precision, those on the grid too.
        """
        layer, key = arrival.layer, (id(arrival.layer.weight), exponent)
        if key not in self.rounded:
            weights = self._weights(arrival, exponent)
            unit = self._unit(layer, exponent)
            change, n_changed = np.empty(weights.shape), 0
            for rows in row_blocks(weights):
                kept, wanted = weights[rows] * unit[rows], layer.weight[rows]
                np.abs(kept - wanted, out=change[rows])
                n_changed += _n_changed(change[rows], wanted, 2.0**-22)
            self.rounded[key] = _change(layer.name, "round weights", change, n_changed)
        if (found := self.rounded[key]) is not None:
            self.changes.append(found)

    def _note(self, kind: str, kept: FloatArray, wanted: FloatArray) -> None:
        change = np.abs(kept - wanted)
        n_changed = _n_changed(change, wanted, 1e-12)
        found = _change(self.node.name, kind, change, n_changed)
        if found is not None:
            self.changes.append(found)


def _n_changed(change: FloatArray, wanted: FloatArray, precision: float) -> int:
    """Return how many values change by more than their relative ``precision``."""
    is_changed = change > precision * np.maximum(np.abs(wanted), 1e-300)
    return int(np.count_nonzero(is_changed))


def _change(layer: str, kind: str, change: FloatArray, n_changed: int) -> Change | None:
    if not n_changed:
        return None
    return Change(
        layer=layer,
        kind=kind,
        count=n_changed,
        largest=float(change.max()),
        mean=float(change.mean()),
    )
