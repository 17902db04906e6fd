"""What a chip does for each spike, laid out for the compiled engine's counters."""

from typing import TYPE_CHECKING, Any

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.backends.counting import Counter
from snn_deploy.backends.engine.grid import Grid, packed
from snn_deploy.backends.engine.layout import Layout
from snn_deploy.backends.results import Activity, Block, Counts
from snn_deploy.chip.events import ACCESS, CORE_EVENTS, UPDATE
from snn_deploy.ir.kinds import Kinds
from snn_deploy.ir.mapped import MappedNetwork

if TYPE_CHECKING:
    from snn_deploy.backends.engine._engine import Counting, Tally

NO_CORE = -1


def counting_of(layout: Layout, network: MappedNetwork) -> "Counting":
    """Return what the engine counts: what each spike causes, where each neuron lies."""
    from snn_deploy.backends.engine._engine import Counting

    counter = Counter(network)
    source = network.graph.source.name
    tallies = []
    for name in (source, *(p.name for p in layout.order)):
        core = network.core_of.get(name)
        kinds, grid = network.routes[name].kinds, layout.grids[name]
        tallies.append(_tally(counter.per_spike[name], kinds, core, grid))
    none = counter.start()
    return Counting(
        layout.network,
        mapped=packed(counter.mapped, np.int32),
        n_columns=none.values.size,
        core_columns=len(CORE_EVENTS),
        access=ACCESS,
        update=UPDATE,
        limits=none.values.size - none.limits.size,
        tallies=tallies,
    )


def activity(counts: IntArray, timesteps: int, network: MappedNetwork) -> Activity:
    """Return the counts of one input, of which the engine gives ``counts``.

    They are the rows of a ``Block``.
    """
    return Block(
        scores=np.zeros((1, network.graph.training.timesteps, 0), np.int64),
        timesteps=np.array([timesteps]),
        counts=Counts(counts[np.newaxis], len(network.cores)),
        depth=network.graph.depth,
    ).activity(0)


def _tally(per_spike: Any, kinds: Kinds, core: IntArray | None, grid: Grid) -> "Tally":
    """Return the kinds of neurons, what a spike of each kind causes, and the cores."""
    from snn_deploy.backends.engine._engine import Tally

    first, kind = _kinds(per_spike)
    rows = per_spike[first].tocsr()
    cores = np.zeros(0, np.int64) if core is None else grid.placed(core, NO_CORE)
    return Tally(
        kind_of=packed(grid.placed(kind[kinds.of_neurons]), np.int32),
        starts=packed(rows.indptr, np.int32),
        columns=packed(rows.indices, np.int32),
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
