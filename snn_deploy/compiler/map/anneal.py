"""Search for places between which packets travel few hops."""

import time

import numpy as np
from scipy import sparse

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.chip.target import Target

SEED = 0
MOST_SWEEPS = 2000
SWEEPS_OF_A_SLOT = 25  # small networks need fewer
MOST_DISTANCES = 250_000_000  # in all sweeps, ten seconds or so
MOVED = 0.3  # of all pieces, in a sweep
REACH, LEAST_REACH = 1 / 6, 0.7  # around a middle: of the mesh at first; tiles
CROSSING = 4  # a link between chips counts as so many hops more


def annealed(
    packets: sparse.csr_array, slots: IntArray, target: Target, seconds: float
) -> IntArray:
    """Return the slots in another order: the first for the first piece, and so on.

    Simulated annealing [1]_ with a fixed seed. In a sweep many pieces at once want to
    go to the middle of those they exchange packets with, or not far from there, and
    change places with who is there; the cooler it is, the nearer, and the fewer do so
    at a loss.

    Parameters
    ----------
    packets : sparse array, (n_pieces, n_pieces)
        From, to.
    slots : array, (n_slots, 2)
        Tiles, one for each neurocore; no fewer than pieces.
    target : Target
    seconds : float
        It cools down within that time, if not before.

    References
    ----------
    .. [1] S. Kirkpatrick, C. Gelatt, M. Vecchi, "Optimization by simulated annealing",
       Science 220, 1983.
    """
    start = time.monotonic()
    search = _Search(packets, slots, target)
    first, cost = search.at.copy(), search.cost
    if not cost:
        return slots
    rng = np.random.default_rng(SEED)
    n_sweeps = min(
        MOST_SWEEPS,
        SWEEPS_OF_A_SLOT * len(slots),
        MOST_DISTANCES // search.weights.nnz + 1,
    )
    heat, reach = cost / len(slots), REACH * np.ptp(slots, axis=0).max()
    for sweep in range(n_sweeps):
        done = max(sweep / n_sweeps, (time.monotonic() - start) / seconds)
        if done >= 1:
            break
        left = 1 - done
        search.swap(rng, heat * left**3, max(LEAST_REACH, reach * left**2))
    return slots[search.at if search.cost < cost else first]


class _Search:
    """Pieces on slots, of which many pairs at once change places.

    Slots that no piece needs hold pieces that send nothing.
    """

    def __init__(
        self, packets: sparse.csr_array, slots: IntArray, target: Target
    ) -> None:
        n = len(slots)
        both = sparse.coo_array(packets + packets.T, dtype=np.float64)
        travels = both.row != both.col  # a packet to its own neurocore does not
        pairs = both.row[travels], both.col[travels]
        self.weights = sparse.csr_array((both.data[travels], pairs), (n, n))
        self.degrees = np.maximum(self.weights.sum(axis=1), np.finfo(float).tiny)
        self.tiles = slots
        chips = slots // [target.mesh.width, target.mesh.height]
        self.ways = slots + CROSSING * chips  # their distance is that of the packets
        self.at = np.arange(n)  # the slot of each piece
        self.held = np.arange(n)  # the piece on each slot
        self.on_tile = _on_tiles(slots, target.mesh.neurocores_per_tile)

    @property
    def cost(self) -> float:
        """The hops of all packets."""
        pairs = self.weights.tocoo()
        places = self.ways[self.at]
        hops = np.abs(places[pairs.row] - places[pairs.col]).sum(axis=1)
        return float(pairs.data @ hops / 2)

    def swap(self, rng: np.random.Generator, heat: float, reach: float) -> None:
        """Let pairs change places, where that saves hops, or at random.

        Each pair counts what it saves while all others stay.
        """
        one, other = self._pairs(rng, reach)
        luck = -np.log(rng.random(len(one)))
        does = self._hops_more(one, other) < luck * heat
        one, other = one[does], other[does]
        self.at[one], self.at[other] = self.at[other], self.at[one]
        self.held[self.at[one]], self.held[self.at[other]] = one, other

    def _pairs(
        self, rng: np.random.Generator, reach: float
    ) -> tuple[IntArray, IntArray]:
        """Return pieces and those on the slots that they want, each piece once."""
        n = len(self.at)
        one = rng.permutation(n)[: max(1, int(MOVED * n))]
        middle = (self.weights @ self.tiles[self.at])[one] / self.degrees[one, None]
        wanted = np.rint(middle + reach * rng.normal(size=middle.shape)).astype(int)
        x, y = np.clip(wanted, 0, np.array(self.on_tile.shape[:2]) - 1).T
        slot = self.on_tile[x, y, rng.integers(self.on_tile.shape[2], size=len(one))]
        one, slot = one[slot >= 0], slot[slot >= 0]
        other = self.held[slot]
        turn = np.arange(len(one))
        first = np.full(n, n)  # turn in which a piece comes
        for pieces in (one, other):
            np.minimum.at(first, pieces, turn)
        is_first = (first[one] == turn) & (first[other] == turn) & (one != other)
        return one[is_first], other[is_first]

    def _hops_more(self, one: IntArray, other: IntArray) -> FloatArray:
        """Return how many hops each pair costs more when it has changed places."""
        movers, partners = np.concatenate([one, other]), np.concatenate([other, one])
        near = self.weights[movers]
        rows = np.repeat(np.arange(len(movers)), np.diff(near.indptr))
        places = self.ways[self.at]
        there = places[near.indices]
        more = np.abs(places[partners][rows] - there).sum(axis=1)
        more -= np.abs(places[movers][rows] - there).sum(axis=1)
        more[near.indices == partners[rows]] = 0  # as far from each other as before
        found = np.bincount(rows, near.data * more, minlength=len(movers))
        return np.asarray(found[: len(one)] + found[len(one) :], np.float64)


def _on_tiles(slots: IntArray, per_tile: int) -> IntArray:
    """Return the slots on each tile, ``(width, height, per_tile)``; -1 for none."""
    order = np.lexsort(slots.T)
    starts = np.any(np.diff(slots[order], axis=0, prepend=-1), axis=1)
    number = np.arange(len(slots)) - np.flatnonzero(starts)[np.cumsum(starts) - 1]
    found = np.full((*slots.max(axis=0) + 1, per_tile), -1)
    x, y = slots[order].T
    found[x, y, number] = order
    return found
