"""Lay the integers of one target out on the neurocores of another."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from snn_deploy.chip.target import Precision, Target
from snn_deploy.compiler.lower.abilities import unconnectable
from snn_deploy.compiler.map.goals import choose, goal_on
from snn_deploy.compiler.map.place import place
from snn_deploy.compiler.map.rules import check_rules
from snn_deploy.errors import FitError
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import Population, QuantizedGraph
from snn_deploy.ir.ranges import arriving_range


def retarget(
    graph: QuantizedGraph, target: Target, *, goal: str | None = None
) -> MappedNetwork:
    """Return a compiled ``graph`` on ``target``, where it gives the same spikes.

    The integers stay as they are, and so do answers and timesteps; pieces and places,
    and with them packets and hops, become those that ``target`` needs. Compiling the
    trained model for it may use other integers.

    Parameters
    ----------
    graph, target
    goal : str, optional
        Of the mapping, if the target has the prices that it needs; by default, and
        else, that of ``compile_model``.

    Raises
    ------
    FitError
        If ``target`` computes something else with these integers, or they do not fit.
    """
    check_abilities(graph, target)
    moved = replace(graph, precision=target.precision)
    choice = choose(moved, target, goal_on(target, goal))
    network = place(choice.cut, target)
    check_rules(network)
    return network


def check_abilities(graph: QuantizedGraph, target: Target) -> None:
    """Raise a ``FitError`` if ``target`` computes something else with these integers.

    Whether they have room there is another question.
    """
    for problem in unconnectable(graph.in_local_time(), target):
        raise FitError(str(problem))
    missing = [*_missing(graph, target)]
    if missing:
        raise FitError(
            f"{graph.name}: its integers do not run on {target.name}, which has "
            f"{'; '.join(missing)}; compile the model for {target.name}"
        )


def _missing(graph: QuantizedGraph, target: Target) -> Iterator[str]:
    """Yield what ``target`` lacks that the integers need."""
    has, had = target.precision, graph.precision
    yield from _abilities(graph, has)
    yield from _registers(graph, has)
    if has.weight_bits < had.weight_bits:
        yield f"weights of {has.weight_bits} bits (needed: {had.weight_bits})"
    if has.current_decay_offset != had.current_decay_offset:
        yield "another decay of the current"


def _abilities(graph: QuantizedGraph, has: Precision) -> Iterator[str]:
    """Yield what neurons must be able to do and cannot."""
    spiking = [p for p in graph.populations if p.spikes]
    at_threshold = Comparison.GREATER_EQUAL
    largest = max(graph.largest_spike(p.source) for p in graph.projections)
    own = max((p.max_spikes for p in spiking), default=1)
    starts = any(p.initial_voltage.any() for p in graph.populations)
    for can, wanted, name in (
        (has.graded_spikes, largest > 1, "no graded spikes"),
        (not has.graded_input_only, own > 1, "graded spikes of the input only"),
        (has.initial_voltage, starts, "no initial voltage but 0"),
        (
            has.soft_reset,
            any(p.reset is Reset.SOFT for p in spiking),
            "no soft reset",
        ),
        (
            has.greater_equal,
            any(p.comparison is at_threshold for p in spiking),
            "no spikes at voltage == threshold",
        ),
        (
            has.lowest_voltage,
            any(p.has_lowest_voltage for p in graph.populations),
            "no lowest voltage",
        ),
        (
            has.per_neuron_parameters,
            any(_differs(p) for p in spiking),
            "one threshold for all neurons of a layer",
        ),
        (
            has.per_neuron_parameters,
            any(
                len(np.unique(decay)) > 1
                for p in graph.populations
                for decay in (p.current_decay, p.voltage_decay)
            ),
            "one decay for all neurons of a layer",
        ),
    ):
        if wanted and not can:
            yield name


def _registers(graph: QuantizedGraph, has: Precision) -> Iterator[str]:
    """Yield which registers are too small."""
    decays = [int(p.current_decay.min()) for p in graph.populations]
    exponents = [p.exponent for p in graph.projections]
    biased = [p for p in graph.populations if p.bias_mantissa.any() or p.takes_bias]
    rests = [p.refractory for p in graph.populations]
    sums = [0, *(_largest_sum(graph, p) for p in graph.populations)]
    delays = [0, *(p.longest_delay - 1 for p in graph.projections)]
    for name, found, low, high in (
        ("decays of the current", decays, has.current_decay_min, max(decays)),
        ("exponents of weights", exponents, *_exponents(has)),
        ("weighted sums", sums, 0, (1 << (has.accumulator_bits - 1)) - 1),
        ("delays", delays, 0, has.delay_max),
        ("refractory periods", rests, 0, has.refractory_max),
        (
            "exponents of biases",
            [p.bias_exponent for p in biased] or [has.bias_exponent_min],
            has.bias_exponent_min,
            has.bias_exponent_max,
        ),
    ):
        if min(found) < low or max(found) > high:
            yield f"{name} {low} to {high} (needed: {min(found)} to {max(found)})"


def _exponents(has: Precision) -> tuple[int, int]:
    return has.weight_exponent_min, has.weight_exponent_max


def _differs(population: Population) -> bool:
    registers = (
        population.threshold,
        population.reset_amount,
        population.lowest_voltage,
    )
    return any(register.min() < register.max() for register in registers)


def _largest_sum(graph: QuantizedGraph, population: Population) -> int:
    """Return the largest magnitude of the weighted sum of one timestep."""
    return int(arriving_range(graph, population).magnitude.max())
