"""What each neurocore has to do for an input: packets, and the time that they take."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.chip.events import INJECTION, PACKET, PACKET_IN
from snn_deploy.chip.target import CENTRAL
from snn_deploy.costs.prices import cost_of, prices_for
from snn_deploy.errors import DataError
from snn_deploy.ir.mapped import HOST, Link, MappedNetwork, way
from snn_deploy.profile.profile import Profile

MOST_TILES = 1024  # in use, whose flows are followed
Tile = tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Loads:
    """Means over the inputs of a profile, for each neurocore of a network."""

    packets: FloatArray  # (n_cores,), sent and received
    sent: FloatArray  # (n_cores,), of these
    injected: FloatArray  # (n_cores,), of the packets received those from the host
    busy_s: FloatArray  # (n_cores,), modelled; not a number: unknown

    def as_json(self, network: MappedNetwork) -> list[dict[str, Any]]:
        """Return them as ``summary.json`` holds them."""
        return [
            {
                "index": core.index,
                "mean_packets": float(self.packets[i]),
                "mean_sent": float(self.sent[i]),
                "mean_injected": float(self.injected[i]),
                "mean_busy_s": None if np.isnan(self.busy_s[i]) else self.busy_s[i],
            }
            for i, core in enumerate(network.cores)
        ]


def loads_of(profile: Profile) -> Loads:
    """Return the loads of the inputs with the cutoff, if there is one.

    A neurocore is busy while it computes and sends, or receives, whatever takes longer
    in a timestep of the inputs together.
    """
    network, n = profile.artifact.network, len(profile.rows)
    prices = prices_for(network, profile.monitor)
    counts = profile.totals.cores
    generating = cost_of(counts, prices.generating)[..., CENTRAL]
    receiving = cost_of(counts, prices.receiving)[..., CENTRAL]
    packets = counts[..., PACKET] + counts[..., PACKET_IN]
    return Loads(
        packets=packets.sum(axis=0) / n,
        sent=counts[..., PACKET].sum(axis=0) / n,
        injected=counts[..., INJECTION].sum(axis=0) / n,
        busy_s=np.maximum(generating, receiving).sum(axis=0) / n,
    )


def saved_loads(summary: dict[str, Any], network: MappedNetwork, where: str) -> Loads:
    """Return the loads that ``as_json`` has written, of this very network.

    Raises
    ------
    DataError
        If the neurocores are others, or their loads are no numbers.
    """
    try:
        return _loads(summary["neurocores"], network, where)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{where}: summary.json has no loads of neurocores ({error}); profile again"
        ) from error


def _loads(saved: Any, network: MappedNetwork, where: str) -> Loads:
    found = {load["index"]: load for load in saved}
    indices = [core.index for core in network.cores]
    if sorted(found) != sorted(indices):
        raise DataError(
            f"{where}: profiled on {len(found)} other neurocores than the "
            f"{len(indices)} of this network; profile again"
        )
    busy = [found[i]["mean_busy_s"] for i in indices]
    packets, sent, injected = (
        np.array([found[i][name] for i in indices], np.float64)
        for name in ("mean_packets", "mean_sent", "mean_injected")
    )
    return Loads(
        packets=packets,
        sent=sent,
        injected=injected,
        busy_s=np.array([np.nan if b is None else b for b in busy], np.float64),
    )


def flows_of(network: MappedNetwork, loads: Loads) -> dict[Link, float]:
    """Return the packets of an input from each tile to the next, on their ways.

    What neurocores send, and what the host sends to each, is measured; where packets go
    is as if the neurons of a neurocore fired alike. None of a network on too many
    tiles.
    """
    if network.n_tiles > MOST_TILES:
        return {}
    tiles: list[Tile] = [(core.x, core.y) for core in network.cores]
    trips: dict[tuple[Tile, Tile], float] = {}

    def add(start: Tile, end: Tile, packets: float) -> None:
        trips[start, end] = trips.get((start, end), 0.0) + packets

    for tile, packets in zip(tiles, loads.injected.tolist(), strict=True):
        add(HOST, tile, packets)
    routed = _routed(network)
    shares = routed * (loads.sent / np.maximum(routed.sum(axis=1), 1))[:, np.newaxis]
    for i, j in zip(*np.nonzero(shares), strict=True):
        end = HOST if j == len(tiles) else tiles[j]
        add(tiles[i], end, float(shares[i, j]))
    flows: dict[Link, float] = {}
    for (start, end), packets in sorted(trips.items()):
        for link in way(start, end) if packets else ():
            flows[link] = flows.get(link, 0.0) + packets
    return flows


def _routed(network: MappedNetwork) -> FloatArray:
    """Return the packets if every neuron fires once, ``(n_cores, n_cores + 1)``.

    The last column is the host.
    """
    n, graph = len(network.cores), network.graph
    found = np.zeros((n, n + 1))
    for population in graph.populations:
        routes = network.routes[population.name]
        packets, n_neurons = routes.packets.tocoo(), routes.kinds.n_neurons
        n_sent = packets.data * n_neurons[packets.row]
        np.add.at(found, (routes.core[packets.row], packets.col), n_sent)
    if graph.readout.spikes:
        np.add.at(found[:, n], network.core_of[graph.output], 1)
    return found
