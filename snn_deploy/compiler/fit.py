"""Does a network fit a chip? Every layer against every resource, every problem at once.

Nothing stops at the first problem: what the chip's neurons cannot do is listed, and the
network is cut as if they could. Weights do not matter but for their shapes, so an
untrained network gives the same answer; but on chips that store weights in as few bits
as hold them, trained ones may take less.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil

from snn_deploy.arrays import n_neurons
from snn_deploy.chip.neurocore import FAN_IN, FAN_OUT, MEMORY, OUTPUT_AXONS
from snn_deploy.chip.target import Target
from snn_deploy.compiler.lower.abilities import abilities, check_input, unconnectable
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.lower.retime import late, retime
from snn_deploy.compiler.map.blocks import Cut
from snn_deploy.compiler.map.loads import Bounds, LoadModel, cut_apart
from snn_deploy.compiler.map.pack import pack
from snn_deploy.compiler.map.partition import partition
from snn_deploy.compiler.map.placement import cut_as_it_lies
from snn_deploy.compiler.map.rules import fan_limits, largest_fans
from snn_deploy.compiler.pipeline import to_spiking
from snn_deploy.errors import MissingAbilityError, Problem
from snn_deploy.fixedpoint import REFRACTORY_BITS
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.neurons import Neuron
from snn_deploy.ir.quantized import Population, QuantizedGraph
from snn_deploy.showing import Table, as_html, as_text

MAX_DELAY = 1 << 16
MAX_REST = (1 << REFRACTORY_BITS) - 1
FANS = (FAN_IN, FAN_OUT)  # of a neuron, not of a neurocore


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a layer takes of one resource of a neurocore."""

    what: str
    used: int  # on its fullest neurocore
    limit: int
    one_neuron: int  # what takes most; over the limit: no cut can help
    least_cores: int  # the layer needs at least so many for this resource alone


@dataclass(frozen=True, kw_only=True)
class LayerFit:
    """One population against every resource."""

    name: str
    n_neurons: int
    n_cores: int
    uses: tuple[Use, ...]

    @property
    def is_impossible(self) -> bool:
        """Whether a single neuron is over a limit, so that no cut helps."""
        return any(use.one_neuron > use.limit for use in self.uses)

    @property
    def binding(self) -> Use:
        """The resource that asks for the most neurocores, or is the fullest."""
        return max(self.uses, key=lambda use: (use.least_cores, use.used / use.limit))


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a network fits a target."""

    network: str
    target: str
    layers: tuple[LayerFit, ...]
    n_cores: int  # each layer on its own; shared, where these are too many
    n_cores_allowed: int
    n_cores_of_chip: int
    n_chips_allowed: int  # on the board
    problems: tuple[Problem, ...]

    def __repr__(self) -> str:
        """Say whether it fits, then each layer's neurocores, or each problem."""
        return as_text(self._table())

    def _repr_html_(self) -> str:
        return as_html(self._table())

    def _table(self) -> Table:
        n = len(self.problems)
        verdict = f"does not fit, for {n} reason{'s' * (n != 1)}" if n else "fits"
        return Table(
            title=f"{self.network} on {self.target}: {verdict}; {self.n_cores} of "
            f"{self.n_cores_allowed} neurocores",
            columns=("layer", "neurons", "neurocores", "binds"),
            rows=[
                (layer.name, layer.n_neurons, layer.n_cores, layer.binding.what)
                for layer in self.layers
            ],
            notes=[*map(str, self.problems)],
        )

    @property
    def n_chips(self) -> int | None:
        """How many chips these neurocores fill; ``None`` if no number is enough."""
        if self.least_cores is None:
            return None
        return ceil(self.n_cores / self.n_cores_of_chip)

    @property
    def least_cores(self) -> int | None:
        """No cut layer by layer needs fewer: the sum of the binding resources.

        ``None``: not even a single neuron of some layer fits a neurocore.
        """
        if any(layer.is_impossible for layer in self.layers):
            return None
        return sum(layer.binding.least_cores for layer in self.layers)


def fit(graph: Graph, target: Target) -> Fit:
    """Return how ``graph`` fits ``target``.

    Raises
    ------
    PassError
        If the network cannot be brought into the form of a chip at all.
    """
    spiking = to_spiking(graph)
    problems = [*_missing(spiking, target)]
    able = _able(target)
    local = quantize(spiking, able)
    integers = retime(local, able)
    problems += [*unconnectable(local, target), *late(integers, target)]
    cut = partition(integers, target)
    bounds = Bounds(LoadModel(graph=integers, target=target))
    layers = tuple(_layer(bounds, p, cut.cuts) for p in integers.populations)
    for layer in layers:
        problems += _over(integers, layer)
    n_cores = len(cut.pieces)
    if n_cores > target.neurocores:
        n_cores = len(pack(cut, target).together)
        problems += _too_many(target, layers, n_cores)
    return Fit(
        network=graph.name,
        target=target.name,
        layers=layers,
        n_cores=n_cores,
        n_cores_allowed=target.neurocores,
        n_cores_of_chip=target.mesh.neurocores,
        n_chips_allowed=target.board.chips,
        problems=tuple(problems),
    )


def fit_compiled(network: MappedNetwork) -> Fit:
    """Return how full the neurocores of a compiled network are, as it lies on them.

    What a layer uses is all that its fullest neurocore holds, other layers included.
    """
    graph, target = network.graph, network.target
    bounds = Bounds(LoadModel(graph=graph, target=target))
    cuts = {p.name: cut_as_it_lies(network, p)[0] for p in graph.populations}
    layers = tuple(
        _as_it_lies(network, _layer(bounds, p, cuts)) for p in graph.populations
    )
    return Fit(
        network=graph.name,
        target=target.name,
        layers=layers,
        n_cores=len(network.cores),
        n_cores_allowed=target.neurocores,
        n_cores_of_chip=target.mesh.neurocores,
        n_chips_allowed=target.board.chips,
        problems=(),
    )


def _as_it_lies(network: MappedNetwork, layer: LayerFit) -> LayerFit:
    taken = [
        core.taken(network.target.neurocore)
        for core in network.cores
        if layer.name in [piece.population for piece in core.pieces]
    ]
    uses = (
        replace(use, used=max(of_core[use.what] for of_core in taken))
        if use.what in taken[0]
        else use
        for use in layer.uses
    )
    return replace(layer, uses=tuple(uses))


def _missing(graph: Graph, target: Target) -> Iterator[Problem]:
    """Yield what the target's neurons cannot do."""
    try:
        check_input(graph, target)
    except MissingAbilityError as error:
        yield error.problem
    for node in graph.nodes_of(Neuron):
        try:
            abilities(node, target)
        except MissingAbilityError as error:
            yield error.problem


def _able(target: Target) -> Target:
    """Return the target with every ability that a network may ask for."""
    precision = replace(
        target.precision,
        soft_reset=True,
        graded_spikes=True,
        greater_equal=True,
        lowest_voltage=True,
        delay_max=MAX_DELAY,
        refractory_max=MAX_REST,
        initial_voltage=True,
        sums_of_branches=True,
        delayed_convolutions=True,
        graded_input_only=False,
        per_neuron_parameters=True,
    )
    return replace(target, precision=precision)


def _layer(bounds: Bounds, population: Population, cuts: Mapping[str, Cut]) -> LayerFit:
    loads, cut = bounds.loads, cuts[population.name]
    limits = loads.target.neurocore
    used = loads.of(population, cut, cuts).fullest(limits)
    apart = cut_apart(population.shape)
    alone = loads.of(population, apart, cuts).fullest(limits)
    least = bounds.of(population)
    return LayerFit(
        name=population.name,
        n_neurons=population.size,
        n_cores=cut.n_blocks,
        uses=tuple(
            Use(
                what=what,
                used=used[what],
                limit=limit,
                one_neuron=alone[what],
                least_cores=least[what],
            )
            for what, limit in limits.room.items()
        )
        + _fans(loads, population),
    )


def _fans(loads: LoadModel, population: Population) -> tuple[Use, ...]:
    limits = loads.target.neurocore
    found = largest_fans(loads.graph, population, limits)
    return tuple(
        Use(what=what, used=n, limit=limit, one_neuron=n, least_cores=1)
        for (what, limit), n in zip(
            fan_limits(limits).items(), found.values(), strict=True
        )
    )


def _over(graph: QuantizedGraph, layer: LayerFit) -> Iterator[Problem]:
    """Yield the limits that one neuron alone exceeds: no cut can help."""
    for use in layer.uses:
        if use.one_neuron > use.limit:
            share = use.limit / use.one_neuron
            yield Problem(
                where=layer.name,
                what=f"one neuron takes {use.one_neuron:,} {use.what}, "
                f"{'allowed are' if use.what in FANS else 'a neurocore has'} "
                f"{use.limit:,}",
                advice=_advice(graph, graph.population(layer.name), use.what, share),
            )


def _advice(
    graph: QuantizedGraph, population: Population, what: str, share: float
) -> str:
    if what == OUTPUT_AXONS:
        return (
            f"let the layers behind it lie on fewer neurocores, {share:.0%} of them at "
            "most: fewer channels there, or a smaller kernel"
        )
    if what == FAN_OUT:
        return (
            f"{share:.0%} of the channels or neurons behind it would fit, or a smaller "
            "kernel there"
        )
    if what == MEMORY:
        return "give a neurocore more memory: even one neuron and its axons need that"
    projections = graph.projections_into(population)
    widest = max(projections, key=lambda projection: projection.synapses.fan_in)
    kernel, shape = widest.synapses.kernel, graph.shape_of(widest.source)
    n_in = shape[0] if kernel else n_neurons(shape)
    fewer = max(1, int(n_in * share))
    if kernel:
        return (
            f"{fewer} of its {n_in} input channels would fit, or a kernel smaller than "
            f"{kernel[0]} x {kernel[1]}"
        )
    return f"{fewer} of its {n_in} inputs would fit: pool, or use fewer, before it"


def _too_many(
    target: Target, layers: tuple[LayerFit, ...], found: int
) -> list[Problem]:
    allowed = target.neurocores
    if found <= allowed:
        return []
    largest = sorted(layers, key=lambda layer: -layer.n_cores)[:3]
    parts = ", ".join(
        f"layer {layer.name}: {layer.n_cores:,} ({layer.binding.what})"
        for layer in largest
    )
    share, n_chips = allowed / found, ceil(found / target.mesh.neurocores)
    or_else = f", or a board of {n_chips} chips, or a larger target"
    if any(layer.is_impossible for layer in layers):
        or_else = ", once a neuron of every layer does"
    return [
        Problem(
            where=target.size_name,
            what=f"{found:,} neurocores, allowed are {allowed:,}; most take {parts}",
            advice=f"about {share:.0%} of the channels of these layers would fit"
            + or_else,
        )
    ]
