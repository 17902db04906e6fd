"""partition, place and rules: each neuron on a neurocore, or all that is over."""

from dataclasses import replace

import numpy as np
import pytest

from snn_deploy.chip.neurocore import INPUT_AXONS
from snn_deploy.chip.target import Board, Target
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.map.loads import Bounds, LoadModel
from snn_deploy.compiler.map.partition import partition
from snn_deploy.compiler.map.place import place
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.errors import FitError, PassError
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.mapped import MappedNetwork, reached
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.nodes import Flatten
from snn_deploy.ir.synapses import (
    ConvSynapses,
)
from tests.build import (
    RATE,
    chain,
    conv,
    dense,
    integers,
    lif,
    linear,
    population,
    rng,
    simulator,
)


def network(target: Target) -> MappedNetwork:
    return compile_model(model(), target)


def model() -> Graph:
    return chain(
        conv("conv1", (1, 28, 28), 16),
        lif("a", (16, 28, 28)),
        conv("conv2", (16, 28, 28), 16, stride=(2, 2)),
        lif("b", (16, 14, 14)),
        Flatten(name="flat", shape=(16, 14, 14)),
        linear("fc", 3136, 10),
        lif("c", (10,)),
        training=RATE,
    )


@pytest.mark.parametrize("name", ["loihi-sim", "loihi1", "loihi2"])
def test_every_neuron_lies_on_exactly_one_neurocore(name: str) -> None:
    mapped = network(read_target(name))

    for q in mapped.graph.populations:
        found = np.concatenate(
            [
                piece.neurons
                for core in mapped.cores
                for piece in core.pieces
                if piece.population == q.name
            ]
        )
        np.testing.assert_array_equal(np.sort(found), np.arange(q.size))


def test_no_neurocore_is_over_its_limits() -> None:
    target = read_target("loihi1")

    mapped = network(target)

    for core in mapped.cores:
        for what, found in core.taken(target.neurocore).items():
            assert found <= target.neurocore.room[what]


def test_axons_of_a_core_are_the_distinct_senders_that_reach_it() -> None:
    target = read_target("loihi1")
    single = replace(target.neurocore, neurons_per_axon=1)
    mapped = network(replace(target, neurocore=single))

    for position, core in enumerate(mapped.cores):
        n_axons = sum(
            int((routes.synapses[:, position] > 0) @ routes.kinds.n_neurons)
            for routes in mapped.routes.values()
        )
        assert core.taken(single)[INPUT_AXONS] == n_axons


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [
        ((1, 1), (1, 1), (1, 1), 1),
        ((2, 1), (0, 2), (1, 1), 2),
        ((1, 2), (2, 0), (2, 1), 1),
    ],
)
def test_synapses_of_a_convolution_are_those_of_the_matrix_it_is(
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> None:
    layer = conv(
        "conv",
        (2, 6, 7),
        4,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )
    before = chain(layer, lif("a", layer.output_shape), training=RATE)
    graph = compile_model(before, simulator()).graph
    projection = graph.projections[0]
    assert isinstance(projection.synapses, ConvSynapses)
    size = int(np.prod(layer.output_shape))
    cores = rng().integers(0, 3, size)

    found = projection.synapses.read_on(cores, 3, (2, 6, 7))

    basis = np.eye(2 * 6 * 7).reshape(-1, 2, 6, 7)
    ones = np.ones(layer.weight.shape)
    reached = layer.convolve(basis, ones).reshape(len(basis), -1)
    expected = np.stack([reached[:, cores == core].sum(axis=1) for core in range(3)], 1)
    np.testing.assert_array_equal(found.toarray(), expected)


def test_nothing_is_sent_to_a_neurocore_without_synapses() -> None:
    mapped = network(simulator())
    projection = mapped.graph.projections[-1]
    cores = np.ones(10, np.int64)  # all of the dense layer, of two

    found = projection.synapses.read_on(cores, 2, (3136,))

    assert reached(found).toarray().tolist() == [[0, 1]] * 3136


def test_a_network_that_does_not_fit_lists_everything_that_is_over() -> None:
    tiny = replace(simulator(), board=Board())
    tiny = replace(
        tiny,
        neurocore=replace(tiny.neurocore, compartments=4, synaptic_memory_bits=64),
        mesh=replace(tiny.mesh, neurocores=3),
    )
    before = chain(
        linear("fc", 40, 10),
        lif("a", (10,)),
        linear("fc2", 10, 3),
        lif("b", (3,)),
        training=RATE,
    )

    with pytest.raises(FitError) as caught:
        compile_model(before, tiny)

    text = str(caught.value)
    assert "loihi-sim, one chip: 4 neurocores, allowed are 3" in text
    # 40 inputs * 8 bits for each of at most 4 neurons
    assert (
        "a: up to 1280 bits of synaptic memory, on 3 neurocores, allowed are 64" in text
    )
    assert "b: 240 bits of synaptic memory, allowed are 64" in text


def test_strict_refuses_every_lossy_step_and_lists_them() -> None:
    with pytest.raises(FitError, match="--strict allows no lossy step") as caught:
        compile_model(model(), simulator(), is_strict=True)

    assert "conv2: round weights, 2304 values" in str(caught.value)


def test_one_cut_serves_dense_layers_too() -> None:
    target = read_target("loihi1")
    before = chain(
        linear("fc", 900, 600),
        lif("a", (600,), reset=Reset.HARD),
        linear("fc2", 600, 10),
        lif("b", (10,)),
        training=RATE,
    )
    graph = compile_model(before, target).graph

    cut = partition(graph, target)

    # 900 * 600 weights of 8 bits need at least 4.1 times 2**20 bits
    assert len([p for p in cut.pieces if p.population == "a"]) == 5
    assert len(place(cut, target).cores) == len(cut.pieces)


def test_goals_and_times_that_cannot_be_are_refused() -> None:
    with pytest.raises(PassError, match="no goal 'speed'; choose from energy, latency"):
        compile_model(model(), simulator(), optimize="speed")
    for seconds in (0.0, -1.0, float("nan")):
        with pytest.raises(PassError, match="is not over 0; give the search some time"):
            compile_model(model(), simulator(), seconds=seconds)


def test_neurons_that_nothing_reaches_are_mapped_too() -> None:
    graph = integers(
        [population("a", (3,)), population("b", (2,))],
        [dense("a", "b", np.ones((2, 3)))],
        shape=(1,),
    )

    found = partition(graph, read_target("loihi-sim"))

    assert [piece.population for piece in found.pieces] == ["a", "b"]


def test_bound_of_neurons_whose_weights_lie_one_by_one_is_not_over_what_they_take() -> (
    None
):
    target = simulator()
    kernel = np.full((4, 1, 3, 3), 2)
    synapses = ConvSynapses(
        weights=kernel, stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1
    )
    flat = integers(
        [population("a", (8,))],
        [dense("input", "a", [[2]], synapses=synapses)],
        shape=(1, 2, 1),
    )
    small = replace(target.neurocore, synaptic_memory_bits=4 * 4 * 8)
    target = replace(target, neurocore=small)

    found = partition(flat, target)

    bounds = Bounds(LoadModel(graph=flat, target=target))
    assert len(found.pieces) == bounds.least(flat.populations[0]) == 1


def test_no_places_are_searched_for_a_network_that_does_not_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny = replace(simulator(), board=Board())
    tiny = replace(
        tiny,
        neurocore=replace(tiny.neurocore, compartments=4),
        mesh=replace(tiny.mesh, neurocores=1),
    )
    before = chain(linear("fc", 40, 10), lif("a", (10,)), training=RATE)
    search = "snn_deploy.compiler.map.place.annealed"
    monkeypatch.setattr(search, lambda *given: pytest.fail("searched"))

    with pytest.raises(FitError, match="3 neurocores, allowed are 1"):
        compile_model(before, tiny)
