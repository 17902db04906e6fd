"""Several chips: each leaks and is cleared, and all wait for one another."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snn_deploy.artifact import pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.events import LINKS
from snn_deploy.chip.target import CENTRAL, Cost, Target
from snn_deploy.chip.target_file import read_target
from snn_deploy.costs.latency import timestep_durations
from snn_deploy.costs.prices import prices_for
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.profile import Profile, Schedule, profile_inputs
from tests.profile.test_profile import artifact, data

LOIHI = read_target("loihi1")


def on(target: Target, *, n_chips: int) -> MappedNetwork:
    """Return a network whose neurocores lie on chips side by side, in turn."""
    network = artifact().network
    cores = tuple(
        replace(core, x=target.mesh.width * (i % n_chips), y=0)
        for i, core in enumerate(network.cores)
    )
    return replace(network, target=target, cores=cores)


def profiled(network: MappedNetwork) -> Profile:
    return profile_inputs(pack(network), open_backend("cpu"), data(), cutoff=None)


def test_chips_are_counted_by_their_meshes() -> None:
    assert [on(LOIHI, n_chips=n).n_chips for n in (1, 2)] == [1, 2]


def test_static_power_and_clearing_are_of_every_chip() -> None:
    one, two = (prices_for(on(LOIHI, n_chips=n), "embedded") for n in (1, 2))

    np.testing.assert_allclose(two.static, 2 * one.static)
    np.testing.assert_allclose(two.reset, 2 * one.reset)
    np.testing.assert_allclose(two.embedded, 2 * one.embedded)  # 65 mW a chip


def test_every_timestep_waits_for_all_chips() -> None:
    one, two = (profiled(on(LOIHI, n_chips=n)) for n in (1, 2))

    here, there = (p.rows.column("latency_s") for p in (one, two))
    barrier = prices_for(one.artifact.network, "embedded").barrier[CENTRAL]
    n = one.rows.column("chip_timesteps")
    np.testing.assert_allclose(there - here, n * (5.8e-6 - barrier), rtol=1e-9)
    assert (two.rows.column("hops") > one.rows.column("hops")).all()


def test_what_links_cost_is_unknown_and_said() -> None:
    one, two = (profiled(on(LOIHI, n_chips=n)) for n in (1, 2))

    assert set(two.unknown) - set(one.unknown) == {
        "energy of chip_crossing",
        "time of chip_crossing",
    }
    assert (one.rows.column("crossings") == 0).all()
    assert (two.rows.column("crossings") > 0).all()


def with_price(**price: Any) -> Target:
    crossing = Cost(source="a test", **price)
    return replace(LOIHI, costs=(*LOIHI.costs, ("chip_crossing", crossing)))


def test_every_crossing_pays_its_energy() -> None:
    target = with_price(energy_j=3e-12, energy_high_j=5e-12)

    without, paid = (profiled(on(t, n_chips=2)) for t in (LOIHI, target))

    assert set(without.unknown) - set(paid.unknown) == {"energy of chip_crossing"}
    for schedule, rows in paid.runs.items():
        n = rows.column("crossings")
        assert n.any()
        for part, price in (("links", 3e-12), ("links_high", 5e-12)):
            column = f"energy_{part}_j"
            np.testing.assert_allclose(rows.column(column), n * price, rtol=1e-6)
            is_crossed = n > 0
            others = without.runs[schedule].column(column)
            np.testing.assert_array_equal(np.isnan(others), is_crossed)  # unknown
            assert not np.isnan(without.runs[schedule].energy()).any()
    np.testing.assert_array_equal(
        paid.rows.column("latency_s"), without.rows.column("latency_s")
    )


def test_a_timestep_lasts_as_long_as_its_busiest_link() -> None:
    slow_s = 1e-3  # longer than anything else in a timestep
    network = on(with_price(time_s=slow_s, time_high_s=2 * slow_s), n_chips=2)

    found = profiled(network)

    barrier = LOIHI.cost("barrier_of_chips").time_s
    assert barrier is not None
    prices = prices_for(network, "embedded")
    program = open_backend("cpu").load(network)
    results = list(run_inputs(program, network, data().stimuli(), never))
    assert len(network.crossings.links) == 2  # to the right, and back
    for result, row in zip(results, found.rows, strict=True):
        busiest = result.activity.chip[:, LINKS].max(axis=1)
        is_passed = busiest > 0
        assert is_passed.any()
        durations = timestep_durations(
            result.activity.cores, result.activity.chip, prices
        )
        np.testing.assert_allclose(
            durations[is_passed, CENTRAL], busiest[is_passed] * slow_s + barrier
        )
        assert row.latency_s is not None
        assert row.latency_s > busiest.sum() * slow_s


def test_without_a_price_for_the_barrier_of_chips_time_is_unknown() -> None:
    costs = tuple((n, c) for n, c in LOIHI.costs if n != "barrier_of_chips")
    target = replace(LOIHI, costs=costs)

    one, two = (profiled(on(target, n_chips=n)) for n in (1, 2))

    assert "time of barrier_of_chips" in two.unknown
    assert "time of barrier_of_chips" not in one.unknown
    for schedule in (Schedule.SERIAL, Schedule.STREAMED):
        assert np.isnan(two.runs[schedule].column("latency_s")).all()
        assert not np.isnan(one.runs[schedule].column("latency_s")).any()
        assert not np.isnan(two.runs[schedule].column("energy_neurocores_j")).any()


@pytest.mark.parametrize("name", ["loihi2", "loihi-sim"])
def test_chips_whose_energies_are_inherited_inherit_their_barrier(name: str) -> None:
    cost = read_target(name).cost("barrier_of_chips")

    assert "inherited from Loihi 1" in cost.source
    assert cost.time_s == LOIHI.cost("barrier_of_chips").time_s
