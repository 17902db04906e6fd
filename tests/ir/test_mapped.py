"""links: which chip borders packets pass on their way along x, then y."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from snn_deploy.chip.target import Mesh
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.ir.mapped import HOST, Chip, Link, MappedNetwork, way
from tests.conformance.networks import ROOMY, Case, cases, mapped
from tests.conformance.oracle import synapses_of
from tests.conformance.tally import examples

places = st.tuples(st.integers(0, 6), st.integers(0, 6))


def test_packets_travel_along_x_then_y() -> None:
    assert [*way((2, 0), (1, 1))] == [Link((2, 0), (1, 0)), Link((1, 0), (1, 1))]
    assert [*way((1, 1), (1, 1))] == []


@given(start=places, end=places)
def test_a_way_is_as_long_as_its_distance(start: Chip, end: Chip) -> None:
    found = [*way(start, end)]

    assert len(found) == abs(end[0] - start[0]) + abs(end[1] - start[1])
    for before, after in pairwise(found):
        assert before.end == after.start
    if found:
        assert (found[0].start, found[-1].end) == (start, end)


@examples(100)
@given(case=cases(max_populations=3), data=st.data())
def test_links_are_those_that_a_walk_from_tile_to_tile_passes(
    case: Case, data: st.DataObject
) -> None:
    size = st.integers(1, 3)
    mesh = Mesh(
        neurocores=1, neurocores_per_tile=1, source="",
        height=data.draw(size, "height"), width=data.draw(size, "width"),
    )  # fmt: skip
    tiles = (data.draw(places, "a tile"), data.draw(places, "another tile"))
    network = mapped(retime(case.graph, ROOMY))
    cores = tuple(
        replace(core, x=x, y=y)
        for core, (x, y) in zip(network.cores, tiles, strict=True)
    )
    target = replace(network.target, mesh=mesh)
    network = replace(network, cores=cores, target=target)

    found = network.crossings

    seen: set[Link] = set()
    for name, counts in found.of.items():
        for neuron, row in enumerate(
            counts.toarray()[network.routes[name].kinds.of_neurons]
        ):
            wanted: list[Link] = []
            for tile in destinations(network, name, neuron):
                wanted += walk(home(network, name, neuron), tile, mesh)
            assert row.tolist() == [wanted.count(link) for link in found.links]
            assert len(wanted) == row.sum()
            seen |= {*wanted}
    assert seen == {*found.links}


def home(network: MappedNetwork, name: str, neuron: int) -> Chip:
    """Return the tile that a packet of a neuron comes from."""
    if name == network.graph.source.name:
        return HOST
    core = network.cores[network.core_of[name][neuron]]
    return core.x, core.y


def destinations(network: MappedNetwork, name: str, neuron: int) -> list[Chip]:
    """Return the tiles that the packets of one spike go to."""
    graph = network.graph
    reached = {
        int(network.core_of[projection.target][target])
        for projection in graph.projections
        if projection.source == name
        for source, target, _ in synapses_of(graph, projection)
        if source == neuron
    }
    tiles = [(network.cores[i].x, network.cores[i].y) for i in reached]
    is_read = name == graph.output and graph.readout.spikes
    return tiles + [HOST] * is_read


def walk(tile: Chip, end: Chip, mesh: Mesh) -> list[Link]:
    """Return the chip borders on the way."""
    path = [tile]
    for axis in (0, 1):
        while path[-1][axis] != end[axis]:
            step = 1 if end[axis] > path[-1][axis] else -1
            x, y = path[-1]
            path.append((x + step, y) if axis == 0 else (x, y + step))
    chips = [(x // mesh.width, y // mesh.height) for x, y in path]
    return [Link(a, b) for a, b in pairwise(chips) if a != b]
