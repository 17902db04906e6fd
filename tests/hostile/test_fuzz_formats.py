"""Damaged NIR, ONNX and lava-dl files: a network, or one clear error."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import nir
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from snn_deploy.errors import ModelError
from snn_deploy.importers.lava_dl.reader import read_lava_dl
from snn_deploy.importers.nir.reader import read_nir
from snn_deploy.importers.onnx.reader import read_onnx
from snn_deploy.importers.options import ReadOptions
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Reset
from tests.importers.test_lava_dl import dense, entrance, write
from tests.importers.test_nir import affine, lif

POSITION = st.floats(0, 1, exclude_max=True)
ENDINGS = ("nir", "net", "onnx")


def read(path: Path) -> Graph:
    match path.suffix:
        case ".nir":
            return read_nir(path, ReadOptions(dt=1e-4, reset=Reset.HARD))
        case ".net":
            return read_lava_dl(path)
    return read_onnx(path)


@cache
def original(ending: str) -> bytes:
    path = Path(mkdtemp()) / f"net.{ending}"
    match ending:
        case "nir":
            layers = (affine(6, 5), lif(5), affine(5, 3), lif(3))
            nir.write(str(path), nir.NIRGraph.from_list(*layers))
        case "net":
            write(path, [entrance(6), dense(6, 5), dense(5, 3)])
        case "onnx":
            onnx.save(perceptron(), path)
    return path.read_bytes()


def perceptron() -> onnx.ModelProto:
    weights = np.ones((4, 4), np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w"], ["a"], transB=1),
            helper.make_node("Clip", ["a", "low", "high"], ["b"]),
            helper.make_node("MatMul", ["b", "w"], ["y"]),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", 4))],
        [
            numpy_helper.from_array(np.asarray(values, np.float32), name)
            for name, values in (("w", weights), ("low", 0.0), ("high", 6.0))
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def outcome(folder: pytest.TempPathFactory, ending: str, content: bytes) -> str:
    """Return what becomes of a file: read, or refused with a clear error."""
    path = folder.mktemp("files") / f"net.{ending}"
    path.write_bytes(content)
    try:
        found = read(path)
    except ModelError:
        return "refused"
    assert isinstance(found, Graph)
    return "read"


@pytest.mark.parametrize("ending", ENDINGS)
@given(
    changes=st.lists(st.tuples(POSITION, st.integers(0, 255)), min_size=1, max_size=4)
)
@settings(max_examples=60)
def test_changed_bytes(
    tmp_path_factory: pytest.TempPathFactory,
    ending: str,
    changes: list[tuple[float, int]],
) -> None:
    content = bytearray(original(ending))
    for position, byte in changes:
        content[int(position * len(content))] = byte

    assert outcome(tmp_path_factory, ending, bytes(content)) in ("read", "refused")


@pytest.mark.parametrize("ending", ENDINGS)
@given(share=POSITION)
@settings(max_examples=20)
def test_a_file_that_is_cut_short(
    tmp_path_factory: pytest.TempPathFactory, ending: str, share: float
) -> None:
    whole = original(ending)

    assert outcome(tmp_path_factory, ending, whole[: int(share * len(whole))]) == (
        "refused"
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_whole_file_is_read(
    tmp_path_factory: pytest.TempPathFactory, ending: str
) -> None:
    assert outcome(tmp_path_factory, ending, original(ending)) == "read"


@pytest.mark.parametrize("ending", ENDINGS)
@given(content=st.binary(max_size=300))
@settings(max_examples=20)
def test_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, ending: str, content: bytes
) -> None:
    assert outcome(tmp_path_factory, ending, content) == "refused"
