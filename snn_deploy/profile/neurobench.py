"""The metrics of NeuroBench, as that project defines them [1]_.

They are of the network and not of the chip: no pipeline, no mapping. A layer is a
population; its inputs are all spikes that a projection carries, and the image or the
events. Operations on graded spikes are multiply-accumulates (MACs), on binary ones
accumulates (ACs). Biases are no operations.

References
----------
.. [1] J. Yik et al., "The NeuroBench framework for benchmarking neuromorphic computing
   algorithms and systems", Nature Communications 16, 2025.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from scipy import sparse

from snn_deploy.arrays import IntArray
from snn_deploy.backends.registry import open_backend
from snn_deploy.backends.results import Block
from snn_deploy.chip.events import FIRE, SYNAPTIC_OPERATION
from snn_deploy.cutoff.decision import Cutoff, never
from snn_deploy.cutoff.monitor import run_block
from snn_deploy.ir.kinds import Kinds, each_its_own
from snn_deploy.ir.mapped import MappedNetwork, Neurocore, Piece, Routes
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus

MOST_INPUTS = 1000  # enough for a mean, and a bound on the time
AT_ONCE = 64  # of them
DIGITS = 4  # that the package gives of the sparsity of connections
# bytes: what holds a register, or a neuron's state
REGISTERS = {
    "current_decay": 2,
    "voltage_decay": 2,
    "bias_mantissa": 2,
    "threshold": 4,
    "reset_amount": 4,
    "initial_voltage": 4,
}
WEIGHT, POSITION, STATE, VOLTAGE = 1, 4, 8, 4


def footprint(graph: QuantizedGraph) -> int:
    """Return the bytes of parameters and states, in the smallest types that hold them.

    A weight takes a byte, and a sparse one its two positions; current and voltage of a
    neuron take 8.
    """
    total = 0
    for projection in graph.projections:
        synapses = projection.synapses
        total += WEIGHT * synapses.weights.size + POSITION * synapses.n_positions
    for population in graph.populations:
        total += STATE * population.size
        for name, n_bytes in REGISTERS.items():
            total += n_bytes * getattr(population, name).size
        if population.has_lowest_voltage:
            total += VOLTAGE * population.lowest_voltage.size
    return total


def connection_sparsity(graph: QuantizedGraph) -> float:
    """Return the share of weights that are 0; a kernel's weights count once."""
    weights = [projection.synapses.weights for projection in graph.projections]
    n_zero = sum(int((w == 0).sum()) for w in weights)
    return float(round(n_zero / sum(w.size for w in weights), DIGITS))


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Means over inputs; operations of an input with all its timesteps."""

    activation_sparsity: float  # share of neurons and timesteps without a spike
    effective_macs: float
    effective_acs: float
    dense: float


def metrics(
    network: MappedNetwork,
    stimuli: Callable[[int], Iterable[tuple[int, Stimulus]]],
    n_inputs: int,
    cutoff: Cutoff | None,
) -> dict[str, Any]:
    """Return all metrics, ready for JSON, of up to ``MOST_INPUTS`` inputs.

    Parameters
    ----------
    network : MappedNetwork
    stimuli : callable
        Returns the first so many inputs.
    n_inputs : int
        How many there are.
    cutoff : callable or None
        Measured beside all timesteps if it is given.
    """
    n = min(n_inputs, MOST_INPUTS)
    found = {
        name: workload_metrics(workload(network, stimuli(n), rule))
        for name, rule in (("all_timesteps", never), ("with_cutoff", cutoff))
        if rule is not None
    }
    return {"n_inputs": n, **static_metrics(network.graph), **found}


def workload(
    network: MappedNetwork,
    stimuli: Iterable[tuple[int, Stimulus]],
    cutoff: Cutoff,
) -> Workload:
    """Return what the inputs make a network do, up to where the cutoff stops them."""
    graph = network.graph
    counted = _counted(network)
    counts: IntArray = np.zeros((len(counted.cores), 2), np.int64)
    n, n_timesteps = 0, 0
    program = open_backend("cpu").load(counted)  # equal to the others
    try:
        rest = iter(stimuli)
        while some := [stimulus for _, stimulus in islice(rest, AT_ONCE)]:
            block = run_block(program, counted, some, cutoff)
            counts += _counts(block)
            n, n_timesteps = n + len(block), n_timesteps + int(block.timesteps.sum())
    finally:
        program.close()
    senders = [*(p.name for p in graph.populations), graph.source.name]
    is_graded = np.array([graph.largest_spike(name) > 1 for name in senders])
    fired, operations = counts.T
    n_neurons = sum(p.size for p in graph.populations if p.spikes)
    n_activations = n_neurons * n_timesteps
    return Workload(
        activation_sparsity=1 - int(fired.sum()) / n_activations if n_neurons else 0.0,
        effective_macs=float(operations[is_graded].sum() / n),
        effective_acs=float(operations[~is_graded].sum() / n),
        dense=graph.n_connections * n_timesteps / n,
    )


def static_metrics(graph: QuantizedGraph) -> dict[str, Any]:
    """Return what needs no input; names as the package gives them."""
    return {
        "footprint": footprint(graph),
        "connection_sparsity": connection_sparsity(graph),
    }


def workload_metrics(found: Workload) -> dict[str, Any]:
    """Return what inputs make a network do; names as the package gives them."""
    return {
        "activation_sparsity": found.activation_sparsity,
        "synaptic_operations": {
            "Effective_MACs": found.effective_macs,
            "Effective_ACs": found.effective_acs,
            "Dense": found.dense,
        },
    }


def _counts(block: Block) -> IntArray:
    """Return spikes and operations by sender, exactly those of its timesteps."""
    cores = block.streamed.cores[:, :, [FIRE, SYNAPTIC_OPERATION]]
    return np.asarray(cores.sum(axis=0, dtype=np.int64))


class _Senders(MappedNetwork):
    """A place for each sender; its spikes read there the weights that are not 0.

    So the backends' own counters count operations by sender.
    """

    @cached_property
    def routes(self) -> dict[str, Routes]:
        graph = self.graph
        found = {}
        names = [*(p.name for p in graph.populations), graph.source.name]
        for place, name in enumerate(names):
            shape = graph.shape_of(name)
            size = int(np.prod(shape))
            synapses = np.zeros((size, len(names)), np.int64)
            for projection in graph.projections:
                if projection.source == name:
                    synapses[:, place] += projection.synapses.effective_fan_outs(shape)
            core = self.core_of.get(name, np.zeros(size, np.int64))
            effective = sparse.csr_array(synapses)
            found[name] = Routes(
                kinds=Kinds(each_its_own(shape)),
                synapses=effective,
                operations=effective,
                core=core,
            )
        return found


def _counted(network: MappedNetwork) -> _Senders:
    populations = network.graph.populations
    pieces = [
        Piece(
            population=p.name,
            neurons=np.arange(p.size),
            synapse_bits=0,
            n_input_axons=0,
        )
        for p in populations
    ]
    held: list[tuple[Piece, ...]] = [*((piece,) for piece in pieces), ()]
    cores = [Neurocore(index=i, x=0, y=0, pieces=own) for i, own in enumerate(held)]
    return _Senders(graph=network.graph, target=network.target, cores=tuple(cores))
