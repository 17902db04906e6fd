"""stopping: what a stop costs is what a run that stops there costs."""

import numpy as np
import pytest

from snn_deploy.costs.energy import parts_within
from snn_deploy.costs.prices import prices_for
from snn_deploy.costs.stopping import stopping_costs
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import run_block, run_inputs
from snn_deploy.cutoff.rules.fixed import fixed
from snn_deploy.profile.pricing import Pricing
from tests.cutoff.test_monitor import loaded


@pytest.mark.parametrize("monitor", ["embedded", "host"])
@pytest.mark.parametrize("looks", [[1, 2, 3, 4, 5, 6, 7, 8], [2, 4, 8], [8]])
def test_costs_up_to_a_stop_are_those_of_a_run_that_stops_there(
    monitor: str, looks: list[int]
) -> None:
    artifact, program, _, data = loaded("mnist_lif")
    network = artifact.network
    stimuli = [(0, data.stimulus(0))]
    (full,) = run_inputs(program, network, stimuli, never)

    prices = prices_for(network, monitor)
    energy, time = stopping_costs(network, full.activity, np.array(looks), prices)

    index = np.zeros(1, np.int64)
    pricing = Pricing(network, None, index, monitor)
    for t in range(1, 9):
        stopped = run_block(program, network, [data.stimulus(0)], fixed(t))
        polls = np.array([sum(look <= t for look in looks)])
        (row,) = pricing.one_by_one(index, stopped, polls)
        parts = [row[f"energy_{part}_j"] for part in parts_within("board")]
        total = np.nansum(parts)  # injection and links are unknown
        assert energy[t - 1] == pytest.approx(total, rel=1e-12)
        assert time[t - 1] == pytest.approx(row["latency_s"], rel=1e-12)
