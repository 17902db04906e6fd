"""Files made to do harm: each is refused, in a moment and with little memory."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

import snn_deploy
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.data.data import load_arrays
from snn_deploy.errors import (
    DataError,
    FitError,
    ModelError,
    SnnDeployError,
    TargetError,
)
from snn_deploy.files.writing import text_writer, write_whole
from snn_deploy.profile.tables import read_rows, write_rows
from snn_deploy.training.recipe_file import read_recipe
from tests.hostile.readers import READERS, rows
from tests.hostile.test_fuzz_formats import perceptron

pytestmark = pytest.mark.usefixtures("little_time_and_memory")


def entries_of(name: str) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(READERS[name].content)) as archive:
        return {entry: archive.read(entry) for entry in archive.namelist()}


def rewritten(path: Path, entries: list[tuple[str, bytes]], kind: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


ZIPS = ("model.snn", "model.pt", "model.pt2", "data.npz")


# archives


@pytest.mark.parametrize("name", ZIPS)
@pytest.mark.parametrize("entry", ["../../out", "/etc/out", "a/../../out", "\\out"])
def test_a_name_that_leads_out_of_a_zip(tmp_path: Path, name: str, entry: str) -> None:
    more = [*entries_of(name).items(), (entry, b"x")]

    with pytest.raises(SnnDeployError, match=r"leads out of the archive|it holds"):
        READERS[name].read(rewritten(tmp_path / name, more))

    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ZIPS)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name(tmp_path: Path, name: str) -> None:
    entries = list(entries_of(name).items())

    with pytest.raises(SnnDeployError, match=r"entries are called|it holds"):
        READERS[name].read(rewritten(tmp_path / name, [*entries, entries[0]]))


@pytest.mark.parametrize("name", ["model.snn", "model.pt", "model.pt2"])
def test_a_compressed_entry_where_there_are_none(tmp_path: Path, name: str) -> None:
    entries = list(entries_of(name).items())

    with pytest.raises(SnnDeployError, match="is compressed"):
        READERS[name].read(rewritten(tmp_path / name, entries, zipfile.ZIP_DEFLATED))


def overlapping(path: Path, n: int) -> Path:
    """Write a zip whose entries all are the same compressed megabytes of zeros."""
    rewritten(path, [("x.npy", bytes(1 << 24))], zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path, "a") as archive:
        (first,) = archive.infolist()
        for i in range(n):
            other = zipfile.ZipInfo(f"x{i}.npy")
            for field in ("compress_size", "file_size", "CRC", "compress_type"):
                setattr(other, field, getattr(first, field))
            other.header_offset = first.header_offset
            archive.filelist.append(other)
            archive.NameToInfo[other.filename] = other
        archive._didModify = True  # type: ignore[attr-defined]
    return path


def test_a_zip_bomb_of_overlapping_entries(tmp_path: Path) -> None:
    path = overlapping(tmp_path / "bomb.npz", 10_000)

    with pytest.raises(DataError, match=r"bytes of entries in a file of"):
        load_arrays(path)


def test_a_zip_bomb_of_one_entry(tmp_path: Path) -> None:
    path = rewritten(tmp_path / "bomb.npz", [("x.npy", bytes(1000))], 8)
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 24  # its size, in the directory
    content[at : at + 4] = (0xFFFFFFF0).to_bytes(4, "little")
    many = bytes(content)
    path.write_bytes(many)

    with pytest.raises(DataError, match=r"zip bomb|cut short"):
        load_arrays(path)


# arrays


def test_a_pickle_in_an_npz(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "trace",)

    path = tmp_path / "data.npz"
    np.savez(path, x=np.array([Bomb()], dtype=object))

    with pytest.raises(DataError, match="Object arrays cannot be loaded"):
        load_arrays(path)

    assert not (tmp_path / "trace").exists()


def test_an_array_that_declares_a_trillion_values(tmp_path: Path) -> None:
    packed = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)}
    np.lib.format.write_array_header_1_0(packed, header)
    path = rewritten(tmp_path / "data.npz", [("x.npy", packed.getvalue() + bytes(80))])

    with pytest.raises(DataError, match=r"shape \(1000000, 1000000\) makes 8000000000"):
        load_arrays(path)


def test_rows_that_a_parquet_file_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_rows(rows(), path)
    path.write_bytes(path.read_bytes()[:-400] + bytes(400))

    with pytest.raises(DataError, match="damaged, or no Parquet file"):
        read_rows(path)


# models


class FillsMemory:
    """What ``torch.load`` allows with ``weights_only``: as many bytes as one likes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return bytearray, (1 << 40,)


def test_a_pickle_that_fills_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    entries = entries_of("model.pt")
    (name,) = (entry for entry in entries if entry.endswith("data.pkl"))
    entries[name] = pickle.dumps(FillsMemory(), protocol=2)

    with pytest.raises(ModelError, match="holds Python objects"):
        READERS["model.pt"].read(rewritten(path, list(entries.items())))


def test_a_tensor_that_is_larger_than_what_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    content = torch.load(io.BytesIO(READERS["model.pt"].content), weights_only=True)
    name = next(iter(content["tensors"]))
    content["tensors"][name] = torch.zeros(1).expand(10**6, 10**6)
    torch.save(content, path)

    with pytest.raises(ModelError, match=r"more than is stored"):
        READERS["model.pt"].read(path)


@pytest.mark.parametrize("name", ["model.snn", "model.pt2"])
def test_a_json_bomb_of_depth(tmp_path: Path, name: str) -> None:
    entries = {
        entry: b"[" * 10**6 if entry.endswith(".json") else content
        for entry, content in entries_of(name).items()
    }

    with pytest.raises(SnnDeployError, match="recursion"):
        READERS[name].read(rewritten(tmp_path / name, list(entries.items())))


def test_a_json_bomb_of_depth_in_a_model(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    content = torch.load(io.BytesIO(READERS["model.pt"].content), weights_only=True)
    content["graph"] = "[" * 10**6
    torch.save(content, path)

    with pytest.raises(ModelError, match=r"recursion|checksum"):
        READERS["model.pt"].read(path)


def test_onnx_weights_in_a_file_of_the_system(tmp_path: Path) -> None:
    model = perceptron()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for location in ("/etc/passwd", "../../../../etc/passwd"):
        del tensor.external_data[:]
        tensor.external_data.add(key="location", value=location)
        (tmp_path / "net.onnx").write_bytes(model.SerializeToString())

        with pytest.raises(ModelError, match="passwd', outside of the model's folder"):
            READERS["net.onnx"].read(tmp_path / "net.onnx")


def test_onnx_weights_behind_a_link_out_of_the_folder(tmp_path: Path) -> None:
    model = perceptron()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights")
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "weights").symlink_to("/etc/passwd")

    with pytest.raises(ModelError, match="outside of the model's folder"):
        READERS["net.onnx"].read(tmp_path / "net.onnx")


@pytest.mark.parametrize("ending", ["nir", "net"])
@pytest.mark.parametrize(
    "link", [h5py.ExternalLink("/etc/passwd", "/x"), h5py.SoftLink("/")]
)
def test_hdf5_that_links_elsewhere(tmp_path: Path, ending: str, link: object) -> None:
    path = tmp_path / f"net.{ending}"
    path.write_bytes(READERS[path.name].content)
    with h5py.File(path, "a") as file:
        file["more"] = link

    with pytest.raises(ModelError, match="/more: a link to somewhere else"):
        READERS[path.name].read(path)


@pytest.mark.parametrize("ending", ["nir", "net"])
def test_hdf5_that_declares_a_trillion_values(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"net.{ending}"
    path.write_bytes(READERS[path.name].content)
    with h5py.File(path, "a") as file:
        file.create_dataset("more", (10**6, 10**6), np.float64, chunks=(1000, 1000))

    with pytest.raises(ModelError, match=r"shape \(1000000, 1000000\), which makes 8"):
        READERS[path.name].read(path)


def test_an_onnx_model_of_a_billion_neurons(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    shape: list[str | int | None] = ["n", 1, 40_000, 25_000]
    graph = helper.make_graph(
        [helper.make_node("Clip", ["x", "low", "high"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [
            onnx.numpy_helper.from_array(np.array(value, np.float32), name)
            for name, value in (("low", 0), ("high", 6))
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)

    with pytest.raises((FitError, ModelError)):
        compile_model(snn_deploy.load_model(path), read_target("loihi-sim"))


def test_a_nir_file_of_a_billion_neurons(tmp_path: Path) -> None:
    path = tmp_path / "net.nir"
    shape = np.array([1, 40_000, 25_000])
    flat = nir.Flatten({"input": shape}, start_dim=0, end_dim=-1)
    nodes = {"in": nir.Input(shape), "flat": flat, "out": nir.Output(np.array([10**9]))}
    nir.write(path, nir.NIRGraph(nodes, [("in", "flat"), ("flat", "out")]))

    with pytest.raises(SnnDeployError):
        compile_model(snn_deploy.load_model(path, dt=1e-3), read_target("loihi-sim"))


# TOML


@pytest.mark.parametrize(
    "text",
    [
        "[" + ".".join(["a"] * 10**6) + "]",
        "a = " + "[" * 10**6,
        "[" + ".".join(["a"] * (3 * 10**4)) + "]",
        "a = " + "[" * 6 * 10**4,
        "a = " + "{a=" * 2 * 10**4,
        "a = " + "[" * 40 + "]" * 40,
    ],
    ids=["table", "list", "table within size", "list within size", "inline", "40 deep"],
)
def test_tables_inside_one_another(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deep.toml"
    path.write_text(text)

    with pytest.raises(TargetError, match=r"not a TOML file .*(over 16 deep|allowed)"):
        read_target(str(path))
    with pytest.raises(ModelError, match=r"not a TOML file .*(over 16 deep|allowed)"):
        read_recipe(path)


# writing


def test_a_link_is_replaced_and_what_it_leads_to_left_alone(tmp_path: Path) -> None:
    precious, link = tmp_path / "precious", tmp_path / "model.snn"
    precious.write_text("mine")
    link.symlink_to(precious)

    write_whole(link, text_writer("new"))

    assert precious.read_text() == "mine"
    assert link.read_text() == "new"
    assert not link.is_symlink()


# what fuzzing has found


CRASHERS = sorted((Path(__file__).parent / "crashers").glob("*-*"))


@pytest.mark.parametrize("path", CRASHERS, ids=lambda path: path.name)
def test_what_once_crashed_a_reader_is_refused(path: Path, tmp_path: Path) -> None:
    name = path.name.partition("-")[2]
    copy = tmp_path / name
    copy.write_bytes(path.read_bytes())

    with pytest.raises(SnnDeployError) as caught:
        READERS[name].read(copy)

    assert "\n" not in str(caught.value)
