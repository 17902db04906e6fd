"""The folding passes: the same function with fewer layers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

from snn_deploy.compiler.lower.fold_batchnorm import fold_batchnorm
from snn_deploy.compiler.lower.fold_input import fold_input
from snn_deploy.compiler.lower.integrate_readout import integrate_readout
from snn_deploy.compiler.lower.merge_chains import merge_chains
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.errors import PassError
from snn_deploy.ir.floating import accumulate, evaluate, pooled
from snn_deploy.ir.graph import Functional, Graph, Training
from snn_deploy.ir.neurons import Integrator
from snn_deploy.ir.nodes import Add, AvgPool2d, BatchNorm, Flatten
from snn_deploy.ir.scatter import SparseLinear
from snn_deploy.ir.stimuli import Encoding
from tests.build import (
    TRAINING,
    batch_norm,
    chain,
    conv,
    graph,
    images,
    lif,
    linear,
    rng,
    simulator,
)


def assert_same(before: Graph, after: Graph) -> None:
    stimuli = images(3, before.input.shape)
    np.testing.assert_allclose(
        evaluate(after, stimuli), evaluate(before, stimuli), atol=1e-9
    )


def pool(
    name: str, shape: tuple[int, ...], size: int, stride: int = 0, **changes: Any
) -> AvgPool2d:
    step = stride or size
    kernel, every = (size, size), (step, step)
    return AvgPool2d(name=name, kernel=kernel, stride=every, shape=shape, **changes)


# around the input, and the sum instead of the mean
OTHER_POOLS: list[dict[str, Any]] = [{}, {"padding": (1, 0)}, {"is_sum": True}]


def test_batch_norm_behind_linear_and_convolution_disappears() -> None:
    before = chain(
        conv("conv", (2, 6, 6), 3),
        batch_norm("norm1", (3, 6, 6)),
        lif("lif", (3, 6, 6)),
        Flatten(name="flat", shape=(3, 6, 6)),
        linear("fc", 108, 4),
        batch_norm("norm2", (4,)),
    )

    after = fold_batchnorm(before)

    assert not after.nodes_of(BatchNorm)
    assert_same(before, after)


def test_graph_without_batch_norm_is_left_alone() -> None:
    before = chain(linear("fc1", 3, 2), lif("lif", (2,)), linear("fc2", 2, 2))

    assert fold_batchnorm(before) is before


def test_layer_that_feeds_another_node_is_not_folded() -> None:
    nodes = [
        linear("fc", 3, 2),
        batch_norm("norm", (2,)),
        lif("a", (2,)),
        lif("b", (2,)),
        Add(name="sum", shape=(2,)),
        linear("out", 2, 2),
    ]
    before = graph(
        nodes, "input>fc fc>norm norm>a fc>b a>sum b>sum sum>out", shape=(3,)
    )

    after = fold_batchnorm(before)

    assert after.nodes_of(BatchNorm)
    assert_same(before, merge_chains(after))


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(2, 2, 1), (3, 2, 0), (2, 3, 0)]
)
def test_pooling_before_a_convolution_widens_its_kernel(
    size: int, stride: int, padding: int
) -> None:
    shape = (2, 8, 8)
    pooled = pool("pool", shape, size, stride)
    before = chain(
        pooled, conv("conv", pooled.output_shape, 3, padding=(padding, padding))
    )

    after = merge_chains(before)

    assert not after.nodes_of(AvgPool2d)
    assert_same(before, after)


@pytest.mark.parametrize("changes", OTHER_POOLS[1:])
def test_padded_and_summing_pooling_before_a_convolution(
    changes: dict[str, Any],
) -> None:
    pooled = pool("pool", (2, 8, 7), 3, 2, **changes)
    before = chain(pooled, conv("conv", pooled.output_shape, 3, padding=(0, 0)))

    after = merge_chains(before)

    assert not after.nodes_of(AvgPool2d)
    assert_same(before, after)


@pytest.mark.parametrize("changes", OTHER_POOLS)
def test_pooling_before_a_linear_layer_repeats_its_weights(
    changes: dict[str, Any],
) -> None:
    pooled = pool("pool", (2, 7, 7), 2, **changes)
    flat = Flatten(name="flat", shape=pooled.output_shape)
    before = chain(pooled, flat, linear("fc", flat.output_shape[0], 4))

    after = merge_chains(before)

    assert not after.nodes_of(AvgPool2d)
    assert_same(before, after)


@pytest.mark.parametrize("changes", OTHER_POOLS)
def test_pooling_before_neurons_becomes_a_convolution_of_each_channel(
    changes: dict[str, Any],
) -> None:
    pooled = pool("pool", (2, 6, 6), 3, **changes)
    before = chain(pooled, lif("lif", pooled.output_shape))

    after = merge_chains(before)

    assert not after.nodes_of(AvgPool2d)
    assert_same(before, after)


def test_pooling_that_feeds_two_convolutions_is_folded_into_both() -> None:
    pooled = pool("pool", (2, 6, 6), 2)
    nodes = [
        pooled,
        conv("a", (2, 3, 3), 4, seed=1),
        conv("b", (2, 3, 3), 4, seed=2),
        Add(name="sum", shape=(4, 3, 3)),
        lif("lif", (4, 3, 3)),
    ]
    arrows = "input>pool pool>a pool>b a>sum b>sum sum>lif"
    before = graph(nodes, arrows, shape=(2, 6, 6))

    after = merge_chains(before)

    assert not after.nodes_of(AvgPool2d)
    assert_same(before, after)


@pytest.mark.parametrize(
    ("shape", "size", "stride", "margin"),
    [
        ((2, 7, 7), 2, 2, 1),  # the margin makes the last window whole
        ((2, 7, 9), 3, 2, 1),  # windows overlap, but not beyond the margin
        ((2, 8, 5), 2, 3, 0),  # gaps between windows
    ],
)
def test_padding_around_windows_that_meet_the_edge_is_folded(
    shape: tuple[int, ...], size: int, stride: int, margin: int
) -> None:
    pooled = pool("pool", shape, size, stride, padding=(margin, margin))
    before = chain(pooled, conv("conv", pooled.output_shape, 2))

    after = merge_chains(before)

    assert not after.nodes_of(AvgPool2d)
    assert_same(before, after)


@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2)])
def test_padding_where_the_input_has_a_rest_or_windows_overlap_takes_synapses(
    size: int, stride: int
) -> None:
    pooled = pool("pool", (1, 7, 8), size, stride)
    before = chain(pooled, conv("conv", pooled.output_shape, 2))

    after = merge_chains(before)

    assert isinstance(after.node("conv"), SparseLinear)
    assert_same(before, after)


def odd_sizes() -> Graph:
    """Return a pooling that leaves a row and two columns unread, and one behind it."""
    first, second = pool("one", (3, 7, 11), 3), pool("two", (2, 2, 3), 2)
    return chain(
        conv("conv", (2, 7, 11), 3, dilation=(1, 2), padding=(1, 2)),
        lif("a", (3, 7, 11), bias=rng(2).normal(size=(3, 7, 11)) / 9),
        first,
        conv("next", first.output_shape, 2),
        lif("b", (2, 2, 3)),
        second,
        conv("last", second.output_shape, 4),
        lif("c", (4, 1, 1)),
        training=replace(TRAINING, input_offset=0.5),
    )


def test_neurons_behind_the_last_window_are_left_out_where_a_layer_pads() -> None:
    before = odd_sizes()

    after = merge_chains(before)

    shapes = [after.node(name).output_shape for name in ("a", "b", "c")]
    assert shapes == [(3, 6, 9), (2, 2, 2), (4, 1, 1)]
    assert_same(before, after)


def test_network_with_rests_compiles_with_fewer_neurons() -> None:
    network = compile_model(odd_sizes(), simulator())

    populations = [p.shape for p in network.graph.populations]
    assert populations == [(3, 6, 9), (2, 2, 2), (4, 1, 1)]
    assert sum(core.n_compartments for core in network.cores) == 162 + 8 + 4


def test_neurons_of_a_residual_block_are_left_out_but_those_that_others_read() -> None:
    pooled = pool("pool", (2, 5, 5), 2)
    nodes = [
        conv("conv", (2, 5, 5), 2, seed=1),
        lif("a", (2, 5, 5)),
        conv("b", (2, 5, 5), 2, seed=2),
        Add(name="sum", shape=(2, 5, 5)),
        lif("c", (2, 5, 5)),
        pooled,
        conv("last", (2, 2, 2), 3, seed=3),
        lif("d", (3, 2, 2)),
    ]
    arrows = "input>conv conv>a a>b b>sum a>sum sum>c c>pool pool>last last>d"
    before = graph(nodes, arrows, shape=(2, 5, 5))

    after = merge_chains(before)

    shapes = {name: after.node(name).output_shape[1:] for name in ("a", "c")}
    assert shapes == {"a": (5, 5), "c": (4, 4)}
    assert_same(before, after)


def test_neurons_that_another_layer_reads_are_not_left_out_but_single_synapses() -> (
    None
):
    pooled = pool("pool", (2, 5, 5), 2)
    nodes = [
        conv("conv", (2, 5, 5), 2),
        lif("a", (2, 5, 5)),
        pooled,
        conv("b", (2, 2, 2), 2),
        conv("again", (2, 5, 5), 2),
        lif("c", (2, 2, 2)),
    ]
    arrows = "input>conv conv>a a>again again>a:1 a>pool pool>b b>c"
    before = graph(nodes, arrows, shape=(2, 5, 5))

    after = merge_chains(before)

    assert isinstance(after.node("b"), SparseLinear)
    assert after.node("a").output_shape == (2, 5, 5)
    assert_same(before, after)


@pytest.mark.parametrize("offset", [0.0, -0.5])
def test_input_scale_and_offset_move_into_the_first_layer(offset: float) -> None:
    training = Training(
        timesteps=3, encoding=Encoding.DIRECT, input_scale=3.0, input_offset=offset
    )
    before = chain(conv("conv", (2, 5, 5), 3), lif("lif", (3, 5, 5)), training=training)

    after = fold_input(before)

    assert (after.training.input_scale, after.training.input_offset) == (255, 0)
    assert_same(before, after)


def test_input_that_feeds_neurons_directly_is_refused() -> None:
    with pytest.raises(PassError, match="lif: takes the input of the network"):
        fold_input(chain(lif("lif", (3,))))


def test_linear_read_out_becomes_integrators_whose_voltage_is_the_sum() -> None:
    before = chain(linear("fc", 4, 3))

    after = integrate_readout(before)

    stimuli = images(2, (4,))
    assert isinstance(after.output, Integrator)
    np.testing.assert_allclose(
        accumulate(evaluate(after, stimuli), Functional.LAST),
        accumulate(evaluate(before, stimuli), Functional.SUM),
    )


def test_linear_read_out_of_the_last_timestep_is_refused() -> None:
    training = Training(
        timesteps=3, encoding=Encoding.DIRECT, functional=Functional.LAST
    )

    with pytest.raises(PassError, match="fc: a linear read-out is summed"):
        integrate_readout(chain(linear("fc", 4, 3), training=training))


@pytest.mark.parametrize("padding", [(0, 0), (1, 0)])
def test_float_pooling_is_that_of_pytorch(padding: tuple[int, int]) -> None:
    node = pool("pool", (2, 7, 5), 3, 2, padding=padding)
    x = rng(1).normal(size=(2, 2, 7, 5))

    expected = avg_pool2d(torch.as_tensor(x), 3, 2, padding).numpy()

    np.testing.assert_allclose(pooled(node, x), expected, atol=1e-12)
    total = pooled(replace(node, is_sum=True), x)
    np.testing.assert_allclose(total, 9 * expected, atol=1e-12)


def test_pooling_that_feeds_a_sum_and_a_convolution_serves_both() -> None:
    nodes = [
        pool("pool", (2, 6, 6), 2),
        conv("a", (2, 3, 3), 2),
        lif("first", (2, 3, 3)),
        Add(name="sum", shape=(2, 3, 3)),
        lif("lif", (2, 3, 3)),
    ]
    arrows = "input>pool pool>a a>first first>sum pool>sum sum>lif"
    before = graph(nodes, arrows, shape=(2, 6, 6))

    after = merge_chains(before)

    assert not after.nodes_of(AvgPool2d)
    assert_same(before, after)
    compile_model(after, simulator())


def test_a_sum_of_pooled_values_is_weighed_by_the_layer_behind_it() -> None:
    nodes = [
        pool("pool", (2, 6, 6), 2),
        conv("a", (2, 3, 3), 2),
        lif("first", (2, 3, 3)),
        Add(name="sum", shape=(2, 3, 3)),
        conv("b", (2, 3, 3), 2),
        lif("lif", (2, 3, 3)),
    ]
    arrows = "input>pool pool>a a>first first>sum pool>sum sum>b b>lif"
    before = graph(nodes, arrows, shape=(2, 6, 6))

    after = merge_chains(before)

    assert not after.nodes_of(AvgPool2d)
    assert_same(before, after)
