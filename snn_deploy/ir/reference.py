"""What a network in chip integers computes, by definition: NumPy, timestep by timestep.

One simulation serves a graph before ``retime`` (all layers within one timestep) and
behind it (each spike takes at least one timestep, populations are held until their
local timestep 1). It runs a batch of inputs in step and can drop inputs at any time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import BoolArray, FloatArray, IntArray, spread
from snn_deploy.fixedpoint import (
    INPUT_SHIFT,
    decay,
    saturate_voltage,
    shift,
    wrap_current,
)
from snn_deploy.ir.convolve import convolve
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import (
    ConvSynapses,
    DenseSynapses,
    Population,
    Projection,
    QuantizedGraph,
)
from snn_deploy.spikes import Stimulus


@dataclass
class State:
    """The neurons of one population, for a batch: arrays ``(n, n_neurons)``."""

    current: IntArray
    voltage: IntArray
    spikes: BoolArray  # of the latest timestep


class Neurons:
    """The update of one population, its parameters spread over the neurons."""

    def __init__(self, population: Population, current_decay_offset: int) -> None:
        def each(parameter: IntArray) -> IntArray:
            return spread(parameter, population.shape)

        self.population = population
        self.current_decay = each(population.current_decay) + current_decay_offset
        self.voltage_decay = each(population.voltage_decay)
        self.bias = shift(each(population.bias_mantissa), population.bias_exponent)
        self.threshold = shift(each(population.threshold), INPUT_SHIFT)
        self.reset_amount = each(population.reset_amount)
        self.initial_voltage = each(population.initial_voltage)

    def rest(self, n: int) -> State:
        """Return the state of ``n`` inputs before their first timestep."""
        size = self.population.size
        return State(
            current=np.zeros((n, size), np.int64),
            voltage=np.tile(self.initial_voltage, (n, 1)),
            spikes=np.zeros((n, size), np.bool_),
        )

    def update(self, state: State, arriving: IntArray) -> State:
        """Return the state one timestep later; ``arriving`` is (n, n_neurons)."""
        kept = decay(state.current, self.current_decay)
        current = wrap_current(kept + shift(arriving, INPUT_SHIFT))
        kept = decay(state.voltage, self.voltage_decay)
        voltage = saturate_voltage(kept + current + self.bias)
        if not self.population.spikes:
            return State(current=current, voltage=voltage, spikes=state.spikes)
        if self.population.comparison is Comparison.GREATER:
            spikes = voltage > self.threshold
        else:
            spikes = voltage >= self.threshold
        if self.population.reset is Reset.HARD:
            voltage = voltage * ~spikes
        else:
            voltage = saturate_voltage(voltage - spikes * self.reset_amount)
        return State(current=current, voltage=voltage, spikes=spikes)


class SynapticSum:
    """The weighted sum of one projection, exact: float products of small integers."""

    def __init__(self, graph: QuantizedGraph, projection: Projection) -> None:
        self.projection = projection
        self.shape = graph.shape_of(projection.source)
        weights = projection.synapses.weights
        per_target = np.abs(weights).reshape(len(weights), -1).sum(axis=1)
        bound = int(per_target.max(initial=0)) * graph.largest_spike(projection.source)
        dtype = np.float32 if bound < 1 << 24 else np.float64
        self.weights: FloatArray = weights.astype(dtype)

    def __call__(self, spikes: IntArray | BoolArray) -> IntArray:
        """Return the shifted sums ``(n, n_targets)`` of spikes ``(n, n_sources)``."""
        values = spikes.astype(self.weights.dtype)
        synapses = self.projection.synapses
        if isinstance(synapses, DenseSynapses):
            sums: FloatArray = values @ self.weights.T
        else:
            sums = _convolved(values.reshape(-1, *self.shape), self.weights, synapses)
        return shift(
            sums.astype(np.int64).reshape(len(values), -1), self.projection.exponent
        )


def _convolved(values: FloatArray, weights: FloatArray, by: ConvSynapses) -> FloatArray:
    return convolve(
        values,
        weights,
        stride=by.stride,
        padding=by.padding,
        dilation=by.dilation,
        groups=by.groups,
    )


class Simulation:
    """A batch of inputs running through a network.

    After each ``step``, ``states`` holds every population that is not held any more,
    ``sent`` the spikes of the latest timesteps, newest last.
    """

    def __init__(self, graph: QuantizedGraph, stimuli: Sequence[Stimulus]) -> None:
        self.graph = graph
        self.stimuli = list(stimuli)
        self.timestep = 0
        offset = graph.precision.current_decay_offset
        self.neurons = {p.name: Neurons(p, offset) for p in graph.populations}
        self.sums = {p.name: SynapticSum(graph, p) for p in graph.projections}
        self.states: dict[str, State] = {}
        self.sent: list[dict[str, IntArray | BoolArray]] = []
        self.longest_delay = max((p.delay for p in graph.projections), default=0)
        self.is_constant = all(s.is_constant for s in stimuli)
        self.constant_sums: dict[str, IntArray] = {}

    def step(self) -> None:
        """Advance all inputs by one timestep of the chip."""
        self.timestep += 1
        self.sent.append({self.graph.source.name: self._input()})
        for population in self.graph.order:
            neurons = self.neurons[population.name]
            if self.timestep - population.offset == 1:
                self.states[population.name] = neurons.rest(len(self.stimuli))
            if self.timestep - population.offset >= 1:
                state = neurons.update(
                    self.states[population.name], self._arriving(population)
                )
                self.states[population.name] = state
                self.sent[-1][population.name] = state.spikes
        if len(self.sent) > self.longest_delay + 1:
            self.sent.pop(0)

    def keep(self, positions: IntArray) -> None:
        """Go on with the inputs at these positions of the batch only."""
        self.stimuli = [self.stimuli[i] for i in positions]
        for name, s in self.states.items():
            self.states[name] = State(
                s.current[positions], s.voltage[positions], s.spikes[positions]
            )
        self.sent = [{k: v[positions] for k, v in sent.items()} for sent in self.sent]
        self.constant_sums = {k: v[positions] for k, v in self.constant_sums.items()}

    def readout(self) -> IntArray:
        """Return what the host reads: spikes or voltages ``(n, n_out)``."""
        state = self.states[self.graph.output]
        if self.graph.readout.spikes:
            return state.spikes.astype(np.int64)
        return state.voltage

    def _input(self) -> IntArray:
        n = len(self.stimuli)
        if self.timestep > self.graph.training.timesteps:
            return np.zeros((n, self.graph.source.size), np.int32)
        return np.stack([s.at(self.timestep).reshape(-1) for s in self.stimuli])

    def _arriving(self, population: Population) -> IntArray:
        total = np.zeros((len(self.stimuli), population.size), np.int64)
        for projection in self.graph.projections_into(population):
            sent_at = self.timestep - projection.delay
            source = projection.source
            if sent_at < 1 or projection.delay >= len(self.sent):
                continue
            spikes = self.sent[-1 - projection.delay].get(source)
            if spikes is None:  # held when it would have sent
                continue
            if source == self.graph.source.name and self.is_constant:
                total += self._constant_sum(projection, spikes, sent_at)
            else:
                total += self.sums[projection.name](spikes)
        return total

    def _constant_sum(
        self, projection: Projection, spikes: IntArray | BoolArray, sent_at: int
    ) -> IntArray | int:
        if sent_at > self.graph.training.timesteps:
            return 0
        if projection.name not in self.constant_sums:
            self.constant_sums[projection.name] = self.sums[projection.name](spikes)
        return self.constant_sums[projection.name]
