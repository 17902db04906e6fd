"""What a mapped network takes of a chip, one synapse at a time, from the target's file.

Of the mapper it uses nothing: ``Checker`` reads the TOML table of the target and the
populations, projections and neurocores of the network.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from snn_deploy.ir.mapped import MappedNetwork, Neurocore
from snn_deploy.ir.quantized import Projection
from snn_deploy.ir.synapses import ConvSynapses, DenseSynapses
from tests.conformance.oracle import Oracle, synapses_of

Pair = tuple[int, int]  # source neuron, target neuron


class Checker:
    """One network on the chips that a table describes."""

    def __init__(self, network: MappedNetwork, table: dict[str, Any]) -> None:
        self.network = network
        self.limits = table["neurocore"]
        self.mesh = table["mesh"]
        self.board = table.get("board", {"width": 1, "height": 1})
        self.weight_bits = table["precision"]["weight_bits"]
        self.pairs: dict[str, list[Pair]] = {
            p.name: [(a, b) for a, b, _ in synapses_of(network.graph, p)]
            for p in network.graph.projections
        }

    def problems(self) -> Iterator[str]:
        """Yield everything that is wrong."""
        yield from self._places()
        yield from self._neurons()
        yield from self._fans()
        sent = self.sent()
        for core in self.network.cores:
            found = {
                "compartments": sum(len(piece.neurons) for piece in core.pieces),
                "synaptic_memory_bits": self.synapses(core),
                "input_axons": self.input_axons(core),
                "output_axons": sum(
                    sent[piece.population, int(neuron)]
                    for piece in core.pieces
                    for neuron in piece.neurons
                ),
            }
            told = tuple(
                sum(getattr(piece, name) for piece in core.pieces)
                for name in ("synapse_bits", "n_input_axons", "n_output_axons")
            )
            if tuple(found.values())[1:] != told:
                yield f"{core.name}: {found}, but it says {told}"
            found["memory_bits"] = (
                found["synaptic_memory_bits"]
                + found["compartments"] * self.limits.get("neuron_bits", 0)
                + found["output_axons"] * self.limits.get("output_axon_bits", 0)
            )
            for what, number in found.items():
                if number > self.limits.get(what, number):
                    yield f"{core.name}: {number} {what} of {self.limits[what]}"

    def _places(self) -> Iterator[str]:
        tiles: dict[Pair, int] = defaultdict(int)
        chips: dict[Pair, int] = defaultdict(int)
        for core in self.network.cores:
            tiles[core.x, core.y] += 1
            chips[core.x // self.mesh["width"], core.y // self.mesh["height"]] += 1
        for tile, n in tiles.items():
            if n > self.mesh["neurocores_per_tile"]:
                yield f"{n} neurocores on tile {tile}"
        for (x, y), n in chips.items():
            if n > self.mesh["neurocores"]:
                yield f"{n} neurocores on chip {x, y}"
            if not (0 <= x < self.board["width"] and 0 <= y < self.board["height"]):
                yield f"chip {x, y} is not on the board"

    def _neurons(self) -> Iterator[str]:
        for population in self.network.graph.populations:
            found = sorted(
                int(neuron)
                for core in self.network.cores
                for piece in core.pieces
                if piece.population == population.name
                for neuron in piece.neurons
            )
            if found != list(range(population.size)):
                yield f"{population.name}: not every neuron lies on one neurocore"

    def _fans(self) -> Iterator[str]:
        """Yield the neurons with too many synapses; the input's have no limit."""
        graph = self.network.graph
        for limit, end, name in (("fan_in", 1, "target"), ("fan_out", 0, "source")):
            found: dict[tuple[str, int], int] = defaultdict(int)
            for projection in graph.projections:
                population = getattr(projection, name)
                if population == graph.source.name:
                    continue
                for pair in self.pairs[projection.name]:
                    found[population, pair[end]] += 1
            for neuron, n in found.items():
                if n > self.limits.get(limit, n):
                    yield f"{neuron}: {limit} of {n}, allowed are {self.limits[limit]}"

    def _home(self) -> dict[tuple[str, int], int]:
        return {
            (piece.population, int(neuron)): position
            for position, core in enumerate(self.network.cores)
            for piece in core.pieces
            for neuron in piece.neurons
        }

    def sent(self) -> dict[tuple[str, int], int]:
        """Return the neurocores that each neuron sends to."""
        home = self._home()
        found: dict[tuple[str, int], set[int]] = defaultdict(set)
        for projection in self.network.graph.projections:
            for source, target in self.pairs[projection.name]:
                place = home.get((projection.target, target))
                if place is not None:
                    found[projection.source, source].add(place)
        return defaultdict(int, {key: len(cores) for key, cores in found.items()})

    def _arriving(
        self, core: Neurocore
    ) -> Iterator[tuple[Projection | None, list[Pair], int]]:
        """Yield what comes from one sender.

        Its only projection, or none; the pairs; the bits of each weight.
        """
        for piece in core.pieces:
            here = {int(neuron) for neuron in piece.neurons}
            groups: dict[str, list[Projection]] = defaultdict(list)
            for projection in self.network.graph.projections:
                if projection.target == piece.population:
                    groups[projection.source].append(projection)
            for group in groups.values():
                pairs = [
                    pair
                    for projection in group
                    for pair in self.pairs[projection.name]
                    if pair[1] in here
                ]
                only = group[0] if len(group) == 1 else None
                yield only, pairs, max(map(self.bits_of, group))

    def bits_of(self, projection: Projection) -> int:
        """Return the fewest bits in which the chip holds all of these weights."""
        weights = projection.synapses.weights.reshape(-1).tolist()
        formats = self.limits.get("weight_formats", [self.weight_bits])
        least = self.weight_bits
        if any(weights):
            while least > 1 and all(w % 2 ** (10 - least) == 0 for w in weights):
                least -= 1
        return int(min(n for n in formats if n >= least))

    def input_axons(self, core: Neurocore) -> int:
        """Return the entries of the table of spike sources."""
        return sum(len(self._axons(p, pairs)) for p, pairs, _ in self._arriving(core))

    def _axons(self, projection: Projection | None, pairs: list[Pair]) -> set[Any]:
        shared = self.limits.get("neurons_per_axon", 1)
        sources = {source for source, _ in pairs}
        match projection and projection.synapses:
            case DenseSynapses():
                return {source // shared for source in sources}
            case ConvSynapses() as synapses if projection is not None:
                _, height, width = self.network.graph.shape_of(projection.source)
                n_in = synapses.weights.shape[1]
                axons = set()
                for source in sources:
                    channel, position = divmod(source, height * width)
                    group, inside = divmod(channel, n_in)
                    axons.add((position, group, inside // shared))
                return axons
        return set(sources)

    def synapses(self, core: Neurocore) -> int:
        """Return the bits of all runs of weights."""
        return sum(
            self._run(n, bits)
            for projection, pairs, weight_bits in self._arriving(core)
            for n, bits in self._runs(projection, pairs, weight_bits)
        )

    def _runs(
        self, projection: Projection | None, pairs: list[Pair], weight_bits: int
    ) -> Iterator[tuple[int, int]]:
        """Yield how many weights lie together, and the bits of each."""
        indexed = weight_bits + self.limits.get("index_bits", 0)
        lists: dict[Any, int] = defaultdict(int)
        synapses = projection.synapses if projection else None
        if isinstance(synapses, DenseSynapses):
            for source, _ in pairs:
                lists[source // self.limits.get("neurons_per_axon", 1)] += 1
            yield from ((n, weight_bits) for n in lists.values())
        elif isinstance(synapses, ConvSynapses) and self.limits["shares_kernels"]:
            assert projection is not None
            shape = self.network.graph.population(projection.target).shape
            rest = shape[1] * shape[2]
            n_channels = len({target // rest for _, target in pairs})
            yield n_channels * synapses.weights[0].size, indexed
        else:
            for source, _ in pairs:
                lists[source] += 1
            yield from ((n, indexed) for n in lists.values())

    def _run(self, n_weights: int, bits: int) -> int:
        total, word = 0, self.limits.get("memory_word_bits", 1)
        while n_weights > 0:
            n = min(n_weights, self.limits.get("synapses_per_block", 1))
            block = n * bits + self.limits.get("block_header_bits", 0)
            total += -(-block // word) * word
            n_weights -= n
        return total


class MappedOracle(Oracle):
    """The oracle, its synapses on neurocores: spikes go through the tables there."""

    network: MappedNetwork

    def lay_out(self, network: MappedNetwork) -> None:
        """Fill the table of each neurocore: synapses by projection and sender."""
        self.network = network
        self.tables: list[dict[tuple[str, int], list[Pair]]] = []
        for core in network.cores:
            table: dict[tuple[str, int], list[Pair]] = defaultdict(list)
            here = {(q.population, int(i)) for q in core.pieces for i in q.neurons}
            for projection in network.graph.projections:
                for source, target, weight in synapses_of(network.graph, projection):
                    if (projection.target, target) in here:
                        table[projection.name, source].append((target, weight))
            self.tables.append(table)
        self.routes = {
            name: routes.packets.toarray()[routes.kinds.of_neurons]
            for name, routes in network.routes.items()
        }

    def _arriving(self, population: Any, now: int) -> tuple[list[int], list[bool]]:
        total, is_reached = [0] * population.size, [False] * population.size
        for projection in self.graph.projections:
            if projection.target != population.name:
                continue
            sums = [0] * population.size
            for source, spike in enumerate(self._arrived(projection, now)):
                if not spike:
                    continue
                for place in self.routes[projection.source][source].nonzero()[0]:
                    for target, weight in self.tables[place][projection.name, source]:
                        sums[target] += weight * spike
                        is_reached[target] = True
            exponent = projection.exponent
            for i, found in enumerate(sums):
                total[i] += (
                    found * 2**exponent if exponent > 0 else found // 2**-exponent
                )
        return total, is_reached
