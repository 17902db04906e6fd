"""Counts, energy and latency against SANA-FE, on random mapped networks.

What SANA-FE can express: neurons without a memory of the current, a bias, an initial
voltage, a refractory period or saturation; every spike takes one timestep; binary
spikes. With and without leak, hard and soft reset, both comparisons, dense and sparse
synapses, skips and loops, spread over neurocores at random.

One difference is by definition. A current that decays completely still stands in its
register when the next update begins, and we count that update (DESIGN.md, section 6);
SANA-FE has no such register. These updates, found from the recorded currents, voltages
and spikes, are taken out before anything is compared.
"""

import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.protocol import QUANTITIES, Recording
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.events import (
    CORE_EVENTS,
    FIRE,
    INJECTION,
    PACKET,
    SYNAPTIC_OPERATION,
    UPDATE,
)
from snn_deploy.chip.target import CENTRAL, Target
from snn_deploy.chip.target_file import target_from_table
from snn_deploy.costs.energy import dynamic_energy
from snn_deploy.costs.latency import timestep_durations
from snn_deploy.costs.prices import prices_of
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.ir.mapped import MappedNetwork, Neurocore, Piece
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import Population, Projection
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.ir.synapses import DenseSynapses, SparseSynapses
from tests.build import RATE, dense, integers, population
from tests.chip.test_target import table
from tests.costs.page import check_page
from tests.peers.sanafe_runner import CORES_PER_TILE, HEIGHT, TILES

PEER = Path(__file__).parents[2] / "build" / "peers" / "sanafe" / "bin" / "python"
RUNNER = Path(__file__).with_name("sanafe_runner.py")
N_NETWORKS = 36
TIMESTEPS = 12
BARRIER_NS = 600

# energy [pJ], time [ns]: fitted to silicon by SANA-FE's authors (arch/loihi.yaml), and
# those of Davies et al. 2018, table 2
PRICES = (
    {
        "synaptic_operation": (35.5, 3.8), "access": (51.2, 6.0), "update": (21.6, 3.7),
        "fire": (69.3, 30.0), "packet": (111.0, 5.1), "packet_in": (0.0, 16.0),
        "hop_east_west": (3.0, 4.1), "hop_north_south": (4.2, 6.5),
    },
    {
        "synaptic_operation": (23.6, 3.5), "access": (52.0, 5.3), "update": (29.0, 3.1),
        "fire": (0.0, 0.0), "packet": (1.7, 2.1), "packet_in": (0.0, 0.0),
        "hop_east_west": (3.0, 4.1), "hop_north_south": (4.0, 6.5),
    },
)  # fmt: skip
NAMES = {
    "synaptic_operation": "process_spike",
    "access": "access_neuron",
    "update": "update_neuron",
    "fire": "spike_out",
    "packet": "message_out",
    "packet_in": "message_in",
    "hop_east_west": "hop_ew",
    "hop_north_south": "hop_ns",
}

pytestmark = pytest.mark.skipif(
    not PEER.is_file(), reason="SANA-FE is not installed: make peers"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """A network, what it does here, and what SANA-FE makes of it."""

    network: MappedNetwork
    stimulus: Stimulus
    states: Recording
    cores: IntArray  # (n_chip_timesteps, n_cores, 6)
    chip: IntArray  # (n_chip_timesteps, 3)
    energy_j: FloatArray  # (n_chip_timesteps,)
    durations_s: FloatArray
    peer: dict[str, Any]

    @property
    def more_in_detail(self) -> float:
        """How much longer it takes by SANA-FE's detailed timing, as a share."""
        latency = float(self.peer["detailed"]["latency_s"])
        return latency / float(self.durations_s.sum()) - 1


def target_of(prices: dict[str, tuple[float, float]]) -> Target:
    chip = table()
    chip["mesh"] = {
        "neurocores": TILES * CORES_PER_TILE,
        "neurocores_per_tile": CORES_PER_TILE,
        "height": HEIGHT,
        "width": TILES // HEIGHT,
        "source": "the peer's",
    }
    chip["barrier"] = {
        "tiles": [1],
        "time_ns": [BARRIER_NS],
        "source": "made up",
    }
    chip["cost"] = {
        name: {"energy_pj": energy, "time_ns": time, "source": "made up"}
        for name, (energy, time) in prices.items()
    }
    energy, _ = prices["packet"]  # an input there is a neuron that sends
    chip["cost"]["injection"] = {"energy_pj": energy, "source": "that of a packet"}
    return target_from_table(chip, "peer.toml")


def drawn(seed: int) -> tuple[MappedNetwork, Stimulus]:
    """Return a network, its neurons spread over random neurocores, and an input."""
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.integers(3, 25, rng.integers(2, 5))]
    populations, projections = [], []
    n_in = int(rng.integers(2, 20))
    before = [("input", n_in, 0)]
    for number, size in enumerate(sizes, start=1):
        name = f"p{number}"
        sources = {before[-1]} | {b for b in before if rng.random() < 0.3}
        # every spike takes one timestep: later ones come from an earlier timestep
        offset = 1 + min(lag for _, _, lag in sources)
        populations.append(_population(rng, name, size, offset))
        if rng.random() < 0.3:
            sources |= {(name, size, offset)}  # a loop
        for source, n, _ in sorted(sources):
            projections.append(_projection(rng, source, name, n, size))
        before.append((name, size, offset))
    if seed % 2:  # read out by its voltage
        populations[-1] = replace(populations[-1], spikes=False)
        projections = [p for p in projections if p.source != populations[-1].name]
    training = replace(RATE, timesteps=TIMESTEPS)
    graph = integers(populations, projections, shape=(n_in,), training=training)
    runs_on = replace(graph.precision, counts_timesteps=False)
    graph = replace(graph, precision=runs_on)
    values = (rng.random((TIMESTEPS, n_in)) < 0.4).astype(np.int32)
    network = MappedNetwork(
        graph=graph,
        target=target_of(PRICES[seed // 2 % 2]),
        cores=_cores(rng, populations),
    )
    return network, Stimulus(values=values, is_constant=False)


def _population(
    rng: np.random.Generator, name: str, size: int, offset: int
) -> Population:
    threshold = int(rng.integers(20, 300))
    is_soft, is_strict = rng.random() < 0.5, rng.random() < 0.5
    # SANA-FE has no leak where it reaches the threshold and resets softly
    leak = 0 if is_soft and not is_strict else int(rng.choice([0, 1, 410, 4096]))
    return population(
        name,
        (size,),
        offset=offset,
        threshold=np.array(threshold),
        reset=Reset.SOFT if is_soft else Reset.HARD,
        reset_amount=np.array(64 * threshold),
        comparison=Comparison.GREATER if is_strict else Comparison.GREATER_EQUAL,
        voltage_decay=np.array(leak),
    )


def _projection(
    rng: np.random.Generator, source: str, target: str, n: int, size: int
) -> Projection:
    weights = 2 * rng.integers(-50, 100, (size, n))
    whole = dense(source, target, weights, delay=1)
    if rng.random() < 0.5:
        return whole  # which stores its zeros
    targets, sources = np.nonzero(rng.random((size, n)) < 0.5)
    sparse = SparseSynapses(
        sources=sources,
        targets=targets,
        weights=weights[targets, sources],
        size=(size, n),
    )
    return replace(whole, synapses=sparse)


def _cores(
    rng: np.random.Generator, populations: list[Population]
) -> tuple[Neurocore, ...]:
    """Return pieces of populations on neurocores outside of the host's tile."""
    pieces = []
    for p in populations:
        of = rng.integers(0, rng.integers(1, 5), p.size)
        pieces += [(p.name, np.flatnonzero(of == i)) for i in np.unique(of)]
    places = rng.choice(
        np.arange(CORES_PER_TILE, TILES * CORES_PER_TILE), len(pieces), replace=False
    )
    found = []
    for (name, neurons), place in zip(pieces, places.tolist(), strict=True):
        x, y = divmod(place // CORES_PER_TILE, HEIGHT)
        piece = Piece(population=name, neurons=neurons, synapse_bits=1, n_input_axons=1)
        found.append(Neurocore(index=place, x=x, y=y, pieces=(piece,)))
    return tuple(found)


def synapses(projection: Projection) -> list[list[int]]:
    stored = projection.synapses
    if isinstance(stored, DenseSynapses):
        targets, sources = np.indices(stored.weights.shape).reshape(2, -1)
        rows = zip(sources, targets, stored.weights.reshape(-1), strict=True)
    else:
        assert isinstance(stored, SparseSynapses)
        rows = zip(stored.sources, stored.targets, stored.weights, strict=True)
    return [[int(x) for x in row] for row in rows]


def told(network: MappedNetwork, stimulus: Stimulus) -> dict[str, Any]:
    """Return the network as the peer's script reads it."""
    graph = network.graph
    n = TIMESTEPS + graph.depth
    spikes = np.zeros((n, *graph.source.shape), np.int64)
    spikes[:TIMESTEPS] = stimulus.values
    prices = PRICES[0 if network.target.cost("fire").energy_j else 1]
    places = np.array([core.index for core in network.cores])
    projections = [
        {"source": p.source, "target": p.target, "synapses": synapses(p)}
        for p in graph.projections
    ]
    if graph.readout.spikes:
        read = [[i, 0, 0] for i in range(graph.readout.size)]
        projections.append({"source": graph.output, "target": "sink", "synapses": read})
    return {
        "prices": {
            f"{what}_{NAMES[name]}": value * unit
            for name, pair in prices.items()
            for what, value, unit in zip(
                ("energy", "latency"), pair, (1e-12, 1e-9), strict=True
            )
        },
        "barrier_s": BARRIER_NS * 1e-9,
        "spikes": spikes.tolist(),
        "populations": [
            {
                "name": p.name,
                "threshold": int(p.threshold) if p.spikes else 1e9,
                "voltage_decay": int(p.voltage_decay),
                "reset": p.reset.value,
                "comparison": p.comparison.value,
                "cores": places[network.core_of[p.name]].tolist(),
            }
            for p in graph.populations
        ],
        "projections": projections,
    }


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> list[Compared]:
    """Return networks and their inputs, run here and by SANA-FE."""
    folder = tmp_path_factory.mktemp("sanafe")
    cases = [drawn(seed) for seed in range(N_NETWORKS)]
    (folder / "cases.json").write_text(json.dumps([told(*case) for case in cases]))
    command = [PEER, RUNNER, folder / "cases.json", folder / "found.json"]
    subprocess.run(command, check=True, capture_output=True)
    found = json.loads((folder / "found.json").read_text())
    return [ours(*case, peer) for case, peer in zip(cases, found, strict=True)]


def ours(network: MappedNetwork, stimulus: Stimulus, peer: dict[str, Any]) -> Compared:
    """Return what the network does here, beside what it does there."""
    program = open_backend("cpu").load(network)
    (result,) = run_inputs(program, network, [(0, stimulus)], never)
    states = program.record(stimulus, QUANTITIES, n_timesteps=TIMESTEPS)
    cores, chip = result.activity.cores.copy(), result.activity.chip
    cores[..., UPDATE] -= left_over(network, stimulus, states)
    prices = prices_of(network.target, n_tiles=1, monitor="embedded")
    return Compared(
        network=network,
        stimulus=stimulus,
        states=states,
        cores=cores,
        chip=chip,
        energy_j=dynamic_energy(cores.sum(axis=1), chip, prices)[:, CENTRAL],
        durations_s=timestep_durations(cores, chip, prices)[:, CENTRAL],
        peer=peer,
    )


def test_spikes_counts_energy_and_latency_are_those_of_sanafe(
    compared: list[Compared],
) -> None:
    totals = np.zeros(len(CORE_EVENTS), np.int64)
    for found in compared:
        simple = found.peer["simple"]
        totals += found.cores.sum(axis=(0, 1))
        check_spikes(found.network, found.states, simple["spikes"])
        check_counts(found.network, found.cores, found.chip, found.stimulus, simple)
        for mine, each, in_all in (
            (found.energy_j, "total_energy", "energy_j"),
            (found.durations_s, "sim_time", "latency_s"),
        ):
            theirs = simple["per_timestep"][each]
            np.testing.assert_allclose(mine, theirs, rtol=1e-9)
            np.testing.assert_allclose(mine.sum(), simple[in_all], rtol=1e-9)
        assert -1e-9 <= found.more_in_detail <= 0.35
    assert (totals > 1000).all()  # there was something to compare


def test_the_table_of_the_comparison_is_up_to_date(
    compared: list[Compared], request: pytest.FixtureRequest
) -> None:
    check_page("SANA-FE", table_of(compared), request)


def table_of(compared: list[Compared]) -> str:
    """Return one row for each network."""
    lines = [
        "| network | neurons | neurocores | spikes | packets | hops | synaptic "
        "operations | energy [nJ] | differs by | latency [µs] | differs by |",
        "|" + "---|" * 11,
    ]
    for number, found in enumerate(compared, start=1):
        simple, counts = found.peer["simple"], found.cores.sum(axis=(0, 1))
        chip = found.chip.sum(axis=0)
        figures = (
            number,
            sum(p.size for p in found.network.graph.populations),
            len(found.network.cores),
            counts[FIRE],
            counts[PACKET] + counts[INJECTION],
            chip[0] + chip[1],
            counts[SYNAPTIC_OPERATION],
            f"{found.energy_j.sum() * 1e9:.3f}",
            differs(found.energy_j.sum(), simple["energy_j"]),
            f"{found.durations_s.sum() * 1e6:.3f}",
            differs(found.durations_s.sum(), simple["latency_s"]),
        )
        lines.append("| " + " | ".join(map(str, figures)) + " |")
    return "\n".join(lines)


def differs(mine: float, theirs: float) -> str:
    """Return a bound on a relative difference, the same on every machine."""
    return "under 1e-12" if abs(mine / theirs - 1) < 1e-12 else "under 1e-9"


def left_over(
    network: MappedNetwork, stimulus: Stimulus, states: Recording
) -> IntArray:
    """Count updates for a current alone that vanishes, ``(n, n_cores)``."""
    graph = network.graph
    n = TIMESTEPS + graph.depth
    sent = {p.name: states[p.name, "spikes"][:n] for p in graph.populations}
    sent["input"] = np.zeros((n, graph.source.size), np.int64)
    sent["input"][:TIMESTEPS] = stimulus.values
    found = np.zeros((n, len(network.cores)), np.int64)
    for p in graph.populations:
        reached = np.zeros((n, p.size), np.bool_)
        for projection in graph.projections_into(p):
            for source, target, _ in synapses(projection):
                reached[1:, target] |= sent[projection.source][:-1, source] > 0
        current, voltage = (states[p.name, q][: n - 1] for q in ("current", "voltage"))
        alone = (current != 0) & (voltage == 0) & ~reached[1:]
        for neuron, core in enumerate(network.core_of[p.name]):
            found[1:, core] += alone[:, neuron]
    return found


def check_spikes(
    network: MappedNetwork, found: Recording, theirs: list[list[tuple[str, int]]]
) -> None:
    graph = network.graph
    n = TIMESTEPS + graph.depth
    for p in graph.populations:
        rows = np.zeros((n, p.size), np.int64)
        for timestep, fired in enumerate(theirs):
            neurons = [neuron for name, neuron in fired if name == p.name]
            rows[timestep, neurons] = 1
        np.testing.assert_array_equal(found[p.name, "spikes"][:n], rows)


def check_counts(
    network: MappedNetwork,
    cores: IntArray,
    chip: IntArray,
    stimulus: Stimulus,
    peer: dict[str, Any],
) -> None:
    """Compare as integers; the peer's input neurons fire, and its sink is updated."""
    per_core = cores.sum(axis=1)
    counts = {name: per_core[:, i] for i, name in enumerate(CORE_EVENTS)}
    sent = np.zeros(len(chip), np.int64)
    sent[:TIMESTEPS] = stimulus.values.sum(axis=1)
    read = np.zeros(len(chip), np.int64)
    if network.graph.readout.spikes:
        output = np.unique(network.core_of[network.graph.output])
        read = cores[:, output, FIRE].sum(axis=1)
    into_sink = np.concatenate([[0], np.minimum(read, 1)[:-1]])
    theirs = {k: np.rint(v).astype(np.int64) for k, v in peer["per_timestep"].items()}
    np.testing.assert_array_equal(counts["fire"] + sent, theirs["fired"])
    np.testing.assert_array_equal(
        counts["update"] + sent + into_sink, theirs["updated"]
    )
    np.testing.assert_array_equal(counts["synaptic_operation"] + read, theirs["spikes"])
    np.testing.assert_array_equal(chip[:, 0] + chip[:, 1], theirs["hops"])
    assert per_core[:, [PACKET, INJECTION]].sum() == peer["packets"]
    received = counts["packet_in"].sum()
    assert received + read.sum() == peer["packets"]
