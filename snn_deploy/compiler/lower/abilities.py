"""What a layer asks of the chip's neurons, and whether the target's have it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.chip.target import Target
from snn_deploy.compiler.lower.collect import Arrival, per_channel
from snn_deploy.compiler.lower.scales import MARGIN
from snn_deploy.errors import MissingAbilityError
from snn_deploy.fixedpoint import PAYLOAD_BITS
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Comparison, Lif, Neuron, Reset
from snn_deploy.ir.stimuli import Encoding


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
        return strict
    if node.reset is Reset.SOFT and not target.precision.soft_reset:
        raise MissingAbilityError(
            where=node.name,
            what=f"soft reset, which the neurons of {target.name} do not have",
            advice="train with hard reset, or choose a target that has it",
        )
    if node.max_spikes > 1 and not target.precision.graded_spikes:
        raise MissingAbilityError(
            where=node.name,
            what=f"up to {node.max_spikes} spikes in one timestep, but {target.name} "
            "has no graded spikes that carry them",
            advice="train with one spike for each timestep, or choose a target that "
            "has them",
        )
    if node.comparison is Comparison.GREATER:
        return strict
    if node.reset is Reset.SOFT and not np.any(node.voltage_decay):
        return Abilities(comparison=Comparison.GREATER, head_start=1)
    return Abilities(comparison=Comparison.GREATER_EQUAL, head_start=0)


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
