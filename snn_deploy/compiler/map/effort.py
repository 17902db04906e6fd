"""How long a timestep takes, and what energy, by a model of the layers alone.

The counts are expected ones, from how many neurons spike; the ways of packets are left
out, since nothing has a place yet, and so is what they cost where they arrive and on
links between chips. A price that nobody knows counts as 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import FloatArray, n_neurons
from snn_deploy.chip.target import Target
from snn_deploy.compiler.map.blocks import Cut
from snn_deploy.compiler.map.loads import Loads
from snn_deploy.ir.quantized import Population, QuantizedGraph
from snn_deploy.ir.stimuli import Encoding

ACTIVITY = 0.1  # neurons that spike in a timestep, where no profile says


@dataclass(frozen=True, kw_only=True)
class Effort:
    """What a timestep takes if all layers are at work."""

    time_s: float
    energy_j: float


class Efforts:
    """The efforts of a network, however it is cut."""

    def __init__(
        self,
        graph: QuantizedGraph,
        target: Target,
        spikes: Mapping[str, float] | None = None,
    ) -> None:
        self.loads = Loads(graph=graph, target=target)
        self.shares = _shares(graph, spikes or {})

    def layer(
        self, population: Population, cut: Cut, cuts: Mapping[str, Cut]
    ) -> tuple[FloatArray, float]:
        """Return the time of each block [s], and the energy of all [J]."""
        load = self.loads.of(population, cut, cuts)
        share = self.shares[population.name]
        read = np.zeros(cut.n_blocks)
        for sender in self.loads.senders(population):
            part = self.loads.part(sender, population, cut)
            read += part.synapses * self.shares[sender]
        counts = {
            "access": load.n_neurons,
            "update": load.n_neurons,
            "fire": load.n_neurons * share,
            "packet": load.n_output_axons * share,
            "synaptic_operation": read,
        }
        energy = sum(n.sum() * self._price(e, "energy_j") for e, n in counts.items())
        times = {e: n * self._price(e, "time_s") for e, n in counts.items()}
        receiving = times.pop("synaptic_operation")
        generating = np.sum([*times.values()], axis=0)
        return np.maximum(generating, receiving), float(energy)

    def of(self, cuts: Mapping[str, Cut]) -> Effort:
        """Return the effort of a timestep, each block on a neurocore of its own."""
        target = self.loads.target
        layers = [
            self.layer(population, cuts[population.name], cuts)
            for population in self.loads.graph.populations
        ]
        n_cores = sum(len(times) for times, _ in layers)
        n_chips = -(-n_cores // target.mesh.neurocores)
        slowest = max(float(times.max()) for times, _ in layers)
        n_tiles = -(-n_cores // target.mesh.neurocores_per_tile)
        barrier = target.barrier.time(n_tiles, high=False)
        if n_chips > 1:
            barrier = self._price("barrier_of_chips", "time_s")
        time = slowest + barrier
        power = n_chips * self._price("static", "power_w")
        power += self._price("host", "power_w")
        dynamic = sum(energy for _, energy in layers)
        return Effort(time_s=time, energy_j=dynamic + power * time)

    def _price(self, name: str, quantity: str) -> float:
        return getattr(self.loads.target.cost(name), quantity) or 0.0


def _shares(graph: QuantizedGraph, spikes: Mapping[str, float]) -> dict[str, float]:
    """Return how many of each layer's neurons spike in a timestep."""
    found = {}
    for name in (graph.source.name, *(p.name for p in graph.populations)):
        n = n_neurons(graph.shape_of(name)) * graph.training.timesteps
        found[name] = spikes[name] / n if name in spikes else ACTIVITY
    if graph.training.encoding == Encoding.DIRECT:
        found[graph.source.name] = 1.0  # every value at every timestep
    return found
