"""Nothing is lost and nothing is counted twice: trained networks, spike by spike.

What happened is taken from the recorded spikes of every neuron and from where each
neuron lies; what was counted from the engine.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given

from snn_deploy.arrays import AnyArray, BoolArray, IntArray
from snn_deploy.artifact import Artifact, pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.backends.results import RunResult
from snn_deploy.chip.events import (
    FIRE,
    INJECTION,
    PACKET,
    PACKET_IN,
    SYNAPTIC_OPERATION,
)
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.compiler.retarget import retarget
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import run_block, run_inputs
from snn_deploy.cutoff.rules.fixed import fixed
from snn_deploy.data.data import Data
from snn_deploy.data.datasets import load_split
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.pricing import Pricing
from snn_deploy.profile.profile import Schedule, profile_inputs
from snn_deploy.profile.rows import COLUMNS
from snn_deploy.verify.recording import RawInputs, record
from tests.build import rng
from tests.conformance.networks import ROOMY, Case, cases, mapped
from tests.conformance.tally import TALLY, examples

MODELS = ("mnist_counts", "mnist_lif", "nmnist_lif")
N = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Ran:
    network: MappedNetwork
    data: Data
    results: list[RunResult]
    spikes: list[dict[str, BoolArray]]  # (n_chip_timesteps, n_neurons), by population


def inputs(name: str, artifact: Artifact) -> Data:
    training = artifact.network.graph.training
    if name == "nmnist_lif":
        shape = (N, training.timesteps, *artifact.network.graph.source.shape)
        x: AnyArray = (rng(2).random(shape) < 0.03).astype(np.uint8)
        return Data(x=x, y=np.arange(N), training=training)
    part = load_split("mnist5k").test
    return Data(x=part.x[:N], y=part.y[:N], training=training)


@cache
def ran(name: str) -> Ran:
    """Return a network on many small neurocores, and what its inputs did."""
    graph = load_model(packaged_folder("models") / name / "model.pt")
    chip = read_target("loihi-sim")
    small = replace(chip, neurocore=replace(chip.neurocore, compartments=512))
    compiled = compile_model(graph, chip, optimize="cores")
    artifact = pack(retarget(compiled.graph, small))
    network, data = artifact.network, inputs(name, artifact)
    assert len(network.cores) > len(compiled.cores)
    program = open_backend("cpu").load(network)
    stimuli = tuple(stimulus for _, stimulus in data.stimuli())
    raw = RawInputs(stimuli=stimuli, n_timesteps=network.graph.training.timesteps)
    found = record(program, network.graph, raw, ["spikes"], chip_time=True)
    spikes = [
        {
            key.removesuffix("/spikes"): values.reshape(len(values), -1) > 0
            for key, values in one.items()
        }
        for one in found
    ]
    results = list(run_inputs(program, network, data.stimuli(), never))
    return Ran(network=network, data=data, results=results, spikes=spikes)


@pytest.mark.parametrize("name", MODELS)
def test_spikes_on_the_neurocores_are_those_of_the_layers(name: str) -> None:
    found = ran(name)

    for result, spikes in zip(found.results, found.spikes, strict=True):
        counted = result.activity.cores[..., FIRE]
        expected = np.zeros_like(counted)
        for population in found.network.graph.populations:
            if population.spikes:
                layer = spikes[population.name][: len(counted)]
                cores = found.network.core_of[population.name]
                for core in range(counted.shape[1]):
                    expected[:, core] += layer[:, cores == core].sum(axis=1)
        # layers in front go on until the answer is out, which nobody records
        n = found.network.graph.training.timesteps
        np.testing.assert_array_equal(counted[:n], expected[:n])
        assert counted.sum() > 0


@pytest.mark.parametrize("name", MODELS)
def test_every_packet_that_is_sent_is_received_or_read(name: str) -> None:
    found = ran(name)

    readout = found.network.graph.readout
    for result in found.results:
        counts = result.activity.cores.sum(axis=(0, 1))
        injected = counts[INJECTION]
        read = int(result.scores[-1].sum()) if readout.spikes else 0
        assert counts[PACKET] + injected == counts[PACKET_IN] + read
        assert counts[PACKET] > counts[FIRE]  # several neurocores listen to a spike


def operations(network: MappedNetwork, name: str) -> IntArray:
    """Return the synapses that a spike of each neuron reads."""
    routes = network.routes[name]
    return np.asarray(routes.operations.sum(axis=1))[routes.kinds.of_neurons]


@pytest.mark.parametrize("name", MODELS)
def test_synapses_read_are_those_of_the_spikes(name: str) -> None:
    found = ran(name)

    network = found.network
    for result, spikes in zip(found.results, found.spikes, strict=True):
        n = network.graph.training.timesteps
        counted = result.activity.cores[:n, :, SYNAPTIC_OPERATION].sum()
        expected = 0
        for population in network.graph.populations:
            if population.spikes:
                per_spike = operations(network, population.name)
                expected += int(
                    (spikes[population.name][:n].sum(axis=0) * per_spike).sum()
                )
        stimulus = found.data.stimulus(result.index).values
        sent = np.resize(stimulus != 0, (n, *stimulus.shape[1:])).reshape(n, -1)
        per_input = operations(network, network.graph.source.name)
        expected += int((sent.sum(axis=0) * per_input).sum())
        assert counted == expected


@pytest.mark.parametrize("name", MODELS)
def test_an_input_that_stops_has_done_what_a_full_run_had_done_by_then(
    name: str,
) -> None:
    found = ran(name)
    network = found.network
    program = open_backend("cpu").load(network)

    for t in (1, 2, network.graph.training.timesteps):
        stopped = run_inputs(program, network, found.data.stimuli(), fixed(t))
        for early, full in zip(stopped, found.results, strict=True):
            n = t + network.graph.depth
            assert early.activity.n_chip_timesteps == n
            for one, two in (
                (early.activity.cores, full.activity.cores),
                (early.activity.chip, full.activity.chip),
            ):
                np.testing.assert_array_equal(one, two[:n])


@pytest.mark.parametrize("name", MODELS)
def test_a_cutoff_at_the_last_timestep_is_a_full_run(name: str) -> None:
    found = ran(name)
    artifact, backend = pack(found.network), open_backend("cpu")
    last = fixed(found.network.graph.training.timesteps)

    profile = profile_inputs(artifact, backend, found.data, cutoff=last)

    early, full = (profile.runs[s] for s in (Schedule.CUTOFF, Schedule.SERIAL))
    for column in COLUMNS:
        is_polled = column.split("_")[0] in ("latency", "period") or (
            "static" in column or "embedded" in column
        )
        if not is_polled:  # T polls instead of one
            np.testing.assert_array_equal(early.column(column), full.column(column))


@pytest.mark.parametrize("name", MODELS)
def test_the_counts_of_two_halves_are_those_of_the_whole(name: str) -> None:
    found = ran(name)
    artifact, backend = pack(found.network), open_backend("cpu")

    whole, first, second = (
        profile_inputs(artifact, backend, part, cutoff=fixed(2))
        for part in (found.data, found.data.take([0]), found.data.take([1]))
    )

    for totals in ("cores", "chip"):
        one, two = getattr(first.totals, totals), getattr(second.totals, totals)
        np.testing.assert_array_equal(one + two, getattr(whole.totals, totals))
    for column in ("packets", "hops", "energy_neurocores_j", "energy_static_high_j"):
        parts = [*first.rows.column(column), *second.rows.column(column)]
        assert parts == whole.rows.column(column).tolist()


@examples(60)
@given(case=cases(n_stimuli=2, max_timesteps=9))
def test_a_stream_has_every_spike_of_layers_behind_the_output(case: Case) -> None:
    network = mapped(retime(case.graph, ROOMY))
    graph, n = network.graph, case.n_timesteps
    layers = [p for p in graph.populations if p.spikes]
    assume(max((p.offset for p in layers), default=0) > graph.depth)
    program = open_backend("cpu").load(network)
    indices = np.arange(len(case.stimuli))
    block = run_block(program, network, case.stimuli, never)
    results = run_inputs(program, network, enumerate(case.stimuli), never)

    totals = []
    for result in results:
        cores, _ = result.activity.streamed
        stimulus = case.stimuli[result.index]
        recorded = program.record(stimulus, ["spikes"], n_timesteps=n)
        fired = {
            p.name: (recorded[p.name, "spikes"] > 0)[p.offset : p.offset + n].sum(
                axis=0
            )
            for p in layers
        }
        expected = np.zeros(len(network.cores), np.int64)
        for name, spikes in fired.items():
            np.add.at(expected, network.core_of[name], spikes)
        np.testing.assert_array_equal(cores[..., FIRE].sum(axis=0), expected)
        counts = cores.sum(axis=(0, 1))
        read = fired[graph.output].sum() if graph.readout.spikes else 0
        assert counts[PACKET] + counts[INJECTION] == counts[PACKET_IN] + read
        totals.append(expected.sum())
    rows = Pricing(network, None, indices, "embedded").in_a_stream(indices, [block])

    assert rows["spikes"].tolist() == totals
    TALLY.add("streams = recorded spikes", 2 * n, 2 * len(network.cores))
