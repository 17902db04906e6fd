import errno
import os
import stat
from pathlib import Path

import pytest

from snn_deploy.files.writing import packaged_folder, write_whole


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def test_the_file_holds_what_was_written(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.txt", lambda path: _write(path, "new"))

    assert (tmp_path / "a.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_an_old_file_is_replaced(tmp_path: Path) -> None:
    _write(tmp_path / "a.txt", "something longer than before")

    write_whole(tmp_path / "a.txt", lambda path: _write(path, "new"))

    assert (tmp_path / "a.txt").read_text() == "new"


def test_an_error_while_writing_keeps_the_old_file_and_nothing_else(
    tmp_path: Path,
) -> None:
    _write(tmp_path / "a.txt", "old")

    def fail(path: Path) -> None:
        _write(path, "half of the n")
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        write_whole(tmp_path / "a.txt", fail)

    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_an_error_of_the_system_names_the_file_and_keeps_its_kind(
    tmp_path: Path, code: int
) -> None:
    def fail(path: Path) -> None:
        raise OSError(code, os.strerror(code))

    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        write_whole(tmp_path / "a.txt", fail)

    assert caught.value.errno == code
    assert caught.value.filename == str(tmp_path / "a.txt")
    assert isinstance(caught.value, PermissionError) == (code == errno.EACCES)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        write_whole(tmp_path / "no" / "a.txt", lambda path: _write(path, ""))

    assert caught.value.filename == str(tmp_path / "no")


def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, lambda path: _write(path, ""))


def test_a_new_file_has_the_rights_that_the_user_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a.txt", lambda path: _write(path, ""))
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_a_file_in_the_working_folder_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    write_whole(Path("a.txt"), lambda path: _write(path, "new"))

    assert (tmp_path / "a.txt").read_text() == "new"


@pytest.mark.parametrize("name", ["targets", "models"])
def test_targets_and_models_come_with_the_package(name: str) -> None:
    assert any(packaged_folder(name).iterdir())
