"""Parsers run apart: plain values come back; crash, time and memory are errors."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from snn_deploy.errors import ModelError
from snn_deploy.importers.sandbox import sandbox
from snn_deploy.importers.sandbox.plain_values import pack, unpack
from snn_deploy.importers.sandbox.sandbox import read_apart
from tests.importers import parsers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file.x"
    path.write_bytes(b"abc")
    return path


def children() -> list[psutil.Process]:
    assert sandbox._server.process is not None
    found: list[psutil.Process] = psutil.Process(sandbox._server.process.pid).children()
    return found


def test_plain_values_come_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)

    found = read_apart(parsers.parse_all, Path(path.name))

    assert found["folder"] == str(path.parent)
    assert found["size"] == 3
    np.testing.assert_array_equal(found["numbers"], [[0, 1, 2], [3, 4, 5]])
    assert found["numbers"].dtype == np.int16
    assert found["texts"].tolist() == ["one", "three"]
    assert found["none"].shape == (0, 3)
    assert found["rest"] == [None, 1.5, {"array": "not one"}]


@pytest.mark.parametrize(
    ("parse", "message"),
    [
        (parsers.parse_into_memory, "takes too much memory to read"),
        (parsers.parse_badly, r"crashes its parser \(SIGSEGV\)"),
        (parsers.parse_wrongly, "its parser failed .*nobody has thought of it"),
        (parsers.write_elsewhere, "its parser failed|SIGXFSZ"),
    ],
)
def test_a_parser_that_misbehaves_is_an_error(
    path: Path, parse: Callable[[Path], object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        read_apart(parse, path)

    assert not children()
    assert not (path.parent / "file.copy").exists() or not (
        (path.parent / "file.copy").stat().st_size
    )
    assert read_apart(parsers.parse_all, path)["size"] == 3


def test_a_parser_that_takes_too_long_is_ended(path: Path) -> None:
    with pytest.raises(ModelError, match=r"takes too long to read \(SIG"):
        read_apart(parsers.parse_for_ever, path)

    assert not children()


def test_a_server_that_is_gone_is_replaced(path: Path) -> None:
    read_apart(parsers.parse_all, path)
    assert sandbox._server.process is not None
    sandbox._server.process.kill()
    sandbox._server.process.wait()

    assert read_apart(parsers.parse_all, path)["size"] == 3


def test_a_server_that_goes_during_a_file_is_an_error(path: Path) -> None:
    with pytest.raises(ModelError, match="more memory than there is"):
        read_apart(parsers.end_the_server, path)

    assert read_apart(parsers.parse_all, path)["size"] == 3


@pytest.mark.parametrize("content", [b"", b"\x08", pack({"a": [1]})[1]])
def test_bytes_that_are_no_values_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of json, too
        unpack(content)


def test_an_array_of_objects_is_no_plain_value() -> None:
    text = b'{"array": ["|O", 1]}'

    with pytest.raises(ValueError, match="an array of"):
        unpack(len(text).to_bytes(8, "little") + text + bytes(8))
