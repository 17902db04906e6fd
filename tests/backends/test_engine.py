"""The compiled engine: the reference's results, on every instruction set and thread."""

import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snn_deploy.arrays import BoolArray, IntArray
from snn_deploy.backends.engine import compiled
from snn_deploy.backends.engine.compiled import VARIABLE, instructions
from snn_deploy.backends.engine.cpu import CpuProgram, ReferenceSession
from snn_deploy.backends.engine.layout import Layout
from snn_deploy.backends.results import RunResult
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.cutoff.decision import Cutoff, never
from snn_deploy.cutoff.monitor import collect_scores, run_inputs
from snn_deploy.cutoff.rules.fixed import fixed
from snn_deploy.cutoff.rules.risk import risk
from snn_deploy.cutoff.rules.topk import topk
from snn_deploy.errors import BackendError
from snn_deploy.fixedpoint import VOLTAGE_LIMIT
from snn_deploy.ir.graph import Functional, Training
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Encoding, Stimulus
from snn_deploy.ir.synapses import ConvSynapses
from tests.build import RATE, dense, integers, population, rng, simulator, trains
from tests.conformance.networks import mapped
from tests.counting import COUNTS

engine = pytest.importorskip(
    "snn_deploy.backends.engine._engine", reason="the compiled engine is not installed"
)
HERE = compiled.available()

sets = pytest.mark.parametrize(
    "instruction_set",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                name not in HERE, reason=f"this processor has no {name}"
            ),
        )
        for name in compiled.INSTRUCTIONS
    ],
)


def wide(
    n_in: int, n_out: int, seed: int = 0, bits: int = 8, **changes: Any
) -> QuantizedGraph:
    """Return one layer of extreme weights, between ``n_in`` and ``n_out`` neurons."""
    least = -(1 << bits)
    weights = rng(seed).choice([least, -least - 2, -2, 0], (n_out, n_in))
    neurons = population("a", (n_out,), threshold=np.array(3000), **changes)
    return integers([neurons], [dense("input", "a", weights)], shape=(n_in,))


def pictures(channels: tuple[int, ...], **changes: Any) -> QuantizedGraph:
    """Return convolutions with these numbers of channels, and a dense layer."""
    populations, projections = [], []
    before, shape = "input", (channels[0], 9, 7)
    for index, n in enumerate(channels[1:]):
        synapses = ConvSynapses(
            weights=2 * rng(index).integers(-100, 115, (n, shape[0], 3, 3)),
            stride=(2, 1),
            padding=(1, 2),
            dilation=(1, 1),
            groups=1,
        )
        found = synapses.output_shape(shape)
        assert found is not None
        shape = (found[0], found[1], found[2])
        name = f"conv{index}"
        neurons = population(name, shape, threshold=np.array(700))
        populations.append(replace(neurons, **changes))
        link = dense(before, name, np.zeros((0, 0)))
        projections.append(replace(link, synapses=synapses))
        before = name
    weights = 2 * rng(9).integers(-60, 70, (5, int(np.prod(shape))))
    populations.append(population("fc", (5,)))
    projections.append(dense(before, "fc", weights))
    return integers(populations, projections, shape=(channels[0], 9, 7))


def network(**changes: Any) -> MappedNetwork:
    graph = replace(pictures((3, 20, 33)), **changes)
    return mapped(retime(graph, simulator()))


def program(network: MappedNetwork, instruction_set: str, n_threads: int) -> CpuProgram:
    found = CpuProgram(network)
    assert found.engine is not None
    found.engine.instructions = instruction_set
    found.engine.n_threads = n_threads
    return found


class Reference(CpuProgram):
    """The reference, whatever is installed."""

    def start(self, stimuli: Any, looks: Any = None) -> ReferenceSession:
        return ReferenceSession(self, stimuli)

    def run(self, stimuli: Any, betas: Any, *, is_counted: bool) -> None:
        return None


def by_reference(graph: QuantizedGraph, stimuli: list[Stimulus]) -> IntArray:
    """Return the outputs of all timesteps, accumulated."""
    simulation = Simulation(graph, stimuli)
    rows = []
    for _ in range(graph.training.timesteps + graph.depth):
        simulation.step()
        if simulation.timestep > graph.depth:
            rows.append(simulation.readout())
    return np.cumsum(rows, axis=0).transpose(1, 0, 2)


def check_equal(found: list[RunResult], wanted: list[RunResult]) -> None:
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert (a.index, a.prediction, a.gap) == (b.index, b.prediction, b.gap)
        assert (a.timesteps, a.stopped_early) == (b.timesteps, b.stopped_early)
        np.testing.assert_array_equal(a.scores, b.scores)
        for name in COUNTS:
            one, other = getattr(a.activity, name), getattr(b.activity, name)
            np.testing.assert_array_equal(one, other)


@sets
@pytest.mark.parametrize("n_out", [1, 16, 17, 40, 70, 130, 300, 530])
@pytest.mark.parametrize(
    ("n_in", "bits"),
    [(1, 8), (255, 8), (256, 8), (300, 8), (1100, 8), (3, 7), (255, 7), (1100, 7)],
)
def test_wide_layers_of_extreme_weights(
    instruction_set: str, n_in: int, bits: int, n_out: int
) -> None:
    graph = wide(n_in, n_out, bits=bits)
    ones = Stimulus(values=np.ones((6, n_in), np.int32), is_constant=False)
    stimuli = [ones, *trains(2, 6, (n_in,))]

    found = collect_scores(
        program(mapped(graph), instruction_set, 1),
        mapped(graph),
        list(enumerate(stimuli)),
    )

    np.testing.assert_array_equal(found, by_reference(graph, stimuli))


@sets
@pytest.mark.parametrize("n_out", [1, 40, 300])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_sums_of_one_sign(
    instruction_set: str, n_out: int, sign: int
) -> None:
    for weight in (255, 254, 256):
        if (weight, sign) == (256, 1):
            continue
        graph = wide(1100, n_out)
        weights = np.full((n_out, 1100), sign * weight)
        link = dense("input", "a", weights, exponent=-3)
        readout = replace(graph.populations[0], spikes=False)
        graph = replace(graph, projections=(link,), populations=(readout,))
        stimuli = [Stimulus(values=np.ones((6, 1100), np.int32), is_constant=False)]

        found = collect_scores(
            program(mapped(graph), instruction_set, 1),
            mapped(graph),
            list(enumerate(stimuli)),
        )

        np.testing.assert_array_equal(found, by_reference(graph, stimuli))


@sets
@pytest.mark.parametrize("channels", [(1, 16, 8), (3, 48, 40), (2, 70, 130), (4, 300)])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"reset": Reset.SOFT, "current_decay": np.array(500)},
        {"refractory": 2},
        {"reset": Reset.SOFT, "max_spikes": 5},
    ],
    ids=["hard", "soft", "refractory", "graded"],
)
def test_convolutions(
    instruction_set: str, channels: tuple[int, ...], changes: dict[str, Any]
) -> None:
    graph = pictures(channels, **changes)
    stimuli = trains(3, 6, graph.source.shape)

    found = collect_scores(
        program(mapped(graph), instruction_set, 1),
        mapped(graph),
        list(enumerate(stimuli)),
    )

    np.testing.assert_array_equal(found, by_reference(graph, stimuli))
    assert found.any()


@sets
@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize(
    "cutoff",
    [never, fixed(3), risk(2.0), topk(np.arange(6) % 3.0)],
    ids=["never", "fixed", "risk", "topk"],
)
def test_a_batch_and_its_counts_equal_the_reference(
    instruction_set: str, n_threads: int, cutoff: Cutoff
) -> None:
    chip = network()
    stimuli = list(enumerate(trains(9, 6, chip.graph.source.shape)))
    wanted = list(run_inputs(Reference(chip), chip, stimuli, cutoff))

    found = program(chip, instruction_set, n_threads)

    check_equal(list(run_inputs(found, chip, stimuli, cutoff)), wanted)

    def stepped(scores: IntArray, timestep: int) -> BoolArray:
        return cutoff(scores, timestep)

    check_equal(list(run_inputs(found, chip, stimuli, stepped)), wanted)


@sets
@pytest.mark.parametrize("seed", range(5))
def test_neurons_one_by_one_are_those_of_the_vectors(
    instruction_set: str, seed: int
) -> None:
    draw, n = rng(seed), 100
    registers = {
        "current_decay": draw.choice([-1, 0, 1, 900, 4094, 4095], n),
        "voltage_decay": draw.choice([0, 1, 700, 4095, 4096], n),
        "bias_mantissa": draw.choice([-4095, -1, 0, 77, 4095], n),
        "bias_exponent": 7,
        "threshold": draw.choice([0, 1, 3000, 131071], n),
        "initial_voltage": draw.choice([-9000, -1, 0, 9, VOLTAGE_LIMIT], n),
        "reset_amount": np.full(n, VOLTAGE_LIMIT),  # so that nobody spikes twice
        "lowest_voltage": np.where(draw.random(n) < 0.5, -VOLTAGE_LIMIT, -9000),
        "reset": Reset.SOFT,
    }
    stimuli = trains(3, 6, (40,))
    vectors, singly = (
        replace(wide(40, n, seed), populations=(population("a", (n,), **settings),))
        for settings in (registers, {**registers, "max_spikes": 2})
    )

    for graph in (vectors, singly):
        loaded = program(mapped(graph), instruction_set, 1)
        found = collect_scores(loaded, loaded.network, list(enumerate(stimuli)))
        np.testing.assert_array_equal(found, by_reference(vectors, stimuli))
    assert 0 < found[:, -1].mean() < 6


@pytest.mark.parametrize("functional", Functional)
def test_outputs_accumulate_as_trained(functional: Functional) -> None:
    training = replace(RATE, functional=functional)
    chip = network(training=training)
    stimuli = list(enumerate(trains(4, 6, chip.graph.source.shape)))

    found = list(run_inputs(CpuProgram(chip), chip, stimuli, risk(1)))

    check_equal(found, list(run_inputs(Reference(chip), chip, stimuli, risk(1))))


@sets
@pytest.mark.parametrize("largest", [255, 32767, 32768, 1 << 20])  # to 16 bits, beyond
@pytest.mark.parametrize("channels", [(1, 16), (3, 20, 33), (2, 70)])
def test_constant_inputs_of_gray_levels(
    instruction_set: str, channels: tuple[int, ...], largest: int
) -> None:
    graph = pictures(channels)
    training = Training(timesteps=6, encoding=Encoding.DIRECT)
    source = replace(graph.source, largest_value=largest)
    graph = replace(graph, training=training, source=source)
    chip = mapped(retime(graph, simulator()))
    values = rng().integers(-largest, largest + 1, (5, 1, channels[0], 9, 7))
    stimuli = [Stimulus(values=x, is_constant=True) for x in values]
    loaded = program(chip, instruction_set, 1)

    alone = list(run_inputs(loaded, chip, enumerate(stimuli), fixed(4)))
    uncounted = collect_scores(loaded, chip, list(enumerate(stimuli)))

    wanted = run_inputs(Reference(chip), chip, enumerate(stimuli), fixed(4))
    check_equal(alone, list(wanted))
    np.testing.assert_array_equal(uncounted, by_reference(graph, stimuli))


@pytest.mark.parametrize("largest", [1, 9])
def test_constant_inputs_along_a_delay(largest: int) -> None:
    graph = wide(64, 20)
    graph = replace(graph, projections=(replace(graph.projections[0], delay=1),))
    values = rng().integers(0, largest + 1, (5, 1, 64))
    stimuli = [Stimulus(values=x, is_constant=True) for x in values]
    chip = mapped(graph)

    found = collect_scores(CpuProgram(chip), chip, list(enumerate(stimuli)))

    np.testing.assert_array_equal(found, by_reference(graph, stimuli))
    assert found.any()


def test_sums_that_could_leave_32_bits_are_left_to_the_reference() -> None:
    graph = wide(4, 3)
    graph = replace(graph, projections=(replace(graph.projections[0], exponent=-4),))
    large = Stimulus(values=np.full((6, 4), 1 << 28), is_constant=False)
    small = Stimulus(values=np.full((6, 4), 1 << 10), is_constant=False)
    loaded = CpuProgram(mapped(graph))

    assert isinstance(loaded.start([large]), ReferenceSession)
    assert loaded.run([large], np.full(6, np.inf), is_counted=False) is None
    assert not isinstance(loaded.start([small]), ReferenceSession)
    for stimulus in (large, small):
        found = collect_scores(loaded, loaded.network, [(0, stimulus)])
        np.testing.assert_array_equal(found, by_reference(graph, [stimulus]))


def test_numpy_serves_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "numpy")

    loaded = CpuProgram(network())

    assert loaded.engine is None
    assert isinstance(loaded.start(trains(1, 6, (3, 9, 7))), ReferenceSession)


@pytest.mark.parametrize("name", ["mmx", "avx1024"])
def test_an_unknown_instruction_set_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(VARIABLE, name)

    with pytest.raises(BackendError, match=f"is '{name}'; choose from avx512, avx2"):
        instructions()


def test_a_set_that_the_processor_lacks_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "available", lambda: ["plain"])
    monkeypatch.setenv(VARIABLE, "avx2")

    with pytest.raises(BackendError, match="avx2', which this processor has not"):
        instructions()


def test_without_the_engine_numpy_serves_and_a_note_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "available", lambda: [])

    assert instructions() == "numpy"
    assert "not installed" in (compiled.missing_note() or "")

    monkeypatch.setenv(VARIABLE, "numpy")
    assert compiled.missing_note() is None

    monkeypatch.setenv(VARIABLE, "plain")
    with pytest.raises(BackendError, match="the compiled engine is not installed"):
        instructions()


def small() -> Any:
    """Return a network of the engine: 4 inputs, 3 neurons, 6 timesteps."""
    return Layout(wide(4, 3)).network


def test_an_empty_batch_gives_nothing() -> None:
    chip = network()
    loaded = CpuProgram(chip)

    result = loaded.run([], np.full(6, np.inf), is_counted=True)

    assert result is not None
    assert result.scores.shape == (0, 6, 5)
    assert list(run_inputs(loaded, chip, [], never)) == []
    assert loaded.start([]).step() is None


GOOD = np.zeros((6, 4), np.int32)
BAD_INPUTS = {
    "wrong type": (GOOD.astype(np.int64), False, None),
    "wrong size": (np.zeros((6, 5), np.int32), False, None),
    "no rows": (np.zeros((0, 4), np.int32), True, None),
    "not contiguous": (np.zeros((6, 8), np.int32)[:, ::2], False, None),
    "other order": (np.zeros((4, 6), np.int32).T, False, None),
    "no array": ([[0, 0, 0, 0]], False, None),
    "constant and long": (GOOD, True, None),
    "no tuple": GOOD,
    "short tuple": (GOOD, False),
    "bias of another type": (GOOD, False, np.zeros(3, np.int32)),
    "large bias": (GOOD, False, np.full(3, 1 << 40)),
    "nothing": None,
}


@pytest.mark.parametrize("kind", BAD_INPUTS)
def test_bad_inputs_are_python_errors(kind: str) -> None:
    loaded = small()

    with pytest.raises((TypeError, ValueError)):
        loaded.run([BAD_INPUTS[kind]], np.full(6, np.inf), 1, None)
    with pytest.raises((TypeError, ValueError)):
        engine.Session(loaded, [BAD_INPUTS[kind]], None)


@pytest.mark.parametrize(
    "arguments",
    [
        ([], np.full(5, np.inf), 1, None),
        ([], np.full(6, np.inf, np.float32), 1, None),
        ([], np.full(6, np.inf), 0, None),
        ([], np.full(6, np.inf), 1, True),
        ([], np.full(6, np.inf), 1, None, "mmx"),
        (None, np.full(6, np.inf), 1, None),
    ],
)
def test_bad_arguments_of_a_run_are_python_errors(arguments: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError)):
        small().run(*arguments)


def builder(**changes: Any) -> Any:
    """Return what makes a network of 4 inputs and 6 timesteps."""
    source = {"height": 1, "width": 1, "channels": 4, "timesteps": 6}
    return engine.Builder(**{**source, "functional": "sum", **changes})


def add_neurons(to: Any, **changes: Any) -> None:
    """Add a population of one neuron at rest, padded to 16."""
    registers = ("current_keep", "voltage_keep", "bias", "threshold", "reset_amount")
    rows = {name: np.zeros(16, np.int32) for name in registers}
    neurons = {
        **rows,
        **{"height": 1, "width": 1, "channels": 16, "is_hard": True, "refractory": 0},
        **{"max_spikes": 1, "spikes": True, "takes_bias": False, "bias_exponent": 0},
        "offset": 0,
        "initial_voltage": np.zeros(16, np.int32),
        "position": np.zeros(1, np.int32),
    }
    to.add_population(**{**neurons, **changes})


LINK = {
    "source": -1,
    "target": 0,
    "shift": 0,
    "delay": 0,
    "axon_delay": np.zeros(0, np.int32),
}


def test_a_network_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="timesteps must be at least 1"):
        builder(timesteps=0)
    with pytest.raises(ValueError, match="at least 1"):
        builder(height=0)
    with pytest.raises(ValueError, match="sum, last or max"):
        builder(functional="mean")
    parts = builder()
    with pytest.raises(ValueError, match="no population is read out"):
        parts.build()
    with pytest.raises(ValueError, match="does not exist"):
        parts.read_out(0)
    weights = np.zeros((4, 16), np.int8)
    with pytest.raises(ValueError, match="from or to no population"):
        parts.add_dense(**LINK, weights=weights, is_direct=True)
    add_neurons(parts)
    for wrong in (np.zeros((4, 15), np.int8), np.zeros((4, 16), np.int64)):
        with pytest.raises((TypeError, ValueError)):
            parts.add_dense(**LINK, weights=wrong, is_direct=True)


def test_a_lowest_voltage_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="a lowest voltage is out of range"):
        add_neurons(builder(), lowest_voltage=np.full(16, -(1 << 23), np.int32))
    with pytest.raises(ValueError, match="the registers differ in length"):
        add_neurons(builder(), lowest_voltage=np.zeros(17, np.int32))
    with pytest.raises(TypeError):
        add_neurons(builder(), lowest_voltage=np.zeros(16))


def test_a_network_does_not_change_once_it_is_built() -> None:
    parts = builder()
    add_neurons(parts)
    parts.read_out(0)
    network = parts.build()
    weights = np.zeros((4, 16), np.int8)

    for change in (
        lambda: add_neurons(parts),
        lambda: parts.add_dense(**LINK, weights=weights, is_direct=True),
        lambda: parts.read_out(0),
        parts.build,
    ):
        with pytest.raises(ValueError, match="the network is built"):
            change()
    methods = {name for name in dir(network) if not name.startswith("_")}
    assert methods == {"run"}


def test_what_is_counted_belongs_to_one_network() -> None:
    one, other = (CpuProgram(mapped(wide(4, 3))).engine for _ in range(2))
    assert one is not None
    assert other is not None

    with pytest.raises(ValueError, match="of another network"):
        one.layout.network.run([], np.full(6, np.inf), 1, other.counting)
    with pytest.raises(ValueError, match="of another network"):
        engine.Session(one.layout.network, [], other.counting)


def test_spikes_of_channels_without_weights_reach_nothing() -> None:
    parts = builder()
    add_neurons(parts)
    parts.read_out(0)
    ones = np.ones((1, 1, 2, 1, 1), np.int16)  # two of the four channels
    conv = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}
    link = {**LINK, "weights": ones, "is_direct": False}
    parts.add_conv(**link, **conv)
    only_others = np.zeros((6, 4), np.int32)
    only_others[:, 2:] = 1
    tall = {**LINK, "weights": np.zeros((33, 1, 1, 4, 16), np.int8), "is_direct": True}
    with pytest.raises(ValueError, match="too many rows"):
        parts.add_conv(**tall, **conv)
    with pytest.raises(ValueError, match="other positions than its target"):
        parts.add_conv(
            **{**link, "weights": np.ones((2, 1, 2, 1, 1), np.int16)}, **conv
        )
    with pytest.raises(ValueError, match="5 axes"):
        parts.add_conv(**{**link, "weights": ones[0]}, **conv)

    scores, *_ = parts.build().run(
        [(only_others, False, None)], np.full(6, np.inf), 1, None
    )

    assert not scores.any()


LIMITS = {
    "bias": np.full(16, 1 << 30, np.int32),
    "threshold": np.full(16, -(1 << 30), np.int32),
    "reset_amount": np.full(16, 1 << 23, np.int32),
    "initial_voltage": np.full(16, -(1 << 23), np.int32),
    "offset": 1 << 20,
    "width": 1 << 27,
}


@pytest.mark.parametrize("name", LIMITS)
def test_what_the_engine_cannot_hold_is_over_its_limits(name: str) -> None:
    with pytest.raises(engine.LimitError, match=r"2\*\*"):
        add_neurons(builder(), **{name: LIMITS[name]})


@pytest.mark.parametrize("sides", [(1, 1, 40_000), (1, 40_000, 1), (2, 3, 33_000)])
def test_long_inputs_run_in_the_engine(sides: tuple[int, int, int]) -> None:
    channels, height, width = sides
    along = (7, 1) if height > width else (1, 7)
    synapses = ConvSynapses(
        weights=2 * rng().integers(-60, 70, (3, channels, *along)),
        stride=along,
        padding=(0, 0),
        dilation=(1, 1),
        groups=1,
    )
    shape = synapses.output_shape(sides)
    assert shape is not None
    pooled = 2 * rng().integers(-60, 70, (4, int(np.prod(shape))))
    link = replace(dense("input", "a", np.zeros((0, 0))), synapses=synapses)
    graph = integers(
        [population("a", shape), population("b", (4,))],
        [link, dense("a", "b", pooled)],
        shape=sides,
    )
    stimuli = trains(2, 6, sides)

    for name in HERE:
        loaded = program(mapped(graph), name, 1)
        found = collect_scores(loaded, loaded.network, list(enumerate(stimuli)))
        np.testing.assert_array_equal(found, by_reference(graph, stimuli))
    assert found.any()


def test_what_is_beyond_the_engine_is_left_to_the_reference_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    graph = wide(4, 3)
    synapses = ConvSynapses(
        weights=np.ones((3, 4, 1, 1), np.int64),
        stride=(1 << 15, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=1,
    )
    link = replace(graph.projections[0], synapses=synapses)
    neurons = replace(graph.populations[0], shape=(3, 1, 1))
    source = replace(graph.source, shape=(4, 1, 1))
    graph = replace(graph, projections=(link,), populations=(neurons,), source=source)
    stimuli = trains(2, 6, (4, 1, 1))
    compiled.say_once.cache_clear()

    loaded = CpuProgram(mapped(graph))

    assert loaded.engine is None
    assert "stride" in caplog.text
    assert "NumPy serves" in caplog.text
    found = collect_scores(loaded, loaded.network, list(enumerate(stimuli)))
    np.testing.assert_array_equal(found, by_reference(graph, stimuli))


def test_an_index_given_twice_is_refused_and_nothing_advances() -> None:
    session = engine.Session(small(), [(GOOD, False, None)] * 4, None)

    for which in ([3, 3], [0, 1, 0], [3] * 20_000):
        with pytest.raises(IndexError, match="given twice"):
            session.step(np.array(which))

    for _ in range(len(GOOD)):  # all six timesteps are left
        session.step(np.arange(4))


def test_an_input_that_has_ended_does_not_go_on() -> None:
    session = engine.Session(small(), [(GOOD, False, None)], None)
    for _ in range(len(GOOD)):
        session.step(np.zeros(1, np.int64))
    with pytest.raises(IndexError, match="at its last timestep"):
        session.step(np.zeros(1, np.int64))
    session.finish(0)

    for which in (0, 1, -1):
        with pytest.raises(IndexError, match="no such input"):
            session.step(np.array([which]))


ENDLESS = 100_000  # timesteps, of many neurons and a hundred inputs: minutes
SLOW = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # even where tests ignore it
from snn_deploy.backends.engine.compiled import Engine
from snn_deploy.backends.engine.cpu import CpuProgram
from snn_deploy.cutoff.rules.topk import topk
from snn_deploy.cutoff.monitor import decide_inputs
from tests.backends.test_engine import ENDLESS, np, slow
from tests.conformance.networks import mapped
n_short, n_threads = map(int, sys.argv[1:])
graph, short, endless = slow(ENDLESS)
chip = mapped(graph)
program = CpuProgram(chip)
program.engine.n_threads = n_threads
betas = np.full(ENDLESS, np.inf)
betas[0] = 0
places = set()
def tell(number, frame):  # the engine asks for signals while it runs, and stays there
    if frame.f_code is not Engine.run.__code__:
        return
    if frame.f_lasti in places:
        signal.setitimer(signal.ITIMER_REAL, 0)
        print("running", flush=True)
    places.add(frame.f_lasti)
signal.signal(signal.SIGALRM, tell)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
n = 0
try:
    stimuli = enumerate([short] * n_short + [endless] * 100)
    for _, scores in decide_inputs(program, chip, stimuli, topk(betas)):
        n += len(scores) == 1
except KeyboardInterrupt:
    print("stopped after", n)
"""


def slow(n_timesteps: int) -> tuple[QuantizedGraph, Stimulus, Stimulus]:
    """Return a network that takes long, an input that settles at once, and another."""
    graph = wide(8, 100_000)
    readout = population("readout", (2,))
    decision = dense("input", "readout", np.array([[254] * 8, [0] * 8]))
    graph = replace(
        graph,
        populations=(*graph.populations, readout),
        projections=(*graph.projections, decision),
        output="readout",
        training=replace(graph.training, timesteps=n_timesteps),
    )
    ones, none = np.ones((1, 8), np.int32), np.zeros((1, 8), np.int32)
    return (
        graph,
        Stimulus(values=ones, is_constant=True),
        Stimulus(values=none, is_constant=True),
    )


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("n_short", [0, 5])
def test_ctrl_c_stops_a_batch_and_keeps_what_is_done(
    n_short: int, n_threads: int
) -> None:
    line = [sys.executable, "-c", SLOW, str(n_short), str(n_threads)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"

        process.send_signal(signal.SIGINT)
        answer, _ = process.communicate(timeout=600)

    assert answer.startswith("stopped after")
    # the thread that was asked has done one since; others may be in the middle of one
    assert (n_short > 0) == (0 < int(answer.split()[-1]) <= n_short)


def test_other_threads_of_python_go_on() -> None:
    # a run that keeps them waiting does so however long it is; the longest of these
    # takes seconds on any machine
    assert any(n_rounds_beside(n) == 10 for n in (2_000, 20_000, 200_000))


def n_rounds_beside(n_timesteps: int) -> int:
    """Return how many of ten rounds another thread does while the engine runs."""
    graph, stimulus, _ = slow(n_timesteps)
    loaded = CpuProgram(mapped(graph))
    betas = np.full(n_timesteps, np.inf)
    done: list[IntArray] = []

    def run() -> None:
        result = loaded.run([stimulus], betas, is_counted=False)
        assert result is not None
        done.append(result.timesteps)

    thread = threading.Thread(target=run)
    thread.start()
    n = 0
    while n < 10 and thread.is_alive():
        n += 1
        time.sleep(0)
    thread.join()
    assert done[0].tolist() == [n_timesteps]
    return n


def test_misuse_ends_in_python_errors() -> None:
    from tests.backends.fuzz_engine import fuzz

    found = fuzz(seconds=4, seed=0)

    assert found["ValueError"] > 0
    assert found["runs"] > 0
    assert found["step"] > 0
    assert found["finish"] > 0


@pytest.mark.parametrize("backend", ["engine", "numpy"])
def test_threads_share_a_fresh_program(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.backends.thread_engine import share

    monkeypatch.setenv(VARIABLE, "" if backend == "engine" else "numpy")

    assert share(n_rounds=5) > 0


def test_a_session_that_another_thread_uses_says_so() -> None:
    from tests.backends.thread_engine import quarrel

    assert quarrel() > 0


@pytest.mark.parametrize("backend", ["engine", "numpy"])
def test_an_input_retired_before_its_first_timestep_does_nothing(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "" if backend == "engine" else "numpy")
    session = CpuProgram(network()).start(trains(2, 6, (3, 9, 7)))

    session.retire(np.zeros(1, np.int64))

    found = session.activity(0)
    assert found.n_chip_timesteps == found.timesteps == 0
    assert not found.tail_cores.any()


@pytest.mark.parametrize("backend", ["engine", "numpy"])
def test_a_session_lets_one_thread_in(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "" if backend == "engine" else "numpy")
    session: Any = CpuProgram(network()).start(trains(2, 6, (3, 9, 7)))
    calls = [session.step, lambda: session.retire(np.zeros(1, np.int64))]

    with session.turn:  # as another thread would hold it
        for call in calls:
            with pytest.raises(BackendError, match="in use by another thread"):
                call()

    assert session.step() is not None
    session.retire(np.arange(2))
    assert session.activity(1).timesteps == 1
