"""Lava fails during a profile: the input is tried again, and nothing is left behind."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from snn_deploy.artifact import Artifact, pack
from snn_deploy.backends import open_backend
from snn_deploy.errors import BackendError
from snn_deploy.inputs.data import Data
from snn_deploy.profile.profile import profile_inputs
from snn_deploy.profile.rows import COLUMNS
from tests.hostile.networks import SHAPE, small_artifact, write_model

pytest.importorskip("lava", reason="lava is not installed")
N = 4


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    graph = write_model(tmp_path_factory.mktemp("model") / "model.pt")
    return pack(small_artifact(graph).network)


@pytest.fixture(scope="module")
def data(artifact: Artifact) -> Data:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (N, *SHAPE)).astype(np.uint8)
    return Data(x=x, y=None, training=artifact.network.graph.training)


def lava_processes() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    alive = [x for x in found if x.status() != psutil.STATUS_ZOMBIE]
    return [x for x in alive if "resource_tracker" not in " ".join(x.cmdline())]


def shared_memory() -> set[Path]:
    """Return the files of shared memory that this process and Lava's have open."""
    found: set[Path] = set()
    for process in (psutil.Process(), *lava_processes()):
        lines = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
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


def test_an_input_that_fails_twice_is_named(
    artifact: Artifact, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snn_deploy.backends import lava_machine

    processes, memory = set(lava_processes()), set[Path]()
    tries: list[float] = []

    def fail(*_: object) -> None:
        tries.append(time.monotonic())
        memory.update(shared_memory())
        raise BackendError("lava failed")

    monkeypatch.setattr(lava_machine.Machine, "listen", fail)

    with pytest.raises(BackendError, match="input 0 failed twice: lava failed"):
        profile_inputs(artifact, open_backend("lava"), data, cutoff=None)

    assert len(tries) == 2
    assert set(lava_processes()) == processes
    assert memory
    assert not [path for path in memory if path.exists()]
