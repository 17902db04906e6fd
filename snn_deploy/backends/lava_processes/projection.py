"""The synapses of one projection, dense or convolution."""

from collections import deque

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess, ProcessParameters
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from snn_deploy.arrays import IntArray, n_neurons
from snn_deploy.backends.lava_memory import Ledger
from snn_deploy.backends.lava_processes.timed import TimedModel
from snn_deploy.ir.dynamics import SynapticSum
from snn_deploy.ir.quantized import (
    Projection,
    QuantizedGraph,
)


class ProjectionProcess(AbstractProcess):
    """Weights and sums spikes, and sends the sums ``delay`` timesteps later."""

    def __init__(
        self, *, graph: QuantizedGraph, projection: Projection, ledger: Ledger
    ) -> None:
        super().__init__(graph=graph, projection=projection, ledger=ledger)
        self.spikes = InPort(shape=(n_neurons(graph.shape_of(projection.source)),))
        self.sums = OutPort(shape=(n_neurons(graph.shape_of(projection.target)),))


@implements(proc=ProjectionProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyProjectionModel(TimedModel):
    """The sums of the reference; like Lava's own, sends before it receives."""

    spikes: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    sums: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)

    def __init__(self, proc_params: ProcessParameters) -> None:
        super().__init__(proc_params)
        graph: QuantizedGraph = proc_params["graph"]
        self.projection: Projection = proc_params["projection"]
        self.sum = SynapticSum(graph, self.projection)
        self.silence: IntArray = np.zeros(
            n_neurons(graph.shape_of(self.projection.target)), np.int64
        )
        self.latest_spikes: IntArray = np.zeros(
            n_neurons(graph.shape_of(self.projection.source)), np.int32
        )
        self.latest_sums = self.silence
        self.rest()

    def rest(self) -> None:
        self.on_the_way = deque([self.silence] * self.projection.delay)

    def run_timestep(self) -> None:
        self.sums.send(self.on_the_way.popleft())
        self.on_the_way.append(self._sums_of(self.spikes.recv()))

    def _sums_of(self, spikes: IntArray) -> IntArray:
        """Return the sums; computed once as long as the spikes stay the same."""
        if not np.array_equal(spikes, self.latest_spikes):
            self.latest_spikes = spikes
            self.latest_sums = self.sum(spikes[np.newaxis])[0]
        return self.latest_sums
