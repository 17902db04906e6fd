"""Give each piece a neurocore on the mesh, so that packets have short ways."""

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from snn_deploy.arrays import IntArray, n_neurons
from snn_deploy.chip.target import Target
from snn_deploy.compiler.map.anneal import annealed
from snn_deploy.compiler.map.partition import Partition
from snn_deploy.errors import DataError
from snn_deploy.ir.kinds import Kinds, alike_in, where_equal
from snn_deploy.ir.mapped import MappedNetwork, Neurocore, reached


def place(
    cut: Partition,
    target: Target,
    *,
    spikes: Mapping[str, float] | None = None,
    seconds: float = float("inf"),
) -> MappedNetwork:
    """Return the network with its pieces on neurocores.

    It takes as few chips and tiles as it can, in a corner of the board. Pieces start in
    the order of their layers along a space-filling curve [1]_; then many change places,
    so that packets travel few hops. A network with more pieces than there are
    neurocores is laid out past the edge; ``check_rules`` refuses it.

    Parameters
    ----------
    cut, target
    spikes : mapping, optional
        How many spikes each population sends; one of every neuron if it is not given.
    seconds : float
        The search for near places cools down within that time, if not before.

    References
    ----------
    .. [1] D. Hilbert, "Ueber die stetige Abbildung einer Linie auf ein Flaechenstueck",
       Mathematische Annalen 38, 1891.
    """
    slots = slots_of(target, len(cut.together))
    if len(cut.together) <= target.neurocores:
        slots = annealed(traffic(cut, spikes), slots, target, seconds)
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
    return MappedNetwork(graph=cut.graph, target=target, cores=cores, goal=cut.goal)


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
                "network in which each layer has neurocores of its own, as it has "
                "compiled with --optimize energy"
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
    n, n_cores = len(cut.pieces), len(cut.together)
    piece_of = _pieces_of(cut)
    total = sparse.csr_array((n, n_cores), dtype=np.int64)
    for name, pieces in piece_of.items():
        kinds, sent = _sent(cut, piece_of, name)
        where = pieces[kinds.first], np.arange(len(kinds.first))
        lies = sparse.csr_array((kinds.n_neurons, where), (n, len(kinds.first)))
        total += lies @ sent
    return total


def injected_by(cut: Partition) -> IntArray:
    """Return how many packets the host sends for each value of the input, ``(n,)``."""
    kinds, sent = _sent(cut, _pieces_of(cut), cut.graph.source.name)
    return np.asarray(sent.sum(axis=1))[kinds.of_neurons]


def _pieces_of(cut: Partition) -> dict[str, IntArray]:
    """Return for each population the number of the piece of each neuron."""
    found: dict[str, IntArray] = {
        p.name: np.zeros(p.size, np.int64) for p in cut.graph.populations
    }
    for index, piece in enumerate(cut.pieces):
        found[piece.population][piece.neurons] = index
    return found


def _sent(
    cut: Partition, piece_of: Mapping[str, IntArray], name: str
) -> tuple[Kinds, sparse.csr_array]:
    """Return the kinds of a sender's neurons, and the packets of a spike of each."""
    home, n_cores = np.zeros(len(cut.pieces), np.int64), len(cut.together)
    for core, numbers in enumerate(cut.together):
        home[list(numbers)] = core
    shape = cut.graph.shape_of(name)
    readers = [
        (p.synapses, home[piece_of[p.target]])
        for p in cut.graph.projections
        if p.source == name
    ]
    labels = [synapses.alike(places, shape) for synapses, places in readers]
    lies = piece_of.get(name, np.zeros(n_neurons(shape), np.int64))
    kinds = alike_in(where_equal(lies, shape), *labels)
    read = sparse.csr_array((len(kinds.first), n_cores), dtype=np.int64)
    for synapses, places in readers:
        read = read + synapses.read_on(places, n_cores, shape, kinds.at)
    return kinds, reached(read)


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
