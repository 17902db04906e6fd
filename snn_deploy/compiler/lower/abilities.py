"""What a layer asks of the chip's neurons, and whether the target's have it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.chip.target import Target
from snn_deploy.compiler.lower.collect import Arrival, per_channel
from snn_deploy.compiler.lower.scales import MARGIN
from snn_deploy.errors import MissingAbilityError, Problem
from snn_deploy.fixedpoint import PAYLOAD_BITS
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Comparison, Lif, Neuron, Reset
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.ir.synapses import DenseSynapses


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """How a layer's neurons decide whether to spike."""

    comparison: Comparison
    head_start: int  # units of the voltage added to its initial value


def check_input(graph: Graph, target: Target) -> None:
    """Raise an error if the input is of a kind that ``target`` does not take."""
    training = graph.training
    if training.largest_value == 1 or target.precision.graded_spikes:
        return
    if training.encoding is Encoding.EVENTS:
        raise MissingAbilityError(
            where=graph.input.name,
            what=f"counts up to {training.largest_count} are graded spikes, "
            f"{target.name} has none",
            advice="clip counts at 1 in training and in the data, and leave out "
            "largest_count, or take a target that has them",
        )
    raise MissingAbilityError(
        where=graph.input.name,
        what=f"direct encoding sends graded spikes, {target.name} has none",
        advice="train with encoding='rate', or take a target that has them",
    )


def abilities(node: Neuron, target: Target) -> Abilities:
    """Return how the neurons of ``target`` do what ``node`` asks for.

    Neurons that spike at ``voltage >= threshold`` do so on a chip that compares with
    ``>`` if they start one unit higher and keep that lead: with a soft reset and
    without leak. ``compare_strictly`` sees to the others.

    Raises
    ------
    MissingAbilityError
        If they cannot.
    """
    if node.has_lowest_voltage and not target.precision.lowest_voltage:
        raise MissingAbilityError(
            where=node.name,
            what=f"a lowest voltage of {node.lowest_voltage.max():g}, which the "
            f"neurons of {target.name} do not have",
            advice="train without it (sinabs: min_v_mem=None), or choose a target that "
            "has it",
        )
    strict = Abilities(comparison=Comparison.GREATER, head_start=0)
    if not isinstance(node, Lif):
        _check_registers(node, target)
        return strict
    if node.reset is Reset.SOFT and not target.precision.soft_reset:
        raise MissingAbilityError(
            where=node.name,
            what=f"soft reset, which the neurons of {target.name} do not have",
            advice="train with hard reset, or choose a target that has it",
        )
    if node.max_spikes > 1 and not target.precision.neurons_send_graded:
        raise MissingAbilityError(
            where=node.name,
            what=f"up to {node.max_spikes} spikes in one timestep, but {target.name} "
            "has no graded spikes of neurons that carry them",
            advice="train with one spike for each timestep, or choose a target that "
            "has them",
        )
    _check_registers(node, target)
    if node.comparison is Comparison.GREATER:
        return strict
    if node.reset is Reset.SOFT and not np.any(node.voltage_decay):
        return Abilities(comparison=Comparison.GREATER, head_start=1)
    return Abilities(comparison=Comparison.GREATER_EQUAL, head_start=0)


def _check_registers(node: Neuron, target: Target) -> None:
    """Raise a ``MissingAbilityError`` for a parameter that ``target`` has not, or once.

    A layer of a target without parameters for each neuron has one of each kind.
    """
    precision = target.precision
    parameters = [("voltage decays", node.voltage_decay)]
    parameters += [("current decays", node.current_decay)]
    if isinstance(node, Lif):
        parameters += [("thresholds", node.threshold)]
        if node.reset is Reset.SOFT:
            parameters += [("reset amounts", node.reset_amount)]
        if node.refractory > precision.refractory_max:
            raise MissingAbilityError(
                where=node.name,
                what=f"rests {node.refractory} timesteps after a spike, {target.name} "
                f"allows {precision.refractory_max}",
                advice="train without a refractory period"
                if precision.refractory_max == 0
                else "train with a shorter refractory period",
            )
    for name, values in parameters:
        n = len(np.unique(values))
        if n > 1 and not precision.per_neuron_parameters:
            raise MissingAbilityError(
                where=node.name,
                what=f"{n} {name} in one layer, {target.name} has one for all neurons "
                "of a layer",
                advice=f"train with one value for the {name} of the layer",
            )
    if np.any(node.initial_voltage) and not precision.initial_voltage:
        raise MissingAbilityError(
            where=node.name,
            what=f"starts at a voltage of {np.max(np.abs(node.initial_voltage)):g}, "
            f"the neurons of {target.name} start at 0",
            advice="train with an initial voltage of 0",
        )


def unconnectable(graph: QuantizedGraph, target: Target) -> Iterator[Problem]:
    """Yield the connections that ``target`` cannot make, of a graph in local time.

    Without sums of branches a layer receives the spikes of one other, and if it is a
    row of neurons, to which that other sends without delay, those that it sent itself
    one timestep before.
    """
    for population in graph.populations:
        arrivals = graph.projections_into(population)
        loops = [p for p in arrivals if p.source == population.name]
        others = [p for p in arrivals if p not in loops]
        if not target.precision.sums_of_branches:
            yield from _loops(loops, others, target)
            yield from _branches(graph, population, others, target)
        for projection in others:
            is_dense = isinstance(projection.synapses, DenseSynapses)
            is_free = is_dense or target.precision.delayed_convolutions
            if projection.longest_delay and not is_free:
                yield Problem(
                    where=population.name,
                    what=f"receives the spikes of {projection.source} up to "
                    f"{projection.longest_delay} timesteps late, {target.name} delays "
                    "only what fully connected layers receive",
                    advice="train without delays there",
                )


def _loops(
    loops: Sequence[Projection], others: Sequence[Projection], target: Target
) -> Iterator[Problem]:
    is_late = any(p.longest_delay for p in others)
    for loop in loops:
        is_plain = isinstance(loop.synapses, DenseSynapses) and loop.longest_delay == 1
        if len(loops) > 1 or is_late or not is_plain:
            yield Problem(
                where=loop.target,
                what="sends to itself otherwise than by one matrix of weights one "
                f"timestep later, beside spikes that come in time, all that "
                f"{target.name} can do",
                advice="train the recurrent connection as one fully connected layer, "
                "without delays there or of what else the layer receives",
            )


def _branches(
    graph: QuantizedGraph,
    population: Population,
    others: Sequence[Projection],
    target: Target,
) -> Iterator[Problem]:
    names = [p.source for p in others]
    if len(names) < 2:
        return
    senders = [p for p in graph.populations if p.name in names]
    if any(not graph.projections_into(sender) for sender in senders):
        advice = (
            "train without a current that lasts over timesteps, or its weights without "
            "a bias, which neurons of their own send into that current"
        )
    else:
        advice = "train without branches that meet in a sum or a concatenation"
    yield Problem(
        where=population.name,
        what=f"receives what {' and '.join(names)} send, and a layer of "
        f"{target.name} takes the spikes of only one other",
        advice=advice,
    )


def largest_count(
    node: Neuron,
    arrivals: Sequence[Arrival],
    largest: Mapping[str, int],
    bias: FloatArray,
) -> int:
    """Return how often a neuron of ``node`` can spike in one timestep, at most.

    Parameters
    ----------
    node : Neuron
    arrivals : sequence of Arrival
    largest : mapping
        The largest integer that a spike carries, by sender; of those that come later,
        as in a loop, what ``node`` itself may send.
    bias : array, (channel, ...)
    """
    if not isinstance(node, Lif) or node.max_spikes == 1:
        return 1
    arriving: FloatArray = np.maximum(bias, 0).reshape(len(bias), -1).max(axis=1)
    for arrival in arrivals:
        arriving = arriving + arrival.largest(1) * largest.get(
            arrival.source, node.max_spikes
        )
    kept = np.maximum(per_channel(node.current_decay, node), 1e-9)
    lead = per_channel(node.initial_voltage - node.threshold, node)
    wanted = (np.maximum(lead, 0) + arriving / kept) / per_channel(
        node.reset_amount, node
    )
    limit = min(node.max_spikes, (1 << PAYLOAD_BITS) - 1)
    return int(min(np.floor(wanted.max() * MARGIN) + 1, limit))
