"""Lava fails during a profile: the input is tried again, and nothing is left behind."""

import json
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from snn_deploy.artifact import Artifact, pack, write_artifact
from snn_deploy.backends.lava import machine as lava_machine
from snn_deploy.backends.lava.backend import LavaBackend
from snn_deploy.backends.lava.machine import Machine
from snn_deploy.backends.registry import open_backend
from snn_deploy.cli import main
from snn_deploy.data.data import Data
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.profile.profile import profile_inputs
from snn_deploy.profile.rows import COLUMNS
from tests.backends.test_lava import lava_processes
from tests.hostile.networks import SHAPE, calibration

pytest.importorskip("lava", reason="lava is not installed")
# a thread of Lava's may end with an error as what it sends to is taken away
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)
N = 4


@pytest.fixture(scope="module")
def data(artifact: Artifact) -> Data:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (N, *SHAPE)).astype(np.uint8)
    return Data(x=x, y=None, training=artifact.network.graph.training)


def shared_memory() -> set[Path]:
    """Return the files of shared memory that this process and Lava's have open."""
    found: set[Path] = set()
    for process in (psutil.Process(), *lava_processes()):
        try:
            lines = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        found |= {Path(line.split()[-1]) for line in lines if "/dev/shm/psm" in line}
    return found


class Killer:
    """A progress that ends one of Lava's processes after some inputs."""

    def __init__(self, places: set[int]) -> None:
        self.places = places
        self.before = set(lava_processes())
        self.memory: set[Path] = set()  # that was there before a kill

    def __call__(self, steps: Iterable[None], n: int, what: str) -> Iterator[None]:
        for place, step in enumerate(steps):
            yield step
            self.memory |= shared_memory()
            if place in self.places:
                (set(lava_processes()) - self.before).pop().kill()


def test_an_input_whose_machine_dies_is_run_again(
    artifact: Artifact, data: Data
) -> None:
    processes, killer = set(lava_processes()), Killer({0, 2})
    cpu = profile_inputs(artifact, open_backend("cpu"), data, cutoff=None)

    lava = profile_inputs(
        artifact, open_backend("lava"), data, cutoff=None, progress=killer
    )

    for name in COLUMNS:
        np.testing.assert_array_equal(lava.rows.column(name), cpu.rows.column(name))
    assert set(lava_processes()) == processes
    assert killer.memory
    assert not [path for path in killer.memory if path.exists()]


def test_shared_memory_goes_even_if_its_own_process_was_killed(
    artifact: Artifact,
) -> None:
    processes = set(lava_processes())
    program = LavaBackend().load(artifact.network)
    memory = shared_memory()
    assert memory

    infrastructure = program.machine._infrastructure()
    infrastructure.smm._manager._process.kill()
    program.close()

    assert not [path for path in memory if path.exists()]
    assert set(lava_processes()) == processes


def dies_of(
    stimulus: Stimulus, number: int, monkeypatch: pytest.MonkeyPatch
) -> set[Path]:
    """Have a process of Lava's get a signal whenever it runs this input.

    Returns the files of shared memory that there were then.
    """
    memory: set[Path] = set()
    begin, start = Machine.begin, Machine.__init__
    limits = ("LIMIT_S", "HANG_S", "TIMES_LONGEST")
    usual = {name: getattr(lava_machine, name) for name in limits}

    def set_limits(found: dict[str, float]) -> None:
        for name, limit in found.items():
            monkeypatch.setattr(lava_machine, name, limit)

    def begun(machine: Machine, found: Stimulus, looks: Sequence[int] = ()) -> None:
        if np.array_equal(found.values, stimulus.values):
            memory.update(shared_memory())
            os.kill(int(machine.ledgers[0].process_id[0]), number)
            set_limits({"LIMIT_S": 4.0, "HANG_S": 1.0, "TIMES_LONGEST": 0})
        begin(machine, found, looks)

    def started(machine: Machine, *args: Any, **kwargs: Any) -> None:
        set_limits({**usual, "HANG_S": usual["LIMIT_S"]})  # a start may be slow
        start(machine, *args, **kwargs)

    monkeypatch.setattr(Machine, "begin", begun)
    monkeypatch.setattr(Machine, "__init__", started)
    return memory


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_an_input_that_fails_twice_is_told_and_the_rest_goes_on(
    artifact: Artifact, data: Data, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = set(lava_processes())
    memory = dies_of(data.stimulus(1), number, monkeypatch)

    lava = profile_inputs(artifact, open_backend("lava"), data, cutoff=None)

    (failed,) = lava.failed
    assert failed.index == 1
    said = "ended with status -9" if number == signal.SIGKILL else "lava hangs: no"
    assert said in failed.reason
    cpu = profile_inputs(artifact, open_backend("cpu"), data, cutoff=None)
    rest = np.array([True, False, True, True])
    for name in COLUMNS:
        expected = cpu.rows.column(name)[rest]
        np.testing.assert_array_equal(lava.rows.column(name), expected)
    assert set(lava_processes()) == processes
    assert memory
    assert not [path for path in memory if path.exists()]


@pytest.fixture
def files(artifact: Artifact, data: Data, tmp_path: Path) -> list[str]:
    """Return a calibrated network and inputs, as a command line names them."""
    network = pack(artifact.network, calibration(artifact.sha256))
    write_artifact(network, tmp_path / "model.snn")
    np.savez(tmp_path / "data.npz", x=data.x)
    return [str(tmp_path / "model.snn"), "--data", str(tmp_path / "data.npz")]


def test_profile_goes_on_and_its_next_run_tries_again(
    files: list[str],
    data: Data,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["profile", *files, "--backend", "lava", "-o"]
    with monkeypatch.context() as patch:
        dies_of(data.stimulus(2), signal.SIGKILL, patch)
        with pytest.raises(SystemExit) as ended:
            main([*command, str(tmp_path / "a")])
    said = capsys.readouterr()
    assert ended.value.code == 4
    assert "input 2 failed twice: lava: the process of " in said.err
    told = (
        "1 of 4 inputs failed twice and is in no number here; inputs.parquet says why"
    )
    assert told in said.out
    assert told in (tmp_path / "a" / "report.html").read_text()
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert (summary["n_inputs"], summary["n_failed"]) == (3, 1)
    failures = pq.read_table(tmp_path / "a" / "inputs.parquet").column("failure")
    assert [text is None for text in failures.to_pylist()] == [True, True, False, True]

    assert main([*command, str(tmp_path / "a")]) == 0
    assert main([*command, str(tmp_path / "b")]) == 0

    for name in ("inputs.parquet", "summary.json"):
        one, other = (tmp_path / folder / name for folder in "ab")
        assert one.read_bytes() == other.read_bytes()
    assert not (tmp_path / "a" / ".unfinished").exists()


def test_run_shows_the_other_inputs(
    files: list[str],
    data: Data,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dies_of(data.stimulus(0), signal.SIGKILL, monkeypatch)

    with pytest.raises(SystemExit) as ended:
        main(["run", *files, "--index", "3,0,1", "--json", "--backend", "lava"])

    said = capsys.readouterr()
    assert ended.value.code == 4
    assert [json.loads(line)["index"] for line in said.out.splitlines()] == [3, 1]
    assert "input 0 failed twice: lava: the process of " in said.err


def test_serve_decides_the_other_inputs(
    files: list[str],
    data: Data,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "stream").mkdir()
    (tmp_path / "data.npz").rename(tmp_path / "stream" / "data.npz")
    dies_of(data.stimulus(1), signal.SIGKILL, monkeypatch)

    with pytest.raises(SystemExit) as ended:
        main(["serve", files[0], "--data", str(tmp_path / "stream"), "--backend",
              "lava"])  # fmt: skip

    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert ended.value.code == 4
    assert [line["index"] for line in lines] == [0, 1, 2, 3]
    assert [*lines[1]] == ["index", "source", "failed"]
    assert "lava: the process of " in lines[1]["failed"]
    assert "served 3 inputs" in said.err
    assert "1 more failed twice" in said.err
