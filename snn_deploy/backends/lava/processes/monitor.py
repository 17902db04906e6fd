"""The read-out, and the chip's end of the conversation with the host."""

import contextlib
import os
import signal
import threading
import time
from multiprocessing.connection import Connection

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess, ProcessParameters
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from snn_deploy.arrays import BoolArray, IntArray
from snn_deploy.backends.lava.memory import Job, Ledger
from snn_deploy.backends.lava.processes.timed import TimedModel
from snn_deploy.ir.quantized import (
    QuantizedGraph,
)


class MonitorProcess(AbstractProcess):
    """Reads the outputs; pauses the chip if the host, where it looks, says so.

    The chip goes on until populations behind the output have seen the same timesteps,
    so that a stream of inputs can be counted; these timesteps are not read.
    Between two looks it keeps what it reads and exchanges nothing. While everything is
    recorded it reports every chip timestep and asks nothing.
    """

    def __init__(
        self,
        *,
        graph: QuantizedGraph,
        job: Job,
        readouts: IntArray,
        looks: BoolArray,
        line: Connection,
        family: IntArray,
        ledger: Ledger,
    ) -> None:
        super().__init__(
            graph=graph,
            job=job,
            readouts=readouts,
            looks=looks,
            line=line,
            family=family,
            ledger=ledger,
        )
        self.spikes = InPort(shape=(graph.readout.size,))
        self.voltage = InPort(shape=(graph.readout.size,))


@implements(proc=MonitorProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyMonitorModel(TimedModel):
    """Writes read-outs to shared memory, says so, and waits for the host's word.

    One of the two ports is connected; the other receives zeros.
    """

    spikes: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    voltage: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)

    def __init__(self, proc_params: ProcessParameters) -> None:
        super().__init__(proc_params)
        graph: QuantizedGraph = proc_params["graph"]
        self.job: Job = proc_params["job"]
        self.n_silent = self.job.n_silent(graph)
        self.n_behind = 0 if self.job.is_recording else graph.lag - graph.depth
        self.n_chip_timesteps = self.job.n_chip_timesteps(graph)
        self.last = self.n_chip_timesteps
        self.readouts: IntArray = proc_params["readouts"]  # one row for each timestep
        self.looks: BoolArray = proc_params["looks"]  # by timestep, counted from 1
        self.line: Connection = proc_params["line"]
        threading.Thread(
            target=_end_with, args=(os.getppid(), proc_params["family"]), daemon=True
        ).start()

    def run_timestep(self) -> None:
        readout = self.spikes.recv() + self.voltage.recv()
        local = self.timestep - self.n_silent
        if local >= 1 and self.timestep <= self.last - self.n_behind:
            self._report(local, readout)
        if self.timestep == self.last:
            self._req_pause = True  # Lava pauses behind this very timestep

    def _report(self, local: int, readout: IntArray) -> None:
        self.readouts[local - 1] = readout
        is_last = self.timestep == self.last - self.n_behind
        if not (is_last or self.job.is_recording or self.looks[local]):
            return
        self.line.send(self.timestep)
        if not is_last and self._is_told_to_stop():
            self.last = self.timestep + self.n_behind

    def rest(self) -> None:
        self.last = self.n_chip_timesteps

    def _is_told_to_stop(self) -> bool:
        return not (self.job.is_recording or self.line.recv())


def _end_with(host: int, family: IntArray) -> None:
    """Kill the processes of the family, this one included, once the host has gone."""
    while os.getppid() == host:
        time.sleep(1)
    for process_id in sorted(family[family != 0], key=lambda x: x == os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process_id), signal.SIGKILL)
