"""What a timestep takes on a cut network, by a model of its layers alone.

Its counts are expected ones, from how many neurons spike. Nothing has a place yet, so
the ways of packets are left out but for links between chips, where these have a price:
there neurocores count as laid out in the order of their layers. A price that nobody
knows counts as 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray, n_neurons, three_axes
from snn_deploy.chip.target import Target
from snn_deploy.compiler.map.blocks import Cut, outer
from snn_deploy.compiler.map.loads import Bounds, LoadModel, cut_whole
from snn_deploy.compiler.map.partition import Partition
from snn_deploy.compiler.map.place import injected_by, laid_out, slots_of
from snn_deploy.ir.quantized import Population, QuantizedGraph
from snn_deploy.ir.stimuli import Encoding

ACTIVITY = 0.1  # neurons that spike in a timestep, where no profile says
GENERATING = ("access", "update", "fire", "packet")  # side by side with
RECEIVING = ("packet_in", "synaptic_operation")


@dataclass(frozen=True, kw_only=True)
class Effort:
    """What a cut network takes if all layers are at work, at central prices."""

    n_cores: int
    n_chips: int
    injected: float  # packets that the host sends in a timestep
    time_s: float  # of a timestep
    energy_j: float  # of an input, one by one, all timesteps


class Efforts:
    """The efforts of a network, however it is cut."""

    def __init__(
        self,
        graph: QuantizedGraph,
        target: Target,
        spikes: Mapping[str, float] | None = None,
    ) -> None:
        self.graph, self.target = graph, target
        self.bounds = Bounds(LoadModel(graph=graph, target=target))
        self.shares = _shares(graph, spikes or {})
        self.in_time = sorted(graph.populations, key=lambda p: p.offset)
        source, loads = graph.source.name, self.bounds.loads
        self.readers = [p for p in self.in_time if source in loads.senders(p)]

    def busy(self) -> dict[str, float]:
        """Return the time that each layer would take on one neurocore [s]."""
        loads, found = self.bounds.loads, {}
        for population in self.in_time:
            whole = cut_whole(population.shape)
            n_sent = loads.of(population, whole, {}).n_output_axons
            counts = self._of_layer(population.name, whole, n_sent)
            found[population.name] = float(np.max(self._times(counts)))
        return found

    def of(self, cut: Partition) -> Effort:
        """Return the effort of a cut, and of what it lets share neurocores."""
        counts = self._of_cores(cut)
        injected = self.injected(cut)
        n_cores, chip = len(cut.together), self.target.mesh
        n_chips = -(-n_cores // chip.neurocores)
        links, crossings = self._crossings(cut, n_chips)
        working = max(
            *(float(times.max()) for times in self._times(counts)),
            links * self._price("chip_crossing", "time_s"),
        )
        barrier = self._barrier(n_chips, -(-n_cores // chip.neurocores_per_tile))
        injecting = injected * self._price("injection", "time_s")
        time = max(working + barrier, injecting)
        dynamic = sum(n.sum() * self._price(e, "energy_j") for e, n in counts.items())
        dynamic += injected * self._price("injection", "energy_j")
        dynamic += crossings * self._price("chip_crossing", "energy_j")
        n_timesteps = self.graph.training.timesteps
        waiting = (n_timesteps + self.graph.depth) * time
        waiting += self._price("poll_embedded", "time_s")
        waiting += self._price("reset", "time_s")
        power = sum(
            self.target.number_of(name, n_chips) * self._price(name, "power_w")
            for name in ("static", "embedded")
        )
        n_cleared = self.target.number_of("reset", n_chips)
        clearing = n_cleared * self._price("reset", "energy_j")
        return Effort(
            n_cores=n_cores,
            n_chips=n_chips,
            injected=injected,
            time_s=time,
            energy_j=float(n_timesteps * dynamic + power * waiting + clearing),
        )

    def injected(self, cut: Partition) -> float:
        """Return how many packets the host sends in a timestep."""
        return float(self.sent(cut).sum()) * self.shares[self.graph.source.name]

    def sent(self, cut: Partition) -> IntArray:
        """Return how many packets the host sends for each value of the input.

        Channels, rows and columns, as ``three_axes`` has them.
        """
        sizes = three_axes(self.graph.source.shape)
        if len(cut.together) < len(cut.pieces):
            return injected_by(cut).reshape(sizes)
        return sum(
            (self.sent_to(p, cut.cuts[p.name]) for p in self.readers),
            np.zeros(sizes, np.int64),
        )

    def sent_to(self, reader: Population, cut: Cut) -> IntArray:
        """Return the part of ``sent`` that goes to one population."""
        source = self.graph.source
        factors = self.bounds.loads.part(source.name, reader, cut).receivers
        found = outer(*factors) if len(factors) > 1 else factors[0]
        return found.reshape(three_axes(source.shape))

    def _of_cores(self, cut: Partition) -> dict[str, FloatArray]:
        """Return the counts of each neurocore, by event."""
        sent = np.array([piece.n_output_axons for piece in cut.pieces])
        layers, start = [], 0
        for population in self.in_time:
            here = cut.cuts[population.name]
            n_sent = sent[start : start + here.n_blocks]
            layers.append(self._of_layer(population.name, here, n_sent))
            start += here.n_blocks
        numbers = np.concatenate([np.array(group) for group in cut.together])
        home = np.zeros(len(numbers), np.int64)
        home[numbers] = np.repeat(
            np.arange(len(cut.together)), [len(group) for group in cut.together]
        )
        found: dict[str, FloatArray] = {}
        for event in (*GENERATING, *RECEIVING):
            of_pieces = np.concatenate([layer[event] for layer in layers])
            found[event] = np.bincount(home, of_pieces).astype(np.float64)
        return found

    def _of_layer(self, name: str, cut: Cut, n_sent: IntArray) -> dict[str, FloatArray]:
        """Return the counts of each block, by event."""
        loads, population = self.bounds.loads, self.graph.population(name)
        share = self.shares[name]
        read, arriving = np.zeros(cut.n_blocks), np.zeros(cut.n_blocks)
        for sender in loads.senders(population):
            part = loads.part(sender, population, cut)
            read += part.count_synapses() * self.shares[sender]
            arriving += part.packets * self.shares[sender]
        return {
            "access": cut.n_neurons * 1.0,
            "update": cut.n_neurons * 1.0,
            "fire": cut.n_neurons * share,
            "packet": n_sent * share,
            "packet_in": arriving,
            "synaptic_operation": read,
        }

    def _times(self, counts: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Return how long each neurocore generates, and receives."""
        generating, receiving = (
            np.sum([counts[e] * self._price(e, "time_s") for e in events], axis=0)
            for events in (GENERATING, RECEIVING)
        )
        return generating, receiving

    def _barrier(self, n_chips: int, n_tiles: int) -> float:
        if n_chips > 1:
            return self._price("barrier_of_chips", "time_s")
        return self.target.barrier.time(n_tiles)

    def _crossings(self, cut: Partition, n_chips: int) -> tuple[float, float]:
        """Return the packets of the busiest link between chips, and of all links."""
        price = self.target.cost("chip_crossing")
        if n_chips == 1 or not (price.time_s or price.energy_j):
            return 0.0, 0.0
        slots = slots_of(self.target, len(cut.together))
        passed = laid_out(cut, self.target, slots).crossings.of
        on_links = sum(
            np.asarray(packets.sum(axis=0)) * self.shares[name]
            for name, packets in passed.items()
        )
        return float(np.max(on_links, initial=0.0)), float(np.sum(on_links))

    def _price(self, name: str, quantity: str) -> float:
        return getattr(self.target.cost(name), quantity) or 0.0


def _shares(graph: QuantizedGraph, spikes: Mapping[str, float]) -> dict[str, float]:
    """Return how many of each layer's neurons spike in a timestep."""
    found = {}
    for name in (graph.source.name, *(p.name for p in graph.populations)):
        n = n_neurons(graph.shape_of(name)) * graph.training.timesteps
        found[name] = spikes[name] / n if name in spikes else ACTIVITY
    if graph.training.encoding == Encoding.DIRECT:
        found[graph.source.name] = 1.0  # every value at every timestep
    elif graph.training.encoding == Encoding.BIAS:
        found[graph.source.name] = 0.0  # it brings no spikes
    return found
