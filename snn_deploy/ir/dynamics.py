"""The integer neuron and the weighted sum: one timestep, for a batch of inputs."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from snn_deploy.arrays import BoolArray, IntArray, spread
from snn_deploy.fixedpoint import (
    INPUT_SHIFT,
    VOLTAGE_LIMIT,
    decay,
    saturate_voltage,
    shift,
    wrap_current,
)
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph


@dataclass
class State:
    """The neurons of one population, for a batch: arrays ``(n, n_neurons)``."""

    current: IntArray
    voltage: IntArray
    spikes: IntArray  # of the latest timestep: 0, 1, or more where they are graded
    resting: IntArray  # timesteps for which the voltage stays, after a spike
    wraps: IntArray  # (n,), how often a current wrapped, so far
    saturations: IntArray  # (n,), how often a voltage saturated, so far

    def limited_since(self, before: "State") -> IntArray:
        """Return the saturations and wraps since a state before, ``(n, 2)``."""
        saturations = self.saturations - before.saturations
        return np.stack([saturations, self.wraps - before.wraps], axis=1)

    def take(self, positions: IntArray) -> "State":
        """Return the state of the inputs at these positions."""
        return State(**{name: value[positions] for name, value in vars(self).items()})


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
        if population.comparison is Comparison.GREATER_EQUAL:
            self.threshold = self.threshold - 1  # integers: >= t is > t - 1
        self.reset_amount = each(population.reset_amount)
        self.initial_voltage = each(population.initial_voltage)
        self.lowest_voltage = each(population.lowest_voltage)

    def rest(self, n: int) -> State:
        """Return the state of ``n`` inputs before their first timestep."""
        size = self.population.size
        return State(
            current=np.zeros((n, size), np.int64),
            voltage=np.tile(self.initial_voltage, (n, 1)),
            spikes=np.zeros((n, size), np.int64),
            resting=np.zeros((n, size), np.int64),
            wraps=np.zeros(n, np.int64),
            saturations=np.zeros(n, np.int64),
        )

    def held(self, state: State) -> State:
        """Return the state at rest behind the input's last timestep: all is 0."""
        nothing = np.zeros_like(state.voltage)
        return replace(
            state, current=nothing, voltage=nothing, spikes=nothing, resting=nothing
        )

    def update(
        self, state: State, arriving: IntArray, bias: IntArray | None = None
    ) -> State:
        """Return the state one timestep later.

        Parameters
        ----------
        state : State
        arriving : array, (n, n_neurons)
            The weighted sums of the spikes that arrive now.
        bias : array, (n, n_neurons), optional
            Mantissas in place of the population's own.
        """
        unwrapped = decay(state.current, self.current_decay)
        unwrapped = unwrapped + shift(arriving, INPUT_SHIFT)
        current = wrap_current(unwrapped)
        drive = (
            self.bias if bias is None else shift(bias, self.population.bias_exponent)
        )
        kept = decay(state.voltage, self.voltage_decay)
        voltage = saturate_voltage(kept + current + drive, self.lowest_voltage)
        is_saturated = np.abs(kept + current + drive) > VOLTAGE_LIMIT
        is_resting = state.resting > 0
        if self.population.refractory:
            voltage = np.where(is_resting, state.voltage, voltage)
            is_saturated &= ~is_resting
        spikes = self._spikes(voltage, is_resting)
        return State(
            current=current,
            voltage=self._after(voltage, spikes),
            spikes=spikes,
            resting=self._resting(state.resting, spikes),
            wraps=state.wraps + (current != unwrapped).sum(axis=1),
            saturations=state.saturations + is_saturated.sum(axis=1),
        )

    def _spikes(self, voltage: IntArray, is_resting: BoolArray) -> IntArray:
        if not self.population.spikes:
            return np.zeros_like(voltage)
        over = voltage - self.threshold
        is_over = (over > 0) & ~is_resting
        if self.population.max_spikes == 1:
            return is_over.astype(np.int64)
        # the fewest that bring the voltage to the threshold or below
        count = -(-over // np.maximum(self.reset_amount, 1))
        count = np.minimum(count, self.population.max_spikes)
        graded: IntArray = np.where(is_over, count, 0)
        return graded

    def _after(self, voltage: IntArray, spikes: IntArray) -> IntArray:
        if self.population.reset is Reset.HARD:
            kept: IntArray = voltage * (spikes == 0)
            return kept
        lowered = voltage - spikes * self.reset_amount
        return saturate_voltage(lowered, self.lowest_voltage)

    def _resting(self, resting: IntArray, spikes: IntArray) -> IntArray:
        if not self.population.refractory:
            return resting
        rest = np.maximum(resting - 1, 0)
        left: IntArray = np.where(spikes > 0, self.population.refractory, rest)
        return left


class SynapticSum:
    """The weighted sum of one projection, exact: float products of small integers.

    ``largest_spike`` is the largest integer that a spike carries, by default what the
    graph says of the projection's source.
    """

    def __init__(
        self,
        graph: QuantizedGraph,
        projection: Projection,
        largest_spike: int | None = None,
    ) -> None:
        self.projection = projection
        synapses = projection.synapses
        largest = largest_spike or graph.largest_spike(projection.source)
        self.dtype = exact_type(synapses.largest_sum * largest)
        self.sums = synapses.summing(
            synapses.weights.astype(self.dtype), graph.shape_of(projection.source)
        )

    def __call__(self, spikes: IntArray | BoolArray) -> IntArray:
        """Return the shifted sums ``(n, n_targets)`` of spikes ``(n, n_sources)``."""
        sums = self.sums(spikes.astype(self.dtype))
        return shift(sums.astype(np.int64), self.projection.exponent)


def exact_type(largest: int) -> npt.DTypeLike:
    """Return the fastest type in which whole numbers up to ``largest`` are exact."""
    if largest < 1 << 24:
        return np.float32
    return np.float64 if largest < 1 << 53 else np.int64
