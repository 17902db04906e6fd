"""Workers: their number, and their death, change nothing."""

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from snn_deploy.backends.registry import open_backend
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.errors import BackendError
from snn_deploy.profile import meter as meter_module
from snn_deploy.profile import workers as workers_module
from snn_deploy.profile.profile import Profile, Schedule, profile_inputs
from snn_deploy.profile.store import Folder
from snn_deploy.profile.workers import Workers, open_workers
from tests.cutoff.test_monitor import loaded
from tests.profile.test_profile import artifact, data
from tests.profile.test_retry import calibrated
from tests.profile.test_store import RULES, EndedError, Stopping, assert_same

pytest.importorskip("distributed", reason="several workers need Dask")

N = 200


@pytest.fixture(autouse=True)
def parts_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter_module, "BATCH", 4)


@pytest.fixture(scope="module")
def pair() -> Iterator[Workers]:
    with open_workers(2, "") as workers:
        yield workers


def profiled(
    rule: Calibration | None,
    workers: Workers | None = None,
    store: Folder | None = None,
    progress: Any = lambda done, n, what: done,
) -> Profile:
    return profile_inputs(
        artifact(),
        open_backend("cpu"),
        data(N),
        cutoff=None if rule is None else rule.cutoff,
        calibration=rule,
        store=store,
        workers=workers,
        progress=progress,
    )


@pytest.mark.parametrize("rule", RULES)
def test_two_workers_find_what_one_process_does(rule: str, pair: Workers) -> None:
    assert_same(profiled(RULES[rule]()), profiled(RULES[rule](), pair))


def test_a_scheduler_elsewhere_is_connected_to(pair: Workers) -> None:
    address = pair.client.scheduler.address

    with open_workers(0, address) as workers:
        assert_same(profiled(None), profiled(None, workers))


def test_what_was_stored_is_not_measured_again(pair: Workers, tmp_path: Path) -> None:
    rule = calibrated(3, 0)
    with pytest.raises(EndedError):
        profiled(rule, pair, Stopping(tmp_path, n=7))

    store = Folder(tmp_path)

    assert len(store.hashes) == 7
    assert_same(profiled(rule), profiled(rule, pair, store))


class Killer:
    """Kills workers at random moments, until it has killed so many."""

    def __init__(self, workers: Workers, n_kills: int) -> None:
        self.workers, self.left = workers, n_kills
        self.rng = random.Random(n_kills)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while self.left and not self.ended.wait(self.rng.random() * 0.5):
            nannies = list(self.workers.client.cluster.workers.values())
            if not nannies:
                continue  # all have died as they started; others come
            process = self.rng.choice(nannies).process
            if process is None or process.pid is None:
                continue
            # most at work: a worker takes longer to start than it is let live
            is_starting = process.status.name == "starting"
            if not is_starting or self.rng.random() < 0.1:
                os.kill(process.pid, signal.SIGKILL)
                self.left -= 1

    def end(self) -> None:
        self.ended.set()
        self.thread.join()


def test_calls_come_back_in_order(pair: Workers) -> None:
    assert list(pair.map(pow, 3, [5, 1, 2])) == [243, 3, 9]


def drill(n_kills: int, folder: Path) -> None:
    """Kill workers until so many are killed, amid profiles that go on after a loss."""
    whole = profiled(None)
    with open_workers(2, "") as workers:
        while n_kills:
            killer = Killer(workers, n_kills)
            try:
                found = profiled(None, workers, Folder(folder), slowly)
            except BackendError:  # a part was lost with ten workers: run again
                continue
            else:
                assert_same(whole, found)
                shutil.rmtree(folder)
            finally:
                killer.end()
                n_kills = killer.left
        assert_same(whole, profiled(None, workers, Folder(folder)))


def slowly(done: Iterator[None], n: int, what: str) -> Iterator[None]:
    """Leave time for a worker to die between two parts."""
    for _ in done:
        time.sleep(0.002)
        yield


def test_killed_workers_change_nothing(tmp_path: Path) -> None:
    drill(2, tmp_path / "parts")


def test_workers_that_are_gone_for_good_are_replaced() -> None:
    """As those that die while they start, whom Dask gives up."""
    whole = profiled(None)
    with open_workers(2, "") as workers:
        cluster = workers.client.cluster
        cluster.scale(0)
        while cluster.workers:
            time.sleep(0.05)

        assert_same(whole, profiled(None, workers))


@pytest.mark.slow
def test_200_killed_workers_change_nothing(tmp_path: Path) -> None:
    drill(200, tmp_path / "parts")


def test_a_scheduler_that_nobody_is_at_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers_module, "TIMEOUT", 0.5)
    with (
        pytest.raises(BackendError, match="no Dask scheduler answers"),
        open_workers(0, "tcp://127.0.0.1:9"),
    ):
        pass


def test_without_dask_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers_module, "find_spec", lambda name: None)

    with (
        pytest.raises(BackendError, match=r"pip install 'snn-deploy\[cluster\]'"),
        open_workers(2, ""),
    ):
        pass


def test_a_lost_scheduler_is_told_as_such() -> None:
    """The workers are all there; what knows their parts is not."""
    distributed: Any = import_module("distributed")  # without types
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", processes=False
    )
    with open_workers(0, cluster.scheduler_address) as workers:
        called = workers.map(_slowly_added, 1, range(1000))  # minutes
        first = next(called)
        cluster.close()

        with pytest.raises(BackendError, match="the Dask scheduler is lost"):
            list(called)
        with pytest.raises(BackendError, match="the Dask scheduler is lost"):
            profiled(None, workers)

    assert first == 1


def _slowly_added(one: int, other: int) -> int:
    time.sleep(0.3)
    return one + other


def test_workers_measure_the_one_pass_twin_too_and_their_parent_nothing(
    pair: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, _, _, digits = loaded("mnist_qcfs")
    what = network, open_backend("cpu"), digits.take(range(8))
    alone = profile_inputs(*what, cutoff=None, has_rivals=True)
    measure = "snn_deploy.profile.meter.Meter.measure"
    monkeypatch.setattr(measure, lambda *given: pytest.fail("measured here"))

    shared = profile_inputs(*what, cutoff=None, has_rivals=True, workers=pair)

    assert Schedule.ONE_PASS in alone.runs
    assert_same(alone, shared)
