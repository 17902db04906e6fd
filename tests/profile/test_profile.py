"""profile_inputs: the schedules are those of the chip, and their costs add up."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snn_deploy.artifact import Artifact, pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.events import ACCESS, CORE_EVENTS, INJECTION, PACKET, PACKET_IN
from snn_deploy.chip.target import BAND, CENTRAL, Cost, end_name
from snn_deploy.costs.latency import timestep_durations
from snn_deploy.costs.prices import prices_for
from snn_deploy.cutoff.decision import Cutoff
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.cutoff.rules.fixed import fixed
from snn_deploy.cutoff.rules.risk import risk
from snn_deploy.data.data import Data
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.profile import Profile, Schedule, profile_inputs
from snn_deploy.profile.rows import COLUMNS
from snn_deploy.profile.schedules import other_monitor, text_of, winners
from snn_deploy.profile.summary import summarize
from tests.build import RATE, dense, integers, population, rng
from tests.conformance.networks import mapped
from tests.conformance.test_equality import alone_in_stream, no_chip_events

N = 12
SERIAL = (Schedule.CUTOFF, Schedule.SERIAL, Schedule.SERIAL_FIXED)


def artifact(output_threshold: int = 60) -> Artifact:
    """Return a network whose neurons spike often; the layers differ in their lag."""
    draw = rng(1)
    few = {"threshold": np.array(60)}
    graph = integers(
        [
            population("hidden", (20,), offset=1, **few),
            population("more", (10,), offset=2, **few),
            population("out", (3,), offset=3, threshold=np.array(output_threshold)),
        ],
        [
            dense("input", "hidden", draw.integers(-40, 100, (20, 2)), delay=1),
            dense("hidden", "more", draw.integers(-40, 60, (10, 20)), delay=1),
            dense("more", "out", draw.integers(-40, 60, (3, 10)), delay=1),
            dense("hidden", "out", draw.integers(-40, 60, (3, 20)), delay=2),
        ],
        shape=(2,),
    )
    return pack(mapped(graph))


def data(n: int = N, *, labelled: bool = True) -> Data:
    x = rng(3).integers(60, 255, (n, 2)).astype(np.uint8)
    y = rng(4).integers(0, 3, n)
    return Data(x=x, y=y if labelled else None, training=RATE)


def profiled(
    cutoff: Cutoff | None = None, inputs: Data | None = None, monitor: str = "embedded"
) -> Profile:
    return profile_inputs(
        artifact(),
        open_backend("cpu"),
        data() if inputs is None else inputs,
        cutoff=cutoff,
        monitor=monitor,
    )


def shortened(network: MappedNetwork, n_timesteps: int) -> MappedNetwork:
    training = replace(network.graph.training, timesteps=n_timesteps)
    return replace(network, graph=replace(network.graph, training=training))


def test_a_stream_takes_the_time_of_what_the_oracle_counts_in_one() -> None:
    network, inputs = artifact().network, data()
    n_timesteps, depth = network.graph.training.timesteps, network.graph.depth
    prices = prices_for(network, "embedded")
    n = N * n_timesteps + depth
    cores = np.zeros((n, len(network.cores), len(CORE_EVENTS)), np.int64)
    chip = no_chip_events(network, n)
    for i, stimulus in inputs.stimuli():
        counted = alone_in_stream(network, stimulus, n_timesteps)
        rows = slice(i * n_timesteps, (i + 1) * n_timesteps + depth)
        cores[rows] += counted[0]
        chip[rows] += counted[1]
    cores[..., ACCESS] = [core.n_compartments for core in network.cores]
    durations = timestep_durations(cores, chip, prices)[:, CENTRAL]
    last = n_timesteps * (1 + np.arange(N)) + depth - 1
    durations[last] += prices.poll[CENTRAL]

    rows_ = profiled().runs[Schedule.STREAMED]

    assert rows_.column("period_s").sum() == pytest.approx(durations[:-depth].sum())
    for i, row in enumerate(rows_):
        begin = i * n_timesteps
        expected = durations[begin : begin + n_timesteps + depth].sum()
        assert row.latency_s == pytest.approx(expected)
        assert row.chip_timesteps == n_timesteps


def test_fewer_fixed_timesteps_cost_what_a_network_compiled_for_them_does() -> None:
    found = profiled(fixed(2))

    fewest = found.fixed_timesteps
    assert fewest < RATE.timesteps
    own = pack(shortened(artifact().network, fewest))
    inputs = replace(data(), training=replace(RATE, timesteps=fewest))
    alone = profile_inputs(own, open_backend("cpu"), inputs, cutoff=None)
    for mine, theirs in (
        (Schedule.SERIAL_FIXED, Schedule.SERIAL),
        (Schedule.STREAMED_FIXED, Schedule.STREAMED),
    ):
        for row, other in zip(found.runs[mine], alone.runs[theirs], strict=True):
            assert row == other


@pytest.mark.parametrize("labelled", [True, False])
def test_the_fewest_fixed_timesteps_lose_no_more_than_the_cutoff(
    labelled: bool,
) -> None:
    found = profiled(risk(20), data(labelled=labelled))

    curve = found.accuracy_at if labelled else found.agreement_at
    if labelled:
        reached = found.rows.is_right.mean()
    else:
        same = found.rows.column("prediction") == found.fixed_rows.column("prediction")
        reached = same.mean()
    assert curve[found.fixed_timesteps - 1] >= reached - 1e-12
    assert (curve[: found.fixed_timesteps - 1] < reached).all()


def test_packets_sent_are_received_by_neurocores_or_read_by_the_host() -> None:
    found = profiled(risk(3))

    network, totals = found.artifact.network, found.totals
    counts = totals.cores.sum(axis=(0, 1))
    injected = counts[INJECTION]
    program = open_backend("cpu").load(network)
    results = run_inputs(program, network, data().stimuli(), risk(3))
    read = sum(int(result.scores[-1].sum()) for result in results)  # output spikes
    assert counts[PACKET] + injected == counts[PACKET_IN] + read
    assert counts[PACKET] > 0


def test_two_halves_of_the_inputs_add_up() -> None:
    inputs = data()
    whole = profiled(risk(3), inputs)

    half = profile_inputs(
        artifact(), open_backend("cpu"), inputs, cutoff=risk(3), limit=N // 2
    )

    rest = whole.rows[N // 2 :]
    for name in ("spikes", "packets", "synaptic_operations", "energy_neurocores_j"):
        total = half.rows.column(name).sum() + sum(getattr(r, name) for r in rest)
        assert total == pytest.approx(whole.rows.column(name).sum())


def test_sums_over_neurocores_and_timesteps_are_those_of_the_rows() -> None:
    found = profiled(risk(3))

    counts = found.totals.cores.sum(axis=(0, 1))
    assert counts[CORE_EVENTS.index("fire")] == found.rows.column("spikes").sum()
    operations = found.rows.column("synaptic_operations").sum()
    assert counts[CORE_EVENTS.index("synaptic_operation")] == operations
    packets = found.rows.column("packets").sum()
    assert counts[PACKET] + counts[INJECTION] == packets


@pytest.mark.parametrize("cutoff", [None, risk(20)], ids=["all", "risk"])
def test_what_layers_do_after_their_last_timestep_is_a_part_of_its_own(
    cutoff: Cutoff | None,
) -> None:
    network, backend = artifact().network, open_backend("cpu")
    hidden, *behind = network.graph.populations
    spontaneous = replace(hidden, bias_mantissa=np.array(2000))
    runs = {}
    for counts in (True, False):
        precision = replace(network.graph.precision, counts_timesteps=counts)
        graph = replace(
            network.graph, populations=(spontaneous, *behind), precision=precision
        )
        own = pack(replace(network, graph=graph))
        runs[counts] = profile_inputs(own, backend, data(), cutoff=cutoff).runs

    for schedule, rows in runs[True].items():
        others = runs[False][schedule]
        late, fewer = (of.column("run_on_synaptic_operations") for of in (others, rows))
        operations = rows.column("synaptic_operations")
        assert (operations == others.column("synaptic_operations") - late).all()
        assert not fewer.any()
        assert bool(late.any()) == (schedule in SERIAL)
        for end in BAND:
            for one, other in zip(rows, others, strict=True):
                events = [
                    sum(
                        getattr(x, end_name(f"energy_{part}_j", end))
                        for part in ("neurocores", "mesh")
                    )
                    for x in (one, other)
                ]
                run_on = [
                    getattr(x, end_name("energy_run_on_j", end)) for x in (one, other)
                ]
                kept = np.subtract(events, run_on)
                assert kept[0] == pytest.approx(kept[1])
                assert 0 <= run_on[0] <= run_on[1]
        if schedule not in SERIAL:
            for name in COLUMNS:
                np.testing.assert_array_equal(rows.column(name), others.column(name))


def test_the_other_monitor_is_what_a_profile_with_it_gives() -> None:
    network = repriced(injection_host=Cost(source="unknown"))
    here, there = (
        profile_inputs(
            network, open_backend("cpu"), data(), cutoff=risk(20), monitor=monitor
        )
        for monitor in ("embedded", "host")
    )

    expected = summarize(there)["schedules"]
    found = other_monitor(here)
    assert found["monitor"] == "host"
    assert found["cutoff"].keys() == found["serial"].keys()
    for schedule in ("cutoff", "serial"):
        for key, value in found[schedule].items():
            assert value == pytest.approx(expected[schedule][key])


def test_of_a_monitor_that_injects_at_another_price_nothing_is_known() -> None:
    found = other_monitor(profiled(risk(20)))

    assert {*found["cutoff"].values(), *found["serial"].values()} == {None}


def test_the_best_schedule_is_named_for_each_goal() -> None:
    runs: dict[str, dict[str, Any]] = {
        "one": {"mean_latency_s": 1.0, "throughput_per_s": 1.0, "mean_energy_j": None},
        "two": {"mean_latency_s": 2.0, "throughput_per_s": 2.0, "mean_energy_j": 1.0},
    }

    assert winners(runs) == {"latency": "one", "throughput": "two", "energy": None}


def test_every_schedule_has_words() -> None:
    found = profiled(fixed(2))

    one = {Schedule.SERIAL_ONE, Schedule.STREAMED_ONE}  # fewest is 1 here
    texts = [text_of(found, schedule) for schedule in Schedule if schedule not in one]

    assert len(set(texts)) == len(texts)
    assert "6 timesteps, streamed" in texts


def repriced(**costs: Cost) -> Artifact:
    """Return the network on a target with other prices."""
    network = artifact().network
    kept = {name: cost for name, cost in network.target.costs if name not in costs}
    target = replace(network.target, costs=tuple({**kept, **costs}.items()))
    return pack(replace(network, target=target))


def means_by_schedule(network: Artifact, monitor: str = "embedded") -> dict[str, Any]:
    found = profile_inputs(
        network, open_backend("cpu"), data(), cutoff=risk(3), monitor=monitor
    )
    summary = summarize(found)
    schedules: dict[str, Any] = summary["schedules"]
    return schedules


def test_clearing_the_chip_takes_time_of_inputs_served_one_by_one() -> None:
    network = artifact().network
    target = network.target
    reset = replace(target.cost("reset"), time_s=35e-6, time_high_s=70e-6)
    power = 0.0
    for name in ("static", "embedded"):
        n = target.number_of(name, network.n_chips)
        power += n * (target.cost(name).power_w or 0.0)

    unknown, known = (
        means_by_schedule(artifact()),
        means_by_schedule(repriced(reset=reset)),
    )

    for name, before in unknown.items():
        after, is_serial = known[name], not name.startswith("streamed")
        assert ("clearing" in before["without"]["throughput"]) == is_serial
        assert ("time of clearing" in before["without"]["energy"]) == is_serial
        assert "clearing" not in after["without"]["throughput"]
        assert after["without"]["latency"] == before["without"]["latency"]
        assert after["mean_latency_s"] == before["mean_latency_s"]
        more_s = 1 / after["throughput_per_s"] - 1 / before["throughput_per_s"]
        assert more_s == pytest.approx(35e-6 * is_serial, abs=1e-12)
        more_j = after["mean_energy_j"] - before["mean_energy_j"]
        assert more_j == pytest.approx(35e-6 * power * is_serial, abs=1e-15)
        slowest = 1 / after["throughput_low_per_s"] - 1 / before["throughput_low_per_s"]
        assert slowest == pytest.approx(70e-6 * is_serial, abs=1e-12)


def test_injected_packets_are_unknown_until_they_have_a_price() -> None:
    injection = Cost(energy_j=1e-12, time_s=1e-5, source="made up")

    unknown = means_by_schedule(artifact())
    known = means_by_schedule(repriced(injection=injection))

    n = profiled(risk(3)).totals.cores[..., INJECTION].sum() / N
    before, after = unknown["cutoff"], known["cutoff"]
    assert before["mean_energy_injection_j"] is None
    assert "injection" in before["without"]["energy"]
    assert "injection" in before["without"]["latency"]
    assert after["mean_energy_injection_j"] == pytest.approx(1e-12 * n)
    assert "injection" not in after["without"]["latency"]
    assert "injection" not in after["without"]["energy"]
    assert after["mean_latency_s"] > before["mean_latency_s"]


def test_a_host_that_polls_is_a_boundary_of_its_own() -> None:
    host = Cost(power_w=20.0, source="made up")

    embedded, polled, priced = (
        means_by_schedule(artifact())["serial"],
        means_by_schedule(artifact(), "host")["serial"],
        means_by_schedule(repriced(host=host), "host")["serial"],
    )

    assert embedded["mean_energy_host_j"] == 0
    assert embedded["mean_energy_to_host_j"] == embedded["mean_energy_j"]
    assert polled["mean_energy_to_host_j"] is None  # nobody says what it draws
    assert polled["mean_energy_j"] == priced["mean_energy_j"] > 0
    more_j = priced["mean_energy_to_host_j"] - priced["mean_energy_j"]
    assert more_j == pytest.approx(20.0 / priced["throughput_per_s"])
    sums = [priced[f"mean_energy{end}_j"] for end in ("_neurocores", "_to_chip", "")]
    assert sums == sorted(sums)
