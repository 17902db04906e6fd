"""Measure a profile on several processes, here or on other machines, with Dask.

The network and the inputs are shipped once to each worker. A block depends on no other,
so neither the number of workers nor their death changes what is found: a block that is
lost is measured again, elsewhere.
"""

import logging
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import repeat
from typing import Any, TypeVar

from snn_deploy.artifact import Artifact
from snn_deploy.backends.protocol import Backend
from snn_deploy.backends.registry import open_backend
from snn_deploy.cutoff.decision import Cutoff
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.data.data import Data
from snn_deploy.errors import BackendError
from snn_deploy.profile.measured import Measured, Run
from snn_deploy.profile.meter import Meter
from snn_deploy.profile.store import packed

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

AHEAD = 4  # blocks that wait for each thread of a worker
TIMEOUT = 10  # seconds to connect to a scheduler
RETRIES = 10  # times that a block may be lost with its worker
LOOK_S = 1.0  # between two looks at whether all workers of this machine are there

_mine = threading.local()  # of a worker's thread: the meter that it has set up


class Workers:
    """Processes that measure blocks of profiles.

    Parameters
    ----------
    client : distributed.Client
    n : int
        Of this machine, which Dask does not replace if they die as they start; 0: they
        are somebody else's.
    """

    def __init__(self, client: Any, n: int = 0) -> None:
        self.client = client
        self.n = n

    def meter(
        self,
        artifact: Artifact,
        backend: Backend,
        data: Data,
        cutoff: Cutoff | None,
        calibration: Calibration | None,
        monitor: str,
    ) -> "SharedMeter":
        """Return a meter that lets the workers do what it is asked."""
        return SharedMeter(self, artifact, backend, data, cutoff, calibration, monitor)

    def result(self, future: Any) -> Any:
        """Wait for what a future gives; meanwhile, see that there are workers."""
        distributed: Any = import_module("distributed")  # without types
        while True:
            try:  # not ``wait``: what is done is lost again with its worker
                return future.result(timeout=LOOK_S)
            except distributed.TimeoutError:
                if future.status == "error":  # it is the call's own
                    raise
            except distributed.KilledWorker as error:
                raise BackendError(
                    f"a part was lost with {RETRIES} workers, one after the other; "
                    "look at their logs for memory or crashes, and run the same "
                    "command again to go on"
                ) from error
            except distributed.CancelledError as error:
                raise self.lost from error
            if self.client.status != "running":
                raise self.lost
            if self.n and len(self.client.cluster.workers) < self.n:
                self.client.cluster.scale(self.n)

    @property
    def lost(self) -> BackendError:
        """What to tell once the scheduler, which knows all parts, does not answer."""
        return BackendError(
            "the Dask scheduler is lost, and what it had is with it; look whether it "
            "runs, and run the same command again to go on"
        )

    def map(
        self, call: Callable[[S, T], R], shared: S, items: Sequence[T]
    ) -> Iterator[R]:
        """Yield ``call(shared, item)`` for each item, in order.

        ``shared`` is shipped once to each worker.
        """
        setup = self.client.submit(bytes, pickle.dumps(shared), pure=False)
        futures = [
            self.client.submit(_called, call, setup, item, pure=False) for item in items
        ]
        try:
            for future in futures:
                yield self.result(future)
        finally:
            self.client.cancel([setup, *futures])


@contextmanager
def open_workers(n: int, scheduler: str) -> Iterator[Workers]:
    """Start ``n`` processes, or connect to the ``scheduler`` of a cluster.

    Raises
    ------
    BackendError
        If Dask is not installed, or there is no answer.
    """
    if find_spec("distributed") is None:
        raise BackendError(
            "several workers need Dask, which is not installed; pip install "
            "'snn-deploy[cluster]', or leave out --workers and --scheduler"
        )
    import dask

    distributed: Any = import_module("distributed")  # without types
    quiet = {
        "distributed.scheduler.allowed-failures": RETRIES,
        "distributed.admin.large-graph-warning-threshold": "100GB",
    }
    with dask.config.set(quiet):
        if not scheduler:
            with (
                distributed.LocalCluster(
                    n_workers=n,
                    threads_per_worker=1,
                    dashboard_address=":0",  # any port is right
                    silence_logs=logging.CRITICAL,
                ) as cluster,
                distributed.Client(cluster) as client,
            ):
                client.register_plugin(_deaf_worker())
                yield Workers(client, n)
            return
        try:
            client = distributed.Client(scheduler, timeout=TIMEOUT)
        except (OSError, ValueError) as error:
            raise BackendError(
                f"{scheduler}: no Dask scheduler answers ({error}); start one with "
                "dask scheduler, and workers with dask worker"
            ) from error
        with client:
            yield Workers(client)


def _deaf_worker() -> Any:
    """Return what keeps a Ctrl-C, which is this process's to handle, from workers."""
    from distributed import WorkerPlugin

    class Deaf(WorkerPlugin):
        def setup(self, worker: Any) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    return Deaf()


class SharedMeter(Meter):
    """A meter whose blocks are measured by workers, several at a time."""

    def __init__(
        self,
        workers: Workers,
        artifact: Artifact,
        backend: Backend,
        data: Data,
        cutoff: Cutoff | None,
        calibration: Calibration | None,
        monitor: str,
    ) -> None:
        super().__init__(artifact, backend, data, cutoff, calibration, monitor)
        # a calibration makes its rule anew: rules are functions, which do not travel
        rule = cutoff if calibration is None else None
        what = (artifact, backend.name, data, rule, calibration, monitor)
        self.workers = workers
        self.client = client = workers.client
        # a task, not data that is scattered: it is made again if its worker is lost
        self.setup = client.submit(bytes, pickle.dumps(what), pure=False)
        self.waiting: deque[range] = deque()
        self.futures: dict[range, Any] = {}
        self.keeps = False  # what is measured, so that workers pack it
        self.n_threads, self.look_at = 1, 0.0

    def close(self) -> None:
        """Forget what is not done."""
        self.client.cancel([self.setup, *self.futures.values()])
        super().close()

    def expect(self, run: Run, blocks: Sequence[range], *, keeps: bool) -> None:
        """Say which blocks will be asked for, in this order, and whether to keep."""
        self.waiting, self.keeps = deque(blocks), keeps

    def measure(self, run: Run, mine: range) -> Generator[None, None, Measured]:
        """Return what the inputs at these places of ``run`` gave; yield after each."""
        if self.client.status != "running":
            raise self.workers.lost
        self._submit(run, mine)
        while self.waiting and len(self.futures) < AHEAD * self._n_threads():
            self._submit(run, self.waiting.popleft())
        found: Measured = self._result(mine)
        yield from repeat(None, len(mine))
        return found

    def _n_threads(self) -> int:
        """Return how many threads the workers have, which may come and go."""
        if time.monotonic() >= self.look_at:
            self.n_threads = max(1, sum(self.client.nthreads().values()))
            self.look_at = time.monotonic() + LOOK_S
        return self.n_threads

    def _submit(self, run: Run, mine: range) -> None:
        if mine not in self.futures:
            self.futures[mine] = self.client.submit(
                _measured,
                self.setup,
                self.setup.key,
                run,
                mine,
                keeps=self.keeps,
                pure=False,
            )
        if mine in self.waiting:
            self.waiting.remove(mine)

    def _result(self, mine: range) -> Measured:
        try:
            found: Measured = self.workers.result(self.futures.pop(mine))
        except BackendError as error:
            where = f"inputs {mine.start} to {mine.stop - 1}"
            raise BackendError(f"{where}: {error}") from error
        return found


def _called(call: Callable[[S, T], R], shared: bytes, item: T) -> R:
    """Make a call, in a worker."""
    return call(pickle.loads(shared), item)


def _measured(
    setup: bytes, key: str, run: Run, mine: range, *, keeps: bool
) -> Measured:
    """Measure a block, in a worker; pack it, if it is to be kept."""
    if getattr(_mine, "key", None) != key:
        artifact, name, data, cutoff, calibration, monitor = pickle.loads(setup)
        if calibration is not None:
            cutoff = calibration.cutoff
        if hasattr(_mine, "meter"):
            _mine.meter.close()
        backend = open_backend(name)
        _mine.meter = Meter(artifact, backend, data, cutoff, calibration, monitor)
        _mine.key = key
    steps = _mine.meter.measure(run, mine)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            found: Measured = done.value
            if keeps and not found.failures:
                found.packed = packed(found)
            return found
