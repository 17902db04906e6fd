"""How far currents and voltages can go: what can wrap or saturate, for any input.

With a fraction ``d`` lost at each timestep, ``n`` timesteps that add at most 1 each
come to ``(1 - (1 - d)**n) / d``. Decays round toward zero: they keep no more than that.
"""

from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import BoolArray, FloatArray, spread
from snn_deploy.fixedpoint import (
    BIAS_MANTISSA_LIMIT,
    DECAY_BITS,
    INPUT_SHIFT,
    STATE_BITS,
    VOLTAGE_LIMIT,
    shift,
)
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph

CURRENT_LIMIT = 1 << (STATE_BITS - 1)  # the largest current; the lowest is one more


@dataclass(frozen=True, kw_only=True, eq=False)
class Range:
    """The lowest and the highest value; arrays that broadcast against a population."""

    low: FloatArray
    high: FloatArray

    def __add__(self, other: "Range") -> "Range":
        return Range(low=self.low + other.low, high=self.high + other.high)

    def times(self, factor: FloatArray) -> "Range":
        """Return the range of the values times ``factor``, which is 0 or more."""
        return Range(low=self.low * factor, high=self.high * factor)

    @property
    def magnitude(self) -> FloatArray:
        """The largest magnitude."""
        return np.maximum(-self.low, self.high)


@dataclass(frozen=True, kw_only=True, eq=False)
class SpikeBounds:
    """What bounds the voltage of neurons that spike."""

    threshold: FloatArray
    reset: Reset
    reset_amount: FloatArray
    max_spikes: int


def kept_sum(lost: FloatArray, n_timesteps: int) -> FloatArray:
    """Return what adding 1 at each of ``n_timesteps`` comes to, if ``lost`` decays."""
    rate = np.maximum(lost, 1e-300)
    total = -np.expm1(n_timesteps * np.log1p(-np.minimum(rate, 1 - 1e-16))) / rate
    total = total * (1 + 1e-12)  # not less, whatever rounding did
    return np.where(lost >= 1, 1.0, np.where(lost <= 0, float(n_timesteps), total))


def voltage_range(
    drive: Range,
    lost: FloatArray,
    initial: FloatArray,
    spiking: SpikeBounds | None,
    n_timesteps: int,
    floor: FloatArray,
) -> Range:
    """Return between what the voltage lies before it is limited, and reset.

    Parameters
    ----------
    drive : Range
        Current and bias of a timestep.
    lost : array
        The fraction of the voltage that decays.
    initial : array
    spiking : SpikeBounds or None
        ``None``: nothing resets the voltage.
    n_timesteps : int
    floor : array
        The lowest voltage, where it is limited before its register ends.
    """
    up, down = np.maximum(drive.high, 0), np.maximum(-drive.low, 0)
    total = kept_sum(lost, n_timesteps)
    highest, lowest = np.maximum(initial, 0), np.maximum(-initial, 0)
    if spiking is None:
        low = np.maximum(-lowest - down * total, floor - down)
        return Range(low=low, high=highest + up * total)
    highest = np.maximum(highest, spiking.threshold)
    if spiking.reset is Reset.SOFT:
        lowest = np.maximum(lowest, spiking.reset_amount - spiking.threshold)
        left = np.maximum(up - spiking.max_spikes * spiking.reset_amount, 0)
        highest = highest + left * kept_sum(lost, n_timesteps - 1)
    low = np.maximum(-lowest - down * total, floor - down)
    return Range(low=low, high=highest * (1 - lost) + up)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reach:
    """How far the states of a population can go before they wrap or are limited."""

    current: Range
    voltage: Range

    @property
    def can_wrap(self) -> BoolArray:
        """Whether a current can wrap, of each neuron or channel."""
        return _can_wrap(self.current)

    @property
    def can_saturate(self) -> BoolArray:
        """Whether a voltage can saturate, of each neuron or channel."""
        over: BoolArray = self.voltage.magnitude > VOLTAGE_LIMIT
        return over

    @property
    def meets_a_limit(self) -> bool:
        """Whether any of them can."""
        return bool(self.can_wrap.any() or self.can_saturate.any())


def _can_wrap(current: Range) -> BoolArray:
    over: BoolArray = (current.high > CURRENT_LIMIT) | (current.low <= -CURRENT_LIMIT)
    return over


def reach_of(graph: QuantizedGraph, population: Population) -> Reach:
    """Return how far a population can go in the timesteps of an input.

    Every sender may send its largest spike at every timestep.
    """
    n = graph.training.timesteps
    lost = (population.current_decay + graph.precision.current_decay_offset) / (
        1 << DECAY_BITS
    )
    arriving = arriving_range(graph, population).times(np.array(1 << INPUT_SHIFT))
    current = arriving.times(kept_sum(lost, n))
    limit = float(CURRENT_LIMIT)
    can_wrap = _can_wrap(current)
    wrapped = Range(
        low=np.where(can_wrap, -limit, current.low),
        high=np.where(can_wrap, limit, current.high),
    )
    voltage = voltage_range(
        wrapped + _bias_range(population),
        population.voltage_decay / (1 << DECAY_BITS),
        population.initial_voltage.astype(np.float64),
        _spiking(population),
        n,
        _floor(population),
    )
    return Reach(current=current, voltage=voltage)


def _bias_range(population: Population) -> Range:
    mantissa = population.bias_mantissa
    low = high = shift(mantissa, population.bias_exponent)
    if population.takes_bias:
        most = np.array(BIAS_MANTISSA_LIMIT << population.bias_exponent)
        low, high = -most, most
    return Range(low=low.astype(np.float64), high=high.astype(np.float64))


def _floor(population: Population) -> FloatArray:
    """Return the lowest voltage; one that ends where its register does has none."""
    lowest = population.lowest_voltage
    return np.where(lowest > -VOLTAGE_LIMIT, lowest.astype(np.float64), -np.inf)


def _spiking(population: Population) -> SpikeBounds | None:
    if not population.spikes:
        return None
    return SpikeBounds(
        threshold=shift(population.threshold, INPUT_SHIFT).astype(np.float64),
        reset=population.reset,
        reset_amount=population.reset_amount.astype(np.float64),
        max_spikes=population.max_spikes,
    )


def flaw_of_sum(graph: QuantizedGraph) -> str:
    """Return why a voltage that is read out is not the sum of its inputs; else ''."""
    y = graph.readout
    lost = spread(y.current_decay, y.shape) + graph.precision.current_decay_offset
    if np.any(y.voltage_decay != 0) or np.any(lost < 1 << DECAY_BITS):
        return "it leaks, so it forgets its lead"
    is_last = graph.training.functional is Functional.LAST
    if y.takes_bias or y.has_lowest_voltage or not is_last:
        return "its voltage is not the sum of its inputs alone"
    return ""


def arriving_range(graph: QuantizedGraph, population: Population) -> Range:
    """Return between what the weighted sum of a timestep lies, for each neuron."""
    total = Range(low=np.zeros(1), high=np.zeros(1))
    for projection in graph.projections_into(population):
        total = total + _part(graph, projection, population)
    return total


def _part(
    graph: QuantizedGraph, projection: Projection, population: Population
) -> Range:
    """Return that of the spikes of one sender."""
    synapses, spike = projection.synapses, graph.largest_spike(projection.source)
    low, high = (
        shift(synapses.sums_of(part) * spike, projection.exponent)
        for part in (lambda w: np.minimum(w, 0), lambda w: np.maximum(w, 0))
    )
    n_positions = population.size // len(low)
    if (
        n_positions > 1
        and len(population.shape) == 3
        and len(low) == population.shape[0]
    ):
        shape: tuple[int, ...] = (-1, 1, 1)
    else:
        low, high = np.repeat(low, n_positions), np.repeat(high, n_positions)
        shape = population.shape
    return Range(
        low=low.reshape(shape).astype(np.float64),
        high=high.reshape(shape).astype(np.float64),
    )
