"""profile is killed, and run again: nothing is lost, nothing is there twice."""

import errno
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from snn_deploy.cli import main
from snn_deploy.profile import store
from snn_deploy.profile.rows import Rows
from snn_deploy.profile.store import Folder
from snn_deploy.profile.tables import write_rows
from tests.hostile.networks import SHAPE, write_all

N = 3000
N_PARTS = 24  # serial and streamed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network, data, and the profile of an unbroken run."""
    folder = tmp_path_factory.mktemp("resumed")
    write_all(folder)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (N, *SHAPE)).astype(np.uint8)
    np.savez(folder / "data.npz", x=x, y=rng.integers(0, 3, N))
    assert main(arguments(folder, folder / "unbroken")) == 0
    return folder


def arguments(folder: Path, output: Path) -> list[str]:
    files = [str(folder / "model.snn"), "--data", str(folder / "data.npz")]
    return ["profile", *files, "--backend", "cpu", "-o", str(output)]


FAST = multiprocessing.get_context("forkserver")  # the imports are done once
FAST.set_forkserver_preload(
    [
        "pyarrow.parquet",
        "snn_deploy.backends.engine.cpu",
        "snn_deploy.report.profile_files",
    ]
)


def run_held(arguments: list[str], most: int) -> int:
    """Run, but store no more than so many parts: who ends it has time to do so."""
    keep, n_kept = Folder.keep, 0

    def keep_or_wait(*args: Any) -> None:
        nonlocal n_kept
        if n_kept == most:
            signal.pause()
        keep(*args)
        n_kept += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Folder, "keep", keep_or_wait)
        return main(arguments)


def start(folder: Path, output: Path, n: int) -> ForkServerProcess:
    """Start a run that stores ``n`` parts and up to two more; wait for these."""
    n_before = n_parts(output)
    run = FAST.Process(target=run_held, args=(arguments(folder, output), n + 2))
    run.start()
    while n_parts(output) < n_before + n:
        assert run.is_alive()
        time.sleep(0.002)
    return run


def end(run: ForkServerProcess) -> None:
    run.kill()
    run.join()
    assert run.exitcode == -signal.SIGKILL


def parts(output: Path) -> list[Folder]:
    return [Folder(path) for path in output.glob(".unfinished/*")]


def n_parts(output: Path) -> int:
    return sum(len(p.hashes) for p in parts(output))


def assert_finished(folder: Path, output: Path) -> None:
    names = sorted(path.name for path in (folder / "unbroken").iterdir())
    assert sorted(path.name for path in output.iterdir()) == names
    for name in names:
        if name != "report.html":
            mine, other = (f / name for f in (output, folder / "unbroken"))
            assert mine.read_bytes() == other.read_bytes(), name
    indices = pq.read_table(output / "inputs.parquet").column("index").to_pylist()
    assert indices == list(range(N))


def drill(folder: Path, output: Path, n_kills: int) -> None:
    """Kill runs at random points until ``n_kills`` are done; then let one finish."""
    rng = random.Random(n_kills)
    for _ in range(n_kills):
        run = start(folder, output, rng.randrange(1, 3))
        time.sleep(rng.random() * 0.02)
        end(run)
        if n_parts(output) > N_PARTS - 5:  # near the end: begin again
            assert main(arguments(folder, output)) == 0
            assert_finished(folder, output)
            shutil.rmtree(output)
    assert main(arguments(folder, output)) == 0
    assert_finished(folder, output)


def test_killed_twice_it_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    drill(folder, tmp_path / "profile", n_kills=2)


@pytest.mark.slow
def test_killed_200_times_it_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    drill(folder, tmp_path / "profile", n_kills=200)


def test_a_copy_of_the_folder_amid_a_run_goes_on(folder: Path, tmp_path: Path) -> None:
    """What a power cut leaves is what lies on the disk at some moment."""
    output, copy = tmp_path / "profile", tmp_path / "copy"
    run = start(folder, output, 3)
    shutil.copytree(output, copy)
    end(run)

    assert main(arguments(folder, copy)) == 0

    assert_finished(folder, copy)


@pytest.mark.parametrize("options", [[], ["--workers", "2"]])
def test_ctrl_c_says_where_the_work_lies_and_the_next_run_goes_on(
    options: list[str],
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "profile"
    program = (
        "import sys; from tests.cli.test_profile_resumed import run_held; "
        "sys.exit(run_held(sys.argv[1:], 4))"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", program, *arguments(folder, output), *options],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    while n_parts(output) < 2:
        assert run.poll() is None
        time.sleep(0.002)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    _, error = run.communicate()
    assert run.returncode == 130, error
    last = error.splitlines()
    assert last == [
        f"what is done lies in {output / '.unfinished'}; the same command goes on",
        "interrupted",
    ]
    n_done = n_parts(output)

    assert main(arguments(folder, output)) == 0

    said = capsys.readouterr().out
    assert f"goes on where it stopped: {n_done} parts are done" in said
    assert_finished(folder, output)


def test_a_deleted_input_file_loses_nothing_that_was_done(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("model.snn", "data.npz"):
        shutil.copy(folder / name, home)
    output = tmp_path / "profile"
    end(start(home, output, 2))
    (home / "data.npz").unlink()

    assert main(arguments(home, output)) == 1

    assert "data.npz: no such file; check the path" in capsys.readouterr().err
    assert main(arguments(folder, output)) == 0  # the same inputs in another file
    assert "goes on where it stopped" in capsys.readouterr().out
    assert_finished(folder, output)


def test_a_disk_that_fills_up_keeps_what_is_done(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, written = tmp_path / "profile", list[Path]()

    def full(rows: Rows, path: Path, *, notes: dict[str, Any]) -> None:
        if len(written) == 4:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written.append(path)
        write_rows(rows, path, notes=notes)

    monkeypatch.setattr(store, "write_rows", full)
    assert main(arguments(folder, output)) == 1
    monkeypatch.undo()
    assert n_parts(output) == 4
    assert not list(output.glob(".unfinished/*/.*"))  # no half file is left

    assert main(arguments(folder, output)) == 0

    assert_finished(folder, output)
