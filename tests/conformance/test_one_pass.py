"""One-pass twins of random networks: the conventional network, on every backend.

Where nothing is lost on the way to integers the twin gives each activation exactly. The
oracle knows nothing of twins: for it they are neurons that spike several times.
"""

from itertools import chain

import numpy as np
import pytest
from hypothesis import assume, given

from snn_deploy.backends.engine.cpu import CpuProgram
from snn_deploy.backends.lava.backend import LavaBackend
from snn_deploy.backends.lava.compat import import_lava
from snn_deploy.backends.protocol import QUANTITIES
from snn_deploy.compiler.lower.one_pass import one_pass
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.pipeline import to_spiking
from snn_deploy.errors import BackendError
from snn_deploy.ir.floating import FloatRun
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Qcfs
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.text import as_text
from tests.build import images
from tests.conformance.networks import ROOMY, mapped
from tests.conformance.staircases import n_values, staircases
from tests.conformance.tally import TALLY, examples
from tests.conformance.test_engine_equality import engines
from tests.conformance.test_equality import (
    check_equal,
    lasting,
    observed,
    traced,
)
from tests.counting import COUNTS

N = 3  # inputs


def twin_of(graph: Graph) -> QuantizedGraph:
    return one_pass(quantize(to_spiking(graph), ROOMY), ROOMY)


@examples(150)
@given(graph=staircases())
def test_twin_of_representable_weights_gives_every_activation(graph: Graph) -> None:
    twin = twin_of(graph)
    assume(not twin.changes)
    stimuli = images(N, graph.input.shape)
    conventional = FloatRun(graph, stimuli)
    conventional.step()
    simulation = Simulation(twin, stimuli)

    simulation.step()

    for node in graph.nodes_of(Qcfs):
        values = conventional.sent[-1][node.name].reshape(N, -1)
        numbers = simulation.sent[-1][node.name] * (node.threshold / node.levels)
        np.testing.assert_array_equal(numbers, values)
    if not twin.readout.spikes:
        values = conventional.sent[-1][graph.output.name].reshape(N, -1)
        voltages = simulation.readout() * twin.readout.scale.reshape(-1)
        np.testing.assert_allclose(voltages, values, rtol=1e-12, atol=1e-12)
    TALLY.add("one pass = conventional", 1, N * n_values(graph))


@examples(36)
@given(graph=staircases())
def test_backends_count_packets_of_a_twin_as_the_oracle(graph: Graph) -> None:
    network = mapped(retime(twin_of(graph), ROOMY))
    stimuli = images(N, graph.input.shape)
    wanted = [observed(network, stimulus, 1) for stimulus in stimuli]
    program = CpuProgram(network)

    for program.engine in chain([None], engines(network, stimuli)):
        session = program.start(stimuli)
        record = session.step()
        assert record is not None
        session.retire(np.arange(N))

        for index, (scores, activity) in enumerate(wanted):
            np.testing.assert_array_equal([record.readout[index]], scores)
            for name in COUNTS:
                np.testing.assert_array_equal(
                    getattr(session.activity(index), name), getattr(activity, name)
                )
        kind = program.engine.instructions if program.engine else "NumPy"
        TALLY.add(f"one pass, counts, {kind} = oracle", N, N * n_values(graph))


@examples(8, shrinks=False)
@given(graph=staircases())
def test_lava_runs_a_twin_as_the_reference(graph: Graph) -> None:
    try:
        import_lava()
    except BackendError as error:
        pytest.skip(str(error))
    twin = retime(twin_of(graph), ROOMY)
    (stimulus,) = images(1, graph.input.shape)
    program = LavaBackend().load(mapped(twin))
    try:
        found = program.record(stimulus, QUANTITIES, n_timesteps=1)
    finally:
        program.close()

    wanted = traced(twin, stimulus, 1 + lasting(twin), n_timesteps=1)
    check_equal(found, wanted)
    TALLY.add("one pass, lava = reference", 1, n_values(graph))


@examples(60)
@given(graph=staircases())
def test_twin_is_the_same_from_a_network_with_its_pipeline(graph: Graph) -> None:
    spiking = quantize(to_spiking(graph), ROOMY)

    early = retime(one_pass(spiking, ROOMY), ROOMY)
    late = one_pass(retime(spiking, ROOMY), ROOMY)

    assert as_text(early) == as_text(late)
