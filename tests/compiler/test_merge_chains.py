"""merge_chains: layers without neurons between them are one, exactly."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn_deploy.backends.registry import open_backend
from snn_deploy.compiler.lower.compose import added
from snn_deploy.compiler.lower.merge_chains import grown, merge_chains
from snn_deploy.compiler.pipeline import compile_model, to_spiking
from snn_deploy.cutoff.monitor import collect_scores
from snn_deploy.errors import ModelError, PassError
from snn_deploy.ir.floating import evaluate, weighted
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Neuron
from snn_deploy.ir.nodes import (
    Add,
    AvgPool2d,
    Conv2d,
    Flatten,
    Linear,
    Node,
    affine,
    shifted,
)
from snn_deploy.ir.scatter import (
    Channels,
    ConvTranspose2d,
    Section,
    SparseLinear,
    Upsample2d,
)
from tests.build import (
    RATE,
    batch_norm,
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

WEIGHTS = (Linear, Conv2d, SparseLinear)


def assert_merged(before: Graph) -> Graph:
    """Return the merged graph, seen to be one layer deep and to compute the same."""
    after = merge_chains(before)
    stimuli = trains(3, 6, before.input.shape)
    expected = evaluate(before, stimuli)
    found = evaluate(after, stimuli)
    np.testing.assert_allclose(found, expected, atol=1e-9, rtol=1e-9)
    assert np.ptp(expected) > 0
    kinds = (*WEIGHTS, Neuron, Add, Flatten)
    assert all(isinstance(node, kinds) for node in after.nodes if node != after.input)
    for node in after.nodes:
        if isinstance(node, WEIGHTS):
            assert not any(isinstance(s, WEIGHTS) for s in after.sources(node))
    return after


def read_out(*nodes: Node) -> Graph:
    last = integrator("out", nodes[-1].output_shape)
    return chain(*nodes, last, training=RATE)


def test_two_linear_layers_are_one_matrix() -> None:
    after = assert_merged(read_out(linear("a", 6, 4), linear("b", 4, 3)))

    assert [node.name for node in after.nodes] == ["input", "a+b", "out"]


def test_depthwise_and_pointwise_convolutions_are_one() -> None:
    depthwise = conv("depthwise", (4, 6, 6), 4, groups=4)
    after = assert_merged(
        read_out(
            depthwise, conv("pointwise", (4, 6, 6), 5, kernel=(1, 1), padding=(0, 0))
        )
    )

    merged = after.node("depthwise+pointwise")
    assert isinstance(merged, Conv2d)
    assert merged.weight.shape == (5, 4, 3, 3)


def test_pointwise_before_a_padded_convolution_keeps_its_kernel_and_dilation() -> None:
    pointwise = conv("a", (2, 7, 7), 3, kernel=(1, 1), padding=(0, 0))
    dilated = conv("b", (3, 7, 7), 4, dilation=(2, 2), padding=(2, 2))
    after = assert_merged(read_out(pointwise, dilated))

    merged = after.node("a+b")
    assert isinstance(merged, Conv2d)
    assert (merged.weight.shape, merged.dilation) == ((4, 2, 3, 3), (2, 2))
    assert merged.bias.shape == (4, 7, 7)  # the padding has none of the bias before it


@pytest.mark.parametrize(
    "nodes",
    [
        lambda: [
            conv("conv", (1, 6, 6), 4),
            batch_norm("norm", (4, 6, 6)),
            AvgPool2d(name="pool", kernel=(2, 2), stride=(2, 2), shape=(4, 6, 6)),
        ],
        lambda: [
            AvgPool2d(name="pool", kernel=(2, 2), stride=(2, 2), shape=(2, 8, 8)),
            batch_norm("norm", (2, 4, 4)),
            conv("conv", (2, 4, 4), 3),
        ],
        lambda: [batch_norm("norm", (3, 6, 6)), conv("conv", (3, 6, 6), 4)],
        lambda: [
            conv("conv", (2, 6, 6), 5, kernel=(1, 1), padding=(0, 0)),
            AvgPool2d(name="all", kernel=(6, 6), stride=(6, 6), shape=(5, 6, 6)),
            Flatten(name="flat", shape=(5, 1, 1)),
            linear("fc", 5, 3),
            batch_norm("norm", (3,)),
        ],
        lambda: [
            affine("ten", (3, 6, 6), np.array(10.0), np.array(-0.5)),
            conv("conv", (3, 6, 6), 4),
            affine("half", (4, 6, 6), np.full(4, 0.5), np.array(0.0)),
        ],
        lambda: [
            conv("conv", (2, 4, 4), 3),
            Flatten(name="flat", shape=(3, 4, 4)),
            batch_norm("norm", (48,)),
        ],
        lambda: [Upsample2d(name="up", shape=(2, 3, 4), factor=(2, 3))],
        lambda: [
            Upsample2d(name="up", shape=(2, 3, 3), factor=(2, 2)),
            conv("conv", (2, 6, 6), 3),
        ],
        lambda: [
            conv("conv", (2, 4, 4), 3),
            batch_norm("norm", (3, 4, 4)),
            Upsample2d(name="up", shape=(3, 4, 4), factor=(2, 2)),
            Flatten(name="flat", shape=(3, 8, 8)),
            linear("fc", 192, 4),
        ],
    ],
    ids=[
        "conv-norm-pool",
        "pool-norm-conv",
        "norm of the input",
        "head of pooled currents",
        "factors",
        "norm of a row",
        "upsampling",
        "upsampling-conv",
        "upsampling-linear",
    ],
)
def test_chain_is_one_layer(nodes: Callable[[], Sequence[Node]]) -> None:
    after = assert_merged(read_out(*nodes()))

    assert sum(isinstance(node, WEIGHTS) for node in after.nodes) == 1


def transposed(shape: tuple[int, int, int], n_out: int, **changes: Any) -> Node:
    groups = changes.get("groups", 1)
    kernel = changes.pop("kernel", (3, 3))
    settings = {
        "stride": (2, 2),
        "padding": (1, 1),
        "output_padding": (1, 0),
        "dilation": (1, 1),
        "groups": 1,
        **changes,
    }
    draw = rng(4)
    return ConvTranspose2d(
        name="transposed",
        weight=draw.normal(size=(shape[0], n_out // groups, *kernel)),
        bias=draw.normal(size=n_out),
        shape=shape,
        **settings,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"groups": 2},
        {"stride": (1, 3), "dilation": (2, 1), "output_padding": (0, 2)},
        {"kernel": (2, 4), "padding": (0, 1), "output_padding": (0, 1)},
    ],
    ids=str,
)
def test_transposed_convolution_is_that_of_pytorch_and_single_synapses(
    changes: dict[str, Any],
) -> None:
    torch = pytest.importorskip("torch")
    node = transposed((4, 5, 6), 6, **changes)
    assert isinstance(node, ConvTranspose2d)
    x = rng(2).normal(size=(2, 4, 5, 6))
    expected = torch.nn.functional.conv_transpose2d(
        *(torch.tensor(a.copy()) for a in (x, node.weight, node.bias)),
        node.stride,
        node.padding,
        node.output_padding,
        node.groups,
        node.dilation,
    ).numpy()

    after = assert_merged(read_out(node))

    np.testing.assert_allclose(weighted(node, x), expected, atol=1e-12)
    assert isinstance(after.node("transposed"), SparseLinear)


sizes = st.integers(1, 3)
pairs = st.tuples(sizes, sizes)


@st.composite
def convolutions(draw: st.DrawFn) -> Graph:
    """Draw two or three convolutions, or poolings, in a row."""
    shape: tuple[int, ...] = (2 * draw(sizes), draw(st.integers(4, 9)), 7)
    nodes: list[Node] = []
    for number in range(draw(st.integers(2, 3))):
        n_out = 2 * draw(sizes)
        groups = draw(st.sampled_from([n for n in (1, 2) if shape[0] % n == 0]))
        settings = {
            "kernel": draw(pairs),
            "stride": draw(pairs),
            "padding": draw(st.tuples(st.integers(0, 2), st.integers(0, 2))),
            "dilation": draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        }
        if draw(st.booleans()) and draw(st.booleans()):
            groups = n_out = shape[0]
        try:
            node = conv(
                f"c{number}", shape, n_out, seed=number, groups=groups, **settings
            )
        except ModelError:  # nothing is left of the map
            break
        nodes.append(node)
        shape = node.output_shape
    return read_out(*(nodes or [conv("only", shape, 2)]))


@settings(max_examples=150, deadline=None)
@given(convolutions())
def test_chain_of_convolutions_computes_what_they_do_one_by_one(before: Graph) -> None:
    assert_merged(before)


def test_padding_in_the_middle_of_a_chain_becomes_single_synapses() -> None:
    after = assert_merged(read_out(conv("a", (2, 6, 6), 3), conv("b", (3, 6, 6), 2)))

    merged = after.node("a+b")
    assert isinstance(merged, SparseLinear)
    assert merged.weight.size < 2 * 2 * 36 * 25  # fewer at the border


def test_single_synapses_that_no_chip_holds_are_refused_with_their_bytes() -> None:
    before = read_out(conv("a", (64, 32, 32), 64), conv("b", (64, 32, 32), 64))

    with pytest.raises(PassError, match=r"b: behind a, .*takes [\d,]+ single.* bytes"):
        merge_chains(before)


def test_sum_of_layers_is_weighed_part_by_part() -> None:
    nodes = [
        conv("a", (2, 6, 6), 3, seed=1),
        conv("b", (2, 6, 6), 3, seed=2),
        lif("neurons", (3, 6, 6)),
        Add(name="sum", shape=(3, 6, 6)),
        conv("c", (3, 6, 6), 4, kernel=(1, 1), padding=(0, 0)),
        lif("out", (4, 6, 6)),
    ]
    arrows = "input>a input>b b>neurons a>sum neurons>sum sum>c c>out"

    after = assert_merged(graph(nodes, arrows, shape=(2, 6, 6), training=RATE))

    assert {node.name for node in after.nodes} >= {"a+c", "c"}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(sizes, st.integers(0, 2), st.integers(1, 2)), min_size=2, max_size=3
    ),
    st.integers(1, 2),
    st.sampled_from([1, 2]),
)
def test_convolutions_side_by_side_add_up(
    kernels: list[tuple[int, int, int]], stride: int, groups: int
) -> None:
    layers: list[Conv2d] = []
    for number, (size, padding, dilation) in enumerate(kernels):
        settings = {
            "kernel": (size, size),
            "padding": (padding, padding),
            "dilation": (dilation, dilation),
            "stride": (stride, stride),
            "groups": groups,
        }
        layers.append(conv(f"c{number}", (2, 8, 8), 4, seed=number, **settings))
    least = [min(n.output_shape[axis] for n in layers) for axis in (1, 2)]
    layers = [
        replace(n, cropped=(n.output_shape[1] - least[0], n.output_shape[2] - least[1]))
        for n in layers
    ]
    total = Add(name="sum", shape=layers[0].output_shape)
    arrows = [f"input>c{i} c{i}>sum" for i in range(len(layers))]
    before = graph(
        [*layers, total, lif("out", total.shape)],
        " ".join([*arrows, "sum>out"]),
        shape=(2, 8, 8),
        training=RATE,
    )

    both = added(layers[0], layers[1])
    assert both is not None
    one = both if len(layers) == 2 else added(both, layers[2])
    assert one is not None
    alone = graph(
        [one, lif("out", total.shape)],
        f"input>{one.name} {one.name}>out",
        shape=(2, 8, 8),
        training=RATE,
    )
    stimuli = trains(3, 6, (2, 8, 8))
    after = assert_merged(before)

    found, expected = evaluate(alone, stimuli), evaluate(before, stimuli)
    np.testing.assert_allclose(found, expected, atol=1e-9, rtol=1e-9)
    assert len(after.nodes_of(Conv2d)) == len(layers)  # each has its own grid


def test_layer_that_feeds_two_is_merged_into_both() -> None:
    nodes = [
        linear("a", 5, 4),
        linear("b", 4, 3, seed=2),
        lif("one", (3,)),
        batch_norm("norm", (4,)),
        lif("two", (4,)),
        Channels(name="left", shape=(3,), first=0, n_channels=7),
        Channels(name="right", shape=(4,), first=3, n_channels=7),
        Add(name="cat", shape=(7,)),
        linear("c", 7, 2),
        integrator("out", (2,)),
    ]
    arrows = (
        "input>a a>b b>one a>norm norm>two one>left two>right left>cat right>cat "
        "cat>c c>out"
    )

    assert_merged(graph(nodes, arrows, shape=(5,), training=RATE))


def test_concatenated_maps_are_weighed_channel_by_channel() -> None:
    nodes = [
        conv("a", (2, 6, 6), 3, seed=1),
        lif("one", (3, 6, 6)),
        conv("b", (2, 6, 6), 2, seed=2),
        lif("two", (2, 6, 6)),
        Channels(name="left", shape=(3, 6, 6), first=0, n_channels=5),
        Channels(name="right", shape=(2, 6, 6), first=3, n_channels=5),
        Add(name="cat", shape=(5, 6, 6)),
        conv("c", (5, 6, 6), 4),
        lif("three", (4, 6, 6)),
        lif("direct", (5, 6, 6)),
        Flatten(name="flat", shape=(5, 6, 6)),
        linear("fc", 180, 3),
        Flatten(name="flat3", shape=(4, 6, 6)),
        linear("fc3", 144, 3),
        integrator("out", (3,)),
    ]
    arrows = (
        "input>a a>one input>b b>two one>left two>right left>cat right>cat cat>c "
        "c>three three>flat3 flat3>fc3 cat>direct direct>flat flat>fc fc3>out fc>out"
    )

    after = assert_merged(graph(nodes, arrows, shape=(2, 6, 6), training=RATE))

    kernels = [n.weight.shape for n in after.nodes_of(Conv2d) if n.name.startswith("c")]
    assert sorted(kernels) == [(4, 2, 3, 3), (4, 3, 3, 3)]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Channels(name="part", shape=(3,), first=6, n_channels=8),
            "part: 3 channels from 6 on do not lie in the 8",
        ),
        (
            lambda: Channels(name="part", shape=(), first=0, n_channels=8),
            "part: 0 channels",
        ),
        (
            lambda: Section(name="part", shape=(9,), first=4, onto=(2, 3)),
            r"part: \(2, 3\) from value 4 on does not lie in an input of \(9,\)",
        ),
        (lambda: Section(name="part", shape=(9,), first=0, onto=()), "part: "),
        (
            lambda: Upsample2d(name="up", shape=(3,), factor=(2, 2)),
            "up: factors .* needed are 3 axes",
        ),
        (lambda: single(targets=[0, 9]), r"single: a weight lies outside of \(3,\)"),
        (lambda: single(targets=[0, 0.5]), "single: a weight lies outside"),
        (lambda: single(targets=[0]), r"single: \(2,\) weights from"),
        (lambda: single(onto=()), "single: leads from"),
        (lambda: single(bias=np.zeros(2)), "single: bias has shape"),
        (lambda: shifted("pad", (2, 4, 4), (0, 1 << 30), (0, 0)), "pad: pads .* rows"),
        (lambda: shifted("pad", (2,), (0, 1), (0, 0)), "pad: pads an output of"),
        (lambda: transposed((4, 5, 6), 6, padding=(9, 9)), "leaves nothing of the"),
        (lambda: transposed((3, 5, 6), 4, groups=2), "takes 3 in 2 groups"),
    ],
)
def test_layers_that_contradict_themselves_are_refused(
    make: Callable[[], Node], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        make()


def single(**changes: Any) -> Node:
    values: dict[str, Any] = {
        "weight": [1, 2],
        "targets": [0, 1],
        "sources": [1, 1],
        "bias": np.zeros(3),
        "shape": (2,),
        "onto": (3,),
        **changes,
    }
    arrays: dict[str, Any] = {
        name: np.array(value, np.float64) if isinstance(value, list) else value
        for name, value in values.items()
    }
    return SparseLinear(name="single", **arrays)


def test_concatenations_that_no_memory_holds_are_refused() -> None:
    part = Channels(name="part", shape=(9000, 1, 1), first=0, n_channels=9000)

    with pytest.raises(PassError, match="part: takes 81,000,000 single"):
        merge_chains(read_out(part))


def test_bias_that_comes_late_without_neurons_is_refused() -> None:
    nodes = [linear("a", 4, 3), linear("b", 3, 2), lif("out", (2,))]
    before = graph(nodes, "input>a a>b:2 b>out", shape=(4,), training=RATE)

    with pytest.raises(PassError, match="b: gets the bias of a 2 timesteps late"):
        merge_chains(before)


def test_loop_of_weights_alone_is_refused() -> None:
    nodes = [Add(name="sum", shape=(3,)), linear("a", 3, 3), lif("out", (3,))]
    before = graph(nodes, "input>sum sum>a a>sum:1 a>out", shape=(3,), training=RATE)

    with pytest.raises(PassError, match="a loop without neurons"):
        merge_chains(before)


def test_input_beside_neurons_keeps_its_scale() -> None:
    nodes = [
        conv("a", (2, 5, 5), 2),
        lif("neurons", (2, 5, 5)),
        Add(name="sum", shape=(2, 5, 5)),
        conv("b", (2, 5, 5), 2),
        lif("out", (2, 5, 5)),
        lif("bare", (2, 5, 5)),
        Add(name="both", shape=(2, 5, 5)),
        integrator("last", (2, 5, 5)),
    ]
    arrows = (
        "input>a a>neurons neurons>sum input>sum sum>b b>out input>bare out>both "
        "bare>both both>last"
    )
    before = graph(nodes, arrows, shape=(2, 5, 5))  # of bytes, divided by 255

    spiking = to_spiking(before)

    stimuli = images(3, (2, 5, 5))
    np.testing.assert_allclose(
        evaluate(spiking, stimuli), evaluate(before, stimuli), atol=1e-9
    )
    compile_model(before, simulator())


def whole(node: Any) -> Any:
    """Return a weight layer whose weights are small whole numbers, without a bias."""
    weight = rng(len(node.name)).choice([-1, 0, 0, 1, 1], node.weight.shape)
    return replace(node, weight=weight, bias=np.zeros_like(node.bias))


def test_merged_layers_spike_on_the_chip_where_the_float_network_does() -> None:
    neurons = {"threshold": np.array(1.0), "voltage_decay": np.array(0.0)}
    nodes = [
        whole(conv("a", (2, 4, 4), 2)),
        lif("one", (2, 4, 4), **neurons),
        Upsample2d(name="up", shape=(2, 4, 4), factor=(2, 2)),
        whole(transposed((2, 4, 4), 2, padding=(0, 0), output_padding=(0, 0))),
        AvgPool2d(
            name="sums", kernel=(2, 2), stride=(1, 1), shape=(2, 9, 9), is_sum=True
        ),
        lif("two", (2, 8, 8), **neurons),
        Channels(name="left", shape=(2, 8, 8), first=0, n_channels=4),
        Channels(name="right", shape=(2, 8, 8), first=2, n_channels=4),
        Add(name="cat", shape=(4, 8, 8)),
        whole(conv("joint", (4, 8, 8), 1, kernel=(1, 1), padding=(0, 0))),
        lif("four", (1, 8, 8), **neurons),
        whole(conv("padded", (2, 8, 8), 2)),
        whole(conv("middle", (2, 8, 8), 1)),
        lif("three", (1, 8, 8), **{**neurons, "threshold": np.array(4.0)}),
        Add(name="sum", shape=(1, 8, 8)),
        Flatten(name="flat", shape=(1, 8, 8)),
        whole(linear("fc", 64, 3)),
    ]
    arrows = (
        "input>a a>one one>up one>transposed transposed>sums sums>two up>left "
        "two>right left>cat right>cat cat>joint joint>four two>padded padded>middle "
        "middle>three three>sum four>sum sum>flat flat>fc"
    )
    before = graph(nodes, arrows, shape=(2, 4, 4), training=RATE)
    stimuli = trains(5, 6, (2, 4, 4))

    network = compile_model(before, simulator())

    assert not [c for c in network.graph.changes if c.kind.startswith("round")]
    expected = np.cumsum(evaluate(before, stimuli), axis=1)
    assert np.abs(expected).max() > 5
    scale = network.graph.readout.scale
    for name in ("reference", "cpu"):
        program = open_backend(name).load(network)
        found = collect_scores(program, network, enumerate(stimuli))
        np.testing.assert_allclose(found * scale, expected, atol=1e-9)


def test_layers_that_merging_gives_more_weights_are_told() -> None:
    pool = AvgPool2d(name="pool", shape=(3, 4, 4), kernel=(2, 2), stride=(2, 2))
    before = read_out(
        conv("a", (2, 4, 4), 3), lif("n", (3, 4, 4)), pool,
        Flatten(name="flat", shape=(3, 2, 2)), linear("head", 12, 5),
    )  # fmt: skip

    found = [*grown(before, merge_chains(before))]

    assert found == [("head", 12 * 5, 48 * 5)]
