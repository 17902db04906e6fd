"""What every neuron sends, by the compiled engine: each population read out once."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.backends.engine.compiled import (
    NUMPY,
    engine_input,
    instructions,
    n_cores,
    takes,
)
from snn_deploy.backends.engine.grid import UnsupportedError
from snn_deploy.backends.engine.layout import Layout
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.ranges import reach_of
from snn_deploy.ir.stimuli import Stimulus

# (population, quantity) -> (n, n_timesteps, n_neurons), in local timesteps
Trace = dict[tuple[str, str], IntArray]


def trace(
    graph: QuantizedGraph, stimuli: Sequence[Stimulus], n_timesteps: int
) -> Trace | None:
    """Return the ``spikes`` of all populations; of those that have none, ``voltage``.

    ``None`` where the reference has to serve: the engine is not there or cannot run the
    network exactly, or a voltage or a current could meet the end of its register, which
    the reference counts.
    """
    chosen = instructions()
    longer = replace(
        graph,
        training=replace(
            graph.training, timesteps=n_timesteps, functional=Functional.LAST
        ),
    )
    most = graph.source.largest_value
    is_extreme = any(low < 0 or high > most for low, high in (s.range for s in stimuli))
    meets = (reach_of(longer, p).meets_a_limit for p in graph.populations)
    if chosen == NUMPY or is_extreme or any(meets):
        return None
    inputs = [engine_input(stimulus) for stimulus in stimuli]
    never = np.full(n_timesteps, np.inf)
    found: Trace = {}
    for population in graph.populations:
        try:
            layout = Layout(longer, read_out=population.name)
        except UnsupportedError:
            return None
        if not takes(layout, stimuli):
            return None
        values, _, _, interrupt = layout.network.run(
            inputs, never, n_cores(), None, chosen
        )
        if interrupt is not None:
            raise interrupt
        found[population.name, "spikes"] = values if population.spikes else 0 * values
        if not population.spikes:
            found[population.name, "voltage"] = values
    return found
