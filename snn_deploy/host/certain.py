"""How much an answer can still change: what the rule ``certain`` rests on."""

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray, spread
from snn_deploy.errors import CalibrationError
from snn_deploy.fixedpoint import (
    DECAY_BITS,
    INPUT_SHIFT,
    STATE_BITS,
    shift,
)
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph
from snn_deploy.ir.synapses import ConvSynapses, SparseSynapses

NO_MEMORY = 1 << DECAY_BITS
ADVICE = "use the rule risk"


def largest_changes(graph: QuantizedGraph) -> tuple[FloatArray, FloatArray]:
    """Return what each class can gain on another, and change, in a timestep at most.

    A read-out that counts spikes gains a timestep's spikes at most. One that adds up a
    weighted input without leak gains the positive part of the weights' difference, with
    every axon sending its largest spike, and the biases' difference.

    Returns
    -------
    gains : array, (n_classes, n_classes)
        The gain of the class of the row on the class of the column.
    steps : array, (n_classes,)
        The change of a voltage that must not saturate; 0 for counts.

    Raises
    ------
    CalibrationError
        If the read-out forgets or wraps, so that no such bound holds.
    """
    readout = graph.readout
    if readout.spikes:
        return _of_counts(graph), np.zeros(readout.size)
    _check_integrator(graph)
    projections = graph.projections_into(readout)
    steps = sum((_largest_sum(graph, p) for p in projections), np.zeros(readout.size))
    if steps.max() >= 1 << (STATE_BITS - 1):
        raise CalibrationError(
            f"{readout.name}: its current can reach {steps.max():.0f} and wrap; "
            f"{ADVICE}"
        )
    bias = _bias(readout).astype(np.float64)
    gains: FloatArray = bias[:, np.newaxis] - bias
    for projection in projections:
        gains = gains + _gains(graph, projection)
    return gains, np.asarray(steps + np.abs(bias))


def _of_counts(graph: QuantizedGraph) -> FloatArray:
    readout = graph.readout
    if graph.training.functional is not Functional.SUM:
        raise CalibrationError(
            f"{readout.name}: its spikes are not counted, so an answer can always "
            f"change; {ADVICE}"
        )
    return np.full((readout.size, readout.size), float(readout.max_spikes))


def _bias(readout: Population) -> IntArray:
    return shift(spread(readout.bias_mantissa, readout.shape), readout.bias_exponent)


def _check_integrator(graph: QuantizedGraph) -> None:
    readout = graph.readout
    offset = graph.precision.current_decay_offset
    decays = spread(readout.current_decay, readout.shape) + offset
    if np.any(readout.voltage_decay != 0) or np.any(decays < NO_MEMORY):
        raise CalibrationError(
            f"{readout.name}: a read-out that leaks forgets its lead; {ADVICE}"
        )
    if readout.takes_bias or graph.training.functional is not Functional.LAST:
        raise CalibrationError(
            f"{readout.name}: its voltage is not the sum of its inputs alone; {ADVICE}"
        )


def _weights(projection: Projection) -> IntArray:
    """Return all weights, ``(n_targets, n_sources)``."""
    synapses = projection.synapses
    if isinstance(synapses, ConvSynapses):
        raise CalibrationError(
            f"{projection.name}: certain is not defined for a convolution as "
            f"read-out; {ADVICE}"
        )
    if isinstance(synapses, SparseSynapses):
        dense = np.zeros(synapses.size, np.int64)
        np.add.at(dense, (synapses.targets, synapses.sources), synapses.weights)
        return dense
    return synapses.weights.astype(np.int64)


def _largest_sum(graph: QuantizedGraph, projection: Projection) -> IntArray:
    """Return the largest magnitude of the shifted sum of each target."""
    weights = _weights(projection)
    up, down = np.maximum(weights, 0).sum(axis=1), np.maximum(-weights, 0).sum(axis=1)
    sums = np.maximum(up, down) * graph.largest_spike(projection.source)
    rounding = projection.exponent < 0  # down: one more on the negative side
    return shift(shift(sums, projection.exponent) + rounding, INPUT_SHIFT)


def _gains(graph: QuantizedGraph, projection: Projection) -> FloatArray:
    weights = _weights(projection)
    spike = graph.largest_spike(projection.source)
    gains = np.stack([np.maximum(weights - row, 0).sum(axis=1) for row in weights], 1)
    shifted = shift(gains * spike, projection.exponent)
    if projection.exponent < 0:  # two sums that are rounded down
        shifted = shifted + 1
    found: FloatArray = shift(shifted, INPUT_SHIFT).astype(np.float64)
    return found
