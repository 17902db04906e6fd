"""Several chips: each leaks and is cleared, and all wait for one another."""

from dataclasses import replace

import numpy as np
import pytest

from snn_deploy.artifact import pack
from snn_deploy.backends import open_backend
from snn_deploy.costs.prices import prices_for
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.profile import Profile, Schedule, profile_inputs
from snn_deploy.target import Target
from snn_deploy.target_file import read_target
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
    np.testing.assert_array_equal(two.host, one.host)  # one processor feeds them


def test_every_timestep_waits_for_all_chips() -> None:
    one, two = (profiled(on(LOIHI, n_chips=n)) for n in (1, 2))

    here, there = (p.rows.column("latency_s") for p in (one, two))
    barrier = prices_for(one.artifact.network, "embedded").barrier[0]
    n = one.rows.column("chip_timesteps")
    np.testing.assert_allclose(there - here, n * (5.8e-6 - barrier), rtol=1e-9)
    assert (two.rows.column("hops") > one.rows.column("hops")).all()


def test_what_links_cost_is_unknown_and_said() -> None:
    one, two = (profiled(on(LOIHI, n_chips=n)) for n in (1, 2))

    assert "energy and time of links between chips" in two.unknown
    assert set(two.unknown) - set(one.unknown) == {
        "energy and time of links between chips"
    }


def test_without_a_price_for_the_barrier_of_chips_time_is_unknown() -> None:
    costs = tuple((n, c) for n, c in LOIHI.costs if n != "barrier_of_chips")
    target = replace(LOIHI, costs=costs)

    one, two = (profiled(on(target, n_chips=n)) for n in (1, 2))

    assert "time of barrier_of_chips" in two.unknown
    assert "time of barrier_of_chips" not in one.unknown
    for schedule in (Schedule.SERIAL, Schedule.STREAMED):
        assert np.isnan(two.runs[schedule].column("latency_s")).all()
        assert not np.isnan(one.runs[schedule].column("latency_s")).any()
        assert not np.isnan(two.runs[schedule].column("energy_dynamic_j")).any()


@pytest.mark.parametrize("name", ["loihi2", "loihi-sim"])
def test_chips_whose_energies_are_inherited_inherit_their_barrier(name: str) -> None:
    cost = read_target(name).cost("barrier_of_chips")

    assert "inherited from Loihi 1" in cost.source
    assert cost.time_s == LOIHI.cost("barrier_of_chips").time_s
