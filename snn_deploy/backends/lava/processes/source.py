"""The input of the network."""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess, ProcessParameters
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from snn_deploy.backends.lava.memory import Feed, Ledger, Raster
from snn_deploy.backends.lava.processes.timed import TimedModel
from snn_deploy.ir.quantized import (
    Source,
)


class SourceProcess(AbstractProcess):
    """Sends the stimulus, timestep by timestep."""

    def __init__(
        self, *, source: Source, feed: Feed, sent: Raster, ledger: Ledger
    ) -> None:
        super().__init__(feed=feed, sent=sent, ledger=ledger)
        self.spikes = OutPort(shape=(source.size,))


@implements(proc=SourceProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySourceModel(TimedModel):
    """Reads the feed."""

    spikes: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: ProcessParameters) -> None:
        super().__init__(proc_params)
        self.feed: Feed = proc_params["feed"]
        self.sent: Raster = proc_params["sent"]

    def run_timestep(self) -> None:
        values = self.feed.at(self.timestep)
        self.sent.write(self.timestep, values != 0)
        self.spikes.send(values)
