"""Give each piece a neurocore on the mesh, so that packets have short ways."""

import time
from collections.abc import Mapping

import numpy as np
from scipy import sparse

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.errors import DataError
from snn_deploy.ir.mapped import MappedNetwork, Neurocore, reached, synapses_on
from snn_deploy.passes.partition import Partition
from snn_deploy.target import Target

SEED = 0
MOST_SWEEPS = 1500
MOST_DISTANCES = 60_000_000  # that the search looks at, some seconds
HEAT = 0.1  # of the hops of a piece, at the start
SHARE = 0.3  # of the pairs that would change places, those that do
CROSSING = 4  # a link between chips counts as so many hops more


def place(
    cut: Partition,
    target: Target,
    *,
    spikes: Mapping[str, float] | None = None,
    seconds: float = float("inf"),
) -> MappedNetwork:
    """Return the network with its pieces on neurocores.

    It takes as few chips and tiles as it can, in a corner of the board. Pieces start in
    the order of their layers along a space-filling curve [1]_; then many pairs at once
    are swapped by simulated annealing [2]_, with a fixed seed, so that packets travel
    few hops. A network with more pieces than there are neurocores is laid out past the
    edge; ``check_rules`` refuses it.

    Parameters
    ----------
    cut, target
    spikes : mapping, optional
        How many spikes each population sends; one of every neuron if it is not given.
    seconds : float
        The search ends by then, wherever it is.

    References
    ----------
    .. [1] D. Hilbert, "Ueber die stetige Abbildung einer Linie auf ein Flaechenstueck",
       Mathematische Annalen 38, 1891.
    .. [2] S. Kirkpatrick, C. Gelatt, M. Vecchi, "Optimization by simulated annealing",
       Science 220, 1983.
    """
    slots = slots_of(target, len(cut.together))
    slots = _annealed(traffic(cut, spikes), slots, target, seconds)
    return laid_out(cut, target, slots)


def laid_out(cut: Partition, target: Target, slots: IntArray) -> MappedNetwork:
    """Return the network with a place for each neurocore, in their order."""
    cores = tuple(
        Neurocore(
            index=index,
            x=int(x),
            y=int(y),
            pieces=tuple(cut.pieces[number] for number in numbers),
        )
        for index, (numbers, (x, y)) in enumerate(
            zip(cut.together, slots, strict=False)
        )
    )
    return MappedNetwork(graph=cut.graph, target=target, cores=cores)


def traffic(
    cut: Partition, spikes: Mapping[str, float] | None = None
) -> sparse.csr_array:
    """Return the packets between all neurocores if every neuron spikes once.

    Parameters
    ----------
    cut : Partition
    spikes : mapping, optional
        How many spikes each population sends instead.

    Returns
    -------
    sparse array, (n_cores, n_cores)
        From, to.

    Raises
    ------
    DataError
        If ``spikes`` are of another network.
    """
    shares = np.ones(len(cut.pieces))
    for index, piece in enumerate(cut.pieces if spikes is not None else ()):
        if spikes is None or piece.population not in spikes:
            raise DataError(
                f"{piece.population}: its traffic is not known; give a profile of this "
                "network, in which each layer has neurocores of its own"
            )
        size = cut.graph.population(piece.population).size
        shares[index] = spikes[piece.population] / size
    numbers = np.concatenate([np.array(group) for group in cut.together])
    cores = np.repeat(
        np.arange(len(cut.together)), [len(group) for group in cut.together]
    )
    lies = sparse.csr_array((shares[numbers], (cores, numbers)))
    return sparse.csr_array(lies @ packets_of(cut))


def packets_of(cut: Partition) -> sparse.csr_array:
    """Return the packets that each piece sends to each neurocore, ``(n, n_cores)``."""
    home = np.zeros(len(cut.pieces), np.int64)
    for core, numbers in enumerate(cut.together):
        home[list(numbers)] = core
    piece_of = {p.name: np.zeros(p.size, np.int64) for p in cut.graph.populations}
    for index, piece in enumerate(cut.pieces):
        piece_of[piece.population][piece.neurons] = index
    n, n_cores = len(cut.pieces), len(cut.together)
    total = sparse.csr_array((n, n_cores), dtype=np.int64)
    for name, pieces in piece_of.items():
        leaving = [p for p in cut.graph.projections if p.source == name]
        if leaving:
            read = sum(
                synapses_on(cut.graph, p, home[piece_of[p.target]], n_cores)
                for p in leaving
            )
            ones = np.ones(len(pieces), np.int64)
            rows = np.arange(len(pieces))
            lies = sparse.csr_array((ones, (pieces, rows)), (n, len(pieces)))
            total += lies @ reached(read.tocsr())
    return total


def slots_of(target: Target, n: int) -> IntArray:
    """Return places ``(n_slots, 2)`` for ``n`` pieces: whole tiles, near a corner.

    They come chip by chip, in each along a curve on which neighbors are near.
    """
    mesh, board = target.mesh, target.board
    per_tile, per_chip = mesh.neurocores_per_tile, mesh.neurocores
    width = max(board.width, -(-n // (per_chip * board.height)))
    chips = [(x, y) for x in range(width) for y in range(board.height)]
    chips.sort(key=lambda chip: (max(chip), chip))
    found: list[IntArray] = []
    for x, y in chips[: max(1, -(-n // per_chip))]:
        tiles = _tiles(target, min(n, per_chip))
        here = np.repeat(tiles, per_tile, axis=0)[:per_chip]
        found.append(here + np.array([x * mesh.width, y * mesh.height]))
        n -= per_chip
    return np.concatenate(found)


def _tiles(target: Target, n: int) -> IntArray:
    """Return the tiles of one chip that ``n`` pieces fill, along a curve."""
    mesh = target.mesh
    tiles = [(x, y) for x in range(mesh.width) for y in range(mesh.height)]
    tiles.sort(key=lambda tile: (max(tile), tile))
    n_tiles = -(-n // mesh.neurocores_per_tile)
    return np.array(sorted(tiles[:n_tiles], key=_on_curve))


def _on_curve(tile: tuple[int, int]) -> int:
    """Return the position of a tile along the curve of Hilbert."""
    x, y = tile
    position, side = 0, 1 << 16  # more tiles than any board has
    while side > 1:
        side //= 2
        right, up = int(x & side > 0), int(y & side > 0)
        position += side * side * ((3 * right) ^ up)
        if not up:
            if right:
                x, y = side - 1 - (x & (side - 1)), side - 1 - (y & (side - 1))
            x, y = y, x
    return position


def _annealed(
    packets: sparse.csr_array, slots: IntArray, target: Target, seconds: float
) -> IntArray:
    """Return the slots in another order: the first for the first piece, and so on."""
    search = _Search(packets, slots, target)
    best, least = search.at.copy(), search.cost
    rng = np.random.default_rng(SEED)
    n_sweeps = MOST_DISTANCES // max(1, search.weights.size)
    n_sweeps = max(1, min(MOST_SWEEPS, n_sweeps))
    hottest = HEAT * least / len(slots)
    end = time.monotonic() + seconds
    for sweep in range(n_sweeps):
        if len(slots) < 2 or time.monotonic() > end:
            break
        search.swap(rng, hottest * (1 - sweep / n_sweeps) ** 3)
        if search.cost < least:
            best, least = search.at.copy(), search.cost
    return slots[best]


class _Search:
    """Pieces on slots; swaps of many pairs at once."""

    def __init__(
        self, packets: sparse.csr_array, slots: IntArray, target: Target
    ) -> None:
        both = sparse.coo_array(packets + packets.T)
        self.one, self.other, self.weights = both.row, both.col, both.data
        chips = slots // [target.mesh.width, target.mesh.height]
        places = np.column_stack([slots, CROSSING * chips]).astype(np.int32)
        self.axes = [axis.copy() for axis in places.T if np.ptp(axis)]
        self.at = np.arange(len(slots))
        self.ways = self._ways(self.at)

    @property
    def cost(self) -> float:
        """The hops of all packets."""
        return float(self.ways.sum() / 2)

    def _ways(self, moved: IntArray) -> FloatArray:
        """Return the hops of the packets of each two pieces, the first one moved."""
        one, other = moved[self.one], self.at[self.other]
        found = np.zeros(len(one), np.int32)
        for axis in self.axes:
            found += np.abs(axis[one] - axis[other])
        ways: FloatArray = self.weights * found
        return ways

    def swap(self, rng: np.random.Generator, heat: float) -> None:
        """Let random pairs change places, where that saves hops, or at random.

        Each pair counts what it saves while all others stay, and of those that would
        swap only a part does, so that few of them move while their neighbors do.
        """
        n = len(self.at)
        order = rng.permutation(n)
        half = n // 2
        partner = np.arange(n)
        partner[order[:half]], partner[order[half : 2 * half]] = (
            order[half : 2 * half],
            order[:half],
        )
        new = self._ways(self.at[partner])
        is_pair = self.other == partner[self.one]
        new[is_pair] = self.ways[is_pair]  # as far from each other as before
        more = np.bincount(self.one, new - self.ways, minlength=n)
        more = more + more[partner]
        luck = -np.log(rng.random(n))
        does = rng.random(n) < max(SHARE, min(1.0, 8 / n))
        a = order[:half]
        a = a[(more[a] < luck[a] * heat) & does[a]]
        b = partner[a]
        self.at[a], self.at[b] = self.at[b], self.at[a]
        self.ways = self._ways(self.at)
