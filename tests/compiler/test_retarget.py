"""retarget: the same integers elsewhere, or the reason why not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snn_deploy.chip.target import Board, Target
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.compiler.retarget import retarget
from snn_deploy.errors import FitError
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.neurons import Comparison, Reset
from snn_deploy.ir.quantized import Projection, QuantizedGraph
from snn_deploy.ir.synapses import ConvSynapses, SparseSynapses
from tests.build import dense, integers, population, simulator


def graph(**changes: Any) -> QuantizedGraph:
    """Return two neurons, whose weighted sum is 90 at most, and an output."""
    return integers(
        [
            population("hidden", (2,), offset=1, **changes),
            population("out", (2,), offset=2),
        ],
        [
            dense("input", "hidden", [[40, 50, -10], [-30, -20, 2]], delay=1),
            dense("hidden", "out", [[6, 2], [2, 6]], delay=1),
        ],
        shape=(3,),
    )


def target(**changes: Any) -> Target:
    """Return the simulator's chip with another precision."""
    chip = simulator()
    return replace(chip, name="chip", precision=replace(chip.precision, **changes))


def test_it_is_what_the_compiler_makes_of_the_same_integers() -> None:
    model = load_model(packaged_folder("models") / "mnist_counts" / "model.pt")
    here = compile_model(model, read_target("loihi-sim"))
    there = compile_model(model, read_target("loihi2"))

    moved = retarget(here.graph, read_target("loihi2"))

    assert moved.target == there.target
    assert moved.graph.precision == there.graph.precision
    for one, two in zip(moved.cores, there.cores, strict=True):
        assert (one.x, one.y, one.name) == (two.x, two.y, two.name)
        for mine, theirs in zip(one.pieces, two.pieces, strict=True):
            np.testing.assert_array_equal(mine.neurons, theirs.neurons)


def test_smaller_neurocores_take_more_of_them() -> None:
    chip = simulator()
    limits = replace(chip.neurocore, compartments=1)

    moved = retarget(graph(), replace(chip, neurocore=limits))

    assert len(moved.cores) == 4


@pytest.mark.parametrize(
    ("lacks", "needs", "why"),
    [
        ({"soft_reset": False}, {"reset": Reset.SOFT}, "no soft reset"),
        (
            {"greater_equal": False},
            {"comparison": Comparison.GREATER_EQUAL},
            "no spikes at voltage == threshold",
        ),
        (
            {"per_neuron_parameters": False},
            {"threshold": np.array([100, 101])},
            "one threshold for all neurons of a layer",
        ),
        (
            {"per_neuron_parameters": False},
            {"reset_amount": np.array([6400, 6401])},
            "one threshold for all neurons of a layer",
        ),
        (
            {"graded_spikes": False},
            {"reset": Reset.SOFT, "max_spikes": 2},
            "no graded spikes",
        ),
        (
            {"lowest_voltage": False},
            {"lowest_voltage": np.array(-5)},
            "no lowest voltage",
        ),
        (
            {"per_neuron_parameters": False},
            {"lowest_voltage": np.array([-5, -6])},
            "one threshold for all neurons of a layer",
        ),
        (
            {"graded_input_only": True},
            {"reset": Reset.SOFT, "max_spikes": 2},
            "graded spikes of the input only",
        ),
        (
            {"per_neuron_parameters": False},
            {"voltage_decay": np.array([1, 2])},
            "one decay for all neurons of a layer",
        ),
        (
            {"initial_voltage": False},
            {"initial_voltage": np.array(5)},
            "no initial voltage but 0",
        ),
        (
            {"refractory_max": 1},
            {"refractory": 2},
            r"refractory periods 0 to 1 \(needed: 0 to 2\)",
        ),
        (
            {"bias_exponent_min": 6},
            {"bias_mantissa": np.array(1), "bias_exponent": 5},
            r"exponents of biases 6 to 7 \(needed: 5 to 5\)",
        ),
        ({"current_decay_offset": 0}, {}, "another decay of the current"),
        (
            {"current_decay_min": 0},
            {"current_decay": np.array(-1)},
            r"decays of the current 0 to 4095 \(needed: -1 to 4095\)",
        ),
        (
            {"weight_exponent_min": -9, "weight_exponent_max": -1},
            {},
            r"exponents of weights -9 to -1 \(needed: 0 to 0\)",
        ),
    ],
)
def test_what_the_integers_need_is_asked_for(
    lacks: dict[str, Any], needs: dict[str, Any], why: str
) -> None:
    able = {"soft_reset": True, "greater_equal": True}

    retarget(graph(**needs), target(**able))
    with pytest.raises(
        FitError, match=rf"do not run on chip, which has {why}; compile"
    ):
        retarget(graph(**needs), target(**{**able, **lacks}))


def test_graded_input_needs_graded_spikes() -> None:
    network = graph()
    graded = replace(network, source=replace(network.source, largest_value=255))

    with pytest.raises(FitError, match="no graded spikes"):
        retarget(graded, target(graded_spikes=False))


def test_a_long_delay_needs_room() -> None:
    network = graph()
    slow = [replace(p, delay=5) for p in network.projections]

    with pytest.raises(FitError, match=r"delays 0 to 3 \(needed: 0 to 4\)"):
        retarget(replace(network, projections=tuple(slow)), target(delay_max=3))


def synapses(projection: Projection, kind: str) -> Projection:
    """Return a projection whose sums reach 260."""
    if kind == "sparse":
        weights = SparseSynapses(
            targets=np.array([0, 0, 1, 1]),
            sources=np.array([0, 1, 0, 2]),
            weights=np.array([130, 130, -200, 150]),
            size=(2, 3),
        )
        return replace(projection, synapses=weights)
    if kind == "exponent":
        return replace(dense("input", "hidden", [[65, 0, 0]] * 2, delay=1), exponent=2)
    return dense("input", "hidden", [[130, 130, -250], [-200, 20, 10]], delay=1)


@pytest.mark.parametrize("kind", ["dense", "sparse", "exponent"])
def test_the_largest_sum_needs_an_accumulator(kind: str) -> None:
    network = graph()
    first, second = network.projections
    network = replace(network, projections=(synapses(first, kind), second))

    retarget(network, target(accumulator_bits=10))
    with pytest.raises(FitError, match=r"weighted sums 0 to 255 \(needed: 0 to 260\)"):
        retarget(network, target(accumulator_bits=9))


def test_the_largest_sum_of_a_convolution_is_that_of_its_kernels() -> None:
    kernels = np.zeros((2, 1, 1, 3), np.int64)
    kernels[1, 0, 0] = (100, -250, 160)
    conv = ConvSynapses(
        weights=kernels, stride=(1, 1), padding=(0, 1), dilation=(1, 1), groups=1
    )
    network = integers(
        [population("out", (2, 1, 4), offset=1)],
        [replace(dense("input", "out", [[1]], delay=1), synapses=conv)],
        shape=(1, 1, 4),
    )

    retarget(network, target(accumulator_bits=10))
    with pytest.raises(FitError, match=r"weighted sums 0 to 255 \(needed: 0 to 260\)"):
        retarget(network, target(accumulator_bits=9))


def test_what_does_not_fit_is_refused_by_the_rules() -> None:
    chip = simulator()
    mesh = replace(chip.mesh, neurocores=1)
    small = replace(chip.neurocore, compartments=1)
    chip = replace(chip, mesh=mesh, board=Board(), neurocore=small)

    with pytest.raises(FitError, match="does not fit"):
        retarget(graph(), chip)


def test_branches_that_meet_are_refused_where_the_target_has_no_sums_of_them() -> None:
    network = graph()
    around = dense("input", "out", [[2, 4, 6], [2, 4, 6]], delay=2)
    joined = replace(network, projections=(*network.projections, around))

    retarget(joined, target())
    with pytest.raises(FitError, match="out: receives what hidden and input send"):
        retarget(joined, target(sums_of_branches=False))
