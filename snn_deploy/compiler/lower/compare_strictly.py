"""Let neurons spike at voltage >= threshold on a chip that compares with > only.

The register of a threshold counts in units of 64, so that ``voltage > 64 t - 1``, which
would be the same for integers, cannot be said. But where all voltages are multiples of
64, ``voltage >= 64 t`` is ``voltage > 64 (t - 1)``. They are, if weighted sums are all
that changes them: sums are shifted by 6. A state that decays in part, a bias, an
initial voltage or a reset amount in between take them off that grid. Neurons there miss
the spikes of voltages that meet their threshold exactly, which is a lossy step.
"""

import logging
from dataclasses import replace

import numpy as np

from snn_deploy.fixedpoint import DECAY_BITS, INPUT_SHIFT, shift
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import Change, Population, QuantizedGraph

logger = logging.getLogger(__name__)
UNIT = 1 << INPUT_SHIFT  # of the threshold


def compare_strictly(graph: QuantizedGraph) -> QuantizedGraph:
    """Return ``graph`` as a chip computes it that knows no ``>=``.

    Neurons whose voltages are multiples of the threshold's unit get a threshold lower
    by one unit, and spike as before. Others miss ties, as ``changes`` tells.
    """
    if graph.precision.greater_equal:
        return graph
    changed, misses = [], []
    for population in graph.populations:
        if population.comparison is Comparison.GREATER:
            changed.append(population)
            continue
        is_exact = _is_on_grid(population, graph.precision.current_decay_offset)
        if not is_exact:
            misses.append(_miss(population))
        changed.append(
            replace(
                population,
                comparison=Comparison.GREATER,
                threshold=population.threshold - int(is_exact),
            )
        )
    logger.info("%d populations miss ties", len(misses))
    return replace(graph, populations=tuple(changed), changes=(*graph.changes, *misses))


def _is_on_grid(population: Population, current_decay_offset: int) -> bool:
    """Return whether every voltage is a multiple of the threshold's unit."""
    decays = (population.current_decay + current_decay_offset, population.voltage_decay)
    bias = shift(population.bias_mantissa, population.bias_exponent)
    amounts = [bias, population.initial_voltage]
    if population.has_lowest_voltage:
        amounts.append(population.lowest_voltage)
    if population.reset is Reset.SOFT:
        amounts.append(population.reset_amount)
    return (
        all(np.all(np.isin(decay, (0, 1 << DECAY_BITS))) for decay in decays)
        and not any(np.any(amount % UNIT) for amount in amounts)
        and not (population.takes_bias and population.bias_exponent < INPUT_SHIFT)
        and bool(np.all(population.threshold > 0))
    )


def _miss(population: Population) -> Change:
    return Change(
        layer=population.name,
        kind="compare strictly",
        count=population.size,
        largest=float(population.scale.max()),
        mean=float(population.scale.mean()),
        note="spikes at >, not at >=: a voltage that meets the threshold is a tie",
    )
