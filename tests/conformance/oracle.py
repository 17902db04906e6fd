"""The meaning of a network in integers, once more: plain Python, one synapse at a time.

Written from DESIGN.md, section 4, and slow on purpose. Of snn_deploy it uses the data
types alone, and no array arithmetic: every number is an int of Python, which never
overflows.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import product

import numpy as np

from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.ir.synapses import ConvSynapses, DenseSynapses

Vector = list[int]


class Oracle:
    """One input running through a network, from rest.

    ``history`` holds for each chip timestep, the first at 1, what each sender sent;
    ``current`` and ``voltage`` what each population that has begun has now.
    """

    def __init__(
        self,
        graph: QuantizedGraph,
        stimulus: Stimulus,
        *,
        n_timesteps: int,
        period: int | None = None,
        is_stream: bool = False,
        holds: bool = False,
    ) -> None:
        self.graph = graph
        self.stimulus = stimulus
        self.n_timesteps = n_timesteps
        self.period = period
        self.is_stream = is_stream
        self.holds = holds  # populations rest behind their last timestep
        self.offsets = {p.name: p.offset for p in graph.populations}
        self.offsets[graph.source.name] = 0
        self.synapses = {p.name: _arriving(graph, p) for p in graph.projections}
        self.history: list[dict[str, Vector]] = [{}]
        self.current: dict[str, Vector] = {}
        self.voltage: dict[str, Vector] = {}
        self.resting: dict[str, Vector] = {}
        self.wraps: dict[str, int] = {}
        self.saturations: dict[str, int] = {}
        self.busy: dict[str, list[bool]] = {}  # something to compute in this timestep

    def step(self) -> None:
        """Advance by one timestep of the chip."""
        now = len(self.history)
        self.history.append({self.graph.source.name: self._input(now)})
        self.busy = {}
        waiting = list(self.graph.populations)
        while waiting:  # a population after those that reach it within the timestep
            names = {p.name for p in waiting}
            ready = [p for p in waiting if not self._within(p) & names]
            for population in ready:
                waiting.remove(population)
                if now > population.offset:
                    self._advance(population, now)

    def _within(self, population: Population) -> set[str]:
        return {
            p.source
            for p in self.graph.projections
            if p.target == population.name and p.delay == 0
        }

    def _input(self, now: int) -> Vector:
        stimulus = self.stimulus
        if now > self.n_timesteps:
            return [0] * self.graph.source.size
        row = 0 if stimulus.is_constant else now - 1
        if row >= len(stimulus.values):
            return [0] * self.graph.source.size
        return [int(x) for x in stimulus.values[row].reshape(-1)]

    def _advance(self, population: Population, now: int) -> None:
        name, size = population.name, population.size
        local = now - population.offset
        if local == 1 or (self.period and local % self.period == 1 % self.period):
            self.current[name] = [0] * size
            self.voltage[name] = _each(population.initial_voltage, population)
            self.resting[name] = [0] * size
            self.wraps[name] = self.saturations[name] = 0
        arriving, is_reached = self._arriving(population, now)
        sent: Vector = []
        self.busy[name] = []
        for i, neuron in enumerate(self._neurons(population)):
            was_busy = self.current[name][i] or self.voltage[name][i] or neuron.bias
            self.busy[name].append(bool(was_busy) or is_reached[i])
            if self.holds and local > self.n_timesteps:
                self.current[name][i] = self.voltage[name][i] = 0
                self.resting[name][i] = 0
                sent.append(0)
            else:
                sent.append(neuron.update(self, i, arriving[i]))
        self.history[now][name] = sent

    def _neurons(self, population: Population) -> "list[Neuron]":
        bias = _each(population.bias_mantissa, population)
        if population.takes_bias and self.stimulus.bias is not None:
            bias = [int(x) for x in self.stimulus.bias.reshape(-1)]
        columns = zip(
            _each(population.current_decay, population),
            _each(population.voltage_decay, population),
            bias,
            _each(population.threshold, population),
            _each(population.reset_amount, population),
            _each(population.lowest_voltage, population),
            strict=True,
        )
        offset = self.graph.precision.current_decay_offset
        return [Neuron(population, offset, *column) for column in columns]

    def _arriving(self, population: Population, now: int) -> tuple[Vector, list[bool]]:
        total, is_reached = [0] * population.size, [False] * population.size
        for projection in self.graph.projections:
            if projection.target != population.name:
                continue
            spikes = self._arrived(projection, now)
            for i, synapses in enumerate(self.synapses[projection.name]):
                found = sum(weight * spikes[source] for source, weight in synapses)
                is_reached[i] |= any(spikes[source] for source, _ in synapses)
                exponent = projection.exponent
                scaled = found * 2**exponent if exponent > 0 else found // 2**-exponent
                total[i] += scaled
        return total, is_reached

    def _arrived(self, projection: Projection, now: int) -> Vector:
        """Return what arrives from each neuron of the source, 0 if nothing does."""
        shape = self.graph.shape_of(projection.source)
        spikes = []
        for i, extra in enumerate(_spread(projection.axon_delay, shape)):
            at = now - projection.delay - extra
            sent = self.history[at].get(projection.source) if at >= 1 else None
            is_late = self._is_late(projection, at, now)
            spikes.append(0 if sent is None or is_late else sent[i])
        return spikes

    def _is_late(self, projection: Projection, sent_at: int, now: int) -> bool:
        """Return whether a spike arrives in another input than it was sent in."""
        if not (self.is_stream and self.period):
            return False
        sent_at -= self.offsets[projection.source]
        now -= self.offsets[projection.target]
        return (sent_at - 1) // self.period != (now - 1) // self.period


class Neuron:
    """The registers of one neuron, and its update."""

    def __init__(
        self,
        population: Population,
        offset: int,
        current_decay: int,
        voltage_decay: int,
        bias_mantissa: int,
        threshold: int,
        reset_amount: int,
        lowest_voltage: int,
    ) -> None:
        self.population = population
        self.current_loss = current_decay + offset
        self.voltage_loss = voltage_decay
        self.bias = bias_mantissa * 2**population.bias_exponent
        self.threshold = threshold * 64
        self.reset_amount = reset_amount
        self.lowest_voltage = lowest_voltage

    def update(self, run: Oracle, i: int, arriving: int) -> int:
        """Advance neuron ``i`` of the population by a timestep; return its spikes."""
        name = self.population.name
        current = _decayed(run.current[name][i], self.current_loss) + 64 * arriving
        if not -(2**23) < current <= 2**23:
            run.wraps[name] += 1
        while current > 2**23 or current <= -(2**23):
            excess = (current + 2**23 - 1) // 2**24
            current -= excess * 2**24
        run.current[name][i] = current
        if run.resting[name][i] > 0:  # the voltage stays
            run.resting[name][i] -= 1
            return 0
        voltage = _decayed(run.voltage[name][i], self.voltage_loss)
        voltage += current + self.bias
        limited = min(max(voltage, 1 - 2**23), 2**23 - 1)
        run.saturations[name] += limited != voltage
        limited = max(limited, self.lowest_voltage)
        spikes = self._spikes(limited)
        if spikes:
            run.resting[name][i] = self.population.refractory
            if self.population.reset.value == "hard":
                limited = 0
            else:
                limited = max(limited - spikes * self.reset_amount, 1 - 2**23)
                limited = max(limited, self.lowest_voltage)
        run.voltage[name][i] = limited
        return spikes

    def _spikes(self, voltage: int) -> int:
        """Return how often the neuron spikes: once, or until it is below again."""
        n = 0
        while self._is_over(voltage) and n < self.population.max_spikes:
            n += 1
            voltage -= self.reset_amount
        return n

    def _is_over(self, voltage: int) -> bool:
        if not self.population.spikes:
            return False
        if self.population.comparison.value == ">=":
            return voltage >= self.threshold
        return voltage > self.threshold


def _decayed(value: int, loss: int) -> int:
    """Return what is left of ``value``, rounded toward zero."""
    left = abs(value) * (4096 - loss) // 4096
    return left if value >= 0 else -left


def _spread(parameter: np.ndarray, shape: tuple[int, ...]) -> Vector:
    """Return a parameter for every position of ``shape``, by hand."""
    padded = (1,) * (len(shape) - parameter.ndim) + parameter.shape
    values = parameter.reshape(padded)
    return [
        int(values[tuple(i if n > 1 else 0 for i, n in zip(at, padded, strict=True))])
        for at in product(*(range(n) for n in shape))
    ]


def _each(parameter: np.ndarray, population: Population) -> Vector:
    return _spread(parameter, population.shape)


def _arriving(
    graph: QuantizedGraph, projection: Projection
) -> list[list[tuple[int, int]]]:
    """Return for each target neuron its synapses: (source neuron, weight)."""
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for source, target, weight in synapses_of(graph, projection):
        found[target].append((source, weight))
    return [found[i] for i in range(graph.population(projection.target).size)]


def synapses_of(
    graph: QuantizedGraph, projection: Projection
) -> Iterator[tuple[int, int, int]]:
    """Yield (source neuron, target neuron, weight) for each synapse."""
    synapses = projection.synapses
    if isinstance(synapses, ConvSynapses):
        yield from _conv_synapses(synapses, graph.shape_of(projection.source))
    elif isinstance(synapses, DenseSynapses):
        n_out, n_in = synapses.weights.shape
        for target, source in product(range(n_out), range(n_in)):
            yield source, target, int(synapses.weights[target, source])
    else:
        for target, source, weight in zip(
            synapses.targets, synapses.sources, synapses.weights, strict=True
        ):
            yield int(source), int(target), int(weight)


def _conv_synapses(
    synapses: ConvSynapses, shape: tuple[int, ...]
) -> Iterator[tuple[int, int, int]]:
    _, height, width = shape
    n_out, n_in, rows, columns = synapses.weights.shape
    per_group = n_out // synapses.groups
    (down, right), (top, left) = synapses.stride, synapses.padding
    d_row, d_column = synapses.dilation
    out_height = (height + 2 * top - d_row * (rows - 1) - 1) // down + 1
    out_width = (width + 2 * left - d_column * (columns - 1) - 1) // right + 1
    out_height -= synapses.cropped[0]
    out_width -= synapses.cropped[1]
    for o, y, x, i, r, c in product(
        *(range(n) for n in (n_out, out_height, out_width, n_in, rows, columns))
    ):
        from_y, from_x = y * down + r * d_row - top, x * right + c * d_column - left
        if 0 <= from_y < height and 0 <= from_x < width:
            channel = o // per_group * n_in + i
            source = (channel * height + from_y) * width + from_x
            target = (o * out_height + y) * out_width + x
            yield source, target, int(synapses.weights[o, i, r, c])
