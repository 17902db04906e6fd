"""loads: packets and time of each neurocore, from what the machine counted."""

from dataclasses import replace

import numpy as np
import pytest

from snn_deploy.artifact import pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.events import CORE_EVENTS, EVENTS, Work
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.cutoff.rules.risk import risk
from snn_deploy.errors import DataError
from snn_deploy.profile.loads import loads_of, saved_loads
from snn_deploy.profile.summary import summarize
from tests.profile.test_profile import artifact, data, profiled
from tests.report import profiles


def test_packets_are_those_of_the_inputs_alone() -> None:
    network, inputs = artifact().network, data()
    program = open_backend("cpu").load(network)
    results = [*run_inputs(program, network, inputs.stimuli(), risk(3.0))]
    expected = np.zeros(len(network.cores))
    for result in results:
        for core in range(len(network.cores)):
            counts = result.activity.cores[:, core].sum(axis=0)
            expected[core] += counts[CORE_EVENTS.index("packet")]
            expected[core] += counts[CORE_EVENTS.index("packet_in")]

    found = loads_of(profiled(risk(3.0)))

    np.testing.assert_allclose(found.packets, expected / len(results))
    assert found.packets.sum() > 0


def test_one_input_keeps_a_neurocore_busy_as_long_as_its_events_last() -> None:
    profile = profiled(risk(3.0), data(1))
    target = profile.artifact.network.target
    counts = profile.totals.cores
    expected = np.zeros(counts.shape[1])
    for timestep in counts:
        for core, events in enumerate(timestep):
            times = {
                name: n * (target.cost(name).time_s or 0.0)
                for name, n in zip(CORE_EVENTS, events.tolist(), strict=True)
            }
            sides = [
                sum(times[event.name] for event in EVENTS if event.work is work)
                for work in (Work.GENERATING, Work.RECEIVING)
            ]
            expected[core] += max(sides)

    found = loads_of(profile)

    np.testing.assert_allclose(found.busy_s, expected, rtol=1e-12)
    assert (found.busy_s <= profile.rows.column("latency_s")[0]).all()


def test_summary_holds_them_and_they_can_be_read_again() -> None:
    profile = profiled()
    network = profile.artifact.network

    found = saved_loads(summarize(profile), network, "profile")

    np.testing.assert_array_equal(found.packets, loads_of(profile).packets)
    np.testing.assert_array_equal(found.busy_s, loads_of(profile).busy_s)


def test_an_unknown_price_makes_the_time_unknown() -> None:
    profile = profiled()
    target = profile.artifact.network.target
    costs = tuple((n, c) for n, c in target.costs if n != "access")
    network = replace(profile.artifact.network, target=replace(target, costs=costs))
    poor = replace(profile, artifact=pack(network))

    assert np.isnan(loads_of(poor).busy_s).all()
    assert summarize(poor)["neurocores"][0]["mean_busy_s"] is None
    assert np.isnan(saved_loads(summarize(poor), network, "profile").busy_s).all()


def test_loads_of_other_neurocores_are_refused() -> None:
    summary = summarize(profiles.profile())

    with pytest.raises(DataError, match="other neurocores than the 2 of this network"):
        saved_loads(summary, artifact().network, "profile")
