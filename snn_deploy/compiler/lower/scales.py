"""Choose what one unit of a population's integers is worth.

The smaller the unit, the finer weights and thresholds; its lower end is set by what the
registers hold. One unit of the synaptic sum is 64 units of the voltage. Conditions, per
channel, in units of the synaptic sum:

* the largest possible sum of one timestep fits the accumulator, and shifted left by 6
  the current, with what the current keeps from earlier timesteps: it can never wrap;
* threshold, plus the largest sum and bias that can arrive on top of it, fits the
  voltage: a neuron that spikes cannot saturate before;
* an integrator's largest sum over all timesteps fits the voltage;
* what a soft reset takes off fits the voltage;
* the bias fits its mantissa and exponent.

Weights, threshold, bias and reset on one coarse grid get a unit that makes integers of
all of them. Inhibition adds up over the timesteps, and so does what a soft reset leaves
of a strong excitation: where the threshold is large enough to spare bits, the unit is
raised until no voltage can saturate. Elsewhere ``note_limits`` says that it can.

A projection's exponent shifts its whole sum, so graded input, whose sums are large, can
keep all bits of its weights (negative exponent) at the price of a floor by less than
one unit each timestep.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.chip.target import Precision
from snn_deploy.compiler.lower.collect import Arrival, per_channel
from snn_deploy.errors import PassError
from snn_deploy.fixedpoint import (
    BIAS_MANTISSA_LIMIT,
    DECAY_BITS,
    INPUT_SHIFT,
    STATE_BITS,
    THRESHOLD_BITS,
    exponent_for,
)
from snn_deploy.ir.neurons import Lif, Neuron, Reset
from snn_deploy.ir.ranges import Range, SpikeBounds, kept_sum, voltage_range

SUM_LIMIT = (1 << (STATE_BITS - 1 - INPUT_SHIFT)) - 1
THRESHOLD_LIMIT = (1 << THRESHOLD_BITS) - 1
MARGIN = 1.02  # for roundings
SPARE = 1 << 10  # units of a threshold, of which a floor loses 0.1 % at most
MOST_APART = 7  # bits that the weights of one projection have less than of another
FLOAT32 = 1e-6  # relative, by which a multiple may miss its grid
FEW = 256  # of the smallest values: most weights have no grid, as these tell


@dataclass(frozen=True, kw_only=True, eq=False)
class Scales:
    """Float value of one unit, per channel; and the exponent of each arrival."""

    synaptic: FloatArray  # (channel,), of the synaptic sum
    exponents: tuple[int, ...]

    @property
    def voltage(self) -> FloatArray:
        """Float value of one unit of the voltage, ``(channel,)``."""
        return self.synaptic / (1 << INPUT_SHIFT)


def choose_scales(
    node: Neuron,
    arrivals: Sequence[Arrival],
    largest: Sequence[int],
    bias: FloatArray,
    precision: Precision,
    *,
    n_timesteps: int,
    groups: IntArray,
) -> Scales:
    """Return the scales of the population ``node``.

    Parameters
    ----------
    node : Neuron
    arrivals : sequence of Arrival
        Weights as the neurons see them.
    largest : sequence of int
        The largest integer that a spike of each arrival carries.
    bias : array, (channel, ...)
    precision : Precision
    n_timesteps : int
        For how long an integrator adds up.
    groups : array, (channel,)
        Channels of the same number, which lie side by side, have one scale.

    Raises
    ------
    PassError
        If no scale satisfies the conditions.
    """
    weights = [a.rows for a in arrivals]
    peaks = [np.abs(np.maximum(w.max(axis=1), -w.min(axis=1))) for w in weights]
    sums = [_largest_sum(a) * x for a, x in zip(arrivals, largest, strict=True)]
    unit = _smallest_unit(node, sums, bias, precision, n_timesteps) * MARGIN
    room = _unit_with_room(node, arrivals, largest, bias, precision, n_timesteps)
    binary = [peak for peak, x in zip(peaks, largest, strict=True) if x == 1]
    if binary:
        unit = np.maximum(unit, np.min(binary, axis=0) / precision.weight_limit)
    unit, room = _shared(unit, groups), _shared(room, groups)
    distinct = {id(a.layer.weight): w for a, w in zip(arrivals, weights, strict=True)}
    grids = _grids(node, [*distinct.values()], bias, precision, unit, groups)
    unit = _on_grid(grids, unit, room, groups)
    exponents = []
    for peak, total in zip(peaks, sums, strict=True):
        unit = _shared(unit, groups)
        exponent = _exponent(peak, total, unit, precision)
        exponents.append(exponent)
        unit = np.maximum(unit, peak / (precision.weight_limit * 2.0**exponent))
    unit = _shared(unit, groups)
    unit = _on_grid(grids, unit, room, groups)
    n_spared = _n_spared(node, unit, room, exponents, precision)
    return Scales(
        synaptic=_exact_threshold(node, unit * 2.0**n_spared),
        exponents=tuple(exponent - n_spared for exponent in exponents),
    )


def _shared(unit: FloatArray, groups: IntArray) -> FloatArray:
    """Return for each channel the largest unit of those that share one with it."""
    largest: FloatArray = np.zeros(groups.max() + 1)
    np.maximum.at(largest, groups, unit)
    return largest[groups]


def _largest_sum(arrival: Arrival) -> FloatArray:
    """Return the largest magnitude that the sum over binary spikes can have."""
    return np.maximum(arrival.largest(1), arrival.largest(-1))


def _n_spared(
    node: Neuron,
    unit: FloatArray,
    room: FloatArray,
    exponents: Sequence[int],
    precision: Precision,
) -> int:
    """Return by how many bits the unit is raised, so that no voltage can saturate.

    Exponents are lowered by as many, which leaves all weights as they are; 0 where
    exponents or thresholds do not go so low.
    """
    if not isinstance(node, Lif):
        return 0
    n = max(0, int(np.ceil(np.log2((room / unit).max()))))
    if min(exponents, default=0) - n < precision.weight_exponent_min:
        return 0
    threshold = per_channel(node.threshold, node)
    return n if np.all(threshold >= SPARE * unit * 2.0**n) else 0


def _unit_with_room(
    node: Neuron,
    arrivals: Sequence[Arrival],
    largest: Sequence[int],
    bias: FloatArray,
    precision: Precision,
    n_timesteps: int,
) -> FloatArray:
    """Return the unit from which on no voltage saturates, whatever arrives."""
    none = np.zeros(node.shape[0])
    arriving = Range(low=none, high=none)
    for arrival, x in zip(arrivals, largest, strict=True):
        arriving += Range(low=-arrival.largest(-1) * x, high=arrival.largest(1) * x)
    lost = per_channel(node.current_decay, node)
    lost = np.maximum(lost, precision.current_decay_offset / (1 << DECAY_BITS))
    flat = bias.reshape(len(bias), -1)
    drive = arriving.times(kept_sum(lost, n_timesteps))
    voltage = voltage_range(
        drive + Range(low=flat.min(axis=1), high=flat.max(axis=1)),
        per_channel(node.voltage_decay, node),
        per_channel(node.initial_voltage, node),
        _spiking(node),
        n_timesteps,
        per_channel(node.lowest_voltage, node),
    )
    return np.asarray(voltage.magnitude / SUM_LIMIT * MARGIN, np.float64)


def _spiking(node: Neuron) -> SpikeBounds | None:
    if not isinstance(node, Lif):
        return None
    return SpikeBounds(
        threshold=per_channel(node.threshold, node),
        reset=node.reset,
        reset_amount=per_channel(node.reset_amount, node),
        max_spikes=node.max_spikes,
    )


def _on_grid(
    grids: Sequence[float], unit: FloatArray, room: FloatArray, groups: IntArray
) -> FloatArray:
    """Return units that make integers of a group's parameters, where there are some.

    They are not under ``unit``, which stays without a grid, and if possible not under
    the one with ``room``. ``grids`` may be those of smaller units.
    """
    first = np.unique(groups, return_index=True)[1]
    pairs = zip(grids, unit[first], room[first], strict=True)
    found = np.array([_divided(*each) for each in pairs], np.float64)
    return np.asarray(found[groups])


def _grids(
    node: Neuron,
    weights: Sequence[FloatArray],
    bias: FloatArray,
    precision: Precision,
    unit: FloatArray,
    groups: IntArray,
) -> list[float]:
    """Return the grid of the parameters of each group; 0 if under its unit."""
    fine = 1 << INPUT_SHIFT  # of the voltage's units in one of the sum
    bias_fine = 2.0 ** (INPUT_SHIFT - precision.bias_exponent_min)
    columns = [bias.reshape(len(bias), -1) * bias_fine, node.initial_voltage * fine]
    if node.has_lowest_voltage:
        is_low = node.lowest_voltage > -np.inf
        columns.append(np.where(is_low, node.lowest_voltage, 0.0) * fine)
    if isinstance(node, Lif):
        columns.append(node.threshold)
        if node.reset is Reset.SOFT:
            columns.append(node.reset_amount * fine)
    parameters = [per_channel(column, node)[:, np.newaxis] for column in columns[1:]]
    step = precision.weight_step
    others = np.hstack([columns[0], *parameters])
    found, first = [], 0
    for end in [*np.flatnonzero(np.diff(groups)) + 1, len(groups)]:
        rows = slice(first, end)
        values = [(w[rows] / step).reshape(-1) for w in weights]
        values.append(others[rows].reshape(-1))
        found.append(_grid(np.concatenate(values), unit[first]))
        first = end
    return found


def _grid(values: FloatArray, unit: float) -> float:
    """Return the largest number of which all values are multiples, 0 if under unit.

    The array of values is used up.
    """
    magnitudes = np.abs(values, out=values)
    magnitudes.sort()
    magnitudes = magnitudes[np.searchsorted(magnitudes, 0.0, side="right") :]
    if not magnitudes.size:
        return 0.0
    grid = float(magnitudes[0])
    for value in _larger(magnitudes):
        rest, divisor = grid, value
        while rest > FLOAT32 * value:  # Euclid's algorithm
            divisor, rest = rest, abs(divisor - rest * np.rint(divisor / rest))
        grid = divisor
        if grid < unit:
            return 0.0
    multiples = magnitudes / grid
    is_off = np.abs(multiples - np.rint(multiples)) > FLOAT32 * multiples
    return 0.0 if is_off.any() else grid


def _larger(ascending: FloatArray) -> Iterator[float]:
    """Yield each value once that is larger than the first."""
    last = ascending[0]
    for start in range(0, len(ascending), FEW):
        values = np.unique(ascending[start : start + FEW])
        yield from values[values > last].tolist()
        last = values[-1]


def _divided(grid: float, unit: float, room: float) -> float:
    """Return the smallest part of a grid, by a whole number, not under a unit."""
    if grid < unit:
        return unit
    least = room if unit < room <= grid else unit
    return grid / max(1, int(grid / least * (1 + 1e-9)))


def _smallest_unit(
    node: Neuron,
    sums: Sequence[FloatArray],
    bias: FloatArray,
    precision: Precision,
    n_timesteps: int,
) -> FloatArray:
    channels = node.shape[0]
    total: FloatArray = np.sum([*sums, np.zeros(channels)], axis=0)
    drive = np.abs(bias).reshape(channels, -1).max(axis=1)
    decay = per_channel(node.current_decay, node)
    kept_forever = np.maximum(decay, precision.current_decay_offset / (1 << DECAY_BITS))
    current = np.minimum(total / np.maximum(kept_forever, 1e-9), total * n_timesteps)
    accumulator = min(SUM_LIMIT, (1 << (precision.accumulator_bits - 1)) - 1)
    needs = [
        total / accumulator,
        current / SUM_LIMIT,
        drive
        * (1 << INPUT_SHIFT)
        / (BIAS_MANTISSA_LIMIT << precision.bias_exponent_max),
        np.full(channels, 1e-30),
    ]
    arriving = current + drive
    if isinstance(node, Lif):
        threshold = per_channel(node.threshold, node)
        initial = np.abs(per_channel(node.initial_voltage, node))
        needs += [(threshold + arriving) / THRESHOLD_LIMIT, initial / THRESHOLD_LIMIT]
        if node.reset is Reset.SOFT:
            needs.append(per_channel(node.reset_amount, node) / SUM_LIMIT)
    else:
        leak = np.maximum(per_channel(node.voltage_decay, node), 1 / n_timesteps)
        needs.append(arriving / leak / SUM_LIMIT)
    return np.asarray(np.max(needs, axis=0), np.float64)


def _exponent(
    peak: FloatArray,
    total: FloatArray,
    unit: FloatArray,
    precision: Precision,
) -> int:
    """Return the exponent with which most channels use all bits of their weights.

    The others use fewer, or their unit is raised; so is that of all where the target
    has no exponent so high.
    """
    ratios = peak / unit * (1 - 1e-9)  # a ratio of 254 is one, whatever rounding did
    accumulator = (1 << (precision.accumulator_bits - 1)) - 1
    exponent = max(
        exponent_for(float(np.median(ratios)), precision.weight_limit),
        exponent_for(float((total / unit).max()), accumulator),
    )
    most = max(precision.weight_exponent_max, MOST_APART)
    if exponent > most:
        raise PassError(
            f"the weights of two projections differ by more than 2**{most}; train with "
            "a batch normalization behind each, or with weights of nearer sizes"
        )
    least = precision.weight_exponent_min
    return min(max(exponent, least), precision.weight_exponent_max)


def _exact_threshold(node: Neuron, unit: FloatArray) -> FloatArray:
    """Return the next larger unit that divides the threshold: it stays exact."""
    if not isinstance(node, Lif):
        return unit
    threshold = per_channel(node.threshold, node)
    units = np.floor(threshold / unit * (1 + FLOAT32))  # of a peak on the grid
    exact = threshold / np.maximum(units, 1)
    if np.all(unit == unit[0]):
        return np.full_like(exact, exact[0]) if np.ptp(threshold) == 0 else unit
    return exact
