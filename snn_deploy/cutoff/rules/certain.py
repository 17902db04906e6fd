"""``certain``: stop once the timesteps that are left cannot change the answer.

How much an answer can still change follows from the weights of the read-out.
"""

import numpy as np

from snn_deploy.arrays import BoolArray, FloatArray, IntArray, spread
from snn_deploy.cutoff.decision import Cutoff, GapCutoff
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.oracle import answers
from snn_deploy.cutoff.rules.rule import (
    Calibration,
    Rule,
    Settings,
    looks_in_words,
)
from snn_deploy.errors import CalibrationError
from snn_deploy.fixedpoint import (
    INPUT_SHIFT,
    STATE_BITS,
    VOLTAGE_LIMIT,
    shift,
)
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph
from snn_deploy.ir.ranges import flaw_of_sum

ADVICE = "use the rule risk"


def certain(gains: FloatArray, steps: FloatArray, n_timesteps: int) -> Cutoff:
    """Stop once the timesteps that are left cannot change the answer.

    Parameters
    ----------
    gains : array, (n_classes, n_classes)
        How much the first class can gain on the second in a timestep at most.
    steps : array, (n_classes,)
        How much an output can change in a timestep at most; while it could saturate,
        nothing is certain. ``largest_changes`` gives both.
    n_timesteps : int
        How long an input lasts.
    """
    others = gains[~np.eye(len(gains), dtype=bool)]
    if np.all(others == others[0]) and not np.any(steps):  # the runner-up decides
        gain = float(others[0])
        return GapCutoff(lambda timestep: (n_timesteps - timestep) * gain)

    def is_settled(scores: IntArray, timestep: int) -> BoolArray:
        left = n_timesteps - timestep
        best = answers(scores)
        lead = np.take_along_axis(scores, best[:, np.newaxis], axis=1) - scores
        is_ahead = lead > left * gains.T[best]
        is_ahead[np.arange(len(best)), best] = True
        is_inside: BoolArray = np.abs(scores) + left * steps <= VOLTAGE_LIMIT
        return np.asarray((is_ahead & is_inside).all(axis=1), np.bool_)

    return is_settled


class Certain(Rule):
    """Changes no answer."""

    name = "certain"

    def check(self, graph: QuantizedGraph) -> None:
        largest_changes(graph)

    def check_found(self, found: Calibration) -> None:
        n_classes = len(found.steps)
        if found.gains.shape != (n_classes, n_classes) or n_classes < 2:
            raise CalibrationError(
                f"a calibration of the rule certain with {found.gains.shape} gains for "
                f"{n_classes} classes is damaged"
            )

    def betas(
        self, evidence: Evidence, settings: Settings, looks: IntArray, scale: float
    ) -> FloatArray:
        return np.full(evidence.n_timesteps, -np.inf)

    def changes(self, graph: QuantizedGraph) -> tuple[FloatArray, FloatArray]:
        return largest_changes(graph)

    def cutoff(self, found: Calibration) -> Cutoff:
        return certain(found.gains, found.steps, found.timesteps)

    def bound(self, found: Calibration, n_unsafe: int) -> float:
        return 0.0

    def variants(
        self, settings: Settings, n_timesteps: int
    ) -> list[tuple[str, Settings]]:
        return [(self.name, settings)]

    def threshold(self, found: Calibration, timestep: int) -> float | None:
        cutoff = self.cutoff(found)
        return cutoff.beta_at(timestep) if isinstance(cutoff, GapCutoff) else None

    def in_words(self, found: Calibration) -> str:
        return (
            "stop once the timesteps left cannot change the answer"
            f"{looks_in_words(found)}"
        )

    def promise_in_words(self, found: Calibration) -> list[str]:
        return ["promise: no answer changes"]


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
    gains, steps = _of_all_outputs(graph)
    return gains[graph.part, graph.part], steps[graph.part]


def _of_all_outputs(graph: QuantizedGraph) -> tuple[FloatArray, FloatArray]:
    readout = graph.readout
    if readout.spikes:
        return _of_counts(graph), np.zeros(readout.size)
    flaw = flaw_of_sum(graph)
    if flaw:
        raise CalibrationError(f"{readout.name}: {flaw}; {ADVICE}")
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


def _weights(graph: QuantizedGraph, projection: Projection) -> IntArray:
    """Return all weights, ``(n_targets, n_sources)``."""
    synapses = projection.synapses
    if synapses.kernel:
        raise CalibrationError(
            f"{projection.name}: certain is not defined for a convolution as "
            f"read-out; {ADVICE}"
        )
    return synapses.dense(graph.shape_of(projection.source))


def _largest_sum(graph: QuantizedGraph, projection: Projection) -> IntArray:
    """Return the largest magnitude of the shifted sum of each target."""
    weights = _weights(graph, projection)
    up, down = np.maximum(weights, 0).sum(axis=1), np.maximum(-weights, 0).sum(axis=1)
    sums = np.maximum(up, down) * graph.largest_spike(projection.source)
    rounding = projection.exponent < 0  # down: one more on the negative side
    return shift(shift(sums, projection.exponent) + rounding, INPUT_SHIFT)


def _gains(graph: QuantizedGraph, projection: Projection) -> FloatArray:
    weights = _weights(graph, projection)
    spike = graph.largest_spike(projection.source)
    gains = np.stack([np.maximum(weights - row, 0).sum(axis=1) for row in weights], 1)
    shifted = shift(gains * spike, projection.exponent)
    if projection.exponent < 0:  # two sums that are rounded down
        shifted = shifted + 1
    found: FloatArray = shift(shifted, INPUT_SHIFT).astype(np.float64)
    return found
