"""The compiled engine on the drawn networks: outputs, stops and counts are equal.

Every instruction set of this processor, on one and on three threads, stepped by the
host and running alone.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snn_deploy.arrays import BoolArray, FloatArray, IntArray
from snn_deploy.backends.compiled import Engine, available
from snn_deploy.backends.cpu import CpuProgram, ReferenceSession
from snn_deploy.backends.engine_grid import UnsupportedError
from snn_deploy.host.monitor import run_inputs
from snn_deploy.host.rules.topk import topk
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.passes.retime import retime
from snn_deploy.results import BatchResult, RunResult
from snn_deploy.spikes import Stimulus
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
    ) -> BatchResult | None:
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


@examples(300)
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


@examples(150)
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


def check_equal(found: Sequence[RunResult], wanted: Sequence[RunResult]) -> None:
    for a, b in zip(found, wanted, strict=True):
        assert (a.index, a.prediction, a.gap) == (b.index, b.prediction, b.gap)
        assert (a.timesteps, a.stopped_early) == (b.timesteps, b.stopped_early)
        np.testing.assert_array_equal(a.scores, b.scores)
        for name in COUNTS:
            one, other = getattr(a.activity, name), getattr(b.activity, name)
            np.testing.assert_array_equal(one, other)
