"""Names: each once, whatever the layers are called, and fit to be shown."""

from dataclasses import replace
from pathlib import Path

import nir
import numpy as np
import pytest

from snn_deploy.arrays import AnyArray
from snn_deploy.artifact import pack, read_artifact, write_artifact
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.errors import ModelError, PassError
from snn_deploy.exporters.nir import write_nir
from snn_deploy.exporters.on_grid import as_graph
from snn_deploy.importers.torch.collected import Layers
from snn_deploy.ir.codec import CodecError, encode
from snn_deploy.ir.graph import Edge, Graph
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.nodes import Input, Linear
from snn_deploy.names import flaw_of, free_name, shown
from tests.build import RATE, chain, graph, lif, linear

ODD = ("a\x1b[31mb", "a\nb", "a\u202eb", "a\ud800b", "a\0b", "a" * 1001)


def with_arrows() -> Graph:
    """Return layers so that both ``a`` and ``a->b`` lead to what ends in ``->c``."""
    row = (20, 12)
    nodes = [
        linear("w0", *row, seed=1), lif("a", (12,)),
        linear("w1", 12, 12, seed=2), lif("b->c", (12,)),
        linear("w2", 12, 12, seed=3), lif("a->b", (12,)),
        linear("w3", 12, 12, seed=4), lif("c", (12,)),
        linear("w4", 12, 4, seed=5), linear("w5", 12, 4, seed=6), lif("out", (4,)),
    ]  # fmt: skip
    arrows = [
        ("input", "w0"), ("w0", "a"), ("a", "w1"), ("w1", "b->c"), ("a", "w2"),
        ("w2", "a->b"), ("a->b", "w3"), ("w3", "c"), ("b->c", "w4"), ("c", "w5"),
        ("w4", "out"), ("w5", "out"),
    ]  # fmt: skip
    start = Input(name="input", shape=(20,))
    edges = tuple(Edge(source=a, target=b) for a, b in arrows)
    return Graph(name="arrows", nodes=(start, *nodes), edges=edges, training=RATE)


def compiled(network: Graph) -> MappedNetwork:
    return compile_model(network, read_target("loihi-sim"))


def test_layers_with_arrows_in_their_names_keep_their_weights(tmp_path: Path) -> None:
    network = compiled(with_arrows())

    write_artifact(pack(network), tmp_path / "model.snn")

    stored = read_artifact(tmp_path / "model.snn").network.graph.projections
    assert len({p.name for p in stored}) == len(stored)
    for one, other in zip(network.graph.projections, stored, strict=True):
        assert (one.source, one.target) == (other.source, other.target)
        np.testing.assert_array_equal(one.synapses.weights, other.synapses.weights)


def test_two_arrays_of_one_name_are_not_stored() -> None:
    tensors: dict[str, AnyArray] = {}
    encode(np.zeros(2), tensors, "a")

    with pytest.raises(CodecError, match="a: two arrays have this name"):
        encode(np.ones(2), tensors, "a")


@pytest.mark.parametrize("name", ["input->a#0", "a", "input"])
def test_a_network_in_integers_has_each_name_once(name: str) -> None:
    network = compiled(chain(linear("w", 6, 4), lif("a", (4,)))).graph
    (only,) = network.projections

    with pytest.raises(PassError, match=f"{name}: 2 populations or projections have"):
        replace(network, projections=(only, replace(only, name=name)))


def test_a_layer_called_like_a_projection() -> None:
    layers = (linear("w", 6, 4), lif("a", (4,)), linear("v", 4, 3))
    network = compiled(chain(*layers, lif("input->a#0", (3,))))

    exported = as_graph(network.graph)

    names = [p.name for p in network.graph.projections]
    assert names == ["input->a#0_", "a->input->a#0#0"]
    assert [type(node).__name__ for node in exported.order] == [
        "Input", "Linear", "Lif", "Linear", "Lif",
    ]  # fmt: skip


def test_a_layer_called_like_the_neurons_that_send_a_bias() -> None:
    slow = {"current_decay": np.array(0.5)}
    layers = (
        linear("w", 6, 4), lif("a_bias", (4,), **slow), linear("v", 4, 4),
        lif("a", (4,), **slow),
    )  # fmt: skip

    network = compiled(chain(*layers)).graph

    assert [p.name for p in network.populations] == [
        "a_bias", "a_bias_bias", "a", "a_bias_",
    ]  # fmt: skip


def test_a_layer_called_like_the_sum_of_the_read_out() -> None:
    layers = (linear("w", 6, 4), lif("out_sum", (4,)), linear("out", 4, 3))

    network = compiled(chain(*layers)).graph

    assert network.output == "out_sum_"


def test_nir_delays_take_the_name_of_no_layer(tmp_path: Path) -> None:
    late = lif("a", (4,), axon_delay=np.arange(4.0))
    layers = (linear("w", 6, 4), late, linear("a_axons", 4, 3), lif("b", (3,)))

    write_nir(chain(*layers), tmp_path / "net.nir")

    kinds = {
        n: type(k).__name__ for n, k in nir.read(tmp_path / "net.nir").nodes.items()
    }
    assert kinds["a_axons"] == "Affine"
    assert kinds["a_axons_"] == "Delay"


def test_layers_of_a_module_never_replace_one_another() -> None:
    layers = Layers((4,))
    first = Linear(name="w", weight=np.zeros((4, 4)), bias=np.zeros(4))
    second = replace(first, weight=np.ones((4, 4)))

    names = [layers.add(first, ("input",)), layers.add(second, ("input",))]

    assert names == ["w", "w_"]
    assert layers.nodes["w"] is first


@pytest.mark.parametrize("name", ODD)
def test_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    network = compiled(chain(linear("w", 6, 4), lif("a", (4,)))).graph

    with pytest.raises(ModelError, match="this name") as refusal:
        graph([linear("w", 6, 4), lif(name, (4,))], "input>w", shape=(6,))
    with pytest.raises(PassError, match="this name"):
        replace(network, name=name)

    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("name", ["Ebene 1", "слой", "层", "a/b.c->d#0", "=1+1", "é"])
def test_a_name_in_any_language_is_taken(name: str) -> None:
    assert flaw_of(name) == ""
    assert shown(name) == name


def test_what_cannot_be_shown_is_written_as_in_python() -> None:
    assert shown("a\x1b[2J\n\u202eb\ud800") == r"a\x1b[2J\n\u202eb\ud800"


def test_a_free_name_is_none_of_those_taken() -> None:
    assert free_name("a", {"b"}) == "a"
    assert free_name("a", {"a", "a_"}) == "a__"
