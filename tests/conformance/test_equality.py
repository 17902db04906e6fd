"""Equality, not closeness: every spike, current and voltage, at every timestep.

Networks are drawn over everything that a chip neuron and a synapse can do. The oracle
is a second, plain implementation; the reference, before and behind ``retime``, and the
cpu backend have to agree with it.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from snn_deploy.arrays import IntArray
from snn_deploy.backends.engine.cpu import CpuProgram
from snn_deploy.backends.protocol import QUANTITIES, Recording
from snn_deploy.backends.results import Activity
from snn_deploy.chip.events import (
    ACCESS,
    CHIP_EVENTS,
    CORE_EVENTS,
    FIRE,
    HOP_EAST_WEST,
    HOP_NORTH_SOUTH,
    INJECTION,
    PACKET,
    PACKET_IN,
    SYNAPTIC_OPERATION,
    UPDATE,
)
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.ir.graph import Training
from snn_deploy.ir.mapped import Link, MappedNetwork
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Encoding, Stimulus
from tests.build import dense, integers, population, rng, trains
from tests.conformance.networks import ROOMY, Case, cases, lengths, mapped
from tests.conformance.oracle import Oracle, synapses_of
from tests.conformance.tally import TALLY, examples, n_values
from tests.conformance.test_engine_equality import engines
from tests.counting import COUNTS

periods = st.one_of(st.none(), st.integers(1, 9))


def traced(
    graph: QuantizedGraph, stimulus: Stimulus, n: int, **settings: object
) -> Recording:
    """Return what the reference does in ``n`` chip timesteps."""
    simulation = Simulation(graph, [stimulus], **settings)  # type: ignore[arg-type]
    rows: list[Recording] = []
    for _ in range(n):
        simulation.step()
        rows.append(
            {
                (p.name, quantity): np.array(
                    getattr(simulation.states[p.name], quantity)[0]
                    if p.name in simulation.states
                    else getattr(simulation.neurons[p.name].rest(1), quantity)[0]
                )
                for p in graph.populations
                for quantity in QUANTITIES
            }
        )
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def local(graph: QuantizedGraph, trace: Recording, start: int, stop: int) -> Recording:
    """Return the local timesteps from ``start`` + 1 to ``stop`` of every population."""
    offsets = {p.name: p.offset for p in graph.populations}
    return {
        (name, quantity): rows[start + offsets[name] : stop + offsets[name]]
        for (name, quantity), rows in trace.items()
    }


def check_equal(found: Recording, wanted: Recording) -> None:
    assert found.keys() == wanted.keys()
    for (name, quantity), values in wanted.items():
        np.testing.assert_array_equal(
            found[name, quantity], values, err_msg=f"{name}: {quantity}", strict=False
        )


def lasting(graph: QuantizedGraph) -> int:
    return max(p.offset for p in graph.populations)


@examples(80)
@given(case=cases(max_populations=3, max_timesteps=12), period=periods, data=st.data())
def test_reference_equals_the_oracle(
    case: Case, period: int | None, data: st.DataObject
) -> None:
    graph = case.graph
    if data.draw(st.booleans(), "retimed"):
        graph = retime(graph, ROOMY)
    is_stream = period is not None and data.draw(st.booleans(), "is_stream")
    n = case.n_timesteps + lasting(graph) + 3
    settings = {
        "n_timesteps": case.n_timesteps,
        "period": period,
        "is_stream": is_stream,
        "holds": not is_stream and graph.precision.counts_timesteps,
    }
    simulation = Simulation(graph, case.stimuli, **settings)  # type: ignore[arg-type]
    oracle = Oracle(graph, case.stimuli[0], **settings)  # type: ignore[arg-type]

    for t in range(1, n + 1):
        simulation.step()
        oracle.step()
        assert simulation.states.keys() == oracle.voltage.keys()
        for name, state in simulation.states.items():
            where = f"{name}, timestep {t}"
            assert state.spikes[0].tolist() == oracle.history[t][name], where
            assert state.current[0].tolist() == oracle.current[name], where
            assert state.voltage[0].tolist() == oracle.voltage[name], where
            assert state.wraps[0] == oracle.wraps[name], where
            assert state.saturations[0] == oracle.saturations[name], where

    n_neurons = sum(p.size for p in graph.populations)
    TALLY.add("reference = oracle", n, 3 * n * n_neurons)


@examples(120)
@given(case=cases(), period=periods)
def test_pipelined_network_computes_the_same_later(
    case: Case, period: int | None
) -> None:
    pipelined = retime(case.graph, ROOMY)
    n = case.n_timesteps + 4  # and some silence behind the input
    settings = {"n_timesteps": case.n_timesteps, "period": period}

    now = traced(case.graph, case.stimuli[0], n, **settings)
    later = traced(pipelined, case.stimuli[0], n + lasting(pipelined), **settings)

    check_equal(local(pipelined, later, 0, n), now)
    TALLY.add("retimed = as trained", n, n_values(now))


@examples(120)
@given(case=cases(n_stimuli=3, max_timesteps=10), is_retimed=st.booleans())
def test_inputs_in_a_row_give_what_each_gives_alone(
    case: Case, is_retimed: bool
) -> None:
    graph = retime(case.graph, ROOMY) if is_retimed else case.graph
    n, bias = case.n_timesteps, case.stimuli[0].bias
    parts = [np.stack([s.at(t + 1) for t in range(n)]) for s in case.stimuli]
    row = Stimulus(values=np.concatenate(parts), is_constant=False, bias=bias)
    n_all = len(parts) * n

    found = traced(
        graph, row, n_all + lasting(graph), n_timesteps=n_all, period=n, is_stream=True
    )

    for position, part in enumerate(parts):
        one = Stimulus(values=part, is_constant=False, bias=bias)
        alone = traced(graph, one, n + lasting(graph), n_timesteps=n)
        check_equal(
            local(graph, found, position * n, position * n + n),
            local(graph, alone, 0, n),
        )
    TALLY.add("streamed = alone", n_all, 3 * n_all * sum(p.size for p in graph.order))


@examples(100)
@given(case=cases(n_stimuli=3, max_timesteps=8), data=st.data())
def test_cpu_sessions_equal_the_oracle_and_count_what_it_does(
    case: Case, data: st.DataObject
) -> None:
    network = mapped(
        retime(case.graph, ROOMY), reads_zeros=data.draw(st.booleans(), "reads zeros")
    )
    stops = [data.draw(st.integers(1, case.n_timesteps), "stop") for _ in case.stimuli]
    wanted = [
        observed(network, stimulus, stop)
        for stimulus, stop in zip(case.stimuli, stops, strict=True)
    ]
    program = CpuProgram(network)
    n, is_deep = sum(stops), lasting(network.graph) > network.graph.depth

    for program.engine in chain([None], engines(network, case.stimuli)):
        session = program.start(case.stimuli)
        found: list[list[IntArray]] = [[] for _ in stops]
        while record := session.step():
            for position, index in enumerate(record.inputs):
                found[index].append(record.readout[position])
            over = [i for i in record.inputs if stops[i] == record.timestep]
            session.retire(np.array(over, np.int64))

        for index, (scores, activity) in enumerate(wanted):
            np.testing.assert_array_equal(found[index], scores)
            counted = session.activity(index)
            for name in COUNTS:
                np.testing.assert_array_equal(
                    getattr(counted, name), getattr(activity, name)
                )
        kind = program.engine.instructions if program.engine else "NumPy"
        where = ", layers behind the output" if is_deep else ""
        comparison = f"sessions and counts, {kind}{where} = oracle"
        TALLY.add(comparison, n, n * network.graph.readout.size)


@examples(100)
@given(case=cases(), period=periods, n_timesteps=lengths(20))
def test_cpu_records_what_the_reference_does(
    case: Case, period: int | None, n_timesteps: int
) -> None:
    graph = retime(case.graph, ROOMY)
    n = n_timesteps + lasting(graph)

    found = CpuProgram(mapped(graph)).record(
        case.stimuli[0], QUANTITIES, n_timesteps=n_timesteps, reset_every=period
    )

    wanted = traced(graph, case.stimuli[0], n, n_timesteps=n_timesteps, period=period)
    check_equal(found, wanted)
    TALLY.add("cpu record = reference", n, n_values(wanted))


@examples(60)
@given(case=cases(n_stimuli=2, max_timesteps=8, may_be_long=False))
def test_input_after_a_cut_off_one_gives_what_it_gives_alone(case: Case) -> None:
    network = mapped(retime(case.graph, ROOMY))
    first, second = case.stimuli
    program = CpuProgram(network)
    alone = list(readouts(program, second, case.n_timesteps))

    for stop in range(1, case.n_timesteps + 1):
        assert len(list(readouts(program, first, stop))) == stop
        after = list(readouts(program, second, case.n_timesteps))

        np.testing.assert_array_equal(after, alone)
    n = case.n_timesteps**2
    TALLY.add("cpu after a cutoff = alone", n, n * network.graph.readout.size)


def slow_loop() -> QuantizedGraph:
    """Return a network that remembers for 62 timesteps: delays, a loop, a bias."""
    draw = rng(5)
    layers = [
        population("a", (6,), bias_mantissa=draw.integers(-90, 300, (6,))),
        population("b", (5,), refractory=2, current_decay=np.array(400)),
        population("out", (4,), spikes=False, voltage_decay=np.array(0)),
    ]
    projections = [
        dense("input", "a", 2 * draw.integers(-20, 60, (6, 3)), delay=60),
        dense("a", "b", 2 * draw.integers(-30, 60, (5, 6)), delay=62),
        dense("b", "a", 2 * draw.integers(-30, 60, (6, 5)), delay=3),
        dense(
            "input",
            "b",
            2 * draw.integers(-20, 60, (5, 3)),
            axon_delay=np.array([0, 31, 62]),
        ),
        dense("b", "out", 2 * draw.integers(-30, 60, (4, 5)), delay=1),
        dense("a", "out", 2 * draw.integers(-30, 60, (4, 6)), delay=62),
    ]
    training = Training(timesteps=66, encoding=Encoding.RATE)
    return integers(layers, projections, shape=(3,), training=training)


def test_nothing_stays_on_the_way_for_62_timesteps_after_any_cutoff() -> None:
    network = mapped(retime(slow_loop(), ROOMY))
    first, second = trains(2, 66, (3,))
    program = CpuProgram(network)
    alone = list(readouts(program, second, 66))
    scores, _ = observed(network, second, 66)
    np.testing.assert_array_equal(alone, scores)

    for stop in range(1, 67):
        list(readouts(program, first, stop))
        np.testing.assert_array_equal(list(readouts(program, second, 66)), alone)
    TALLY.add("cpu after a cutoff = alone", 66 * 66, 66 * 66 * 4)


def readouts(program: CpuProgram, stimulus: Stimulus, stop: int) -> Iterator[IntArray]:
    """Yield the read-outs up to a timestep, at which the input is retired."""
    session = program.start([stimulus])
    while record := session.step():
        yield record.readout[0]
        if record.timestep == stop:
            session.retire(np.array([0]))


def observed(
    network: MappedNetwork, stimulus: Stimulus, stop: int
) -> tuple[list[list[int]], Activity]:
    """Return read-outs and counts of one input up to a stop, by the oracle."""
    graph = network.graph
    readout = graph.readout
    last, holds = graph.training.timesteps, graph.precision.counts_timesteps
    oracle = Oracle(graph, stimulus, n_timesteps=last, holds=holds)
    n = graph.depth + stop
    cores = np.zeros((n, len(network.cores), len(CORE_EVENTS)), np.int64)
    chip = no_chip_events(network, n)
    run_on_cores = np.zeros((graph.depth, *cores.shape[1:]), np.int64)
    run_on_chip = no_chip_events(network, graph.depth)
    reads = {name: packets(network, name) for name in oracle.offsets}
    scores = []
    limited: dict[str, tuple[int, int]] = {}
    for row in range(n):
        oracle.step()
        _count(network, oracle, reads, cores[row], chip[row])
        if row >= last:
            over = [name for name, o in oracle.offsets.items() if row + 1 - o > last]
            late = run_on_cores[row - last], run_on_chip[row - last]
            _count(network, oracle, reads, *late, over)
            late[0][:, ACCESS] = 0  # in `cores`, whatever a layer does
        for name, n_wraps in oracle.wraps.items():
            if row + 1 - oracle.offsets[name] <= stop:  # a timestep of the input's own
                limited[name] = oracle.saturations[name], n_wraps
        if row >= graph.depth:
            final = oracle.history[-1] if readout.spikes else oracle.voltage
            scores.append(list(final[readout.name]))
    cores_in_stream, chip_in_stream = alone_in_stream(network, stimulus, stop)
    np.testing.assert_array_equal(cores_in_stream[:stop], cores[:stop])
    np.testing.assert_array_equal(chip_in_stream[:stop], chip[:stop])
    tail = cores_in_stream[stop:]
    tail[..., ACCESS] = 0  # the next input pays
    return scores, Activity(
        timesteps=stop,
        cores=cores,
        chip=chip,
        tail_cores=tail,
        tail_chip=chip_in_stream[stop:],
        run_on_cores=run_on_cores,
        run_on_chip=run_on_chip,
        saturations=sum(n_saturations for n_saturations, _ in limited.values()),
        wraps=sum(n_wraps for _, n_wraps in limited.values()),
    )


def no_chip_events(network: MappedNetwork, n: int) -> IntArray:
    """Return counts of 0 of the chip and of each link between chips."""
    return np.zeros((n, len(CHIP_EVENTS) + len(network.crossings.links)), np.int64)


def alone_in_stream(
    network: MappedNetwork, stimulus: Stimulus, stop: int
) -> tuple[IntArray, IntArray]:
    """Return what an input causes if each layer sees its timesteps up to the stop."""
    graph = network.graph
    n = lasting(graph) + stop
    oracle = Oracle(graph, stimulus, n_timesteps=stop, period=stop, is_stream=True)
    cores = np.zeros((n, len(network.cores), len(CORE_EVENTS)), np.int64)
    chip = no_chip_events(network, n)
    reads = {name: packets(network, name) for name in oracle.offsets}
    for row in range(n):
        oracle.step()
        # the others are at the next input, which is none of ours
        mine = [name for name, o in oracle.offsets.items() if row + 1 - o <= stop]
        _count(network, oracle, reads, cores[row], chip[row], mine)
    return cores, chip


def _count(
    network: MappedNetwork,
    oracle: Oracle,
    reads: dict[str, list[dict[int, int]]],
    cores: IntArray,
    chip: IntArray,
    names: Sequence[str] | None = None,
) -> None:
    """Count what a chip timestep of the oracle did, or what some senders did."""
    readout = network.graph.readout
    names = [*oracle.offsets] if names is None else names
    for index, core in enumerate(network.cores):
        cores[index, ACCESS] = core.n_compartments
    for name in names:
        for neuron in np.flatnonzero(oracle.busy.get(name, [])).tolist():
            cores[network.core_of[name][neuron], UPDATE] += 1
        spikes = oracle.history[-1].get(name, [])
        for neuron in (i for i, spike in enumerate(spikes) if spike):
            is_read = name == readout.name and readout.spikes
            _send(network, name, neuron, reads[name][neuron], is_read, cores, chip)


def packets(network: MappedNetwork, name: str) -> list[dict[int, int]]:
    """Return for each neuron of a sender the synapses it reads, by neurocore.

    A packet goes where there is a synapse, whatever its weight.
    """
    graph = network.graph
    reads_zeros = network.target.neurocore.reads_zeros
    found: list[dict[int, int]] = [
        {} for _ in range(int(np.prod(graph.shape_of(name))))
    ]
    for projection in graph.projections:
        if projection.source == name:
            cores = network.core_of[projection.target]
            for source, target, weight in synapses_of(graph, projection):
                core = int(cores[target])
                is_read = reads_zeros or weight != 0
                found[source][core] = found[source].get(core, 0) + is_read
    return found


def _send(
    network: MappedNetwork,
    name: str,
    neuron: int,
    reads: dict[int, int],
    is_read: bool,
    cores: IntArray,
    chip: IntArray,
) -> None:
    """Count one spike: packets, what they cause, and the way they go."""
    is_input = name == network.graph.source.name
    home = None if is_input else int(network.core_of[name][neuron])
    x, y = (0, 0) if home is None else (network.cores[home].x, network.cores[home].y)
    for core, n_synapses in reads.items():
        cores[core, PACKET_IN] += 1
        cores[core, SYNAPTIC_OPERATION] += n_synapses
        cores[core, INJECTION] += is_input
        _travel(network, (x, y), (network.cores[core].x, network.cores[core].y), chip)
    if home is None:
        return
    cores[home, FIRE] += 1
    cores[home, PACKET] += len(reads) + is_read
    if is_read:
        _travel(network, (x, y), (0, 0), chip)


def _travel(
    network: MappedNetwork, start: tuple[int, int], end: tuple[int, int], chip: IntArray
) -> None:
    """Count the steps of a packet from tile to tile, along x, then y."""
    links, mesh = network.crossings.links, network.target.mesh
    here = start
    while here != end:
        axis = 0 if here[0] != end[0] else 1
        step = 1 if end[axis] > here[axis] else -1
        there = (here[0] + step, here[1]) if axis == 0 else (here[0], here[1] + step)
        chip[HOP_EAST_WEST if axis == 0 else HOP_NORTH_SOUTH] += 1
        old, new = ((x // mesh.width, y // mesh.height) for x, y in (here, there))
        if new != old:
            chip[len(CHIP_EVENTS) + links.index(Link(old, new))] += 1
        here = there
