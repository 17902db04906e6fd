"""Does a network fit a chip? Every layer against every resource, every problem at once.

Nothing stops at the first problem: what the chip's neurons cannot do is listed, and the
network is cut as if they could. Weights do not matter but for their shapes, so an
untrained network gives the same answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from snn_deploy.errors import FitError
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.mapped import Piece
from snn_deploy.ir.neurons import Neuron
from snn_deploy.ir.quantized import Population, QuantizedGraph
from snn_deploy.ir.synapses import ConvSynapses
from snn_deploy.passes.abilities import abilities, check_input
from snn_deploy.passes.partition import Partition, one_neuron, partition, whole
from snn_deploy.passes.quantize import quantize
from snn_deploy.passes.retime import late, retime
from snn_deploy.pipeline import to_spiking
from snn_deploy.target import Target

MAX_DELAY = 1 << 16
COMPARTMENTS, BITS = "compartments", "bits of synaptic memory"
INPUT_AXONS, OUTPUT_AXONS = "input axons", "output axons"


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a layer takes of one resource of a neurocore."""

    what: str
    used: int  # on its fullest neurocore
    limit: int
    least_cores: int  # the layer needs at least so many for this resource alone


@dataclass(frozen=True, kw_only=True)
class LayerFit:
    """One population against every resource."""

    name: str
    n_neurons: int
    n_cores: int
    uses: tuple[Use, ...]

    @property
    def binding(self) -> Use:
        """The resource that asks for the most neurocores, or is the fullest."""
        return max(self.uses, key=lambda use: (use.least_cores, use.used / use.limit))


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One reason why the network does not fit, and what would make it fit."""

    where: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.advice}"


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a network fits a target."""

    network: str
    target: str
    layers: tuple[LayerFit, ...]
    n_cores: int
    n_cores_allowed: int
    problems: tuple[Problem, ...]

    @property
    def least_cores(self) -> int:
        """No cut layer by layer needs fewer: the sum of the binding resources."""
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
    integers = retime(quantize(spiking, able), able)
    problems += [_problem(error) for error in late(integers, target)]
    cut = partition(integers, target)
    layers = tuple(_layer(cut, target, p) for p in integers.populations)
    for population in integers.populations:
        problems += _over(cut, target, population)
    problems += _too_many(target, layers)
    return Fit(
        network=graph.name,
        target=target.name,
        layers=layers,
        n_cores=len(cut.pieces),
        n_cores_allowed=target.mesh.neurocores,
        problems=tuple(problems),
    )


def _missing(graph: Graph, target: Target) -> Iterator[Problem]:
    """Yield what the target's neurons cannot do."""
    try:
        check_input(graph, target)
    except FitError as error:
        yield _problem(error)
    for node in graph.nodes_of(Neuron):
        try:
            abilities(node, target)
        except FitError as error:
            yield _problem(error)


def _problem(error: FitError) -> Problem:
    """Return an error of the form ``where: what; advice`` as a problem."""
    where, _, rest = str(error).partition(": ")
    what, _, advice = rest.partition("; ")
    return Problem(where=where, what=what, advice=advice)


def _able(target: Target) -> Target:
    """Return the target with every ability that a network may ask for."""
    precision = replace(
        target.precision,
        soft_reset=True,
        graded_spikes=True,
        greater_equal=True,
        delay_max=MAX_DELAY,
    )
    return replace(target, precision=precision)


def _layer(cut: Partition, target: Target, population: Population) -> LayerFit:
    pieces = [piece for piece in cut.pieces if piece.population == population.name]
    amounts = [_amounts(piece) for piece in pieces]
    entire = _amounts(whole(cut.graph, target, population))
    return LayerFit(
        name=population.name,
        n_neurons=population.size,
        n_cores=len(pieces),
        uses=tuple(
            Use(
                what=what,
                used=max(amount[what] for amount in amounts),
                limit=limit,
                least_cores=max(1, -(-entire[what] // limit)),
            )
            for what, limit in _limits(target).items()
        ),
    )


def _limits(target: Target) -> dict[str, int]:
    limits = target.neurocore
    return {
        COMPARTMENTS: limits.compartments,
        BITS: limits.synaptic_memory_bits,
        INPUT_AXONS: limits.input_axons,
        OUTPUT_AXONS: limits.output_axons,
    }


def _amounts(piece: Piece) -> dict[str, int]:
    return {
        COMPARTMENTS: len(piece.neurons),
        BITS: piece.synapse_bits,
        INPUT_AXONS: piece.n_input_axons,
        OUTPUT_AXONS: piece.n_output_axons,
    }


def _over(cut: Partition, target: Target, population: Population) -> Iterator[Problem]:
    """Yield the limits that one neuron alone exceeds: no cut can help."""
    alone = _amounts(one_neuron(cut, target, population))
    for what, limit in _limits(target).items():
        if alone[what] > limit:
            yield Problem(
                where=population.name,
                what=f"one neuron takes {alone[what]:,} {what}, a neurocore has "
                f"{limit:,}",
                advice=_advice(cut.graph, population, what, limit / alone[what]),
            )


def _advice(
    graph: QuantizedGraph, population: Population, what: str, share: float
) -> str:
    if what == OUTPUT_AXONS:
        return (
            f"let the layers behind it lie on fewer neurocores, {share:.0%} of them at "
            "most: fewer channels there, or a smaller kernel"
        )
    projections = graph.projections_into(population)
    widest = max(projections, key=lambda projection: projection.synapses.fan_in)
    n_in = graph.shape_of(widest.source)[0]
    fewer = max(1, int(n_in * share))
    if isinstance(widest.synapses, ConvSynapses):
        kernel = widest.synapses.weights.shape[2:]
        return (
            f"{fewer} of its {n_in} input channels would fit, or a kernel smaller than "
            f"{kernel[0]} x {kernel[1]}"
        )
    return f"{fewer} of its {n_in} inputs would fit: pool, or use fewer, before it"


def _too_many(target: Target, layers: tuple[LayerFit, ...]) -> list[Problem]:
    allowed, found = target.mesh.neurocores, sum(layer.n_cores for layer in layers)
    if found <= allowed:
        return []
    largest = sorted(layers, key=lambda layer: -layer.n_cores)[:3]
    parts = ", ".join(
        f"{layer.name} {layer.n_cores} ({layer.binding.what})" for layer in largest
    )
    share = allowed / found
    return [
        Problem(
            where=f"{target.name}, one chip",
            what=f"{found} neurocores, allowed are {allowed}; most take {parts}",
            advice=f"about {share:.0%} of the channels there would fit, or a larger "
            "target",
        )
    ]
