"""place: every piece has a slot of its own, and packets have short ways."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from snn_deploy.arrays import FloatArray
from snn_deploy.chip.target import Board, Target
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.map.partition import Partition, partition
from snn_deploy.compiler.map.place import place, slots_of, traffic
from snn_deploy.errors import DataError
from snn_deploy.ir.mapped import MappedNetwork
from tests.build import chain, conv, lif, linear


def small_cores() -> Target:
    target = read_target("loihi-sim")
    return replace(target, neurocore=replace(target.neurocore, compartments=64))


def cut() -> Partition:
    graph = chain(
        conv("a", (2, 10, 10), 6),
        lif("one", (6, 10, 10)),
        conv("b", (6, 10, 10), 6),
        lif("two", (6, 10, 10)),
        conv("c", (6, 10, 10), 4),
        lif("three", (4, 10, 10)),
    )
    target = small_cores()
    return partition(retime(quantize(graph, target), target), target)


def hops(network: MappedNetwork, packets: FloatArray) -> float:
    places = np.array([(core.x, core.y) for core in network.cores])
    distance = np.abs(places[:, np.newaxis] - places).sum(axis=2)
    return float((packets * distance).sum())


def test_every_piece_has_a_slot_and_tiles_are_full() -> None:
    partitioned = cut()

    network = place(partitioned, small_cores())

    tiles = Counter((core.x, core.y) for core in network.cores)
    n = len(partitioned.pieces)
    assert [core.pieces for core in network.cores] == [(p,) for p in partitioned.pieces]
    assert max(tiles.values()) <= 4
    assert len(tiles) == network.n_tiles == -(-n // 4)
    assert n > 20


def test_packets_travel_less_than_in_any_order_of_layers_or_at_random() -> None:
    partitioned = cut()
    packets = traffic(partitioned).toarray()

    network = place(partitioned, small_cores())

    slots = np.array([(core.x, core.y) for core in network.cores])
    in_order = slots[np.lexsort((slots[:, 1], slots[:, 0]))]
    orders = [
        in_order,
        *(np.random.default_rng(s).permutation(slots) for s in range(4)),
    ]
    others = [
        (packets * np.abs(order[:, np.newaxis] - order).sum(axis=2)).sum()
        for order in orders
    ]
    assert hops(network, packets) <= 0.8 * others[0]
    assert hops(network, packets) <= 0.5 * np.mean(others[1:])


def test_traffic_is_what_the_routes_of_the_network_say() -> None:
    partitioned = cut()
    network = place(partitioned, small_cores())

    wanted = np.zeros((len(network.cores),) * 2)
    for name in ("one", "two", "three"):
        routes = network.routes[name]
        for core in range(len(network.cores)):
            is_here = routes.core == core
            wanted[core] += routes.kinds.n_neurons[is_here] @ routes.packets[is_here]

    np.testing.assert_array_equal(traffic(partitioned).toarray(), wanted)


def test_same_network_is_placed_the_same() -> None:
    partitioned = cut()

    first, second = (place(partitioned, small_cores()) for _ in range(2))

    assert [(c.x, c.y) for c in first.cores] == [(c.x, c.y) for c in second.cores]


def test_single_piece_needs_no_search() -> None:
    graph = chain(linear("fc", 3, 2), lif("out", (2,)))
    target = read_target("loihi-sim")
    partitioned = partition(retime(quantize(graph, target), target), target)

    (core,) = place(partitioned, target).cores

    assert (core.x, core.y) == (0, 0)


def test_more_pieces_than_neurocores_are_laid_out_past_the_edge() -> None:
    target = small_cores()
    tiny = replace(target.mesh, neurocores=4, width=1, height=1)
    target = replace(target, mesh=tiny, board=Board())

    network = place(cut(), target)

    assert max(core.x for core in network.cores) >= 5


def test_layers_that_send_more_spikes_are_nearer() -> None:
    partitioned = cut()
    target = small_cores()
    spikes = {"one": 1.0, "two": 60_000.0, "three": 0.0}

    alike = place(partitioned, target)
    known = place(partitioned, target, spikes=spikes)

    packets = traffic(partitioned, spikes).toarray()
    assert packets.sum() < traffic(partitioned).sum() * 60_000 / 400
    assert hops(known, packets) < hops(alike, packets)


def test_traffic_of_another_network_is_refused() -> None:
    with pytest.raises(DataError, match="three: its traffic is not known; give a"):
        traffic(cut(), {"one": 1.0, "two": 1.0})


def test_search_that_may_take_no_time_leaves_the_pieces_along_the_curve() -> None:
    partitioned = cut()
    target = small_cores()

    network = place(partitioned, target, seconds=1e-9)

    slots = slots_of(target, len(partitioned.pieces))
    places = [[core.x, core.y] for core in network.cores]
    assert places == slots[: len(places)].tolist()


def test_neighbors_along_the_curve_are_neighbors_on_the_mesh() -> None:
    target = read_target("loihi-sim")
    square = replace(target.mesh, width=8, height=8, neurocores=256)

    slots = slots_of(replace(target, mesh=square), 256)[::4]

    assert len({tuple(slot) for slot in slots.tolist()}) == 64
    assert (np.abs(np.diff(slots, axis=0)).sum(axis=1) == 1).all()


def test_chips_are_filled_one_after_another() -> None:
    target = read_target("loihi2")

    slots = slots_of(target, 250)

    chips = slots // [target.mesh.width, target.mesh.height]
    found, counts = np.unique(chips, axis=0, return_counts=True)
    assert counts.max() == 120  # that are usable
    assert len(found) == 3
