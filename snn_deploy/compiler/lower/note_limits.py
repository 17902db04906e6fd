"""Note which neurons can be stopped by the limits of their registers.

A trained network knows no largest voltage. On the chip a voltage saturates, and a
current wraps around. Both are changes only where the input drives a neuron so far; a
run counts how often it does.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from snn_deploy.fixedpoint import VOLTAGE_LIMIT
from snn_deploy.ir.quantized import Change, Population, QuantizedGraph
from snn_deploy.ir.ranges import CURRENT_LIMIT, Range, reach_of


def note_limits(graph: QuantizedGraph) -> QuantizedGraph:
    """Return ``graph`` with a change for each population that can meet a limit."""
    found = [change for p in graph.populations for change in _changes(graph, p)]
    return replace(graph, changes=(*graph.changes, *found))


def _changes(graph: QuantizedGraph, population: Population) -> Iterator[Change]:
    reach, n = reach_of(graph, population), graph.training.timesteps
    for kind, what, where, limit, can in (
        (
            "saturate voltage",
            "voltages",
            reach.voltage,
            VOLTAGE_LIMIT,
            reach.can_saturate,
        ),
        ("wrap current", "currents", reach.current, CURRENT_LIMIT, reach.can_wrap),
    ):
        excess = (where.magnitude - limit) * population.scale
        over = np.broadcast_to(excess, population.shape)
        over = over[np.broadcast_to(can, population.shape)]
        if not over.size:
            continue
        yield Change(
            layer=population.name,
            kind=kind,
            count=over.size,
            largest=float(over.max()),
            mean=float(over.mean()),
            note=f"in {n} timesteps {what} could go from {_ends(where)}, the chip "
            f"holds {limit}; runs count how often that happens",
        )


def _ends(where: Range) -> str:
    return f"{where.low.min():.0f} to {where.high.max():.0f}"
