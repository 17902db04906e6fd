"""The Lava backend: the reference's integers, live stops, inputs in a row."""

import errno
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from snn_deploy.arrays import IntArray, Shape
from snn_deploy.backends.engine.cpu import CpuBackend
from snn_deploy.backends.lava import compat as lava_compat
from snn_deploy.backends.lava.backend import LavaBackend, LavaProgram, LavaSession
from snn_deploy.backends.lava.memory import Tape
from snn_deploy.backends.protocol import QUANTITIES
from snn_deploy.chip.target_file import read_target
from snn_deploy.errors import BackendError
from snn_deploy.ir.dynamics import Neurons
from snn_deploy.ir.graph import Training
from snn_deploy.ir.mapped import MappedNetwork, Neurocore, Piece
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import (
    Population,
    Projection,
    QuantizedGraph,
    Source,
)
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Encoding, Stimulus
from snn_deploy.ir.synapses import (
    ConvSynapses,
    DenseSynapses,
    Synapses,
)
from tests.counting import COUNTS

try:
    lava_compat.import_lava()
except BackendError as error:
    pytest.skip(str(error), allow_module_level=True)

# a thread of Lava's may end with an error as what it sends to is taken away
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)
TARGET = read_target("loihi-sim")
N_TIMESTEPS = 7


def population(
    name: str, shape: Shape, offset: int, rng: np.random.Generator, **other: object
) -> Population:
    per_channel = (shape[0], *(1 for _ in shape[1:]))
    values = {
        "name": name,
        "shape": shape,
        "current_decay": np.array(4095),
        "voltage_decay": np.array(300),
        "bias_mantissa": rng.integers(-40, 60, per_channel),
        "bias_exponent": 2,
        "threshold": rng.integers(20, 60, per_channel),
        "reset": Reset.HARD,
        "reset_amount": np.array(0),
        "initial_voltage": rng.integers(-500, 900, per_channel),
        "comparison": Comparison.GREATER,
        "spikes": True,
        "scale": np.array(1.0),
        "offset": offset,
    }
    return Population(**{**values, **other})  # type: ignore[arg-type]


def integrator(
    name: str, n: int, offset: int, rng: np.random.Generator, **other: object
) -> Population:
    return population(
        name, (n,), offset, rng, spikes=False, voltage_decay=np.array(0), **other
    )


def weights(shape: Shape, rng: np.random.Generator) -> IntArray:
    return 2 * rng.integers(-40, 55, shape)


def dense(n_out: int, n_in: int, rng: np.random.Generator) -> DenseSynapses:
    return DenseSynapses(weights=weights((n_out, n_in), rng))


def conv(
    shape: Shape,
    rng: np.random.Generator,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> ConvSynapses:
    return ConvSynapses(
        weights=weights(shape, rng),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def projection(
    source: str, target: str, synapses: Synapses, delay: int = 1, exponent: int = 0
) -> Projection:
    return Projection(
        name=f"{source} to {target}",
        source=source,
        target=target,
        synapses=synapses,
        exponent=exponent,
        delay=delay,
    )


def network(
    shape: Shape,
    populations: tuple[Population, ...],
    projections: tuple[Projection, ...],
    *,
    largest_value: int = 1,
) -> MappedNetwork:
    """Return a network whose populations are cut in halves, on two neurocores."""
    graph = QuantizedGraph(
        name="small",
        source=Source(name="input", shape=shape, largest_value=largest_value),
        populations=populations,
        projections=projections,
        output=populations[-1].name,
        training=Training(timesteps=N_TIMESTEPS, encoding=Encoding.DIRECT),
        precision=TARGET.precision,
    )
    cores = tuple(
        Neurocore(
            index=index,
            x=index,
            y=2 * index,
            pieces=tuple(
                Piece(
                    population=p.name,
                    neurons=np.arange(p.size)[index::2],
                    synapse_bits=1,
                    n_input_axons=1,
                )
                for p in populations
            ),
        )
        for index in range(2)
    )
    return MappedNetwork(graph=graph, target=TARGET, cores=cores)


def convolutional() -> MappedNetwork:
    """Graded constant input, groups, stride, dilation, a leaky and a soft reset."""
    rng = np.random.default_rng(1)
    first = conv((4, 2, 3, 3), rng, stride=(2, 1))
    first_shape = first.convolved_shape((2, 8, 6), first.weights.shape)
    second = conv((4, 2, 3, 2), rng, dilation=(1, 2), groups=2)
    second_shape = second.convolved_shape(first_shape, second.weights.shape)
    size = int(np.prod(second_shape))
    return network(
        (2, 8, 6),
        (
            population("conv1", first_shape, 1, rng, current_decay=np.array(1500)),
            population(
                "conv2",
                second_shape,
                2,
                rng,
                reset=Reset.SOFT,
                reset_amount=rng.integers(1000, 3000, (4, 1, 1)),
                comparison=Comparison.GREATER_EQUAL,
            ),
            integrator("out", 5, 3, rng),
        ),
        (
            projection("input", "conv1", first, exponent=-7),
            projection("conv1", "conv2", second),
            projection("conv2", "out", dense(5, size, rng), exponent=-2),
        ),
        largest_value=255,
    )


def residual() -> MappedNetwork:
    """Two ways of different delay into one population, a loop, long delays, spikes."""
    rng = np.random.default_rng(2)
    soft = {"reset": Reset.SOFT, "reset_amount": np.array(2000)}
    return network(
        (6,),
        (
            population("first", (9,), 1, rng),
            population("second", (9,), 4, rng, **soft),
            population("sum", (8,), 6, rng),
            population("out", (4,), 8, rng, threshold=np.array(30), **soft),
        ),
        (
            projection("input", "first", dense(9, 6, rng)),
            projection("first", "second", dense(9, 9, rng), delay=3),
            projection("first", "sum", dense(8, 9, rng), delay=5),
            projection("second", "sum", dense(8, 9, rng), delay=2),
            projection("second", "second", dense(9, 9, rng), delay=1, exponent=-1),
            projection("sum", "out", dense(4, 8, rng), delay=2, exponent=1),
        ),
    )


NETWORKS = {"convolutional": convolutional(), "residual": residual()}


def stimuli(mapped: MappedNetwork) -> list[Stimulus]:
    rng = np.random.default_rng(3)
    source = mapped.graph.source
    size = (N_TIMESTEPS, *source.shape)
    if source.largest_value > 1:
        constant = [rng.integers(0, 256, (1, *source.shape)) for _ in range(2)]
        moving = rng.integers(0, 256, size)
        return [
            Stimulus(values=constant[0], is_constant=True),
            Stimulus(values=moving, is_constant=False),
            Stimulus(values=constant[1], is_constant=True),
        ]
    return [
        Stimulus(values=rng.binomial(1, density, size), is_constant=False)
        for density in (0.9, 0.5, 0.2)
    ]


def expected(mapped: MappedNetwork, stimulus: Stimulus) -> list[IntArray]:
    """Return the reference's read-out at every input timestep."""
    simulation = Simulation(mapped.graph, [stimulus])
    found = []
    for chip_timestep in range(1, mapped.graph.depth + N_TIMESTEPS + 1):
        simulation.step()
        if chip_timestep > mapped.graph.depth:
            found.append(simulation.readout()[0])
    return found


def run(session: LavaSession, n_timesteps: int = N_TIMESTEPS) -> list[IntArray]:
    """Return the read-outs up to a timestep, at which the input is retired."""
    found: list[IntArray] = []
    while len(found) < n_timesteps and (record := session.step()):
        assert record.timestep == len(found) + 1
        np.testing.assert_array_equal(record.inputs, [0])
        found.append(record.readout[0])
    session.retire(np.array([0]))
    return found


def run_on(session: LavaSession) -> None:
    while session.step():
        pass


def lava_processes() -> list[psutil.Process]:
    """Return the living processes of Lava; Python's resource tracker is its own."""
    return [x for x in psutil.Process().children(recursive=True) if is_lavas(x)]


def is_lavas(process: psutil.Process) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return not any("resource_tracker" in word for word in process.cmdline())
    except psutil.NoSuchProcess:  # it has just ended
        return False


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def program(request: pytest.FixtureRequest) -> Iterator[LavaProgram]:
    """Load each network, started once for all tests of this file."""
    loaded = LavaBackend().load(NETWORKS[request.param])
    yield loaded
    loaded.close()


@pytest.fixture
def own_program() -> Iterator[LavaProgram]:
    """Load a program that a test may ruin; nothing of it may be left."""
    processes, memory = lava_processes(), shared_memory()
    loaded = LavaBackend().load(NETWORKS["residual"])
    own = set(shared_memory()) - set(memory)
    yield loaded
    loaded.close()
    assert lava_processes() == processes
    assert not any(path.exists() for path in own)


def is_alive(process_id: int) -> bool:
    try:
        return bool(psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def shared_memory() -> list[Path]:
    """Return the files of shared memory that this process has in use."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    return sorted({Path(line.split()[-1]) for line in lines if "/dev/shm/psm" in line})


def test_networks_of_this_file_spike() -> None:
    for mapped in NETWORKS.values():
        simulation = Simulation(mapped.graph, stimuli(mapped)[:1])
        totals = dict.fromkeys(simulation.neurons, 0)
        for _ in range(mapped.graph.depth + N_TIMESTEPS):
            simulation.step()
            for name, state in simulation.states.items():
                totals[name] += int(state.spikes.sum())

        assert all(totals[p.name] > 3 for p in mapped.graph.populations if p.spikes)


def test_readout_equals_the_reference_at_every_timestep(program: LavaProgram) -> None:
    for stimulus in stimuli(program.network):
        found = run(program.start([stimulus]))

        np.testing.assert_array_equal(found, expected(program.network, stimulus))


def test_spikes_equal_the_reference_at_every_chip_timestep(
    program: LavaProgram,
) -> None:
    stimulus = stimuli(program.network)[0]
    session = program.start([stimulus])

    run(session)

    simulation = Simulation(program.network.graph, [stimulus], holds=True)
    for chip_timestep in range(program.network.graph.depth + N_TIMESTEPS):
        simulation.step()
        for name, raster in session.sent.items():
            spikes = simulation.sent[-1].get(name, np.zeros((1, raster.shape[1])))
            np.testing.assert_array_equal(raster[chip_timestep], spikes[0] != 0)


@pytest.mark.parametrize("n_timesteps", range(1, N_TIMESTEPS + 1))
def test_input_after_a_stopped_one_runs_as_if_alone(
    program: LavaProgram, n_timesteps: int
) -> None:
    one, other, _ = stimuli(program.network)

    stopped = run(program.start([one]), n_timesteps)
    found = run(program.start([other]))

    np.testing.assert_array_equal(stopped, expected(program.network, one)[:n_timesteps])
    np.testing.assert_array_equal(found, expected(program.network, other))


@pytest.mark.parametrize("n_timesteps", range(1, N_TIMESTEPS + 1))
def test_nothing_is_executed_after_the_deciding_timestep(
    program: LavaProgram, n_timesteps: int
) -> None:
    graph = program.network.graph
    session = program.start(stimuli(program.network)[:1])

    run(session, n_timesteps)

    n_processes = 2 + len(graph.populations) + len(graph.projections)
    assert len(session.executed) == n_processes
    assert {n for _, n in session.executed} == {n_timesteps + graph.depth}
    assert session.step() is None


@pytest.mark.parametrize("n_timesteps", [1, 4, N_TIMESTEPS])
def test_activity_equals_that_of_the_cpu_backend(
    program: LavaProgram, n_timesteps: int
) -> None:
    for stimulus in stimuli(program.network):
        session = program.start([stimulus])
        run(session, n_timesteps)
        other = CpuBackend().load(program.network).start([stimulus])
        for _ in range(n_timesteps):
            other.step()

        found, wanted = session.activity(0), other.activity(0)

        for name in COUNTS:
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
        assert found.total("update") > 0


def test_short_stimulus_is_followed_by_silence(program: LavaProgram) -> None:
    *_, long = [s for s in stimuli(program.network) if not s.is_constant]
    short = Stimulus(values=long.values[:3], is_constant=False)

    found = run(program.start([short]))

    np.testing.assert_array_equal(found, expected(program.network, short))


def test_input_retired_before_its_first_timestep_does_nothing(
    program: LavaProgram,
) -> None:
    session = program.start(stimuli(program.network)[:1])

    session.retire(np.array([0]))

    assert session.step() is None
    assert session.activity(0).n_chip_timesteps == 0


def test_new_input_ends_the_one_before(program: LavaProgram) -> None:
    one, other, _ = stimuli(program.network)
    abandoned = program.start([one])
    abandoned.step()

    found = run(program.start([other]))

    assert abandoned.step() is None
    np.testing.assert_array_equal(found, expected(program.network, other))


def test_activity_of_a_running_input_is_refused(program: LavaProgram) -> None:
    session = program.start(stimuli(program.network)[:1])
    session.step()

    with pytest.raises(BackendError, match="input 0 is still running; retire it"):
        session.activity(0)


def test_session_in_use_says_so(program: LavaProgram) -> None:
    session = program.start(stimuli(program.network)[:1])

    with session.turn:  # as another thread would hold it
        for call in (session.step, lambda: session.retire(np.array([0]))):
            with pytest.raises(BackendError, match="in use by another thread"):
                call()

    assert session.step() is not None


def test_ctrl_c_is_no_matter_of_the_processes(program: LavaProgram) -> None:
    stimulus = stimuli(program.network)[0]
    session = program.start([stimulus])
    session.step()

    for ledger in program.machine.ledgers:
        os.kill(int(ledger.process_id[0]), signal.SIGINT)

    while (record := session.step()) and record.timestep < N_TIMESTEPS:
        pass
    assert record is not None
    wanted = expected(program.network, stimulus)[-1]
    np.testing.assert_array_equal(record.readout[0], wanted)


def test_more_than_one_input_at_a_time_is_refused(program: LavaProgram) -> None:
    with pytest.raises(BackendError, match="1 input at a time, found 3"):
        program.start(stimuli(program.network))


def test_closed_program_leaves_nothing(own_program: LavaProgram) -> None:
    one, other, _ = stimuli(own_program.network)
    run(own_program.start([one]))
    own_program.start([other]).step()
    ours = own_program.machine.ledgers
    before = len(lava_processes())

    own_program.close()
    own_program.close()

    assert before - len(lava_processes()) == len(ours) + 2  # service, shared memory
    with pytest.raises(BackendError, match="the program is closed"):
        own_program.start([one]).step()


def test_program_that_never_ran_closes() -> None:
    processes = lava_processes()
    handlers = list(logging.getLogger().handlers)
    method = multiprocessing.get_start_method(allow_none=True)

    LavaBackend().load(NETWORKS["residual"]).close()

    assert lava_processes() == processes
    assert logging.getLogger().handlers == handlers
    assert multiprocessing.get_start_method(allow_none=True) == method


def test_program_that_nobody_holds_ends() -> None:
    processes = lava_processes()

    LavaBackend().load(NETWORKS["residual"])

    assert lava_processes() == processes


def test_process_that_dies_is_an_error_and_ends_the_rest(
    own_program: LavaProgram,
) -> None:
    before = len(lava_processes())
    session = own_program.start(stimuli(own_program.network)[:1])
    session.step()
    ledger = next(x for x in own_program.machine.ledgers if x.name == "second")

    os.kill(int(ledger.process_id[0]), signal.SIGKILL)

    with pytest.raises(BackendError, match="process of second ended with status -9"):
        run_on(session)
    n_ours = len(own_program.machine.ledgers) + 2
    assert len(lava_processes()) == before - n_ours
    session.close()


def test_process_that_hangs_is_an_error_and_ends_the_rest(
    own_program: LavaProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snn_deploy.backends.lava import machine as lava_machine

    before = len(lava_processes())
    session = own_program.start(stimuli(own_program.network)[:1])
    session.step()
    ledger = next(x for x in own_program.machine.ledgers if x.name == "out")

    os.kill(int(ledger.process_id[0]), signal.SIGSTOP)
    monkeypatch.setattr(lava_machine, "LIMIT_S", 0.5)  # what went before may be slow

    with pytest.raises(BackendError, match=r"did not compute within 0\.5 s"):
        run_on(session)
    assert len(lava_processes()) == before - len(own_program.machine.ledgers) - 2


def test_process_that_hangs_is_found_long_before_the_limit_of_an_input(
    own_program: LavaProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snn_deploy.backends.lava import machine as lava_machine

    before = len(lava_processes())
    session = own_program.start(stimuli(own_program.network)[:1])
    session.step()
    ledger = next(x for x in own_program.machine.ledgers if x.name == "out")

    os.kill(int(ledger.process_id[0]), signal.SIGSTOP)
    monkeypatch.setattr(lava_machine, "HANG_S", 1.0)
    monkeypatch.setattr(lava_machine, "TIMES_LONGEST", 1)

    with pytest.raises(BackendError, match=r"lava hangs: no process has done a times"):
        run_on(session)  # not "did not compute within", which the limit would say
    assert len(lava_processes()) == before - len(own_program.machine.ledgers) - 2


def test_ctrl_c_while_the_host_waits_ends_all(
    own_program: LavaProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snn_deploy.backends.lava.machine import Machine

    before = len(lava_processes())
    session = own_program.start(stimuli(own_program.network)[:1])
    session.step()
    ledger = next(x for x in own_program.machine.ledgers if x.name == "out")
    os.kill(int(ledger.process_id[0]), signal.SIGSTOP)
    main = threading.main_thread().ident
    assert main is not None

    check = Machine._check_alive

    def interrupt(machine: Machine, *args: Any) -> None:
        monkeypatch.setattr(Machine, "_check_alive", check)
        signal.pthread_kill(main, signal.SIGINT)  # it waits

    monkeypatch.setattr(Machine, "_check_alive", interrupt)

    with pytest.raises(KeyboardInterrupt):
        session.step()
    assert len(lava_processes()) == before - len(own_program.machine.ledgers) - 2


def test_recording_equals_that_of_the_cpu_and_leaves_sessions_alone(
    program: LavaProgram,
) -> None:
    one, other, _ = stimuli(program.network)
    session = program.start([one])
    session.step()
    for stimulus in (other, one):
        found = program.record(stimulus, QUANTITIES, n_timesteps=11, reset_every=4)

        wanted = CpuBackend().load(program.network)
        trace = wanted.record(stimulus, QUANTITIES, n_timesteps=11, reset_every=4)
        assert found.keys() == trace.keys()
        for key, values in trace.items():
            np.testing.assert_array_equal(found[key], values)

    run_on(session)
    again = run(program.start([one]))
    np.testing.assert_array_equal(again, expected(program.network, one))


def test_machine_for_recording_is_started_once_and_ended_with_the_program(
    own_program: LavaProgram,
) -> None:
    stimulus = stimuli(own_program.network)[0]
    before = len(lava_processes())
    own_program.record(stimulus, ["spikes"], n_timesteps=3)
    both = lava_processes()

    own_program.record(stimulus, ["spikes"], n_timesteps=3)
    assert lava_processes() == both
    own_program.record(stimulus, ["voltage"], n_timesteps=2)
    n_ours = len(own_program.machine.ledgers) + 2
    assert len(lava_processes()) == len(both) == before + n_ours

    own_program.close()
    with pytest.raises(BackendError, match="the program is closed"):
        own_program.record(stimulus, ["spikes"], n_timesteps=3)


def record_with_signal(
    program: LavaProgram, name: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Record while the process of one population signals itself, at timestep 3."""

    def write(tape: Tape, timestep: int, _: object) -> None:
        if timestep == 3 and tape.rows["spikes"].shape[1] == 4:
            os.kill(os.getpid(), name)

    monkeypatch.setattr(Tape, "write", write)  # before Lava forks
    program.record(stimuli(program.network)[0], QUANTITIES, n_timesteps=9)


def test_process_that_dies_while_recording_is_an_error_and_ends_the_rest(
    own_program: LavaProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = lava_processes()

    with pytest.raises(BackendError, match="process of out ended with status -9"):
        record_with_signal(own_program, signal.SIGKILL, monkeypatch)

    assert lava_processes() == before


def test_process_that_hangs_while_recording_is_an_error_and_ends_the_rest(
    own_program: LavaProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snn_deploy.backends.lava import machine as lava_machine

    before = lava_processes()
    stimulus = stimuli(own_program.network)[0]
    begin = lava_machine.Machine.begin

    def begin_and_hurry(machine: Any, stimulus: Stimulus) -> None:
        begin(machine, stimulus)
        monkeypatch.setattr(lava_machine, "LIMIT_S", 1.0)  # the start may be slow

    monkeypatch.setattr(lava_machine.Machine, "begin", begin_and_hurry)

    with pytest.raises(BackendError, match=r"did not compute within \d+ s"):
        record_with_signal(own_program, signal.SIGSTOP, monkeypatch)

    assert lava_processes() == before
    monkeypatch.undo()
    found = own_program.record(stimulus, ["spikes"], n_timesteps=2)  # a new machine
    assert len(found["out", "spikes"]) == 2 + 8


def test_ctrl_c_while_recording_ends_all_of_it(
    own_program: LavaProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snn_deploy.backends.lava.machine import Machine

    before = lava_processes()
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT))
    begin = Machine.begin

    def begin_and_interrupt(machine: Machine, stimulus: Stimulus) -> None:
        begin(machine, stimulus)
        timer.start()  # not while the machine starts, which may take seconds

    monkeypatch.setattr(Machine, "begin", begin_and_interrupt)

    with pytest.raises(KeyboardInterrupt):
        record_with_signal(own_program, signal.SIGSTOP, monkeypatch)

    assert lava_processes() == before


def test_error_inside_a_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def update(*_: object) -> None:
        raise ArithmeticError("no more")

    processes = lava_processes()
    monkeypatch.setattr(Neurons, "update", update)  # before Lava forks
    program = LavaBackend().load(NETWORKS["residual"])
    session = program.start(stimuli(program.network)[:1])

    with pytest.raises(
        BackendError, match=r"process of first failed: ArithmeticError\('no more'\)"
    ):
        session.step()
    program.close()

    assert lava_processes() == processes


def test_error_while_lava_starts_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def rest(*_: object) -> None:
        raise ArithmeticError("not at rest")

    processes = lava_processes()
    monkeypatch.setattr(Neurons, "rest", rest)

    with pytest.raises(BackendError, match=r"ArithmeticError\(.not at rest.\)"):
        LavaBackend().load(NETWORKS["residual"])

    assert lava_processes() == processes


def test_ctrl_c_while_lava_starts_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from lava.magma.runtime.message_infrastructure.multiprocessing import (
        SystemProcess,
    )

    fork, n_forked = SystemProcess.start, 0
    main = threading.main_thread().ident
    assert main is not None

    def start(process: SystemProcess) -> None:
        nonlocal n_forked
        n_forked += 1
        if n_forked == 3:
            signal.pthread_kill(main, signal.SIGINT)
        fork(process)
        time.sleep(0.05)

    processes = lava_processes()
    monkeypatch.setattr(SystemProcess, "start", start)

    with pytest.raises(KeyboardInterrupt):
        LavaBackend().load(NETWORKS["residual"])

    assert lava_processes() == processes
    time.sleep(0.5)  # none is forked later
    assert lava_processes() == processes


def test_full_shared_memory_is_told_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def create_shared_memory(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    processes = lava_processes()
    monkeypatch.setattr(
        "lava.magma.runtime.message_infrastructure.shared_memory_manager."
        "SharedMemoryManager.create_shared_memory",
        create_shared_memory,
    )

    with pytest.raises(BackendError, match=r"lava failed to start: .*no space left"):
        LavaBackend().load(NETWORKS["residual"])

    assert lava_processes() == processes


SCRIPT = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_lava import NETWORKS, lava_processes, shared_memory, stimuli
from snn_deploy.backends.lava.backend import LavaBackend

program = LavaBackend().load(NETWORKS["residual"])
session = program.start(stimuli(program.network)[:1])
print(session.step().readout.shape)
"""


def run_script(script: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True
    )
    return done.stdout, done.stderr


def test_script_that_forgets_to_close_ends() -> None:
    assert run_script(SCRIPT) == ("(1, 4)\n", "")


def test_lava_ends_when_the_host_is_killed() -> None:
    kill = (
        "print(*shared_memory())\n"
        "print(*(process.pid for process in lava_processes()), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    printed, _ = run_script(SCRIPT + kill)  # returns once all have closed stdout

    _, files, process_ids = printed.splitlines()
    assert not any(is_alive(int(x)) for x in process_ids.split())
    while any(Path(x).exists() for x in files.split()):
        time.sleep(0.1)  # Python's resource tracker takes its time
