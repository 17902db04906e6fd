"""A network on neurocores: which neurons lie where, and which packets that causes.

Packets travel from neurocore to neurocore, and pass the links between the chips of a
board.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from snn_deploy.arrays import IntArray, n_neurons, read_only
from snn_deploy.chip.neurocore import NeurocoreLimits
from snn_deploy.chip.target import Target
from snn_deploy.errors import PassError
from snn_deploy.ir.counted import counted
from snn_deploy.ir.kinds import Kinds, alike_in, where_equal
from snn_deploy.ir.quantized import Projection, QuantizedGraph
from snn_deploy.names import shown

Chip = tuple[int, int]  # column and row on the board
GOALS = ("energy", "latency", "cores")  # that a network can be mapped for
HOST: Chip = (0, 0)  # where inputs come from, and outputs go to


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """Neurons of one population that lie on one neurocore."""

    population: str
    neurons: IntArray  # (n,), positions in the flattened population, ascending
    synapse_bits: int
    n_input_axons: int
    n_output_axons: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "neurons", read_only(self.neurons, np.int64))
        if self.neurons.ndim != 1 or not np.all(np.diff(self.neurons) > 0):
            raise PassError(
                f"{self.population}: neurons of a piece of shape {self.neurons.shape} "
                "are no ascending row"
            )
        if min(self.synapse_bits, self.n_input_axons, self.n_output_axons) < 0:
            raise PassError(f"{self.population}: a piece takes less than nothing")

    def taken(self, limits: NeurocoreLimits) -> dict[str, int]:
        """Return what the piece takes of each resource that is limited."""
        axons = self.n_input_axons, self.n_output_axons
        return limits.taken(len(self.neurons), self.synapse_bits, *axons)


@dataclass(frozen=True, kw_only=True, eq=False)
class Neurocore:
    """One core of the chip and what it holds."""

    index: int
    x: int  # of its tile
    y: int
    pieces: tuple[Piece, ...]

    @property
    def name(self) -> str:
        return (
            f"neurocore {self.index} ({', '.join(p.population for p in self.pieces)})"
        )

    @property
    def n_compartments(self) -> int:
        return sum(len(piece.neurons) for piece in self.pieces)

    def taken(self, limits: NeurocoreLimits) -> dict[str, int]:
        """Return what all pieces take of each resource that is limited."""
        of_pieces = [piece.taken(limits) for piece in self.pieces]
        return {what: sum(taken[what] for taken in of_pieces) for what in limits.room}


@dataclass(frozen=True, kw_only=True, eq=False)
class Routes:
    """Where the spikes of one population, or of the input, go.

    The rows are kinds of its neurons, the columns all neurocores; what is not there is
    0.
    """

    kinds: Kinds  # all neurons of one lie on one neurocore
    synapses: sparse.csr_array  # (n_kinds, n_cores), that are stored there
    operations: sparse.csr_array  # (n_kinds, n_cores), that one spike causes there
    core: IntArray  # (n_kinds,), where the neurons lie; 0 for the input

    @cached_property
    def packets(self) -> sparse.csr_array:
        """Packets that one spike sends: 1 for each neurocore with a synapse of it."""
        return reached(self.synapses)


@dataclass(frozen=True, order=True)
class Link:
    """One direction of the border between two chips side by side."""

    start: Chip
    end: Chip


@dataclass(frozen=True, kw_only=True, eq=False)
class Crossings:
    """The links that one spike's packets pass, by sender."""

    links: tuple[Link, ...]  # that any route of the network passes
    of: Mapping[str, sparse.csr_array]  # each (n_kinds, n_links), packets


@dataclass(frozen=True, kw_only=True, eq=False)
class MappedNetwork:
    """A retimed network, every neuron on a neurocore."""

    graph: QuantizedGraph
    target: Target
    cores: tuple[Neurocore, ...]
    goal: str = ""  # one of ``GOALS``, or none: laid out by hand

    def __post_init__(self) -> None:
        if self.goal not in ("", *GOALS):
            raise PassError(
                f"mapped for {shown(self.goal)}, but goals are {', '.join(GOALS)}"
            )
        _ = self.core_of

    def check_stored(self) -> None:
        """Raise a ``PassError`` for what no compiled network has in its file.

        While a network is laid out its neurocores may lie past the edge;
        ``check_rules`` counts them.
        """
        if not self.graph.projections_into(self.graph.readout):
            raise PassError(f"{self.graph.output}: nothing reaches what is read out")
        for projection in self.graph.projections:
            if not projection.synapses.weights.size:
                raise PassError(f"{projection.name}: has no synapses")
        self._check_times()
        self._check_places()

    def _check_times(self) -> None:
        graph = self.graph
        for projection in graph.projections:
            late = graph.offset_of(projection.target)
            late -= graph.offset_of(projection.source)
            if projection.delay < max(late, 1):
                raise PassError(
                    f"{projection.name}: a delay of {projection.delay} timesteps, at "
                    f"least {max(late, 1)} are needed"
                )
            allowed = 1 + self.target.precision.delay_max
            if projection.longest_delay > allowed:
                raise PassError(
                    f"{projection.name}: a delay of {projection.longest_delay} "
                    f"timesteps, {self.target.name} allows {allowed}"
                )

    def _check_places(self) -> None:
        mesh, board = self.target.mesh, self.target.board
        width, height = mesh.width * board.width, mesh.height * board.height
        on_tile: Counter[tuple[int, int]] = Counter()
        for position, core in enumerate(self.cores):
            if core.index != position or not core.pieces:
                raise PassError(
                    f"{core.name}: stands at position {position}, or is empty; number "
                    "those in use"
                )
            if not (0 <= core.x < width and 0 <= core.y < height):
                raise PassError(
                    f"{core.name}: lies on tile {core.x}, {core.y}, there are {width} "
                    f"x {height}"
                )
            on_tile[core.x, core.y] += 1
        if on_tile and max(on_tile.values()) > mesh.neurocores_per_tile:
            raise PassError(
                f"{max(on_tile.values())} neurocores on one tile, which has "
                f"{mesh.neurocores_per_tile}"
            )

    @cached_property
    def core_of(self) -> dict[str, IntArray]:
        """For each population the position in ``cores`` of each of its neurons."""
        found: dict[str, IntArray] = {
            p.name: np.full(p.size, -1, np.int64) for p in self.graph.populations
        }
        for position, core in enumerate(self.cores):
            for piece in core.pieces:
                places = found.get(piece.population, np.zeros(0, np.int64))
                neurons = piece.neurons
                if np.any((neurons < 0) | (neurons >= len(places))):
                    raise PassError(
                        f"{core.name}: holds neurons that {piece.population} has not"
                    )
                if np.any(places[neurons] >= 0):
                    raise PassError(
                        f"{piece.population}: some neurons lie on two neurocores"
                    )
                places[neurons] = position
        for name, cores in found.items():
            if np.any(cores < 0):
                raise PassError(f"{name}: some neurons lie on no neurocore")
        return found

    @cached_property
    def routes(self) -> dict[str, Routes]:
        """The routes of the input and of every population that sends."""
        graph = self.graph
        found = {}
        for name in (graph.source.name, *(p.name for p in graph.populations)):
            leaving = [p for p in graph.projections if p.source == name]
            size = n_neurons(graph.shape_of(name))
            core = self.core_of.get(name, np.zeros(size, np.int64))
            kinds = self._kinds(core, name, leaving)
            none = sparse.csr_array((len(kinds.first), len(self.cores)), dtype=np.int64)
            synapses = operations = none
            for projection in leaving:
                cores = self.core_of[projection.target]
                where = (cores, len(self.cores), graph.shape_of(name), kinds.at)
                read = projection.synapses.read_on(*where)
                synapses = synapses + read
                if not self.target.neurocore.reads_zeros:
                    read = projection.synapses.effective_read_on(*where)
                operations = operations + read
            found[name] = Routes(
                kinds=kinds,
                synapses=synapses,
                operations=operations,
                core=core[kinds.first],
            )
        return found

    def _kinds(self, core: IntArray, name: str, leaving: list[Projection]) -> Kinds:
        """Return the kinds of a sender's neurons, for their places and readers."""
        shape = self.graph.shape_of(name)
        labels = [where_equal(core, shape)]
        for projection in leaving:
            there = self.core_of[projection.target], shape
            if self.target.neurocore.reads_zeros:
                labels.append(projection.synapses.alike(*there))
            else:
                labels.append(projection.synapses.effectively_alike(*there))
        return alike_in(*labels)

    @property
    def n_tiles(self) -> int:
        """How many tiles hold a neurocore in use."""
        return len({(core.x, core.y) for core in self.cores})

    @cached_property
    def chips(self) -> IntArray:
        """Column and row of each neurocore's chip on the board, ``(n_cores, 2)``."""
        mesh = self.target.mesh
        tiles = np.array([(core.x, core.y) for core in self.cores]).reshape(-1, 2)
        return np.asarray(tiles // [mesh.width, mesh.height])

    @property
    def n_chips(self) -> int:
        """How many chips hold a neurocore in use."""
        return len(np.unique(self.chips, axis=0))

    @cached_property
    def crossings(self) -> Crossings:
        """The links between chips that packets pass."""
        return crossings_of(self)

    def lasting(self, n_timesteps: int) -> "MappedNetwork":
        """Return the network with inputs of so many timesteps, laid out as this one."""
        training = replace(self.graph.training, timesteps=n_timesteps)
        short = replace(self, graph=replace(self.graph, training=training))
        # how long inputs last is no part of these
        for name in ("core_of", "routes", "crossings"):
            short.__dict__[name] = getattr(self, name)
        return short


def reached(synapses: sparse.csr_array) -> sparse.csr_array:
    """Return 1 where there are synapses."""
    ones = np.ones_like(synapses.data)
    return sparse.csr_array(
        (ones, synapses.indices, synapses.indptr), shape=synapses.shape
    )


def way(start: Chip, end: Chip) -> Iterator[Link]:
    """Yield the links from one chip to another, along x, then y, as packets travel."""
    here = start
    for axis in (0, 1):
        step = 1 if end[axis] > here[axis] else -1
        while here[axis] != end[axis]:
            x, y = here
            there = (x + step, y) if axis == 0 else (x, y + step)
            yield Link(here, there)
            here = there


def crossings_of(network: MappedNetwork) -> Crossings:
    """Return which links the packets of each neuron's spike pass."""
    places: list[Chip] = [(x, y) for x, y in network.chips.tolist()]
    chips = sorted({HOST, *places})
    number = {chip: i for i, chip in enumerate(chips)}
    of_core = np.array([number[chip] for chip in places], np.int64)
    trips = {
        name: _trips(network, name, routes, of_core, number[HOST], len(chips))
        for name, routes in network.routes.items()
    }
    used = np.unique(np.concatenate([found.indices for found in trips.values()]))
    ways = {
        int(pair): [*way(chips[pair // len(chips)], chips[pair % len(chips)])]
        for pair in used
    }
    links = tuple(sorted({link for passed in ways.values() for link in passed}))
    column = {link: i for i, link in enumerate(links)}
    pairs = [pair for pair, passed in ways.items() for _ in passed]
    columns = [column[link] for passed in ways.values() for link in passed]
    passes = counted(
        np.array(pairs, np.int64),
        np.array(columns, np.int64),
        (len(chips) ** 2, len(links)),
    )
    return Crossings(
        links=links, of={name: found @ passes for name, found in trips.items()}
    )


def _trips(
    network: MappedNetwork,
    name: str,
    routes: Routes,
    of_core: IntArray,
    host: int,
    n_chips: int,
) -> sparse.csr_array:
    """Return the packets of one spike, ``(n_kinds, n_chips ** 2)``: from, to."""
    graph = network.graph
    packets = sparse.coo_array(routes.packets)
    home = of_core[routes.core]
    if name == graph.source.name:
        home = np.full_like(home, host)
    senders, ends = packets.row, of_core[packets.col]
    if name == graph.output and graph.readout.spikes:  # one more packet to the host
        senders = np.concatenate([senders, np.arange(len(home))])
        ends = np.concatenate([ends, np.full_like(home, host)])
    trips = home[senders] * n_chips + ends
    return counted(senders, trips, (len(home), n_chips**2))
