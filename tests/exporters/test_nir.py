"""write_nir: files that other tools run as we do, and that come back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from snn_deploy.arrays import AnyArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.exporters.nir import write_nir
from snn_deploy.importers.nir.reader import read_nir
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.neurons import Comparison, Lif, Reset
from snn_deploy.ir.nodes import Add, AvgPool2d, Flatten, Linear
from snn_deploy.ir.stimuli import Encoding, Stimulus
from tests.build import batch_norm, chain, conv, graph, integrator, lif, linear
from tests.importers.nir_truth import in_norse, in_sinabs, in_snntorch, trains

EVENTS = Training(timesteps=30, encoding=Encoding.EVENTS)
SHAPE = (2, 8, 8)
Run = Callable[[nir.NIRGraph, AnyArray], AnyArray]


def run(network: Graph, x: AnyArray) -> AnyArray:
    found: AnyArray = evaluate(network, [Stimulus(values=x, is_constant=False)])[0]
    return found


def strong(name: str, n_in: int, n_out: int, seed: int = 1) -> Linear:
    layer = linear(name, n_in, n_out, seed)
    return replace(layer, weight=4 * layer.weight)


def deep(threshold: float, **neurons: Any) -> Graph:
    """Return a network with every layer that the three frameworks read."""
    settings = {
        "threshold": np.array(threshold),
        "reset_amount": np.array(threshold),
        **neurons,
    }
    return chain(
        conv("conv", SHAPE, 4, stride=(2, 1)),
        lif("lif1", (4, 4, 8), **settings),
        AvgPool2d(name="pool", kernel=(2, 2), stride=(2, 2), shape=(4, 4, 8)),
        Flatten(name="flat", shape=(4, 2, 4)),
        strong("fc.1", 32, 5),
        lif("lif2", (5,), **settings),
        training=EVENTS,
    )


def loop() -> Graph:
    settings = {
        "voltage_decay": np.array(0.1),
        "threshold": np.array(0.6),
        "reset_amount": np.array(0.6),
    }
    back = replace(linear("back", 5, 5, seed=4), bias=np.zeros(5))
    nodes = [
        linear("fc", 6, 5),
        lif("loop", (5,), **settings),
        back,
        strong("out", 5, 4, seed=3),
        lif("lif", (4,), **settings),
    ]
    arrows = "input>fc fc>loop loop>back:1 back>loop loop>out out>lif"
    return graph(nodes, arrows, shape=(6,), training=EVENTS)


NETWORKS = {
    "leaky": deep(0.6, voltage_decay=np.array(0.1), input_gain=np.array(0.7)),
    "with a current": deep(
        0.9, current_decay=np.array(0.4), voltage_decay=np.array(0.1)
    ),
    "without a leak": deep(0.9, voltage_decay=np.array(0.0)),
    "soft reset": deep(3.0, voltage_decay=np.array(0.0), reset=Reset.SOFT),
    "recurrent": loop(),
}
RUNS: list[tuple[str, Run]] = [
    ("leaky", in_norse),
    ("leaky", in_snntorch),
    ("with a current", in_norse),
    ("with a current", in_snntorch),
    ("without a leak", in_norse),
    ("soft reset", in_sinabs),
    (
        "recurrent",
        in_norse,
    ),  # snnTorch 1.0 fails with nirtorch 2.6, on its own files too
]


def inputs(network: Graph) -> AnyArray:
    return trains(network.input.shape)


@pytest.mark.parametrize(("name", "other"), RUNS)
def test_the_file_spikes_elsewhere_as_the_network_does_here(
    tmp_path: Path, name: str, other: Run
) -> None:
    network = NETWORKS[name]
    x = inputs(network)

    write_nir(network, tmp_path / "net.nir")

    expected = run(network, x)
    np.testing.assert_array_equal(other(nir.read(tmp_path / "net.nir"), x), expected)
    assert 0 < expected.sum() < expected.size


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_written_and_read_computes_the_same(tmp_path: Path, name: str) -> None:
    network = NETWORKS[name]
    x = inputs(network)

    write_nir(network, tmp_path / "net.nir")
    back = read_nir(tmp_path / "net.nir")  # dt and reset stand in the file

    np.testing.assert_array_equal(run(back, x), run(network, x))
    assert back.training == replace(network.training, dt=1e-4)


def same_after_a_round(tmp_path: Path, network: Graph, x: AnyArray) -> Graph:
    write_nir(network, tmp_path / "net.nir")
    back = read_nir(tmp_path / "net.nir")
    np.testing.assert_allclose(run(back, x), run(network, x), rtol=1e-9)
    return back


def test_sums_of_branches_become_edges(tmp_path: Path) -> None:
    nodes = [
        conv("a", SHAPE, 3, seed=1),
        conv("b", SHAPE, 3, seed=2),
        Add(name="sum", shape=(3, 8, 8)),
        lif("lif", (3, 8, 8), threshold=np.array(1.0)),
        integrator("out", (3, 8, 8), voltage_decay=np.array(0.5)),
    ]
    network = graph(
        nodes, "input>a input>b a>sum b>sum sum>lif lif>out", shape=SHAPE,
        training=EVENTS,
    )  # fmt: skip

    back = same_after_a_round(tmp_path, network, inputs(network))

    assert not back.nodes_of(Add)


def test_groups_are_written_with_zeros_and_found_again(tmp_path: Path) -> None:
    layer = conv("conv", (4, 6, 6), 8, groups=2)
    network = chain(layer, lif("lif", (8, 6, 6)), training=EVENTS)

    back = same_after_a_round(tmp_path, network, inputs(network))

    stored = nir.read(tmp_path / "net.nir").nodes["conv"]  # its own reader fails else
    assert stored.weight.shape == (8, 4, 3, 3)
    assert back.node("conv").weight.shape == (8, 2, 3, 3)  # type: ignore[attr-defined]


def test_delays_of_axons_and_of_edges_are_nodes(tmp_path: Path) -> None:
    late = np.array([0.0, 3.0, 1.0, 0.0, 7.0])
    nodes = [
        linear("fc", 6, 5),
        lif("lif", (5,), axon_delay=late),
        linear("out", 5, 3),
        lif("end", (3,)),
        strong("back", 3, 5, seed=6),
        linear("read", 3, 2),
    ]
    arrows = "input>fc:2 fc>lif lif>out out>end end>back:4 back>lif end>read"
    network = graph(nodes, arrows, shape=(6,), training=EVENTS)

    back = same_after_a_round(tmp_path, network, inputs(network))

    assert back.node("lif").axon_delay.tolist() == late.tolist()  # type: ignore[attr-defined]


def test_a_bias_of_neurons_is_one_of_the_weights(tmp_path: Path) -> None:
    network = chain(
        linear("fc", 6, 5),
        lif("lif", (5,), bias=np.linspace(-0.1, 0.1, 5), input_gain=np.array(0.5)),
        training=EVENTS,
    )

    same_after_a_round(tmp_path, network, inputs(network))


@pytest.mark.parametrize(
    "changes",
    [
        {"comparison": Comparison.GREATER_EQUAL},
        {"reset": Reset.SOFT, "reset_amount": np.linspace(0.3, 0.5, 5)},
        {"lowest_voltage": np.array(-1.0)},
        {"reset": Reset.SOFT, "reset_amount": np.array(0.5), "max_spikes": 3},
    ],
)
def test_what_nir_cannot_say_of_spikes_is_noted(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    ones = replace(linear("fc", 6, 5), weight=np.ones((5, 6)), bias=np.zeros(5))
    settings = {"voltage_decay": np.array(0.5), "threshold": np.array(1.0), **changes}
    network = chain(ones, lif("lif", (5,), **settings), training=EVENTS)

    back = same_after_a_round(tmp_path, network, inputs(network))  # with ties

    (found,) = back.nodes_of(Lif)
    for name, value in changes.items():
        np.testing.assert_array_equal(getattr(found, name), value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"refractory": 2}, "lif: a refractory period of 2 timesteps"),
        ({"spike_value": 0.5}, "lif: spikes worth 0.5"),
        ({"initial_voltage": np.array(0.2)}, "lif: a voltage that starts where it"),
        ({"current_decay": np.array(0.0)}, "lif: a current that does not decay"),
    ],
)
def test_what_nir_cannot_say_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    network = chain(linear("fc", 6, 5), lif("lif", (5,), **changes), training=EVENTS)

    with pytest.raises(ModelError, match=message):
        write_nir(network, tmp_path / "net.nir")
    assert not list(tmp_path.iterdir())


def test_layers_that_are_no_nodes_are_refused(tmp_path: Path) -> None:
    norm = chain(linear("fc", 6, 5), batch_norm("norm", (5,)), training=EVENTS)
    ends = chain(linear("fc", 6, 5), Add(name="sum", shape=(5,)), training=EVENTS)

    with pytest.raises(ModelError, match="norm: NIR has no BatchNorm"):
        write_nir(norm, tmp_path / "net.nir")
    with pytest.raises(ModelError, match="sum: the sum is the output"):
        write_nir(ends, tmp_path / "net.nir")


def test_names_are_plain_and_stay_different(tmp_path: Path) -> None:
    shape: Shape = (3,)
    network = chain(
        linear("a.b", 3, 3), lif("a/b", shape), linear("output", 3, 3), training=EVENTS
    )

    write_nir(network, tmp_path / "net.nir")

    names = set(nir.read(tmp_path / "net.nir").nodes)
    assert names == {"input", "a_b", "a_b_", "output_", "output"}
