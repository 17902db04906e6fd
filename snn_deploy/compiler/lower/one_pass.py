"""Fold the timesteps of a spiking network into one: the conventional network it is of.

A neuron that neither leaks nor resets hard counts how often its input, summed over the
timesteps, holds its threshold. Graded spikes carry such a count at once. So the same
integers run in a single timestep, where each neuron sends one packet with its number, 0
to ``levels``: the quantized activation (QCFS, or ReLU) that its spikes stand for.

Let x be what a timestep adds to a voltage if every sender gives its mean, which is its
number over its levels. After ``levels`` timesteps the neuron has spiked
``floor((levels * x + initial) / threshold)`` times. So it does in one if ``gain * x``
meets an initial voltage and a threshold times ``gain / levels``. The gain is the levels
of the senders, times a power of two: weights stay the integers that they are, and only
their exponents change.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.chip.target import Precision, Target
from snn_deploy.compiler.lower.note_limits import note_limits
from snn_deploy.errors import FitError, Problem
from snn_deploy.fixedpoint import (
    DECAY_BITS,
    INPUT_SHIFT,
    PAYLOAD_BITS,
    THRESHOLD_BITS,
    VOLTAGE_LIMIT,
    bias_registers,
    shift,
    to_integers,
    to_multiples,
)
from snn_deploy.ir.heads import Head
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.quantized import (
    AT_LIMITS,
    Change,
    Population,
    Projection,
    QuantizedGraph,
)
from snn_deploy.ir.ranges import arriving_range, reach_of
from snn_deploy.ir.stimuli import GRAY_LEVELS, Encoding

UNIT = 1 << INPUT_SHIFT  # of the threshold, in voltages
MOST_HALVINGS = 32  # of a gain; by then every threshold is 0
logger = logging.getLogger(__name__)


def one_pass(graph: QuantizedGraph, target: Target) -> QuantizedGraph:
    """Return the one-pass twin of ``graph``, with or without its pipeline.

    Inputs that were drawn as spikes are sent as the values they were drawn from.
    Averages over timesteps become exact, so that the twin computes what the activations
    compute, of the same weights; it differs from them by the roundings in ``changes``.

    Raises
    ------
    FitError
        If a layer, or ``target``, does not allow it; the message lists all of them.
    """
    found = [*obstacles(graph, target)]
    if found:
        lines = "\n  ".join(map(str, found))
        raise FitError(f"{graph.name}: has no one-pass twin, for\n  {lines}")
    levels = {p.name: levels_of(graph, p) for p in graph.populations}
    levels[graph.source.name] = _input_levels(graph)
    kept = [c for c in graph.changes if c.kind not in (*AT_LIMITS, "floor sums")]
    twin = replace(
        graph,
        source=replace(graph.source, largest_value=GRAY_LEVELS),
        training=replace(
            graph.training,
            timesteps=1,
            encoding=Encoding.DIRECT,
            heads=tuple(_in_one_pass(graph)),
        ),
        changes=tuple(kept),
        one_pass_of=graph.training.timesteps,
    )
    for population in sorted(graph.order, key=lambda p: p.offset):
        twin = _Folding(twin=twin, population=population, levels=levels).twin_with_it()
    logger.info("folded %d timesteps into one", graph.training.timesteps)
    return note_limits(twin)


def _in_one_pass(graph: QuantizedGraph) -> Iterator[Head]:
    """Yield the heads of a twin, whose voltages are means of all timesteps."""
    readout = graph.readout
    step = 1 / levels_of(graph, readout) if readout.spikes else 1.0
    for head in graph.heads:
        n = 1 if head.is_mean else graph.training.timesteps
        yield replace(head, scale=head.scale * n * step)


def levels_of(graph: QuantizedGraph, population: Population) -> int:
    """Return how many steps the activation has that a population's spikes stand for."""
    return population.levels or graph.training.timesteps


def obstacles(graph: QuantizedGraph, target: Target) -> Iterator[Problem]:
    """Yield each reason why ``graph`` has no one-pass twin on ``target``."""
    if graph.one_pass_of:
        yield Problem(
            where=graph.name,
            what="runs in one pass already",
            advice="compile the model without --one-pass",
        )
    if not target.precision.neurons_send_graded:
        yield Problem(
            where=target.name,
            what="has no graded spikes of neurons, which carry a number",
            advice="take a target that has them",
        )
    if graph.training.encoding is Encoding.EVENTS:
        yield Problem(
            where=graph.source.name,
            what="events over time are no single value",
            advice="train on values, with encoding='direct' or 'rate'",
        )
    for population in graph.populations:
        yield from _of_neurons(graph, population)
    for projection in graph.projections:
        pipeline = graph.offset_of(projection.target)
        late = projection.longest_delay - pipeline + graph.offset_of(projection.source)
        if late:
            yield Problem(
                where=projection.name,
                what=f"spikes arrive up to {late} timesteps late, when a single one "
                "is over",
                advice="train without delays and recurrent connections",
            )


def _of_neurons(graph: QuantizedGraph, population: Population) -> Iterator[Problem]:
    lost = population.current_decay + graph.precision.current_decay_offset
    start = population.initial_voltage - population.head_start
    most = levels_of(graph, population) * population.max_spikes
    limit = (1 << PAYLOAD_BITS) - 1
    integrate = "train with QCFS or ReLU, or with neurons that only add up"
    has_memory = bool(np.any(population.voltage_decay < 1 << DECAY_BITS))
    for is_so, what, advice in (
        (
            not has_memory,
            "decides in each timestep by itself, as max pooling does",
            "use average pooling, and neurons that only add up",
        ),
        (
            has_memory and population.voltage_decay.any(),
            "its neurons leak, so that the order of spikes counts",
            integrate,
        ),
        (
            np.any(lost != 1 << DECAY_BITS),
            "its synaptic current lasts over timesteps",
            integrate,
        ),
        (
            has_memory and population.spikes and population.reset is Reset.HARD,
            "resets hard, which drops what is over the threshold",
            "train with a soft reset",
        ),
        (
            population.has_lowest_voltage,
            "its voltage has a lower end, so that the order of spikes counts",
            "train without a lowest voltage (sinabs: min_v_mem=None)",
        ),
        (
            population.refractory,
            f"rests {population.refractory} timesteps after a spike",
            integrate,
        ),
        (
            population.takes_bias,
            "takes its bias from the data, timestep by timestep",
            "train on values, with encoding='direct' or 'rate'",
        ),
        (
            population.spikes
            and np.any(start >= shift(population.threshold, INPUT_SHIFT)),
            "starts at or over its threshold: spikes that no input has caused",
            "train with an initial voltage under it, half of it for QCFS",
        ),
        (
            population.spikes and most > limit,
            f"would send numbers up to {most}, a graded spike carries {limit}",
            "train with fewer timesteps or spikes in one",
        ),
    ):
        if is_so:
            yield Problem(where=population.name, what=what, advice=advice)


def _input_levels(graph: QuantizedGraph) -> int:
    """Return the number in a graded input that one spike of a drawn one is."""
    return GRAY_LEVELS if graph.training.encoding is Encoding.RATE else 1


@dataclass(frozen=True, kw_only=True, eq=False)
class _Folding:
    """One population on its way into the twin, where its senders are already."""

    twin: QuantizedGraph
    population: Population
    levels: dict[str, int]  # by sender

    def twin_with_it(self) -> QuantizedGraph:
        """Return the twin with this population folded.

        The gain is the largest with which no register meets its limit, but not larger
        than it takes to lose nothing of any voltage.
        """
        population, levels = self.population, self.levels
        inputs = self.twin.source.name
        senders = {p.source for p in self.arrivals}
        base = max((levels[name] for name in senders - {inputs}), default=0)
        base = base or levels[inputs]
        own = self.own if population.spikes else base
        for halvings in range(math.floor(math.log2(base / own)), MOST_HALVINGS):
            twin = self._at(base * 2.0**-halvings)
            if twin is not None:
                return twin
        raise FitError(
            f"{population.name}: sums of graded spikes are too large for the registers "
            "that hold its threshold beside them; train with fewer levels"
        )

    @property
    def arrivals(self) -> tuple[Projection, ...]:
        return self.twin.projections_into(self.population)

    @property
    def own(self) -> int:
        """How many timesteps become one: the factor of what comes from no sender."""
        return self.levels[self.population.name]

    @property
    def precision(self) -> Precision:
        return self.twin.precision

    @property
    def sum_limit(self) -> int:
        return (1 << (self.precision.accumulator_bits - 1)) - 1

    def _at(self, gain: float) -> QuantizedGraph | None:
        """Return the twin with this gain, ``None`` if a register is too small."""
        folded = self._neurons(gain)
        if folded is None:
            return None
        weighed = [self._weighed(p, gain) for p in self.arrivals]
        mine = {p.name: p for p in weighed}
        twin = replace(
            self.twin,
            populations=tuple(
                folded if p.name == folded.name else p for p in self.twin.populations
            ),
            projections=tuple(mine.get(p.name, p) for p in self.twin.projections),
        )
        largest = max((p.exponent for p in weighed), default=0)
        if (
            largest > self.precision.weight_exponent_max
            or arriving_range(twin, folded).magnitude.max() > self.sum_limit
            or reach_of(twin, folded).meets_a_limit
        ):
            return None
        changes = self._changes(folded, weighed, gain)
        return replace(twin, changes=(*twin.changes, *changes))

    def _neurons(self, gain: float) -> Population | None:
        """Return the neurons, ``None`` if a register is too small or a threshold 0."""
        old, ratio = self.population, gain / self.own
        mantissa, exponent = bias_registers(
            _bias(old) * gain, self.precision.bias_exponent_min
        )
        if exponent > self.precision.bias_exponent_max:
            return None
        start = (old.initial_voltage - old.head_start) * ratio
        folded = replace(
            old,
            bias_mantissa=mantissa,
            bias_exponent=exponent,
            initial_voltage=to_integers(start) + old.head_start,
            scale=old.scale / gain,
        )
        if not old.spikes:
            return folded
        threshold = to_integers(old.threshold * ratio)
        reset_amount = to_integers(old.reset_amount * ratio)
        if (
            min(threshold.min(), reset_amount.min()) < 1
            or threshold.max() >= 1 << THRESHOLD_BITS
            or reset_amount.max() > VOLTAGE_LIMIT
        ):
            return None
        # what the threshold gains by its rounding the voltage is given at the start
        gained = (threshold - old.threshold * ratio) * UNIT
        return replace(
            folded,
            threshold=threshold,
            reset_amount=reset_amount,
            initial_voltage=to_integers(start + gained) + old.head_start,
            max_spikes=old.max_spikes * self.own,
        )

    def _weighed(self, projection: Projection, gain: float) -> Projection:
        """Return the synapses with the weights they have, or what comes next to them.

        Smaller ones where levels of no common power of two meet, where an exponent is
        at its least, or where the sum before it is shifted would be too large.
        """
        ratio = self._ratio(projection, gain)
        exponent = projection.exponent + math.ceil(math.log2(ratio))
        exponent = max(exponent, self.precision.weight_exponent_min)
        factor = ratio * 2.0 ** (projection.exponent - exponent)
        weights = projection.synapses.weights
        most = projection.synapses.largest_sum * factor
        most *= self.twin.largest_spike(projection.source)
        while most > self.sum_limit:
            exponent, factor, most = exponent + 1, factor / 2, most / 2
        if factor != 1:
            weights = to_multiples(weights * factor, self.precision.weight_step)
        synapses = replace(projection.synapses, weights=weights)
        return replace(projection, synapses=synapses, exponent=exponent)

    def _ratio(self, projection: Projection, gain: float) -> float:
        return gain / self.levels[projection.source]

    def _changes(
        self, folded: Population, weighed: list[Projection], gain: float
    ) -> Iterator[Change]:
        """Yield what is lost beyond what the spiking network has lost."""
        old, ratio, name = self.population, gain / self.own, folded.name
        yield from _lost(name, "round bias", _bias(folded) - _bias(old) * gain, folded)
        if old.spikes:
            start = _less_threshold(folded) - _less_threshold(old) * ratio
            yield from _lost(name, "round initial voltage", start, folded)
            amount = folded.reset_amount - old.reset_amount * ratio
            yield from _lost(name, "round reset amount", amount, folded)
        for new, before in zip(weighed, self.arrivals, strict=True):
            factor = self._ratio(new, gain) * 2.0 ** (before.exponent - new.exponent)
            weights = new.synapses.weights - before.synapses.weights * factor
            unit = UNIT * 2.0**new.exponent
            yield from _lost(new.name, "round weights", weights * unit, folded)
            if new.exponent < 0 and np.any(new.synapses.weights % (1 << -new.exponent)):
                yield Change(
                    layer=new.name,
                    kind="floor sums",
                    count=folded.size,
                    largest=float(folded.scale.max()) * UNIT,
                    mean=float(folded.scale.mean()) * UNIT / 2,
                )


def _bias(population: Population) -> IntArray:
    return shift(population.bias_mantissa, population.bias_exponent)


def _less_threshold(population: Population) -> IntArray:
    """Return where the neurons start, relative to where they spike."""
    start = population.initial_voltage - population.head_start
    return start - shift(population.threshold, INPUT_SHIFT)


def _lost(
    layer: str, kind: str, lost: FloatArray, folded: Population
) -> Iterator[Change]:
    """Yield a change if any value has lost something, given in voltage units."""
    change = np.abs(lost) * float(folded.scale.max())
    n = int(np.count_nonzero(change))
    if n:
        yield Change(
            layer=layer,
            kind=kind,
            count=n,
            largest=float(change.max()),
            mean=float(change.mean()),
            note="beyond the spiking network",
        )
