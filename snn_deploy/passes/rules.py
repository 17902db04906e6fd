"""What a mapped network must satisfy to fit its target: one function a rule."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

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


def compartments_suffice(network: MappedNetwork) -> Iterator[Violation]:
    """Every neurocore has a compartment for each of its neurons."""
    limit = network.target.neurocore.compartments
    for core in network.cores:
        if core.n_compartments > limit:
            yield Violation(_where(core), "compartments", core.n_compartments, limit)


def synapses_fit(network: MappedNetwork) -> Iterator[Violation]:
    """Every neurocore has room for its weights."""
    limit = network.target.neurocore.synaptic_memory_bits
    for core in network.cores:
        if core.synapse_bits > limit:
            what = "bits of synaptic memory"
            yield Violation(_where(core), what, core.synapse_bits, limit)


def input_axons_fit(network: MappedNetwork) -> Iterator[Violation]:
    """Every neurocore listens to no more axons than its table holds."""
    limit = network.target.neurocore.input_axons
    for core in network.cores:
        if core.n_input_axons > limit:
            yield Violation(_where(core), "input axons", core.n_input_axons, limit)


def output_axons_fit(network: MappedNetwork) -> Iterator[Violation]:
    """Every neurocore sends to no more neurocores than its table holds."""
    limit = network.target.neurocore.output_axons
    for core in network.cores:
        if core.n_output_axons > limit:
            yield Violation(_where(core), "output axons", core.n_output_axons, limit)


RULES: tuple[Rule, ...] = (
    neurocores_suffice,
    compartments_suffice,
    synapses_fit,
    input_axons_fit,
    output_axons_fit,
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
