"""Count what a chip would do: events by neurocore and chip timestep, from spikes."""

from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
from scipy import sparse

from snn_deploy.arrays import BoolArray, IntArray
from snn_deploy.backends.results import Counts
from snn_deploy.chip.events import CHIP_EVENTS, CORE_EVENTS, LIMIT_EVENTS, UPDATE
from snn_deploy.ir.counted import counted
from snn_deploy.ir.mapped import Crossings, MappedNetwork, Routes

# what a spike of each sender causes; networks that are laid out alike share it
PER_SPIKE: "WeakKeyDictionary[Crossings, dict[str, sparse.csr_array]]"
PER_SPIKE = WeakKeyDictionary()


class Counter:
    """Turns the spikes and states of a chip timestep into counts.

    ``Routes`` say what each spike costs; they are laid out once, as one sparse matrix
    for each sender, of its kinds of neurons, with the columns of ``Counts``.
    """

    def __init__(self, network: MappedNetwork) -> None:
        self.network = network
        self.n_cores = len(network.cores)
        self.n_links = len(network.crossings.links)
        self.mapped = np.array([core.n_compartments for core in network.cores])
        if network.crossings not in PER_SPIKE:
            PER_SPIKE[network.crossings] = {
                name: self._per_spike(name, routes)
                for name, routes in network.routes.items()
            }
        self.per_spike = PER_SPIKE[network.crossings]

    @cached_property
    def lies_on(self) -> dict[str, sparse.csr_array]:
        """Which neurocore each neuron of a population lies on, ``(n, n_cores)``."""
        core_of = self.network.core_of
        return {name: _one_hot(core_of[name], self.n_cores) for name in core_of}

    def start(self, *shape: int, dtype: type = np.int64) -> Counts:
        """Return counts for inputs or timesteps in which nothing happened yet."""
        return Counts.none(shape, self.n_cores, self.n_links, dtype)

    def add_spikes(
        self, counts: Counts, name: str, spikes: IntArray | BoolArray
    ) -> None:
        """Count what the spikes ``(n, n_neurons)`` of a sender cause."""
        inputs, neurons = np.nonzero(spikes)
        kinds = self.network.routes[name].kinds
        size = len(spikes), len(kinds.first)
        sent = counted(inputs, kinds.of_neurons[neurons], size)
        values = counts.values
        values += (sent @ self.per_spike[name]).toarray()

    def add_updates(self, counts: Counts, name: str, updated: BoolArray) -> None:
        """Count the neurons of a population that have something to compute.

        Parameters
        ----------
        updated : array, (n, n_neurons)
            Whether a synaptic event arrived, even if the sum is 0, or the neuron was
            busy before the update: its current, voltage or bias is not 0.
        """
        counts.cores[:, :, UPDATE] += (self.lies_on[name].T @ updated.T).T

    def _per_spike(self, name: str, routes: Routes) -> sparse.csr_array:
        """Return what one spike of each kind causes, ``(n_kinds, n_columns)``."""
        graph, cores = self.network.graph, self.network.cores
        is_input = name == graph.source.name
        tiles = np.array([(core.x, core.y) for core in cores])
        n_packets, hops = _travel(routes, tiles, is_input=is_input)
        no_core = sparse.csr_array(routes.packets.shape, dtype=np.int64)
        if name == graph.output and graph.readout.spikes:  # one more packet to the host
            n_packets = n_packets + 1
            hops = hops + tiles[routes.core]
        lies = _one_hot(routes.core, self.n_cores)
        if is_input:
            lies = sparse.csr_array(lies.shape, dtype=np.int64)
        of_cores = {
            "fire": lies,
            "packet": lies * n_packets[:, np.newaxis],
            "packet_in": routes.packets,
            "synaptic_operation": routes.operations,
            "injection": routes.packets if is_input else no_core,
        }
        of_chip = {
            "hop_east_west": hops[:, 0],
            "hop_north_south": hops[:, 1],
        }
        none = np.zeros_like(n_packets)
        chip = [of_chip.get(event, none) for event in CHIP_EVENTS]
        blocks = [
            *(of_cores.get(event, no_core) for event in CORE_EVENTS),
            sparse.csr_array(np.column_stack(chip)),
            self.network.crossings.of[name],
            sparse.csr_array((lies.shape[0], len(LIMIT_EVENTS)), dtype=int),
        ]
        found = sparse.csr_array(sparse.hstack(blocks, format="csr"))[:, self._order]
        found.eliminate_zeros()
        return found

    @cached_property
    def _order(self) -> IntArray:
        """Where each column of ``Counts`` stands if they are sorted by event."""
        n = len(CORE_EVENTS) * self.n_cores
        by_event = np.arange(n).reshape(len(CORE_EVENTS), self.n_cores)
        others = np.arange(n, self.start().values.size)
        return np.concatenate([by_event.T.reshape(-1), others])


def _travel(
    routes: Routes, tiles: IntArray, *, is_input: bool
) -> tuple[IntArray, IntArray]:
    """Return the packets of one spike of each kind, and their hops ``(n, 2)``."""
    packets = sparse.coo_array(routes.packets)
    sender, receiver = packets.row, packets.col
    start = 0 if is_input else tiles[routes.core[sender]]
    ways = np.abs(tiles[receiver] - start)
    n = len(routes.core)
    sums = [
        np.bincount(sender, along, minlength=n).astype(np.int64) for along in ways.T
    ]
    n_packets: IntArray = np.bincount(sender, minlength=n)
    return n_packets, np.stack(sums, axis=1)


def _one_hot(cores: IntArray, n_cores: int) -> sparse.csr_array:
    ones = np.ones(len(cores), np.int64)
    rows = np.arange(len(cores))
    return sparse.csr_array((ones, (rows, cores)), shape=(len(cores), n_cores))
