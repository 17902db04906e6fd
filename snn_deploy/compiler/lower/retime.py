"""Put the chip's pipeline into the network: a spike arrives one timestep after it."""

from collections.abc import Iterator
from dataclasses import replace

import networkx as nx

from snn_deploy.chip.target import Target
from snn_deploy.errors import FitError, PassError, Problem
from snn_deploy.ir.quantized import (
    QuantizedGraph,
)


def retime(graph: QuantizedGraph, target: Target) -> QuantizedGraph:
    """Return a network that computes the same on a chip, shifted in time.

    Every population gets an offset, its distance from the input in the longest path, so
    that ``offset(q) - offset(p) >= 1 - d`` for every projection of delay d from p to q;
    the projection's delay becomes ``offset(q) - offset(p) + d``, at least 1. A
    population is held at rest until its local timestep 1, so that it computes exactly
    what it computes without the pipeline.

    Raises
    ------
    PassError
        If a loop has less delay than edges: it cannot run on the chip.
    FitError
        If a delay is over the target's limit.
    """
    offsets = _offsets(graph)
    populations = tuple(
        replace(p, offset=offsets[p.name] - offsets[graph.source.name])
        for p in graph.populations
    )
    projections = tuple(
        replace(p, delay=offsets[p.target] - offsets[p.source] + p.delay)
        for p in graph.projections
    )
    retimed = replace(graph, populations=populations, projections=projections)
    for problem in late(retimed, target):
        raise FitError(str(problem))
    return retimed


def late(graph: QuantizedGraph, target: Target) -> Iterator[Problem]:
    """Yield each projection whose delay is over the target's limit."""
    for projection in graph.projections:
        if projection.longest_delay - 1 > target.precision.delay_max:
            yield Problem(
                where=projection.name,
                what=f"needs a delay of {projection.longest_delay - 1}, {target.name} "
                f"allows {target.precision.delay_max}",
                advice="shorten the path that runs beside it",
            )


def _offsets(graph: QuantizedGraph) -> dict[str, int]:
    """Return the longest distance of each population from the input."""
    edges: nx.DiGraph[str] = nx.DiGraph()
    start = graph.source.name
    for population in graph.populations:
        edges.add_edge(start, population.name, weight=0)  # never before the input
    for p in graph.projections:
        least = p.delay - 1  # negative: a shortest path is the longest in timesteps
        if edges.has_edge(p.source, p.target):
            least = min(least, edges.edges[p.source, p.target]["weight"])
        edges.add_edge(p.source, p.target, weight=least)
    try:
        lengths = nx.single_source_bellman_ford_path_length(edges, start)
    except nx.NetworkXUnbounded:
        cycle = nx.find_negative_cycle(edges, start)
        raise PassError(
            f"{' -> '.join(cycle)}: this loop has less delay than connections, and "
            "each connection takes one timestep on the chip; add delay to the loop"
        ) from None
    return {name: -length for name, length in lengths.items()}
