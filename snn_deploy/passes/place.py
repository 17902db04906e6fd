"""Give each piece a neurocore on the mesh, so that packets have short ways."""

from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.ir.mapped import MappedNetwork, Neurocore, synapses_on
from snn_deploy.passes.partition import Partition
from snn_deploy.target import Mesh, Target

MOVES = 200  # swaps tried, for each neurocore
SEED = 0


def place(cut: Partition, target: Target) -> MappedNetwork:
    """Return the network with its pieces on neurocores.

    It takes as few tiles as it can, in a corner of the mesh. On these, pieces are
    swapped by simulated annealing [1]_, with a fixed seed, so that packets travel few
    hops if all neurons spike alike. A network with more pieces than the chip has
    neurocores is laid out past its edge; ``check_rules`` refuses it.

    References
    ----------
    .. [1] S. Kirkpatrick, C. Gelatt, M. Vecchi, "Optimization by simulated annealing",
       Science 220, 1983.
    """
    slots = _slots(target.mesh, len(cut.pieces))
    slots = _annealed(traffic(cut), slots)
    cores = tuple(
        Neurocore(index=index, x=int(x), y=int(y), pieces=(piece,))
        for index, (piece, (x, y)) in enumerate(zip(cut.pieces, slots, strict=False))
    )
    return MappedNetwork(graph=cut.graph, target=target, cores=cores)


def traffic(cut: Partition) -> FloatArray:
    """Return the packets between all pieces if every neuron spikes once.

    Returns
    -------
    array, (n_pieces, n_pieces)
        From, to.
    """
    n = len(cut.pieces)
    members: dict[str, list[int]] = {p.name: [] for p in cut.graph.populations}
    place_of: dict[str, IntArray] = {
        p.name: np.zeros(p.size, np.int64) for p in cut.graph.populations
    }
    for index, piece in enumerate(cut.pieces):
        mine = members[piece.population]
        place_of[piece.population][piece.neurons] = len(mine)
        mine.append(index)
    reached: dict[str, IntArray] = {}  # synapses of each neuron, by piece
    for name, population in place_of.items():
        reached[name] = np.zeros((len(population), n), np.int64)
    for projection in cut.graph.projections:
        if projection.source in reached:
            targets = members[projection.target]
            places = place_of[projection.target]
            found = synapses_on(cut.graph, projection, places, len(targets))
            reached[projection.source][:, targets] += found
    packets = [
        (reached[piece.population][piece.neurons] > 0).sum(axis=0)
        for piece in cut.pieces
    ]
    return np.array(packets, np.float64).reshape(n, n)


def _slots(mesh: Mesh, n: int) -> IntArray:
    """Return places ``(n_slots, 2)`` for ``n`` pieces: whole tiles, near a corner."""
    n_tiles = -(-n // mesh.neurocores_per_tile)
    width = max(mesh.width, -(-n_tiles // mesh.height))
    tiles = [(x, y) for x in range(width) for y in range(mesh.height)]
    tiles.sort(key=lambda tile: (max(tile), tile))
    return np.repeat(np.array(tiles[:n_tiles]), mesh.neurocores_per_tile, axis=0)


def _annealed(packets: FloatArray, slots: IntArray) -> IntArray:
    """Return the slots in another order: the first for the first piece, and so on."""
    search = _Search(_both_ways(packets, len(slots)), slots.astype(np.float64))
    best, least = search.slots.copy(), search.cost()
    cost = least
    rng = np.random.default_rng(SEED)
    n_moves = MOVES * len(slots)
    pairs = rng.integers(0, len(slots), (n_moves, 2))
    luck = -np.log(rng.random(n_moves))
    hottest = 0.1 * least / len(slots)
    for move, (a, b) in enumerate(pairs):
        more = search.change(a, b)
        if more < luck[move] * hottest * (1 - move / n_moves) ** 2:
            search.swap(a, b)
            cost += more
            if cost < least:
                best, least = search.slots.copy(), cost
    return best.astype(np.int64)


def _both_ways(packets: FloatArray, n_slots: int) -> FloatArray:
    """Return the packets between two pieces in either direction; empty slots have 0."""
    n_free = n_slots - len(packets)
    return np.pad(packets + packets.T, (0, n_free))


@dataclass
class _Search:
    """Pieces on slots, and what it costs to swap two of them."""

    packets: FloatArray  # (n, n), symmetric
    slots: FloatArray  # (n, 2)

    def cost(self) -> float:
        """Return the hops of all packets."""
        hops = np.abs(self.slots[:, np.newaxis] - self.slots).sum(axis=2)
        return float((self.packets * hops).sum() / 2)

    def change(self, a: int, b: int) -> float:
        """Return how many hops more it takes with two pieces swapped."""
        near_a = np.abs(self.slots - self.slots[a]).sum(axis=1)
        near_b = np.abs(self.slots - self.slots[b]).sum(axis=1)
        between = 2 * self.packets[a, b] * near_a[b]
        return float((self.packets[a] - self.packets[b]) @ (near_b - near_a) + between)

    def swap(self, a: int, b: int) -> None:
        """Let two pieces change places."""
        self.slots[[a, b]] = self.slots[[b, a]]
