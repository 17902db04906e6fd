"""What a mapped network must satisfy to fit its target: one function a rule."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from snn_deploy.compiler.map.fans import fan_limits, largest_fans
from snn_deploy.errors import FitError
from snn_deploy.ir.mapped import MappedNetwork, Neurocore


@dataclass(frozen=True)
class Violation:
    """One limit that is exceeded."""

    where: str
    what: str
    found: int
    allowed: int


def _where(core: Neurocore) -> str:
    return ", ".join(piece.population for piece in core.pieces)


Rule = Callable[[MappedNetwork], Iterator[Violation]]


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


RULES: tuple[Rule, ...] = (
    neurocores_suffice,
    resources_suffice,
    fans_are_small_enough,
)


def check_rules(network: MappedNetwork) -> None:
    """Raise one ``FitError`` that lists everything that is over its limit."""
    violations = [violation for rule in RULES for violation in rule(network)]
    if violations:
        lines = "\n  ".join(_merged(violations))
        raise FitError(
            f"{network.graph.name}: does not fit {network.target.name}; use fewer "
            "channels or neurons, or a larger target; snn-deploy fit says more\n"
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
