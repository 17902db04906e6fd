"""The Lava processes of one network, started once, and the host's line to them."""

import contextlib
import io
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Any

from snn_deploy.backends.lava.compat import forking
from snn_deploy.backends.lava.memory import Job
from snn_deploy.backends.lava.network import LavaNetwork
from snn_deploy.errors import BackendError
from snn_deploy.ir.quantized import (
    QuantizedGraph,
)
from snn_deploy.ir.stimuli import Stimulus

LIMIT_S = 60.0  # for the start, for one chip timestep, for a pause, for the end
HANG_S = 10.0  # without a timestep of any process, once each has done one
TIMES_LONGEST = 20  # or that many times the longest without one
LOOK_S = 0.2  # between two looks at whether all processes live
PATIENCE_S = 1.0  # for Lava to notice that a process has failed
CHANNEL_SLOTS = 2  # of a connection; there is never more than one message on the way
ADVICE = "choose --backend cpu, which computes the same"


class Machine:
    """A network in Lava, built for one kind of job.

    Whatever goes wrong while the host waits, Ctrl-C included, kills all processes, so
    that none is left and none waits for ever.
    """

    def __init__(self, graph: QuantizedGraph, job: Job) -> None:
        self.job = job
        self.host = os.getpid()
        self.is_open = True
        self.is_busy = False  # an input is in progress
        self.is_stopping = False  # Lava's processes may end
        self.longest_s = 0.0  # without a timestep, of what did not hang
        self.segments: set[str] = set()  # of shared memory, by name
        self.line, self.far_end = multiprocessing.Pipe()
        with _root_logger_unchanged():
            self.network = LavaNetwork(graph, job, self.far_end)
        self.processes = self.network.processes
        self.ledgers = self.network.ledgers
        with forking(), contextlib.redirect_stdout(io.StringIO()):  # Lava prints errors
            self._wait_for("start", self._start)
        with self.killed_on_error():
            self._tell_family()

    def begin(self, stimulus: Stimulus, looks: Sequence[int] = ()) -> None:
        """Start an input, from rest; it waits for an answer at these timesteps."""
        from lava.magma.core.run_conditions import RunContinuous

        self.check_open()
        self.network.feed.write(stimulus)
        self.network.looks[:] = False
        self.network.looks[list(looks)] = True
        self.is_busy = True
        self.processes[0].run(RunContinuous())

    def listen(self, n_chip_timesteps: int) -> None:
        """Wait for the next report of the monitor, which writes the read-outs.

        ``n_chip_timesteps`` is how many timesteps lie before it, for the time limit.
        """
        self.check_open()
        limit_s = LIMIT_S * n_chip_timesteps
        n_steps, latest = self._n_steps(), time.monotonic()
        deadline = latest + limit_s
        while not self.line.poll(LOOK_S):
            self._check_alive("compute", deadline, limit_s)
            if self._n_steps() != n_steps:
                self.longest_s = max(self.longest_s, time.monotonic() - latest)
                n_steps, latest = self._n_steps(), time.monotonic()
            else:
                self._check_moves(time.monotonic() - latest)
        self.line.recv()

    def answer(self, *, goes_on: bool) -> None:
        """Have Lava compute up to the next look, or stop behind the latest."""
        self.check_open()
        self.line.send(goes_on)

    def pause(self, n_chip_timesteps: int) -> tuple[tuple[str, int], ...]:
        """Wait until all is at rest; return the timesteps each process executed.

        Raises
        ------
        BackendError
            If a process did not execute exactly ``n_chip_timesteps``.
        """
        self.check_open()
        self._wait_for("pause", self.processes[0].wait)
        self.is_busy = False
        found = tuple((x.name, int(x.executed[0])) for x in self.ledgers)
        for name, executed in found:
            if executed != n_chip_timesteps:
                raise BackendError(
                    f"{name}: Lava executed {executed} chip timesteps instead of "
                    f"{n_chip_timesteps}; {ADVICE}"
                )
        return found

    def close(self) -> None:
        """End all processes."""
        if not self.is_open or os.getpid() != self.host:
            return
        if self.is_busy or self._dead():
            self.kill()
            return
        self._note_segments()
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
        self._note_segments()
        for worker in self._workers():
            with contextlib.suppress(ValueError):  # Lava has closed it
                worker.kill()
        runtime = self.processes[0].runtime
        if self._infrastructure() and self._infrastructure().smm:
            runtime.join()
            runtime._is_started = False  # else it would talk to them
            runtime.stop()
        self._forget()

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
        # not ``join``: up to Python 3.12 one that Ctrl-C ends takes the thread for dead
        self.returned = returned = threading.Event()

        def attempt() -> None:
            try:
                call()
            except BaseException as error:
                errors.append(error)
            returned.set()

        deadline = time.monotonic() + LIMIT_S
        with self.killed_on_error():
            threading.Thread(target=attempt, daemon=True).start()
            while not returned.wait(LOOK_S):
                if self._dead() and returned.wait(PATIENCE_S):
                    break  # Lava itself has noticed
                self._check_alive(doing, deadline, LIMIT_S)
            if errors:
                raise BackendError(
                    f"lava failed to {doing}: {errors[0]!r}; {ADVICE}"
                ) from errors[0]

    def check_open(self) -> None:
        """Raise if the processes have been ended."""
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

    def _n_steps(self) -> int:
        return sum(int(ledger.n_steps[0]) for ledger in self.ledgers)

    def _check_moves(self, waited_s: float) -> None:
        limit_s = LIMIT_S  # the first timestep may take long
        if all(ledger.n_steps[0] for ledger in self.ledgers):
            limit_s = max(HANG_S, TIMES_LONGEST * self.longest_s)
        if waited_s > limit_s:
            raise BackendError(
                f"lava hangs: no process has done a timestep for {limit_s:g} s, so all "
                f"were ended; {ADVICE}"
            )

    def _workers(self) -> list[Any]:
        """Return the system processes that have been started: Lava's, and a service."""
        infrastructure = self._infrastructure()
        return list(infrastructure.actors) if infrastructure else []

    def _infrastructure(self) -> Any:
        """Return what holds Lava's system processes and shared memory, once there."""
        runtime = self.processes[0].runtime
        return runtime and runtime._messaging_infrastructure

    def _note_segments(self) -> None:
        """Keep the names of Lava's shared memory, which it forgets as it ends."""
        if self._infrastructure() and self._infrastructure().smm:
            handles = self._infrastructure().smm._shared_memory_handles
            self.segments.update(handle.name for handle in handles)

    def _tell_family(self) -> None:
        """Let the monitor know whom to end, should the host be killed."""
        memory = self._infrastructure().smm._manager._process
        self.network.family[:] = [x.pid for x in (*self._workers(), memory)]

    def _let_it_fork(self) -> None:
        """Wait while a start goes on: what it forks behind our back would stay."""
        deadline = time.monotonic() + LIMIT_S
        while not self.returned.is_set() and time.monotonic() < deadline:
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
        for name in self.segments:  # left only if their own process was killed
            with contextlib.suppress(FileNotFoundError):
                SharedMemory(name).unlink()


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
