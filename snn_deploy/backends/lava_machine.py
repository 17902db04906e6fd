"""The Lava processes of one network, started once, and the host's line to them."""

import contextlib
import io
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from typing import Any

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.backends.lava_compat import forking
from snn_deploy.backends.lava_memory import (
    Ledger,
    new_feed,
    new_ledger,
    new_raster,
    shared_zeros,
)
from snn_deploy.backends.lava_processes.monitor import MonitorProcess
from snn_deploy.backends.lava_processes.population import PopulationProcess
from snn_deploy.backends.lava_processes.projection import ProjectionProcess
from snn_deploy.backends.lava_processes.source import SourceProcess
from snn_deploy.errors import BackendError
from snn_deploy.ir.quantized import (
    QuantizedGraph,
)
from snn_deploy.spikes import Stimulus

LIMIT_S = 60.0  # for the start, for one chip timestep, for a pause, for the end
LOOK_S = 0.2  # between two looks at whether all processes live
PATIENCE_S = 1.0  # for Lava to notice that a process has failed
CHANNEL_SLOTS = 2  # of a connection; there is never more than one message on the way
ADVICE = "choose --backend cpu, which computes the same"


class Machine:
    """A network in Lava.

    Whatever goes wrong while the host waits, Ctrl-C included, kills all processes, so
    that none is left and nobody waits for ever.
    """

    def __init__(self, graph: QuantizedGraph) -> None:
        n_timesteps = graph.training.timesteps
        n_chip_timesteps = n_timesteps + graph.depth
        self.graph = graph
        self.host = os.getpid()
        self.is_open = True
        self.is_busy = False  # an input is in progress
        self.is_stopping = False  # Lava's processes may end
        self.feed = new_feed(n_timesteps, graph.source.size)
        self.readout: IntArray = shared_zeros((graph.readout.size,), np.int64)
        sizes = {p.name: p.size for p in graph.populations}
        self.busy = {k: new_raster(n_chip_timesteps, n) for k, n in sizes.items()}
        sizes[graph.source.name] = graph.source.size
        self.sent = {k: new_raster(n_chip_timesteps, n) for k, n in sizes.items()}
        self.line, self.far_end = multiprocessing.Pipe()
        n_processes = 2 + len(graph.populations) + len(graph.projections)
        self.family: IntArray = shared_zeros((n_processes + 2,), np.int64)
        self.ledgers: list[Ledger] = []
        with _root_logger_unchanged():
            self.processes = self._processes()
        with forking(), contextlib.redirect_stdout(io.StringIO()):  # Lava prints errors
            self._wait_for("start", self._start)
        self._tell_family()

    def begin(self, stimulus: Stimulus) -> None:
        """Start an input, from rest."""
        from lava.magma.core.run_conditions import RunContinuous

        self._check_open()
        self.feed.write(stimulus)
        self.is_busy = True
        self.processes[0].run(RunContinuous())

    def listen(self, n_chip_timesteps: int) -> IntArray:
        """Return the read-out of the next input timestep ``(n_out,)``."""
        self._check_open()
        limit_s = LIMIT_S * n_chip_timesteps
        deadline = time.monotonic() + limit_s
        while not self.line.poll(LOOK_S):
            self._check_alive("compute", deadline, limit_s)
        self.line.recv()
        return self.readout.copy()

    def answer(self, *, goes_on: bool) -> None:
        """Have Lava compute the next timestep, or stop behind the latest."""
        self._check_open()
        self.line.send(goes_on)

    def pause(self) -> tuple[tuple[str, int], ...]:
        """Wait until all is at rest; return the timesteps each process executed."""
        self._check_open()
        self._wait_for("pause", self.processes[0].wait)
        self.is_busy = False
        return tuple((x.name, int(x.executed[0])) for x in self.ledgers)

    def close(self) -> None:
        """End all processes."""
        if not self.is_open or os.getpid() != self.host:
            return
        if self.is_busy or self._dead():
            self.kill()
            return
        runtime = self.processes[0].runtime
        runtime._is_started = True  # a runtime that never ran would wait for ever
        self.is_stopping = True
        self._wait_for("stop", runtime.stop)
        self._forget()

    @contextlib.contextmanager
    def killed_on_error(self) -> Iterator[None]:
        """End all processes if an exception leaves the block, Ctrl-C included."""
        try:
            yield
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End all processes, whatever they are doing."""
        if not self.is_open:
            return
        self._let_it_fork()
        for worker in self._workers():
            with contextlib.suppress(ValueError):  # Lava has closed it
                worker.kill()
        runtime = self.processes[0].runtime
        if self._infrastructure() and self._infrastructure().smm:
            runtime.join()
            runtime._is_started = False  # else it would talk to them
            runtime.stop()
        self._forget()

    def _processes(self) -> list[Any]:
        graph, offset = self.graph, self.graph.precision.current_decay_offset
        source = SourceProcess(
            source=graph.source,
            feed=self.feed,
            sent=self.sent[graph.source.name],
            ledger=self._ledger(graph.source.name),
        )
        populations = {
            p.name: PopulationProcess(
                population=p,
                current_decay_offset=offset,
                sent=self.sent[p.name],
                busy=self.busy[p.name],
                ledger=self._ledger(p.name),
            )
            for p in graph.populations
        }
        projections = [
            ProjectionProcess(graph=graph, projection=p, ledger=self._ledger(p.name))
            for p in graph.projections
        ]
        for projection, process in zip(graph.projections, projections, strict=True):
            populations.get(projection.source, source).spikes.connect(process.spikes)
            process.sums.connect(populations[projection.target].arriving)
        monitor = MonitorProcess(
            graph=graph,
            readout=self.readout,
            line=self.far_end,
            family=self.family,
            ledger=self._ledger("monitor"),
        )
        if graph.readout.spikes:
            populations[graph.output].spikes.connect(monitor.spikes)
        else:
            populations[graph.output].voltage.connect(monitor.voltage)
        return [monitor, source, *populations.values(), *projections]

    def _ledger(self, name: str) -> Ledger:
        self.ledgers.append(new_ledger(name))
        return self.ledgers[-1]

    def _start(self) -> None:
        from lava.magma.core.run_configs import Loihi2SimCfg

        # forked processes inherit the mask: a Ctrl-C is the host's to handle; the
        # tracker of shared memory would lift it while it starts
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self.processes[0].create_runtime(
            run_cfg=Loihi2SimCfg(select_tag="fixed_pt"),
            compile_config={"pypy_channel_size": CHANNEL_SLOTS},
        )

    def _wait_for(self, doing: str, call: Callable[[], object]) -> None:
        """Make a call to Lava that might never return, in a thread of its own."""
        errors: list[BaseException] = []

        def attempt() -> None:
            try:
                call()
            except BaseException as error:
                errors.append(error)

        self.thread = thread = threading.Thread(target=attempt, daemon=True)
        deadline = time.monotonic() + LIMIT_S
        with self.killed_on_error():
            thread.start()
            while thread.is_alive():
                thread.join(LOOK_S)
                if self._dead():
                    thread.join(PATIENCE_S)  # Lava itself may have noticed
                if thread.is_alive():
                    self._check_alive(doing, deadline, LIMIT_S)
            if errors:
                raise BackendError(
                    f"lava failed to {doing}: {errors[0]!r}; {ADVICE}"
                ) from errors[0]

    def _check_open(self) -> None:
        if not self.is_open:
            raise BackendError("lava: the program is closed; load the network again")

    def _check_alive(self, doing: str, deadline: float, limit_s: float) -> None:
        dead = self._dead()
        if dead:
            raise BackendError(f"lava: {dead}; {ADVICE}")
        if time.monotonic() > deadline:
            raise BackendError(
                f"lava did not {doing} within {limit_s:g} s and was ended; {ADVICE}"
            )

    def _workers(self) -> list[Any]:
        """Return the system processes that have been started: Lava's, and a service."""
        infrastructure = self._infrastructure()
        return list(infrastructure.actors) if infrastructure else []

    def _infrastructure(self) -> Any:
        """Return what holds Lava's system processes and shared memory, once there."""
        runtime = self.processes[0].runtime
        return runtime and runtime._messaging_infrastructure

    def _tell_family(self) -> None:
        """Let the monitor know whom to end, should the host be killed."""
        memory = self._infrastructure().smm._manager._process
        self.family[:] = [x.pid for x in (*self._workers(), memory)]

    def _let_it_fork(self) -> None:
        """Wait while a start goes on: what it forks behind our back would stay."""
        deadline = time.monotonic() + LIMIT_S
        while self.thread.is_alive() and time.monotonic() < deadline:
            if len(self._workers()) == len(self.processes) + 1:
                return
            time.sleep(LOOK_S / 10)

    def _dead(self) -> str:
        """Return which process has ended by itself, and why; nothing if none has."""
        for worker in () if self.is_stopping else self._workers():
            try:
                if not worker.is_alive():
                    return self._cause(worker)
            except ValueError:  # Lava has joined and closed it
                return "a process has ended"
        return ""

    def _cause(self, worker: Any) -> str:
        names = {int(ledger.process_id[0]): ledger.name for ledger in self.ledgers}
        name = names.get(worker.pid, "the runtime service")
        if worker.exception:
            return f"the process of {name} failed: {worker.exception[0]!r}"
        return f"the process of {name} ended with status {worker.exitcode}"

    def _forget(self) -> None:
        """Let go of what Lava would keep for ever."""
        from lava.magma.core.process.process import ProcessServer

        self.is_open = False
        registered = ProcessServer().processes
        for process in self.processes:
            process.runtime = None
            if process in registered:
                registered.remove(process)
        self.line.close()
        self.far_end.close()


@contextlib.contextmanager
def _root_logger_unchanged() -> Iterator[None]:
    """Undo what Lava does to the root logger: one more handler for every process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
