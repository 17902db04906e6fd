"""read_nir: files as they are found: old, incomplete, odd, broken, malicious."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from snn_deploy.errors import ModelError
from snn_deploy.importers.nir.reader import read_nir
from snn_deploy.importers.options import ReadOptions
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.neurons import Lif, Reset
from tests.importers.nir_truth import DT, ours, row, trains, written
from tests.importers.test_nir import affine, conv, flatten, lif, recurrent

HARD = Reset.HARD


def changed(path: Path, change: Callable[[Any], None]) -> Path:
    """Return a file of two layers after its nodes have been changed."""
    layers = (conv((6, 6), 1, 2), lif(2, 6, 6), flatten(2, 6, 6), affine(72, 3), lif(3))
    written(path, row((1, 6, 6), *layers))
    with h5py.File(path, "r+") as file:
        change(file["node"])
    return path


def put(node: Any, key: str, value: Any) -> None:
    if key in node:
        del node[key]
    if value is not None:
        node[key] = value


def shrink(nodes: Any) -> None:
    """Give the neurons one value for all, and leave out what old files leave out."""
    for key in ("tau", "r", "v_leak", "v_threshold"):
        value = nodes["lif"][key][()].flat[0]
        put(nodes["lif"], key, np.full((1, 1, 1), value))
        put(nodes["lif_1"], key, value)
    for name in ("lif", "lif_1"):
        put(nodes[name], "v_reset", None)
    put(nodes["conv2d"], "input_shape", None)
    put(nodes["flatten"], "input_type", None)


def test_shapes_that_are_missing_or_of_one_value_follow_from_the_input(
    tmp_path: Path,
) -> None:
    whole = changed(tmp_path / "a.nir", lambda _: None)
    short = changed(tmp_path / "b.nir", lambda node: shrink(node["nodes"]))
    x = trains((1, 6, 6))

    found = ours(short, x)

    np.testing.assert_array_equal(found, ours(whole, x))
    assert found.any()


def test_what_the_file_does_not_say_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nir", row((6,), affine(6, 3), lif(3)))

    with pytest.raises(ModelError, match=r"how long a timestep is \(--dt SECONDS"):
        read_nir(path, ReadOptions(reset=HARD))
    with pytest.raises(ModelError, match=r"what a spike does .*--reset hard"):
        read_nir(path, ReadOptions(dt=DT))
    with pytest.raises(ModelError, match=r"a timestep of -1.0 s; it must be over 0"):
        read_nir(path, ReadOptions(dt=-1.0, reset=HARD))
    written(path, row((6,), affine(6, 3)))
    assert read_nir(path).training.timesteps == 100  # nothing depends on time


def test_notes_in_the_file_answer_and_may_not_be_contradicted(tmp_path: Path) -> None:
    graph = row((6,), affine(6, 3), lif(3))
    graph.metadata = {"dt": 1e-3, "timesteps": 7, "encoding": "rate"}
    graph.nodes["lif"].metadata = {"reset": "soft"}
    path = written(tmp_path / "a.nir", graph)

    found = load_model(path)

    assert found.training.dt == 1e-3
    assert found.training.timesteps == 7
    assert found.node("lif").reset is Reset.SOFT  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match=r"notes dt 0.001, --dt says 0.0001; leave it"):
        load_model(path, dt=DT)
    with pytest.raises(ModelError, match="notes reset soft, --reset says hard"):
        load_model(path, reset=HARD)
    graph.metadata = {"encoding": "morse"}
    with pytest.raises(ModelError, match="notes encoding 'morse'"):
        load_model(written(path, graph), dt=DT)


@pytest.mark.parametrize(
    ("node", "key", "value", "message"),
    [
        ("lif", "type", "ALIF", "lif: NIR's ALIF cannot be deployed; use Input"),
        ("lif", "tau", None, "lif: NIR's LIF has no 'tau'"),
        ("lif", "tau", "slow", "lif: tau is 'slow', not a number"),
        ("lif", "tau", 0.0, "lif: tau is 0 s; a time constant must be over 0"),
        ("lif", "tau", DT / 2, "lif: tau is 5e-05 s, shorter than the timestep"),
        (
            "lif",
            "tau",
            np.ones(5),
            r"lif: tau has shape \(5,\), but the layer receives",
        ),
        ("lif", "v_threshold", -1.0, "lif: threshold is -1; it must be over 0"),
        ("conv2d", "weight", np.ones((2, 2)), r"conv2d: weight of shape \(2, 2\)"),
        ("conv2d", "weight", np.full((2, 1, 3, 3), np.nan), "weight holds 18 values"),
        ("conv2d", "bias", np.ones(7), "conv2d: 7 biases for 2 outputs"),
        ("conv2d", "input_shape", [5, 6], r"input_shape is \(5, 6\), but it receives"),
        ("conv2d", "padding", "odd", "conv2d: padding 'odd'"),
        ("conv2d", "stride", 0.5, "conv2d: stride is"),
        ("affine", "weight", np.ones((3, 70)), r"takes an input of shape \(70,\)"),
        ("flatten", "input_type", [2, 5, 5], "flatten: input_type has 50 values"),
        ("input", "shape", [1, 2**40, 2**40], "input: shape is"),
        ("input", "shape", [1, -6, 6], "each at least 1"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(
    tmp_path: Path, node: str, key: str, value: Any, message: str
) -> None:
    path = changed(
        tmp_path / "a.nir", lambda root: put(root["nodes"][node], key, value)
    )

    with pytest.raises(ModelError, match=message):
        read_nir(path, ReadOptions(dt=DT, reset=HARD))


def wire(root: Any, *edges: tuple[str, str]) -> None:
    put(root, "edges", np.array([[a.encode(), b.encode()] for a, b in edges]))


def two_outputs(root: Any) -> None:
    root.copy("nodes/output", "nodes/second")
    edges = [tuple(e.decode() for e in pair) for pair in root["edges"][()]]
    (last,) = [source for source, target in edges if target == "output"]
    wire(root, *edges, (last, "second"))


def tall(root: Any) -> None:
    group = root["nodes"]
    for _ in range(40):
        group = group.create_group("deeper")
    group.create_dataset("end", data=1)


GRAPHS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "two outputs": (two_outputs, "is read out as two outputs; leave one of them out"),
    "no edges": (lambda root: put(root, "edges", None), "nothing leads from the input"),
    "an edge to nowhere": (
        lambda root: wire(root, ("input", "gone")),
        "gone: an edge names this node, none has it",
    ),
    "edges in threes": (
        lambda root: put(root, "edges", np.array([[b"a", b"b", b"c"]])),
        r"edges of shape \(1, 3\)",
    ),
    "a node without a type": (
        lambda root: put(root["nodes/lif"], "type", None),
        "lif: no node of NIR",
    ),
    "an external link": (
        lambda root: put(root["nodes"], "lif", h5py.ExternalLink("/etc/passwd", "/")),
        "/node/nodes/lif: a link to somewhere else",
    ),
    "a soft link": (
        lambda root: put(root["nodes"], "lif", h5py.SoftLink("/node/nodes/lif_1")),
        "/node/nodes/lif: a link to somewhere else",
    ),
    "a group in itself": (
        lambda root: put(root["nodes"], "again", root),
        "over 16 groups deep, or in a loop",
    ),
    "a deep tree": (tall, "over 16 groups deep"),
    "10 GB": (
        lambda root: root["nodes/affine"].create_dataset(
            "extra", (10**9, 10), "i1", chunks=(1000, 10)
        ),
        r"shape \(1000000000, 10\), which makes 1000\d+ bytes",
    ),
    "an external file": (
        lambda root: root["nodes/affine"].create_dataset(
            "extra", (10,), "i1", external=[("/etc/passwd", 0, 10)]
        ),
        "extra: stored in another file",
    ),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_graphs_that_are_none_are_refused(tmp_path: Path, case: str) -> None:
    change, message = GRAPHS[case]
    path = changed(tmp_path / "a.nir", lambda root: change(root))

    with pytest.raises(ModelError, match=message):
        read_nir(path, ReadOptions(dt=DT, reset=HARD))


def test_a_loop_that_the_input_does_not_reach_is_refused(tmp_path: Path) -> None:
    def unplug(root: Any) -> None:
        loop = ("lif", "w_rec"), ("w_rec", "lif")
        wire(root, *loop, ("input", "fc"), ("fc", "output"))

    path = written(tmp_path / "a.nir", recurrent(False))
    with h5py.File(path, "r+") as file:
        unplug(file["node"])

    with pytest.raises(ModelError, match="nothing leads from the input to this node"):
        read_nir(path, ReadOptions(dt=DT, reset=HARD))


def test_layers_larger_than_any_chip_are_refused(tmp_path: Path) -> None:
    size = (10**6, 10**6)
    path = written(tmp_path / "a.nir", row((1, *size), conv(size, 1, 2)))

    with pytest.raises(ModelError, match=r"input: 10{12} values, a layer may have"):
        read_nir(path)


def test_cut_and_foreign_files_are_refused(tmp_path: Path) -> None:
    whole = written(tmp_path / "a.nir", row((6,), affine(6, 3), lif(3))).read_bytes()

    for n in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.nir").write_bytes(whole[:n])
        with pytest.raises(ModelError, match="not an HDF5 file, or cut short"):
            read_nir(tmp_path / "cut.nir", ReadOptions(dt=DT, reset=HARD))
    with h5py.File(tmp_path / "other.nir", "w") as file:
        file["data"] = 1
    with pytest.raises(ModelError, match="not a NIR file"):
        read_nir(tmp_path / "other.nir")
    with pytest.raises(ModelError, match="no such file"):
        read_nir(tmp_path / "missing.nir")


def test_resets_and_delays_that_no_chip_has_are_refused(tmp_path: Path) -> None:
    one = np.ones(3)
    cases = {
        "v_reset is 0.5, but a soft reset": lif(3, v_reset=np.full(3, 0.5)),
        "1.5 timesteps of 0.0001 s; round it": nir.Delay(delay=1.5 * DT * one),
        "delays that differ need spiking neurons": nir.Delay(
            delay=np.array([0, 1, 2]) * DT
        ),
    }

    for message, layer in cases.items():
        path = written(tmp_path / "a.nir", row((6,), affine(6, 3), layer, lif(3)))
        with pytest.raises(ModelError, match=message):
            read_nir(path, ReadOptions(dt=DT, reset=Reset.SOFT))
    path = written(tmp_path / "a.nir", row((6,), affine(6, 3), nir.Delay(delay=one)))
    with pytest.raises(ModelError, match="a delay before the output"):
        read_nir(path, ReadOptions(dt=DT))


def test_a_delay_in_a_loop_is_all_the_time_that_it_takes(tmp_path: Path) -> None:
    graph = recurrent(False)
    graph.nodes["late"] = nir.Delay(delay=np.full(5, 3 * DT))
    graph.edges = [e for e in graph.edges if e != ("w_rec", "lif")]
    graph.edges += [("w_rec", "late"), ("late", "lif")]

    found = read_nir(written(tmp_path / "a.nir", graph), ReadOptions(dt=DT, reset=HARD))

    delays = {(e.source, e.target): e.delay for e in found.edges}
    assert delays["w_rec", "lif"] == 3
    assert delays["lif", "w_rec"] == 0
    assert [type(n) for n in found.nodes].count(Lif) == 1
