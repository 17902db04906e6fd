"""cpu: the reference on a mapped network, input after input, with counts."""

import numpy as np
import pytest

from snn_deploy.backends.engine.cpu import CpuProgram
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.events import FIRE, PACKET, PACKET_IN, SYNAPTIC_OPERATION, UPDATE
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.cutoff.rules.fixed import fixed
from snn_deploy.errors import BackendError
from snn_deploy.ir.graph import Training
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.nodes import Flatten
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Encoding
from tests.build import RATE, chain, conv, images, lif, linear, simulator, trains

SHAPE = (1, 8, 8)


def network(target: str = "loihi-sim", training: Training = RATE) -> MappedNetwork:
    model = chain(
        conv("conv", SHAPE, 4),
        lif("a", (4, 8, 8)),
        conv("conv2", (4, 8, 8), 3, seed=2, stride=(2, 2)),
        lif("b", (3, 4, 4), reset=Reset.HARD),
        Flatten(name="flat", shape=(3, 4, 4)),
        linear("fc", 48, 5),
        training=training,
    )
    return compile_model(model, read_target(target))


def test_each_timestep_reads_what_the_reference_computes() -> None:
    mapped = network()
    stimuli = trains(7, 6, SHAPE)
    simulation = Simulation(mapped.graph, stimuli)
    expected = []
    for _ in range(6 + mapped.graph.depth):
        simulation.step()
        if simulation.timestep > mapped.graph.depth:
            expected.append(simulation.readout())

    session = CpuProgram(mapped).start(stimuli)
    found = []
    while (record := session.step()) is not None:
        found.append(record.readout)

    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("stop", range(1, 7))
def test_an_input_gives_the_same_after_another_was_cut_off(stop: int) -> None:
    mapped = network(training=Training(timesteps=6, encoding=Encoding.DIRECT))
    a, b = images(2, SHAPE)
    program = CpuProgram(mapped)
    program.max_batch = 1
    (alone,) = run_inputs(program, mapped, [(1, b)], never)

    list(run_inputs(program, mapped, [(0, a)], fixed(stop)))
    (after,) = run_inputs(program, mapped, [(1, b)], never)

    np.testing.assert_array_equal(after.scores, alone.scores)
    np.testing.assert_array_equal(after.activity.cores, alone.activity.cores)


def test_counts_up_to_a_stop_are_the_beginning_of_the_full_counts() -> None:
    mapped = network()
    inputs = list(enumerate(trains(4, 6, SHAPE)))
    program = CpuProgram(mapped)

    full = list(run_inputs(program, mapped, inputs, never))
    early = list(run_inputs(program, mapped, inputs, fixed(2)))

    for whole, part in zip(full, early, strict=True):
        n = 2 + mapped.graph.depth
        assert part.activity.n_chip_timesteps == n == part.chip_timesteps
        np.testing.assert_array_equal(part.activity.cores, whole.activity.cores[:n])
        np.testing.assert_array_equal(part.activity.chip, whole.activity.chip[:n])


def test_counts_follow_from_the_spikes() -> None:
    mapped = network("loihi1")
    (stimulus,) = trains(1, 6, SHAPE)
    simulation = Simulation(mapped.graph, [stimulus])
    (result,) = run_inputs(CpuProgram(mapped), mapped, [(0, stimulus)], never)
    cores = result.activity.cores

    n_fired = n_input = n_synapses = n_packets = 0
    for _ in range(result.chip_timesteps):
        simulation.step()
        for name, spikes in simulation.sent[-1].items():
            routes = mapped.routes[name]
            fired = np.flatnonzero(spikes[0])
            kinds = routes.kinds.of_neurons[fired]
            n_synapses += routes.operations[kinds].sum()
            n_packets += routes.packets[kinds].sum()
            if name == "input":
                n_input += routes.packets[kinds].sum()
            else:
                n_fired += len(fired)

    assert cores[..., FIRE].sum() == n_fired > 0
    assert cores[..., SYNAPTIC_OPERATION].sum() == n_synapses > 0
    assert cores[..., PACKET_IN].sum() == n_packets
    assert cores[..., PACKET].sum() + result.activity.total("injection") == n_packets
    assert result.activity.total("injection") == n_input


def test_neurons_at_rest_without_input_are_not_updated() -> None:
    model = chain(linear("fc", 6, 4), lif("a", (4,)), training=RATE)
    weights = model.node("fc")
    quiet = model.replace(
        weights,
        by=type(weights)(name="fc", weight=weights.weight, bias=np.zeros(4)),  # type: ignore[call-arg, attr-defined]
    )
    mapped = compile_model(quiet, simulator())
    silent = trains(1, 6, (6,))[0]
    silent = type(silent)(values=np.zeros((6, 6), np.int64), is_constant=False)

    (result,) = run_inputs(CpuProgram(mapped), mapped, [(0, silent)], never)

    assert result.activity.cores[..., UPDATE].sum() == 0


def test_an_unknown_backend_is_named_with_the_choices() -> None:
    with pytest.raises(
        BackendError, match="no backend is called 'gpu'; choose from cpu"
    ):
        open_backend("gpu")
