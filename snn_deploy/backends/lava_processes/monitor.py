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

from snn_deploy.arrays import IntArray
from snn_deploy.backends.lava_memory import Job, Ledger
from snn_deploy.backends.lava_processes.timed import TimedModel
from snn_deploy.ir.quantized import (
    QuantizedGraph,
)


class MonitorProcess(AbstractProcess):
    """Shows the host every input timestep, and pauses the chip when told to.

    While everything is recorded it reports every chip timestep and asks nothing.
    """

    def __init__(
        self,
        *,
        graph: QuantizedGraph,
        job: Job,
        readout: IntArray,
        line: Connection,
        family: IntArray,
        ledger: Ledger,
    ) -> None:
        super().__init__(
            graph=graph,
            job=job,
            readout=readout,
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
    """Writes the read-out to shared memory, says so, and waits for the host's word.

    One of the two ports is connected; the other receives zeros.
    """

    spikes: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    voltage: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)

    def __init__(self, proc_params: ProcessParameters) -> None:
        super().__init__(proc_params)
        graph: QuantizedGraph = proc_params["graph"]
        self.job: Job = proc_params["job"]
        self.n_silent = self.job.n_silent(graph)
        self.n_chip_timesteps = self.job.n_chip_timesteps(graph)
        self.readout: IntArray = proc_params["readout"]
        self.line: Connection = proc_params["line"]
        threading.Thread(
            target=_end_with, args=(os.getppid(), proc_params["family"]), daemon=True
        ).start()

    def run_timestep(self) -> None:
        self.readout[:] = self.spikes.recv() + self.voltage.recv()
        if self.timestep <= self.n_silent:  # the pipeline still fills
            return
        self.line.send(self.timestep)
        if self.timestep == self.n_chip_timesteps or self._is_told_to_stop():
            self._req_pause = True  # Lava pauses behind this very timestep

    def _is_told_to_stop(self) -> bool:
        return not (self.job.is_recording or self.line.recv())


def _end_with(host: int, family: IntArray) -> None:
    """Kill the processes of the family, this one included, once the host has gone."""
    while os.getppid() == host:
        time.sleep(1)
    for process_id in sorted(family[family != 0], key=lambda x: x == os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process_id), signal.SIGKILL)
