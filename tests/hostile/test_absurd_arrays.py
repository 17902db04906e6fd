"""Arrays whose headers no program writes: sizes that are hidden by a 0, or are true."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn_deploy.artifact import read_artifact
from snn_deploy.data.data import load_arrays
from snn_deploy.data.streams import from_pipe
from snn_deploy.errors import DataError
from tests.hostile.readers import originals

pytestmark = pytest.mark.usefixtures("little_time_and_memory")

HEADERS = {
    "(True, 1, 4, 4)": "|u1",
    "(0, 99999999999999999999, 4, 4)": "|u1",
    "(99999999999999, 0, 4, 99999999999999)": "|u1",
    "(-1, 4, 4)": "|u1",
    "(99999999999, 1, 4, 4)": "|V0",
}


def array(shape: str) -> bytes:
    header = f"{{'descr':'{HEADERS[shape]}','fortran_order':False,'shape':{shape}}}\n"
    start = b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header.encode()
    return start + bytes(16)


@pytest.mark.parametrize("shape", HEADERS)
def test_an_absurd_header_in_an_npz_is_refused(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "data.npz"
    content = array(shape)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content if "True" in shape else content[:-16])

    with pytest.raises(DataError, match="has shape") as refusal:
        load_arrays(path)

    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("shape", HEADERS)
def test_an_absurd_header_in_a_pipe_is_refused(shape: str) -> None:
    graph = read_artifact(originals() / "model.snn").network.graph
    pipe: Any = io.BufferedReader(io.BytesIO(array(shape)))

    with pytest.raises(DataError, match=r"no \.npy array .*has shape"):
        next(from_pipe(pipe, graph))


def test_two_arrays_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    packed = io.BytesIO()
    np.save(packed, np.zeros(3))
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("x", "x.npy"):
            archive.writestr(name, packed.getvalue())

    with pytest.raises(DataError, match="it holds 'x', no array"):
        load_arrays(path)
