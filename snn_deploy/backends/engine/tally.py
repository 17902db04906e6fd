"""What a chip does for each spike, laid out for the compiled engine's counters."""

from typing import TYPE_CHECKING, Any

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.backends.counting import Counter
from snn_deploy.backends.engine.grid import Grid, packed
from snn_deploy.backends.engine.layout import Layout
from snn_deploy.backends.results import (
    CORE_EVENTS,
    FIRE,
    PACKET,
    PACKET_IN,
    SYNAPTIC_OPERATION,
    Activity,
)
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import QuantizedGraph

if TYPE_CHECKING:
    from snn_deploy.backends.engine._engine import Counting, Tally

PER_SPIKE = (FIRE, PACKET, PACKET_IN, SYNAPTIC_OPERATION)  # of ``Counter.per_spike``
NO_CORE = -1


def counting_of(layout: Layout, network: MappedNetwork) -> "Counting":
    """Return what the engine counts: what each spike causes, where each neuron lies."""
    from snn_deploy.backends.engine._engine import Counting

    counter = Counter(network)
    columns = _columns(len(network.cores), counter.n_chip_events)
    source = network.graph.source.name
    tallies = []
    for name in (source, *(p.name for p in layout.order)):
        core = network.core_of.get(name)
        tallies.append(_tally(counter, name, columns, core, layout.grids[name]))
    return Counting(
        layout.network,
        mapped=packed(counter.mapped, np.int32),
        n_links=len(network.crossings.links),
        tallies=tallies,
    )


def activity(counts: IntArray, graph: QuantizedGraph, n_cores: int) -> Activity:
    """Return the counts of one input by event.

    ``counts`` is ``(n_chip_timesteps + lag, n_columns)``; the last ``lag`` rows are
    those of ``Activity.tail_cores`` and ``tail_chip``.
    """
    n = len(counts) - graph.lag
    n_core_columns = n_cores * len(CORE_EVENTS)
    cores = counts[:, :n_core_columns].reshape(-1, n_cores, len(CORE_EVENTS))
    chip = counts[:, n_core_columns:-2]
    saturations, wraps = counts[:n, -2:].sum(axis=0).tolist()
    return Activity(
        timesteps=max(n - graph.depth, 0),
        cores=cores[:n],
        chip=chip[:n],
        tail_cores=cores[n:],
        tail_chip=chip[n:],
        saturations=saturations,
        wraps=wraps,
    )


def _columns(n_cores: int, n_chip_events: int) -> IntArray:
    """Return for each column of ``Counter.per_spike`` the engine's column."""
    cores = np.arange(n_cores) * len(CORE_EVENTS)
    chip = n_cores * len(CORE_EVENTS) + np.arange(n_chip_events)
    return np.concatenate([*(cores + event for event in PER_SPIKE), chip])


def _tally(
    counter: Counter, name: str, columns: IntArray, core: IntArray | None, grid: Grid
) -> "Tally":
    """Return the kinds of neurons, what a spike of each kind causes, and the cores."""
    from snn_deploy.backends.engine._engine import Tally

    per_spike = counter.per_spike[name]
    first, kind = _kinds(per_spike)
    rows = per_spike[first].tocsr()
    cores = np.zeros(0, np.int64) if core is None else grid.placed(core, NO_CORE)
    return Tally(
        kind_of=packed(grid.placed(kind), np.int32),
        starts=packed(rows.indptr, np.int32),
        columns=packed(columns[rows.indices], np.int32),
        amounts=packed(rows.data, np.int32),
        core_of=packed(cores, np.int32),
    )


def _kinds(rows: Any) -> tuple[IntArray, IntArray]:
    """Return the first of each kind of equal rows, and the kind of each row."""
    rng = np.random.default_rng(0)
    while True:  # sums of random numbers tell rows apart, but for the rarest chance
        key = rows @ rng.integers(1, 1 << 62, rows.shape[1])
        _, first, kind = np.unique(key, return_index=True, return_inverse=True)
        if not (rows - rows[first[kind]]).data.any():
            return first, kind
