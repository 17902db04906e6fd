"""The compiled engine on the drawn networks: outputs, stops and counts are equal.

Every instruction set of this processor, on one and on three threads, stepped by the
host and running alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snn_deploy.arrays import BoolArray, FloatArray, IntArray
from snn_deploy.backends.engine.compiled import Engine, available
from snn_deploy.backends.engine.cpu import CpuProgram, ReferenceSession
from snn_deploy.backends.engine.grid import UnsupportedError
from snn_deploy.backends.results import Block, RunResult
from snn_deploy.chip.events import UPDATE
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.cutoff.rules.fixed import fixed
from snn_deploy.cutoff.rules.topk import topk
from snn_deploy.ir.graph import Training
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.quantized import Projection, QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Encoding, Stimulus
from snn_deploy.ir.synapses import ConvSynapses
from tests.build import dense, integers, population, trains
from tests.conformance.networks import ROOMY, Case, cases, mapped
from tests.conformance.tally import TALLY, examples
from tests.counting import COUNTS

pytestmark = pytest.mark.skipif(
    not available(), reason="the compiled engine is not installed"
)
WAYS = [(name, n_threads) for name in available() for n_threads in (1, 3)]


class Reference(CpuProgram):
    """The reference, whatever is installed."""

    def start(
        self, stimuli: Sequence[Stimulus], looks: IntArray | None = None
    ) -> ReferenceSession:
        return ReferenceSession(self, stimuli)

    def run(
        self, stimuli: Sequence[Stimulus], betas: FloatArray, *, is_counted: bool
    ) -> Block | None:
        return None


def engines(network: MappedNetwork, stimuli: Sequence[Stimulus]) -> Iterator[Engine]:
    """Yield the engine in each of its ways; none if it leaves this to the reference."""
    try:
        engine = Engine(network, "")
    except UnsupportedError:
        return
    if not engine.accepts(stimuli):
        return
    for engine.instructions, engine.n_threads in WAYS:
        yield engine


def outputs(graph: QuantizedGraph, stimuli: Sequence[Stimulus]) -> IntArray:
    """Return the accumulated outputs of the reference."""
    simulation = Simulation(graph, stimuli)
    rows = []
    for _ in range(graph.training.timesteps + graph.depth):
        simulation.step()
        if simulation.timestep > graph.depth:
            rows.append(simulation.readout())
    return np.cumsum(rows, axis=0).transpose(1, 0, 2)


@examples(150)
@given(case=cases(n_stimuli=3, max_timesteps=14), is_retimed=st.booleans())
def test_engine_gives_the_outputs_of_the_reference(
    case: Case, is_retimed: bool
) -> None:
    graph = retime(case.graph, ROOMY) if is_retimed else case.graph
    wanted = outputs(graph, case.stimuli)

    for engine in engines(mapped(graph), case.stimuli):
        never = np.full(case.n_timesteps, np.inf)
        found = engine.run(case.stimuli, never, is_counted=False)

        np.testing.assert_array_equal(found.scores, wanted)
        assert (found.timesteps == case.n_timesteps).all()
        TALLY.add("engine = reference", case.n_timesteps, wanted.size)


@examples(80)
@given(case=cases(n_stimuli=4, max_timesteps=10), data=st.data())
def test_engine_stops_and_counts_as_the_reference(
    case: Case, data: st.DataObject
) -> None:
    network = mapped(retime(case.graph, ROOMY))
    size = data.draw(st.sampled_from((1, 1000, 1 << 20)), "size of thresholds")
    betas = size * np.array(
        data.draw(
            st.lists(
                st.integers(-1, 5), min_size=case.n_timesteps, max_size=case.n_timesteps
            ),
            "thresholds",
        ),
        np.float64,
    )
    cutoff = topk(betas)
    inputs = list(enumerate(case.stimuli))
    wanted = list(run_inputs(Reference(network), network, inputs, cutoff))

    def stepped(scores: IntArray, timestep: int) -> BoolArray:
        return cutoff(scores, timestep)

    program = CpuProgram(network)
    for program.engine in engines(network, case.stimuli):
        for rule in (cutoff, stepped):
            found = list(run_inputs(program, network, inputs, rule))

            check_equal(found, wanted)
        n = sum(result.chip_timesteps for result in wanted)
        TALLY.add("engine counts = reference", n, n * 6 * len(network.cores))


@examples(120)
@given(case=cases(n_stimuli=3, max_timesteps=10), stop=st.integers(1, 10))
def test_held_layers_change_no_answer_and_do_less(case: Case, stop: int) -> None:
    graph = retime(case.graph, ROOMY)
    last, depth = case.n_timesteps, graph.depth
    found: dict[bool, list[RunResult]] = {}
    for holds in (True, False):
        precision = replace(graph.precision, counts_timesteps=holds)
        network = mapped(replace(graph, precision=precision))
        inputs = enumerate(case.stimuli)
        found[holds] = [
            *run_inputs(CpuProgram(network), network, inputs, fixed(min(stop, last)))
        ]

    for held, free in zip(found[True], found[False], strict=True):
        np.testing.assert_array_equal(held.scores, free.scores)
        one, other = held.activity, free.activity
        for part in ("cores", "chip"):
            fewer, more = getattr(one, part), getattr(other, part)
            assert (fewer <= more).all()
            np.testing.assert_array_equal(fewer[:last], more[:last])
            own = f"run_on_{part}"
            late, free_late = (  # nothing else differs
                np.zeros_like(more[last:]) + getattr(of, own)[: len(more) - last]
                for of in (one, other)
            )
            np.testing.assert_array_equal(fewer[last:] - late, more[last:] - free_late)
            assert not np.delete(one.run_on_cores, UPDATE, axis=-1).any()
            assert not one.run_on_chip.any()
        for name in ("tail_cores", "tail_chip", "saturations", "wraps"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    TALLY.add("held = free, less what runs on", last, 3 * (last + depth))


def test_neurons_that_rest_are_updated_for_a_bias_or_a_late_spike() -> None:
    """Depth 5, two timesteps: a layer in front rests for four chip timesteps."""
    biased = population("a", (3,), bias_mantissa=np.array([0, 7, 0]))
    chain = [population(name, (3,)) for name in "bcde"]
    links = [
        dense("input", "a", 2 * np.eye(3, dtype=np.int64), delay=0),
        dense("input", "b", np.full((3, 3), 2), delay=3),
        *(
            dense(source, target, 40 * np.ones((3, 3), np.int64))
            for source, target in ("ab", "bc", "cd", "de")
        ),
    ]
    training = Training(timesteps=2, encoding=Encoding.RATE)
    graph = integers([biased, *chain], links, shape=(3,), training=training)
    network = mapped(retime(graph, ROOMY))
    values = np.array([[1, 0, 0], [0, 0, 0]])
    stimuli = [Stimulus(values=values, is_constant=False)]
    assert network.graph.precision.counts_timesteps

    (found,) = run_inputs(Reference(network), network, enumerate(stimuli), never)

    # in chip timestep 4 "a" comes to rest: of it neuron 0 had a voltage, neuron 1 has a
    # bias; to "b", at rest since 5, the only spike of the input comes in 6
    late = found.activity.run_on_cores
    assert late[..., UPDATE].tolist() == [[0, 0], [1, 1], [0, 1], [2, 2], [0, 1]]
    assert late.sum() == late[..., UPDATE].sum()


@pytest.mark.parametrize("most", [1, 9])
@pytest.mark.parametrize("n_channels", [3, 8, 16, 32, 64, 70])
def test_engine_reads_inputs_of_many_channels(n_channels: int, most: int) -> None:
    """Their maps are found 64 pixels at a time; of 8, 16 and 32 several together."""
    draw = np.random.default_rng(n_channels)
    shape = (n_channels, 9, 11)
    kernels = 2 * draw.integers(-60, 60, (4, n_channels, 3, 3))
    layer = population("a", (4, 9, 11))
    link = between("input", "a", kernels)
    training = Training(timesteps=3, encoding=Encoding.RATE)
    graph = integers([layer], [link], shape=shape, training=training)
    network = mapped(retime(graph, ROOMY))
    stimuli = [
        Stimulus(values=most * s.values, is_constant=False) for s in trains(2, 3, shape)
    ]
    wanted = list(run_inputs(Reference(network), network, enumerate(stimuli), never))

    program, n_ways = CpuProgram(network), 0
    for program.engine in engines(network, stimuli):
        n_ways += 1
        check_equal(
            list(run_inputs(program, network, enumerate(stimuli), never)), wanted
        )
    assert n_ways == len(WAYS)
    assert min(result.activity.total("fire") for result in wanted) > 0


def test_engine_clears_the_scores_of_timesteps_that_do_not_run() -> None:
    weights = 2 * np.full((3, 9), 40)
    graph = integers(
        [population("a", (3,))], [dense("input", "a", weights)], shape=(9,)
    )
    network = mapped(retime(graph, ROOMY))
    n_timesteps = network.graph.training.timesteps
    stimuli = trains(3, n_timesteps, (9,))

    for engine in engines(network, stimuli):
        whole = engine.run(stimuli, np.full(n_timesteps, np.inf), is_counted=False)
        found = engine.run(stimuli, np.full(n_timesteps, -np.inf), is_counted=False)

        assert (found.timesteps == 1).all()
        np.testing.assert_array_equal(found.scores[:, 0], whole.scores[:, 0])
        assert whole.scores[:, -1].any()
        assert not found.scores[:, 1:].any()


def between(source: str, target: str, weights: IntArray) -> Projection:
    """Return a convolution that keeps the size of a map."""
    synapses = ConvSynapses(
        weights=weights,
        stride=(1, 1),
        padding=(weights.shape[2] // 2,) * 2,
        dilation=(1, 1),
        groups=1,
    )
    return Projection(
        name=source + target,
        source=source,
        target=target,
        synapses=synapses,
        exponent=0,
    )


@pytest.mark.parametrize("n_channels", [64, 20])
@pytest.mark.parametrize("is_constant", [True, False])
@pytest.mark.parametrize("reads_zeros", [True, False])
def test_engine_counts_layers_of_many_pixels(
    n_channels: int, is_constant: bool, reads_zeros: bool
) -> None:
    """Over 255 words of 64 neurons do the same; unless zeros are not read."""
    draw = np.random.default_rng(n_channels)
    shape = (n_channels, 24, 24)
    kernels = 2 * draw.integers(-2, 3, (n_channels, 2, 3, 3))
    pointwise = 2 * draw.integers(-2, 3, (n_channels, n_channels, 1, 1))
    layers = [population(name, shape, threshold=np.array(1)) for name in "ab"]
    links = [between("input", "a", kernels), between("a", "b", pointwise)]
    training = Training(timesteps=3, encoding=Encoding.RATE)
    graph = integers(layers, links, shape=(2, 24, 24), training=training)
    network = mapped(retime(graph, ROOMY), reads_zeros=reads_zeros)
    stimuli = trains(2, 3, (2, 24, 24))
    if is_constant:
        stimuli = [Stimulus(values=s.values[:1], is_constant=True) for s in stimuli]
    wanted = list(run_inputs(Reference(network), network, enumerate(stimuli), never))

    program = CpuProgram(network)
    for program.engine in engines(network, stimuli):
        check_equal(
            list(run_inputs(program, network, enumerate(stimuli), never)), wanted
        )
    assert min(result.activity.total("fire") for result in wanted) > 1000


def check_equal(found: Sequence[RunResult], wanted: Sequence[RunResult]) -> None:
    for a, b in zip(found, wanted, strict=True):
        assert (a.index, a.prediction, a.gap) == (b.index, b.prediction, b.gap)
        assert (a.timesteps, a.stopped_early) == (b.timesteps, b.stopped_early)
        np.testing.assert_array_equal(a.scores, b.scores)
        for name in COUNTS:
            one, other = getattr(a.activity, name), getattr(b.activity, name)
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("changes", [{}, {"refractory": 1}, {"max_spikes": 4}], ids=str)
@pytest.mark.parametrize(
    ("most", "is_limited"), [(1, False), (400, True), (-400, True), (100_000, True)]
)
def test_engine_counts_what_meets_a_limit(
    changes: dict[str, int], most: int, is_limited: bool
) -> None:
    keeps = {"current_decay": np.array(99), "voltage_decay": np.array(0)}
    neurons = population("a", (20,), reset=Reset.SOFT, **keeps, **changes)
    weights = 2 * np.random.default_rng(3).integers(-127, 128, (20, 9))
    graph = integers([neurons], [dense("input", "a", weights)], shape=(9,))
    network = mapped(retime(graph, ROOMY))
    values = most * trains(3, graph.training.timesteps, (9,))[0].values
    stimuli = [Stimulus(values=values, is_constant=False)]
    (wanted,) = run_inputs(Reference(network), network, enumerate(stimuli), never)

    program, n_ways = CpuProgram(network), 0
    for program.engine in engines(network, stimuli):
        (found,) = run_inputs(program, network, enumerate(stimuli), never)
        n_ways += 1

        check_equal([found], [wanted])
    assert n_ways == len(WAYS)
    assert (wanted.activity.saturations > 0) == is_limited
    assert (wanted.activity.wraps > 0) == is_limited
