"""How many neurocores a population takes at least, whatever the cut."""

from dataclasses import dataclass, field, replace
from math import ceil

from snn_deploy.chip.neurocore import BITS
from snn_deploy.compiler.map.loads import Loads, cut_whole
from snn_deploy.ir.quantized import Population, Projection
from snn_deploy.ir.synapses import ConvSynapses, DenseSynapses


@dataclass(eq=False)
class Bounds:
    """Lower bounds on the neurocores of each population, by resource.

    All neurons, weights and axons have to be somewhere: a resource needs as many
    neurocores as its total, counted once, fills. A neuron sends to as many neurocores
    as the weights of those that it reaches fill; these are its output axons. Kernels
    are not divided. Headers and rounding in the memory are left out.
    """

    loads: Loads
    _found: dict[str, dict[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        target = self.loads.target
        bare = replace(
            target.neurocore,
            synapses_per_block=1,
            block_header_bits=0,
            memory_word_bits=1,
        )
        bare_target = replace(target, neurocore=bare)
        self.bare = Loads(graph=self.loads.graph, target=bare_target)

    def of(self, population: Population) -> dict[str, int]:
        """Return for each resource how many neurocores it needs."""
        if population.name not in self._found:
            self._found[population.name] = {}  # a loop ends here
            self._found[population.name] = self._needed(population)
        return self._found[population.name]

    def least(self, population: Population) -> int:
        """Return how many neurocores the binding resource needs."""
        return max(self.of(population).values(), default=1)

    def _needed(self, population: Population) -> dict[str, int]:
        n_sent = sum(
            self._least_sent(population, self.loads.graph.population(name))
            for name in self.loads.receivers(population.name)
        )
        needed = {
            what: max(1, ceil(filled))
            for what, filled in self.filled(population, n_sent).items()
        }
        undivided = [self._memories(p) for p in self._into(population)]
        return needed | {BITS: max([needed[BITS], *undivided])}

    def filled(self, population: Population, n_sent: int) -> dict[str, float]:
        """Return how many neurocores each resource fills, with so many packets sent."""
        limits = self.loads.target.neurocore
        whole = self.bare.of(population, cut_whole(population.shape), {})
        taken = limits.taken(
            population.size,
            int(whole.synapse_bits[0]),
            int(whole.n_input_axons[0]),
            n_sent,
        )
        return {what: taken[what] / limit for what, limit in limits.room.items()}

    def _into(self, population: Population) -> tuple[Projection, ...]:
        return self.loads.graph.projections_into(population)

    def _memories(self, projection: Projection) -> int:
        """Return the neurocores over which one source's weights lie at least.

        A neuron's weights, or a channel's kernel, are not divided.
        """
        if not self.loads.lies_whole(projection):
            return 1
        limits = self.loads.target.neurocore
        synapses = projection.synapses
        bits = self.loads.weight_bits([projection])
        if isinstance(synapses, ConvSynapses) and limits.shares_kernels:
            bits += limits.index_bits
            n_rows = len(synapses.weights) // synapses.groups
        elif isinstance(synapses, DenseSynapses):
            n_rows = len(synapses.weights)
        else:
            return 1
        per_core = limits.synaptic_memory_bits // (synapses.fan_in * bits)
        return ceil(n_rows / max(per_core, 1))

    def _least_sent(self, sender: Population, receiver: Population) -> int:
        """Return the output axons that all neurons of ``sender`` need to a receiver."""
        whole = cut_whole(receiver.shape)
        (n_senders,) = cut_whole(sender.shape).sums(
            self.loads.sent(sender.name, receiver.name, whole)
        )
        return int(n_senders) * self._least_receivers(sender, receiver)

    def _least_receivers(self, sender: Population, receiver: Population) -> int:
        """Return how many neurocores a neuron sends to at least."""
        found = [1]
        for projection in self._into(receiver):
            if projection.source == sender.name:
                found.append(self._memories(projection))
                if isinstance(projection.synapses, DenseSynapses):
                    found.append(self.least(receiver))
        return max(found)
