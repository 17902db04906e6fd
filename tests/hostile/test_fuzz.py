"""Whatever happens to a file, its reader gives what was written or one clear error."""

import io
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn_deploy.arrays import AnyArray
from snn_deploy.artifact import read_artifact
from snn_deploy.data.data import read_data
from snn_deploy.errors import SnnDeployError
from snn_deploy.importers.torch.file import read_model
from snn_deploy.ir.codec import encode
from snn_deploy.ir.graph import Training
from snn_deploy.ir.stimuli import Encoding
from tests.hostile.networks import SHAPE, write_all

Reader = Callable[[Path], object]


@cache
def originals() -> Path:
    folder = Path(mkdtemp())
    write_all(folder)
    return folder


def network(path: Path) -> object:
    return read_artifact(path).sha256


def model(path: Path) -> object:
    tensors: dict[str, AnyArray] = {}
    text = str(encode(read_model(path), tensors))
    return text, {name: array.tobytes() for name, array in tensors.items()}


def data(path: Path) -> object:
    training = Training(timesteps=4, encoding=Encoding.DIRECT)
    found = read_data(path, SHAPE, training, n_outputs=3)
    return found.x.tobytes(), None if found.y is None else found.y.tobytes()


FILES = pytest.mark.parametrize(
    ("name", "read"),
    [
        ("model.snn", network),
        ("model.pt", model),
        ("data.npz", data),
        ("packed.npz", data),
    ],
)
POSITION = st.floats(0, 1, exclude_max=True)
BYTE = st.integers(0, 255)


def problem_of(path: Path, read: Reader) -> str | None:
    """Return the one error that may come, or ``None``."""
    try:
        read(path)
    except SnnDeployError as error:
        return str(error)
    return None


def check(path: Path, read: Reader, content: bytes) -> None:
    """Read spoilt content: an error in one line that names the file, or no harm."""
    path.write_bytes(content)
    problem = problem_of(path, read)
    if problem is not None:
        assert problem.startswith(f"{path}: ")
        assert "\n" not in problem
    elif path.suffix != ".npz":  # a byte that carries nothing, as a zip entry's date
        assert read(path) == read(originals() / path.name)


@FILES
@given(flips=st.lists(st.tuples(POSITION, BYTE), min_size=1, max_size=20))
@settings(max_examples=150)
def test_changed_bytes_are_found(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    read: Reader,
    flips: list[tuple[float, int]],
) -> None:
    content = bytearray((originals() / name).read_bytes())
    for position, byte in flips:
        content[int(position * len(content))] = byte

    check(tmp_path_factory.getbasetemp() / name, read, bytes(content))


@FILES
@given(kept=POSITION, rest=st.binary(max_size=100))
@settings(max_examples=80)
def test_a_file_that_is_cut_short_is_found(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    read: Reader,
    kept: float,
    rest: bytes,
) -> None:
    content = (originals() / name).read_bytes()
    content = content[: int(kept * len(content))] + rest

    check(tmp_path_factory.getbasetemp() / name, read, content)


@FILES
@given(content=st.binary(max_size=200))
@settings(max_examples=50)
def test_any_bytes_are_read_without_harm(
    tmp_path_factory: pytest.TempPathFactory, name: str, read: Reader, content: bytes
) -> None:
    check(tmp_path_factory.getbasetemp() / name, read, content)


@given(flips=st.lists(st.tuples(POSITION, BYTE), min_size=1, max_size=3))
@settings(max_examples=150)
def test_a_changed_description_of_an_array_is_found(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[float, int]]
) -> None:
    """The zip of an npz is whole, but the header of the array in it is not."""
    path = tmp_path_factory.getbasetemp() / "header.npy"
    np.save(path, np.zeros((3, *SHAPE), np.uint8))
    content = bytearray(path.read_bytes())
    for position, byte in flips:
        content[int(position * 128)] = byte

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x.npy", bytes(content))
    check(tmp_path_factory.getbasetemp() / "header.npz", data, packed.getvalue())
