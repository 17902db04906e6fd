"""one_pass: which networks have a twin, and what their registers become."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snn_deploy.arrays import FloatArray
from snn_deploy.artifact import pack
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.lower.one_pass import obstacles, one_pass
from snn_deploy.compiler.lower.one_pass_floats import one_pass_floats
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.pipeline import compile_model, to_neurons, to_spiking
from snn_deploy.compiler.twin import one_pass_twin
from snn_deploy.errors import FitError
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.neurons import Comparison, Lif, Qcfs, Relu, Reset, memoryless
from snn_deploy.ir.nodes import Add, Linear
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Encoding, Stimulus
from tests.build import (
    RATE,
    TRAINING,
    chain,
    graph,
    images,
    integrator,
    lif,
    linear,
    rng,
    simulator,
)

TARGET = simulator()
ON_GRID = replace(TRAINING, input_scale=255 / 256)  # inputs are multiples of 1/256


def gridded(name: str, n_in: int, n_out: int, seed: int) -> Linear:
    """Return weights and biases that are multiples of 1/16: nothing is rounded."""
    draw = rng(seed)
    weight = draw.integers(-4, 6, (n_out, n_in)) / 16
    return Linear(name=name, weight=weight, bias=draw.integers(-8, 9, n_out) / 16)


def qcfs(name: str, n: int, levels: int = 4, threshold: float = 1.0) -> Qcfs:
    return Qcfs(name=name, shape=(n,), threshold=threshold, levels=levels)


def adding(name: str, n: int, **changes: Any) -> Lif:
    """Return neurons that only add up, as converted ones do."""
    settings = {
        "voltage_decay": np.array(0.0),
        "initial_voltage": np.array(0.25),
        "reset": Reset.SOFT,
        "comparison": Comparison.GREATER_EQUAL,
    }
    return lif(name, (n,), **{**settings, **changes})


def network(*, training: Training = TRAINING, levels: int = 4) -> Graph:
    return chain(
        gridded("fc1", 12, 20, 1),
        qcfs("a", 20, levels),
        gridded("fc2", 20, 10, 2),
        qcfs("b", 10, levels),
        gridded("fc3", 10, 4, 3),
        training=training,
    )


def output(twin: QuantizedGraph, stimuli: list[Stimulus]) -> FloatArray:
    """Return the voltages of a twin's read-out, in the unit of its model."""
    simulation = Simulation(twin, stimuli)
    simulation.step()
    return simulation.readout() * twin.readout.scale.reshape(-1)


def integers(model: Graph) -> QuantizedGraph:
    return quantize(to_spiking(model), TARGET)


def why_not(model: Graph) -> list[str]:
    return [*map(str, obstacles(integers(model), TARGET))]


def test_twin_has_the_weights_of_the_spiking_network() -> None:
    spiking = integers(network())

    twin = one_pass(spiking, TARGET)

    assert (twin.one_pass_of, twin.training.timesteps) == (6, 1)
    assert [p.max_spikes for p in twin.populations] == [4, 4, 1]
    for old, new in zip(spiking.projections, twin.projections, strict=True):
        np.testing.assert_array_equal(old.synapses.weights, new.synapses.weights)
    assert twin.offsets == spiking.offsets


@pytest.mark.parametrize(
    ("encoding", "loss"), [(Encoding.DIRECT, 0), (Encoding.RATE, 0.1)]
)
def test_twin_and_its_floats_are_the_conventional_network(
    encoding: Encoding, loss: float
) -> None:
    """Of drawn inputs the values that they are drawn from, 255ths of a spike.

    No power of two, so that registers round what decides ties, of which there are many.
    """
    model = network(training=replace(ON_GRID, encoding=encoding))
    stimuli = images(50, (12,))
    direct = replace(model.training, encoding=Encoding.DIRECT, timesteps=1)
    conventional = evaluate(replace(model, training=direct), stimuli)[:, 0]

    floats = evaluate(to_spiking(one_pass_floats(to_neurons(model))), stimuli)[:, 0]
    twin = one_pass(integers(model), TARGET)

    np.testing.assert_allclose(floats, conventional, atol=1e-12)
    off = np.abs(output(twin, stimuli) - conventional).max(axis=1)
    assert np.mean(off > 1e-12) <= loss
    assert bool(twin.changes) == (loss > 0)


def test_relu_has_as_many_levels_as_timesteps() -> None:
    def with_activation(activation: Relu | Qcfs) -> Graph:
        return chain(linear("fc1", 6, 5, 1), activation, linear("fc2", 5, 3, 2))

    relu = with_activation(Relu(name="a", shape=(5,), maximum=1.5))
    staircase = with_activation(qcfs("a", 5, 6, 1.5))

    twin = one_pass(integers(relu), TARGET)

    same = one_pass(integers(staircase), TARGET)
    assert twin.population("a").max_spikes == 6
    for one, other in zip(twin.populations, same.populations, strict=True):
        np.testing.assert_array_equal(one.threshold, other.threshold)
        np.testing.assert_array_equal(one.initial_voltage, other.initial_voltage)


@pytest.mark.parametrize("start", [0.0, 0.1, 0.25, 0.49])
def test_neurons_that_add_up_count_what_they_spike_for_a_constant_input(
    start: float,
) -> None:
    model = chain(
        Linear(name="fc", weight=np.eye(8) / 2, bias=np.zeros(8)),
        adding("a", 8, initial_voltage=np.array(start), axon_delay=np.array(0.0)),
        linear("out", 8, 3),
        training=Training(timesteps=5, encoding=Encoding.DIRECT),
    )
    stimuli = images(40, (8,))
    spiking = Simulation(integers(model), stimuli)
    total = np.zeros((40, 8), np.int64)
    for _ in range(5):
        spiking.step()
        total += spiking.sent[-1]["a"]

    twin = Simulation(one_pass(integers(model), TARGET), stimuli)
    twin.step()

    off = twin.sent[-1]["a"] - total
    assert np.abs(off).max() <= 1
    assert np.mean(off != 0) < 0.01  # within the rounding of a register


@pytest.mark.parametrize(
    ("levels", "loss"),
    [((2, 4), 0), ((4, 2), 0), ((3, 4), 0.1), ((5, 3), 0.1)],
    ids=str,
)
def test_levels_that_differ_meet_in_a_sum(levels: tuple[int, int], loss: float) -> None:
    """Of no common power of two: weights are rounded, which may move a number."""
    nodes = [
        gridded("fc1", 6, 5, 1), qcfs("a", 5, levels[0]),
        gridded("fc2", 6, 5, 2), qcfs("b", 5, levels[1]),
        Add(name="sum", shape=(5,)),
        gridded("fc3", 5, 4, 3), qcfs("c", 4, 4),
        gridded("fc4", 4, 3, 4),
    ]  # fmt: skip
    arrows = "input>fc1 fc1>a input>fc2 fc2>b a>sum b>sum sum>fc3 fc3>c c>fc4"
    model = graph(nodes, arrows, shape=(6,), training=ON_GRID)
    stimuli = images(200, (6,))

    twin = one_pass(integers(model), TARGET)

    off = np.abs(output(twin, stimuli) - evaluate(model, stimuli, 1)[:, 0])
    assert np.mean(off.max(axis=1) > 1e-3) <= loss
    rounded = [
        change.layer for change in twin.changes if change.kind == "round weights"
    ]
    assert any("->c" in layer for layer in rounded) == (loss > 0)


def test_no_register_of_a_wide_layer_meets_its_limit() -> None:
    """Each of 4,096 inputs of the second layer sends up to 7."""
    wide = [
        Linear(name="fc1", weight=rng(1).normal(size=(4096, 8)), bias=np.zeros(4096)),
        qcfs("a", 4096, 7),
        Linear(name="fc2", weight=rng(2).normal(size=(6, 4096)), bias=np.ones(6)),
        qcfs("b", 6, 7, 40.0),
        linear("out", 6, 3),
    ]
    model = chain(*wide)
    stimuli = images(20, (8,))

    twin = one_pass(integers(model), TARGET)

    assert not {c.kind for c in twin.changes} & {"wrap current", "saturate voltage"}
    floats = evaluate(model, stimuli, 1)[:, 0]
    assert np.corrcoef(output(twin, stimuli).ravel(), floats.ravel())[0, 1] > 0.99
    spiking = integers(model)
    assert twin.projections[1].exponent < spiking.projections[1].exponent


def test_too_many_levels_for_the_registers_are_refused() -> None:
    model = chain(
        linear("fc1", 4, 4, 1), qcfs("a", 4, 30_000),
        Linear(name="fc2", weight=np.ones((2, 4)) * [1, 1, 1, 1e-3], bias=np.zeros(2)),
        qcfs("b", 2, 30_000, 1e-3),
        linear("out", 2, 2),
    )  # fmt: skip

    with pytest.raises(FitError, match="b: sums of graded spikes are too large"):
        one_pass(integers(model), TARGET)


@pytest.mark.parametrize(
    ("neurons", "reason"),
    [
        (adding("a", 5, voltage_decay=np.array(0.25)), "a: its neurons leak"),
        (memoryless("a", (5,), np.array(0.5), 1.0), "a: decides in each timestep by"),
        (adding("a", 5, current_decay=np.array(0.5)), "a: its synaptic current lasts"),
        (adding("a", 5, reset=Reset.HARD), "a: resets hard"),
        (adding("a", 5, refractory=2), "a: rests 2 timesteps after a spike"),
        (adding("a", 5, takes_bias=True), "a: takes its bias from the data"),
        (adding("a", 5, initial_voltage=np.array(0.5)), "a: starts at or over its"),
        (adding("a", 5, axon_delay=np.array(2.0)), "arrive up to 2 timesteps late"),
        (qcfs("a", 5, 70_000), "a: would send numbers up to 70000, .* carries 65535"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_neurons_that_no_single_timestep_stands_for_are_refused(
    neurons: Lif | Qcfs, reason: str
) -> None:
    model = chain(linear("fc1", 6, 5, 1), neurons, linear("out", 5, 3, 2))

    assert why_not(model)
    with pytest.raises(FitError, match=f"has no one-pass twin, for\n.*{reason}"):
        one_pass(integers(model), TARGET)


def test_every_obstacle_is_told_layer_by_layer() -> None:
    nodes = [
        linear("fc1", 6, 5, 1), lif("a", (5,)), linear("back", 5, 5, 3),
        linear("out", 5, 3, 2), integrator("z", (3,), voltage_decay=np.array(0.5)),
    ]  # fmt: skip
    arrows = "input>fc1 fc1>a a>back back>a:1 a>out out>z"
    model = graph(nodes, arrows, shape=(6,), training=replace(RATE, timesteps=9))

    found = why_not(replace(model, output_name="z"))

    assert [line.split(";")[0].split(",")[0] for line in found] == [
        "a: its neurons leak",
        "a: resets hard",
        "z: its neurons leak",
        "a->a#1: spikes arrive up to 1 timesteps late",
    ]


def test_events_a_chip_without_numbers_and_a_twin_are_refused() -> None:
    model = network(training=replace(RATE, encoding=Encoding.EVENTS))
    rate = integers(network(training=RATE))
    twin = one_pass(integers(network()), TARGET)

    assert why_not(model)[0].startswith("input: events over time are no single value")
    (reason,) = obstacles(rate, read_target("loihi1"))
    assert str(reason).startswith("loihi1: has no graded spikes")
    (reason,) = obstacles(twin, TARGET)
    assert str(reason).startswith("chain: runs in one pass already")


@pytest.mark.parametrize("goal", [None, "latency", "cores"])
def test_twin_of_an_artifact_is_what_the_model_compiles_to(goal: str | None) -> None:
    compiled = compile_model(network(), TARGET, optimize=goal)

    twin = one_pass_twin(compiled)

    wanted = compile_model(network(), TARGET, one_pass=True, optimize=goal)
    assert pack(twin).sha256 == pack(wanted).sha256
