"""What a mapped network must satisfy to fit its target: one function a rule."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.chip.neurocore import FAN_IN, FAN_OUT, NeurocoreLimits
from snn_deploy.errors import FitError
from snn_deploy.ir.mapped import MappedNetwork, Neurocore
from snn_deploy.ir.quantized import Population, QuantizedGraph


@dataclass(frozen=True)
class Violation:
    """One limit that is exceeded."""

    where: str
    what: str
    found: int
    allowed: int


def _where(core: Neurocore) -> str:
    return ", ".join(piece.population for piece in core.pieces)


TargetRule = Callable[[MappedNetwork], Iterator[Violation]]


def neurocores_suffice(network: MappedNetwork) -> Iterator[Violation]:
    """Every piece of the network has a neurocore."""
    limit = network.target.neurocores
    if len(network.cores) > limit:
        where = network.target.size_name
        yield Violation(where, "neurocores", len(network.cores), limit)


def resources_suffice(network: MappedNetwork) -> Iterator[Violation]:
    """Every neurocore has room for its neurons, their synapses and their axons."""
    limits = network.target.neurocore
    for core in network.cores:
        for what, found in core.taken(limits).items():
            if found > limits.room[what]:
                yield Violation(_where(core), what, found, limits.room[what])


def fans_are_small_enough(network: MappedNetwork) -> Iterator[Violation]:
    """No neuron has more synapses than the target allows."""
    limits = network.target.neurocore
    allowed = fan_limits(limits)
    for population in network.graph.populations:
        for what, found in largest_fans(network.graph, population, limits).items():
            if found > allowed[what]:
                yield Violation(population.name, what, found, allowed[what])


def fan_limits(limits: NeurocoreLimits) -> dict[str, int]:
    """Return the limits of a neuron's synapses that a target has; no cut helps."""
    found = {FAN_IN: limits.fan_in, FAN_OUT: limits.fan_out}
    return {what: limit for what, limit in found.items() if limit is not None}


def largest_fans(
    graph: QuantizedGraph, population: Population, limits: NeurocoreLimits
) -> dict[str, int]:
    """Return the most synapses of a neuron, stored zeros included, where limited.

    Those of all projections together; the input's neurons, which lie on no neurocore,
    have no fan-out.
    """
    total: dict[str, IntArray] = {
        what: np.zeros(population.size, np.int64) for what in fan_limits(limits)
    }
    for projection in graph.projections:
        synapses, shape = projection.synapses, graph.shape_of(projection.source)
        if projection.target == population.name and FAN_IN in total:
            total[FAN_IN] += synapses.fan_ins(shape)
        if projection.source == population.name and FAN_OUT in total:
            total[FAN_OUT] += synapses.fan_outs(shape)
    return {what: int(found.max()) for what, found in total.items()}


RULES: tuple[TargetRule, ...] = (
    neurocores_suffice,
    resources_suffice,
    fans_are_small_enough,
)


REMEDY = "use fewer channels or neurons, or a larger target; snn-deploy fit says more"


def check_rules(network: MappedNetwork, *, remedy: str = REMEDY) -> None:
    """Raise one ``FitError`` that lists everything that is over its limit."""
    violations = [violation for rule in RULES for violation in rule(network)]
    if violations:
        lines = "\n  ".join(_merged(violations))
        raise FitError(
            f"{network.graph.name}: does not fit {network.target.name}; {remedy}\n"
            f"  {lines}"
        )


def _merged(violations: Sequence[Violation]) -> Iterator[str]:
    """Yield one line for all pieces of a population that are over the same limit."""
    groups: dict[tuple[str, str], list[Violation]] = {}
    for violation in violations:
        groups.setdefault((violation.where, violation.what), []).append(violation)
    for (where, what), group in groups.items():
        worst = max(violation.found for violation in group)
        n = f", on {len(group)} neurocores" if len(group) > 1 else ""
        most = "up to " if len({violation.found for violation in group}) > 1 else ""
        yield f"{where}: {most}{worst} {what}{n}, allowed are {group[0].allowed}"
