"""annealed: pieces that exchange packets come near each other."""

import time
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from scipy import sparse

from snn_deploy.arrays import IntArray
from snn_deploy.chip.target import Target
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.map.anneal import annealed

SIDE = 12
FOREVER = float("inf")


def target_of(width: int) -> Target:
    """Return a chip of one neurocore on each tile."""
    target = read_target("loihi-sim")
    mesh = replace(
        target.mesh, width=width, height=SIDE, neurocores_per_tile=1, neurocores=width
    )
    return replace(target, mesh=mesh)


def mesh() -> IntArray:
    return np.array([(x, y) for x in range(SIDE) for y in range(SIDE)])


def neighbors_on(tiles: IntArray) -> sparse.csr_array:
    """Return a packet from each piece to each of its neighbors, right and below."""
    away = tiles[np.newaxis] - tiles[:, np.newaxis]
    is_next = (away.sum(axis=2) == 1) & (away >= 0).all(axis=2)
    return sparse.csr_array(is_next.astype(np.int64))


def hops(packets: sparse.csr_array, places: IntArray) -> float:
    pairs = packets.tocoo()
    ways = np.abs(places[pairs.row] - places[pairs.col]).sum(axis=1)
    return float(pairs.data @ ways)


def test_mesh_that_was_shuffled_is_found_again() -> None:
    packets = neighbors_on(mesh())
    shuffled = np.random.default_rng(1).permutation(mesh())

    found = annealed(packets, shuffled, target_of(SIDE), FOREVER)

    least = packets.sum()  # every packet takes one hop
    assert hops(packets, shuffled) > 7 * least
    assert hops(packets, found) < 2 * least


def test_packets_to_the_own_neurocore_change_nothing() -> None:
    packets = neighbors_on(mesh())
    own = sparse.csr_array(sparse.eye_array(SIDE * SIDE, dtype=np.int64) * 10)
    shuffled = np.random.default_rng(1).permutation(mesh())

    without, with_own = (
        annealed(those, shuffled, target_of(SIDE), FOREVER)
        for those in (packets, packets + own)
    )

    np.testing.assert_array_equal(with_own, without)


def test_every_slot_is_kept_once_and_idle_ones_too() -> None:
    n = 100  # pieces on 144 slots
    packets = sparse.random_array((n, n), density=0.05, rng=np.random.default_rng(2))

    found = annealed(sparse.csr_array(packets), mesh(), target_of(SIDE), FOREVER)

    assert sorted(found.tolist()) == mesh().tolist()


def test_links_between_chips_are_avoided() -> None:
    ring = np.eye(16, k=1, dtype=np.int64) + np.eye(16, k=-15, dtype=np.int64)
    slots = np.array([(x, y) for x in range(8) for y in range(2)])[::-1]
    chips_of = target_of(4)

    found = annealed(sparse.csr_array(ring), slots, chips_of, FOREVER)

    chips = found[:, 0] // 4
    assert np.abs(np.diff(chips, append=chips[0])).sum() == 2  # there and back


def test_heavier_packets_travel_less() -> None:
    rng = np.random.default_rng(3)
    weights = np.triu(rng.random((60, 60)) ** 8, 1)

    found = annealed(sparse.csr_array(weights), mesh(), target_of(SIDE), FOREVER)

    ways = np.abs(found[:60, np.newaxis] - found[np.newaxis, :60]).sum(axis=2)
    pairs = np.triu_indices(60, 1)
    is_heavy = weights[pairs] > np.quantile(weights[pairs], 0.95)
    assert ways[pairs][is_heavy].mean() < 0.8 * ways[pairs][~is_heavy].mean()


def test_pieces_that_send_nothing_stay() -> None:
    nothing = sparse.csr_array((4, 4))

    found = annealed(nothing, mesh(), target_of(SIDE), FOREVER)

    np.testing.assert_array_equal(found, mesh())


def test_search_cools_down_within_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    packets = neighbors_on(mesh())
    shuffled = np.random.default_rng(1).permutation(mesh())
    clock = count()
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))

    found = annealed(packets, shuffled, target_of(SIDE), 300.0)

    assert next(clock) == 301  # looked at the start and before each sweep
    assert hops(packets, found) < 2.5 * packets.sum()
