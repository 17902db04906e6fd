"""verify: planted faults and roundings are found and named, by layer and cause."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from snn_deploy.arrays import IntArray
from snn_deploy.chip.target import Target
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.pipeline import to_spiking
from snn_deploy.ir.graph import Edge, Graph, Training
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.nodes import Add, Flatten, Input, Linear
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph
from snn_deploy.ir.stimuli import Encoding, Stimulus
from snn_deploy.verify.comparison import CHIP, FLOAT, FormComparison
from snn_deploy.verify.crosscheck import first_mismatch
from snn_deploy.verify.differences import compare, other_structure
from snn_deploy.verify.forms import integer_layers
from snn_deploy.verify.layer import ASPECTS
from snn_deploy.verify.result import LayerReport
from snn_deploy.verify.runs import record_integers
from snn_deploy.verify.simulate import run
from tests.build import (
    chain,
    conv,
    graph,
    images,
    integrator,
    lif,
    linear,
    rng,
    simulator,
    trains,
)

LAYERS = ("a", "b", "c")
Fault = Callable[[QuantizedGraph, str], QuantizedGraph]


def training(n_timesteps: int, encoding: Encoding = Encoding.RATE) -> Training:
    return Training(timesteps=n_timesteps, encoding=encoding)


def whole(name: str, n_in: int, n_out: int, seed: int) -> Linear:
    """Return small weights, most of them positive, that are on the chip's grid."""
    weight = 2.0 * rng(seed).integers(-1, 4, size=(n_out, n_in))
    return Linear(name=name, weight=weight, bias=np.zeros(n_out))


def neurons(name: str, n: int) -> Any:
    """Return neurons of soft reset on the grid, with everything that can go wrong."""
    return lif(
        name,
        (n,),
        voltage_decay=np.array(0.0),
        threshold=np.array(6.0),
        reset=Reset.SOFT,
        reset_amount=np.array(6.0),
        bias=np.array(1.0),
        refractory=1,
    )


@cache
def on_grid() -> Graph:
    """Return three layers whose integers compute exactly what the floats compute."""
    nodes = [
        whole("fc1", 6, 8, 1),
        neurons("a", 8),
        whole("fc2", 8, 8, 2),
        neurons("b", 8),
        whole("fc3", 8, 4, 3),
        neurons("c", 4),
    ]
    made = graph(
        nodes,
        "input>fc1:1 fc1>a a>fc2:2 fc2>b b>fc3:1 fc3>c",
        shape=(6,),
        training=training(16),
    )
    return replace(made, is_on_grid=True)


@cache
def trained() -> Graph:
    """Return convolutions and leaky neurons with weights off the grid, of images."""
    nodes = [
        conv("conv1", (1, 6, 6), 4, 1, stride=(2, 2)),
        lif("a", (4, 3, 3)),
        conv("conv2", (4, 3, 3), 6, 2),
        lif("b", (6, 3, 3), current_decay=np.array(0.5)),
        Flatten(name="flat", shape=(6, 3, 3)),
        linear("fc", 54, 4, 3),
        integrator("c", (4,), bias=np.array(0.1)),
    ]
    return chain(*nodes, training=training(8, Encoding.DIRECT))


def compiled(model: Graph, target: Target | None = None) -> tuple[Any, ...]:
    """Return the chip's network, the spiking graph, and its integers, not retimed."""
    spiking = to_spiking(model)
    expected = quantize(spiking, target or simulator())
    return retime(expected, target or simulator()), spiking, expected


def stimuli(model: Graph, n: int = 6) -> list[Stimulus]:
    if model.training.encoding is Encoding.DIRECT:
        return images(n, model.input.shape)
    return trains(n, model.training.timesteps, model.input.shape)


def compared(
    model: Graph, found: QuantizedGraph | None = None, **changes: Any
) -> FormComparison:
    chip, spiking, expected = compiled(model, **changes)
    comparison = FormComparison(found or chip, spiking, expected)
    for stimulus in (stimuli(model)[:4], stimuli(model)[4:]):
        comparison.add(stimulus)
    return comparison


def report(comparison: FormComparison, layer: str) -> LayerReport:
    return next(r for r in comparison.reports() if r.layer == layer)


def in_population(**changes: Any) -> Fault:
    """Return a fault that sets fields, or maps their old values."""

    def plant(network: QuantizedGraph, layer: str) -> QuantizedGraph:
        def change(p: Population) -> Population:
            new = {
                name: value(getattr(p, name)) if callable(value) else value
                for name, value in changes.items()
            }
            return replace(p, **new)

        populations = tuple(
            change(p) if p.name == layer else p for p in network.populations
        )
        return replace(network, populations=populations)

    return plant


def in_projection(change: Callable[[Projection], Projection]) -> Fault:
    """Return a fault in the first projection that ends at the layer."""

    def plant(network: QuantizedGraph, layer: str) -> QuantizedGraph:
        first = network.projections_into(network.population(layer))[0]
        projections = tuple(change(p) if p is first else p for p in network.projections)
        return replace(network, projections=projections)

    return plant


def one_more(values: IntArray) -> IntArray:
    return values + 1


def flipped(p: Projection) -> Projection:
    weights = np.array(p.synapses.weights)
    place = np.unravel_index(np.abs(weights).argmax(), weights.shape)
    weights[place] = -weights[place]
    return replace(p, synapses=replace(p.synapses, weights=weights))


def late_axon(p: Projection) -> Projection:
    delays = np.zeros(8 if p.source != "input" else 6, np.int64)
    delays[2] = 3
    return replace(p, axon_delay=delays)


# kind of fault: how it is planted, the parameter, and the cause that it shows as
FAULTS: dict[str, tuple[Fault, str, str]] = {
    "a flipped weight": (in_projection(flipped), "weights", "weights"),
    "a lost delay": (
        in_projection(lambda p: replace(p, delay=p.delay - 1)),
        "delay",
        "delay",
    ),
    "a slow axon": (in_projection(late_axon), "axon delay", "delay"),
    "another exponent": (
        in_projection(lambda p: replace(p, exponent=p.exponent - 1)),
        "exponent",
        "exponent",
    ),
    "threshold off by one": (
        in_population(threshold=one_more),
        "threshold",
        "threshold",
    ),
    "another bias": (
        in_population(bias_mantissa=lambda b: b + 64),
        "bias mantissa",
        "bias",
    ),
    "another bias exponent": (
        in_population(bias_exponent=1),
        "bias exponent",
        "bias",
    ),
    "another initial voltage": (
        in_population(initial_voltage=np.array(200)),
        "initial voltage",
        "initial voltage",
    ),
    "a current that lasts": (
        in_population(current_decay=np.array(2000)),
        "current decay",
        "current decay",
    ),
    "a voltage that leaks": (
        in_population(voltage_decay=np.array(500)),
        "voltage decay",
        "voltage decay",
    ),
    "hard reset": (in_population(reset=Reset.HARD), "reset", "reset"),
    "another reset amount": (
        in_population(reset_amount=lambda a: a - 64),
        "reset amount",
        "reset",
    ),
    "two spikes at once": (in_population(max_spikes=2), "max spikes", "reset"),
    "another comparison": (
        in_population(comparison=Comparison.GREATER_EQUAL),
        "comparison",
        "comparison",
    ),
    "no refractory period": (in_population(refractory=0), "refractory", "refractory"),
}  # fmt: skip
EVERYWHERE = [(kind, layer) for kind in FAULTS for layer in LAYERS]


def test_integers_on_the_grid_are_the_floats() -> None:
    comparison = compared(on_grid())

    assert comparison.faults() == ()
    for found in comparison.reports():
        assert found.differing == found.differing_alone == 0
        assert found.first is found.first_alone is None
    assert not comparison.notes()


@pytest.mark.parametrize(("kind", "layer"), EVERYWHERE)
def test_a_planted_fault_is_found_in_the_parameters(kind: str, layer: str) -> None:
    plant, parameter, _ = FAULTS[kind]
    chip, _, _ = compiled(on_grid())

    (difference,) = compare(plant(chip, layer), chip)

    assert difference.layer == layer
    assert difference.parameter.startswith(parameter)
    assert difference.found != difference.expected
    assert compare(chip, chip) == []


@pytest.mark.parametrize(("kind", "layer"), EVERYWHERE)
def test_a_planted_fault_is_found_in_what_the_network_does(
    kind: str, layer: str
) -> None:
    plant, _, cause = FAULTS[kind]
    chip, _, _ = compiled(on_grid())

    comparison = compared(on_grid(), plant(chip, layer))

    (fault,) = comparison.faults()  # against the integers that are expected
    assert fault.layer == layer
    assert fault.causes == (cause,)
    for name in LAYERS:  # against the float graph, which alone says as much here
        found = report(comparison, name)
        if name == layer:
            assert found.causes == (cause,)
            assert found.reproduced[cause] == 1
            assert found.first is not None
            assert found.inherited_from is None
            assert found.first == found.first_alone
        else:
            assert found.first_alone is None
            assert found.reproduced == {}
            assert found.first is None or found.inherited_from is not None


NOT_OF_THESE = (  # neurons: hard reset, no refractory period, no ties
    "a slow axon", "another reset amount", "hard reset", "two spikes at once",
    "another comparison", "no refractory period", "threshold off by one",
)  # fmt: skip
TRAINED_FAULTS = {
    **{kind: fault for kind, fault in FAULTS.items() if kind not in NOT_OF_THESE},
    "threshold 3 % off": (
        in_population(threshold=lambda t: t + t // 33), "threshold", "threshold"
    ),
    "soft reset": (
        in_population(reset=Reset.SOFT, reset_amount=np.array(64)), "reset", "reset"
    ),
    "a refractory period": (in_population(refractory=2), "refractory", "refractory"),
}  # fmt: skip
NO_EFFECT = {  # c never spikes, and other neurons send the bias of b
    ("c", "threshold 3 % off"),
    ("c", "soft reset"),
    ("c", "a refractory period"),
    ("b", "another bias exponent"),
}


@pytest.mark.parametrize(
    ("layer", "kind"),
    [(a, b) for a in LAYERS for b in TRAINED_FAULTS if (a, b) not in NO_EFFECT],
)
def test_among_roundings_a_fault_is_still_found(kind: str, layer: str) -> None:
    plant, _, cause = TRAINED_FAULTS[kind]
    chip, _, _ = compiled(trained())

    comparison = compared(trained(), plant(chip, layer))

    assert [(f.layer, f.causes) for f in comparison.faults()] == [(layer, (cause,))]


def test_a_faithful_network_has_no_fault_but_roundings() -> None:
    comparison = compared(trained())

    assert comparison.faults() == ()
    assert report(comparison, "a").first is not None
    assert report(comparison, "a").inherited_from is None
    assert report(comparison, "a").causes == ("weights",)
    assert report(comparison, "b").inherited_from in (None, "a")
    assert all(set(r.reproduced) <= set(ASPECTS) for r in comparison.reports())


def unit_chain(weight: Sequence[float], **changes: Any) -> Graph:
    """Return one neuron for each weight, each with an input of its own; 254 a unit."""
    size = len(weight)
    layer = Linear(name="fc", weight=np.diag(weight), bias=np.zeros(size))
    settings = {"voltage_decay": np.array(0.0), **changes}
    return chain(layer, lif("a", (size,), **settings), training=training(6))


def test_a_coarse_threshold_is_named() -> None:
    model = unit_chain([254.0, 254.0], threshold=np.array([100.0, 253.5]))
    model = replace(model, is_on_grid=True)

    found = report(compared(model), "a")

    assert found.causes == ("threshold",)
    assert found.first is not None
    assert found.first.neuron == (1,)
    assert found.first.spikes == (1, 0)
    np.testing.assert_allclose(found.first.voltages, (0.5, 0.0), atol=1e-9)
    assert found.reproduced == {"threshold": 1.0}


def test_a_rounded_bias_is_named() -> None:
    bias = 100 + 1 / 64
    model = unit_chain([254.0], bias=np.array(bias), threshold=np.array(100.0))
    model = replace(model, is_on_grid=True)

    found = report(compared(model), "a")

    assert found.causes == ("bias",)


def test_a_rounded_leak_is_named() -> None:
    layer = Linear(name="fc", weight=np.diag([254.0, 200.0]), bias=np.zeros(2))
    leaky = lif("a", (2,), voltage_decay=np.array(0.1), threshold=np.array(1000.0))
    model = chain(layer, leaky, training=training(400))

    found = report(compared(model), "a")

    assert found.first is not None
    assert found.causes == ("voltage decay",)


def test_a_saturated_voltage_is_named() -> None:
    layer = Linear(name="fc", weight=np.array([[2.0], [2.0]]), bias=np.zeros(2))
    out = integrator("sum", (2,), bias=np.array(4095.0))
    model = replace(chain(layer, out, training=training(40)), is_on_grid=True)

    comparison = compared(model)

    found = report(comparison, "sum")
    assert found.causes == ("saturation",)
    assert found.first is not None
    assert found.first.timestep >= 32
    assert found.saturations > 0


def test_a_wrapped_current_is_named() -> None:
    layer = Linear(name="fc", weight=np.full((2, 64), 254.0), bias=np.zeros(2))
    out = integrator(
        "sum", (2,), current_decay=np.array(0.0), voltage_decay=np.array(1.0)
    )
    model = replace(chain(layer, out, training=training(60)), is_on_grid=True)

    found = report(compared(model), "sum")

    assert found.wraps > 0
    assert "wrap" in found.reproduced


def residual() -> Graph:
    nodes = [
        linear("fc1", 6, 8, 1), lif("a", (8,)), linear("fc2", 8, 8, 2), lif("b", (8,)),
        Add(name="add", shape=(8,)), lif("c", (8,)), linear("fc3", 8, 3, 4),
    ]  # fmt: skip
    arrows = "input>fc1 fc1>a a>fc2 fc2>b b>add a>add add>c c>fc3"
    return graph(nodes, arrows, shape=(6,), training=training(10))


def recurrent() -> Graph:
    nodes = [
        linear("fc1", 6, 8, 1), Add(name="add", shape=(8,)), lif("a", (8,)),
        linear("back", 8, 8, 5), linear("fc2", 8, 8, 2), lif("b", (8,)),
        linear("far", 8, 8, 6), linear("fc3", 8, 3, 4),
    ]  # fmt: skip
    arrows = (
        "input>fc1 fc1>add add>a a>back:1 back>add a>fc2 fc2>b b>far:2 far>add b>fc3"
    )
    return graph(nodes, arrows, shape=(6,), training=training(10))


def delayed() -> Graph:
    late = np.arange(8.0)
    nodes = [
        linear("fc1", 6, 8, 1), lif("a", (8,), axon_delay=late),
        linear("fc2", 8, 8, 2), lif("b", (8,)), linear("fc3", 8, 3, 4),
    ]  # fmt: skip
    arrows = "input>fc1:3 fc1>a a>fc2:1 fc2>b b>fc3"
    return graph(nodes, arrows, shape=(6,), training=training(14))


@pytest.mark.parametrize("model", [residual(), recurrent(), delayed(), trained()])
def test_layers_by_themselves_are_the_network(model: Graph) -> None:
    chip, _, expected = compiled(model)
    layers = integer_layers(chip)

    recorded, _ = record_integers(chip, layers, stimuli(model), chip.training.timesteps)
    given = {"input": recorded.sent["input"]}
    order = [layers[p.name] for p in expected.order]
    together = run(order, given, model.training.timesteps)

    for name, response in recorded.responses.items():
        np.testing.assert_array_equal(response.voltage, together[name].voltage)
        np.testing.assert_array_equal(response.spikes, together[name].spikes)


@pytest.mark.parametrize("model", [residual(), recurrent(), delayed()])
def test_loops_skips_and_delays_are_verified(model: Graph) -> None:
    comparison = compared(model)

    assert comparison.faults() == ()
    assert not comparison.notes()  # the float layers are the float graph
    forms, restored = comparison.accuracies(None)
    assert forms[0].accuracy == 1.0
    assert len(restored) == len(comparison.order)


def test_a_skip_that_lost_the_delay_of_the_long_branch_is_found() -> None:
    chip, _, _ = compiled(residual())
    projections = tuple(
        replace(p, delay=1) if (p.source, p.target) == ("a", "c") else p
        for p in chip.projections
    )
    found = replace(chip, projections=projections)

    comparison = compared(residual(), found)

    assert [d.parameter for d in compare(found, chip)] == ["delay of a->c#1"]
    assert [(f.layer, f.causes) for f in comparison.faults()] == [("c", ("delay",))]


def test_a_fault_in_a_loop_is_found_where_it_is() -> None:
    chip, _, _ = compiled(recurrent())
    projections = tuple(
        replace(p, delay=p.delay + 1) if (p.source, p.target) == ("b", "a") else p
        for p in chip.projections
    )

    comparison = compared(recurrent(), replace(chip, projections=projections))

    assert [(f.layer, f.causes) for f in comparison.faults()] == [("a", ("delay",))]


def test_the_restored_layer_takes_the_loss_back() -> None:
    chip, _, _ = compiled(on_grid())
    found = in_population(threshold=lambda t: t * 8)(chip, "b")

    comparison = compared(on_grid(), found)

    forms, restored = comparison.accuracies(None)
    by_form = {a.form: a for a in (*forms, *restored)}
    assert by_form[FLOAT].accuracy == 1.0
    assert by_form[CHIP].accuracy < 1.0
    assert by_form["b in float"].accuracy == 1.0
    lost = 1 - by_form[CHIP].accuracy
    assert by_form["b in float"].gain["mean"] == pytest.approx(lost)
    assert by_form["a in float"].gain["mean"] == 0


def test_another_structure_is_named() -> None:
    chip, _, _ = compiled(on_grid())
    other, _, _ = compiled(residual())
    smaller = chain(Linear(name="fc1", weight=np.ones((3, 6)), bias=np.zeros(3)),
                    lif("a", (3,)), training=training(16))  # fmt: skip

    assert other_structure(chip, chip) is None
    assert other_structure(chip, other) == (
        "the number of populations is 3, the model gives 4"
    )
    assert other_structure(chip, compiled(smaller)[0]) == (
        "the number of populations is 3, the model gives 1"
    )


def test_a_mismatch_with_lava_is_named() -> None:
    chip, _, _ = compiled(on_grid())
    mine = {
        (p.name, quantity): np.zeros((20, p.size), np.int64)
        for p in chip.populations
        for quantity in ("spikes", "current", "voltage")
    }
    theirs = {key: values.copy() for key, values in mine.items()}
    theirs["c", "spikes"][9, 1] = 1
    theirs["b", "voltage"][7, 3] = 5

    assert first_mismatch(chip, mine, mine) == ""
    assert first_mismatch(chip, mine, theirs) == (
        f"b: timestep {8 - chip.population('b').offset}, neuron 3: voltage is 5 on "
        "Lava, 0 on the cpu"
    )


def test_the_input_of_the_graph_is_the_chip_s() -> None:
    edges = (Edge(source="input", target="fc"), Edge(source="fc", target="a"))
    model = Graph(
        name="scaled",
        nodes=(Input(name="input", shape=(6,)), linear("fc", 6, 4), lif("a", (4,))),
        edges=edges,
        training=replace(training(6, Encoding.DIRECT), input_scale=2, input_offset=-1),
    )

    comparison = compared(model)

    assert comparison.faults() == ()
    assert report(comparison, "a").differing < 0.05


def test_a_network_of_one_output_has_no_answers_to_compare() -> None:
    model = chain(
        linear("fc1", 6, 4, 1), lif("a", (4,)), linear("fc2", 4, 1, 2),
        integrator("b", (1,)), training=training(6),
    )  # fmt: skip

    comparison = compared(model)

    assert comparison.accuracies(None) == ((), ())
    found = report(comparison, "b")
    assert 0 < found.differing < 0.05  # the voltages agree but for roundings
    assert found.differing <= found.by_parameters + found.by_arithmetic
    assert 0 < found.differing_alone < 0.05


def test_a_single_voltage_that_is_another_differs_by_as_much() -> None:
    last = replace(linear("fc2", 4, 1, 2), bias=np.zeros(1))
    model = chain(
        linear("fc1", 6, 4, 1), lif("a", (4,)), last, integrator("b", (1,)),
        training=training(6),
    )  # fmt: skip
    chip = compiled(model)[0]
    projections = tuple(
        replace(p, exponent=p.exponent - 1) if p.target == "b" else p
        for p in chip.projections
    )

    comparison = compared(model, replace(chip, projections=projections))

    assert report(comparison, "b").differing == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("worth", [1.0, 0.3])
def test_several_spikes_in_a_timestep_are_counted_in_float_as_well(
    worth: float,
) -> None:
    soft: dict[str, Any] = {
        "reset": Reset.SOFT,
        "comparison": Comparison.GREATER_EQUAL,
        "max_spikes": 5,
        "spike_value": worth,
        "threshold": np.array(0.2),
        "reset_amount": np.array(0.2),
    }
    model = chain(
        linear("fc1", 9, 12, 1),
        lif("a", (12,), **soft),
        linear("fc2", 12, 4, 2),
        lif("b", (4,), **soft),
        training=training(8, Encoding.DIRECT),
    )

    comparison = compared(model)

    assert comparison.chip["a"].max_spikes == 5
    assert comparison.faults() == ()
    assert not comparison.notes()  # the float layers are the float graph
