"""The synapses of one projection: dense, convolution or sparse."""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess, ProcessParameters
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from snn_deploy.arrays import IntArray, n_neurons, spread
from snn_deploy.backends.lava.memory import Ledger
from snn_deploy.backends.lava.processes.timed import TimedModel
from snn_deploy.ir.dynamics import SynapticSum
from snn_deploy.ir.quantized import (
    Projection,
    QuantizedGraph,
)

LARGEST_INPUT = 1 << 31  # the stimulus is not known yet; it has 32 bits


class ProjectionProcess(AbstractProcess):
    """Sends the weighted sums of the spikes that arrive, each after its axon's delay.

    The spikes themselves are kept on the way: an exponent that drops bits acts on the
    sum of all that arrive in one timestep, whenever they were sent.
    """

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
        projection: Projection = proc_params["projection"]
        shape = graph.shape_of(projection.source)
        is_input = projection.source == graph.source.name
        self.sum = SynapticSum(graph, projection, LARGEST_INPUT if is_input else None)
        self.delays = projection.delay + spread(projection.axon_delay, shape)
        self.axons = np.arange(len(self.delays))
        size = (projection.longest_delay, len(self.delays))
        self.on_the_way: IntArray = np.zeros(size, np.int32)  # row: arrival, modulo
        self.latest_spikes: IntArray = self.on_the_way[0].copy()
        self.latest_sums: IntArray = np.zeros(
            n_neurons(graph.shape_of(projection.target)), np.int64
        )

    def rest(self) -> None:
        self.on_the_way[:] = 0

    def run_timestep(self) -> None:
        n_rows = len(self.on_the_way)
        self.sums.send(self._sums_of(self.on_the_way[self.timestep % n_rows]))
        arrivals = (self.timestep + self.delays) % n_rows
        self.on_the_way[arrivals, self.axons] = self.spikes.recv()

    def _sums_of(self, spikes: IntArray) -> IntArray:
        """Return the sums; computed once as long as the spikes stay the same."""
        if not np.array_equal(spikes, self.latest_spikes):
            self.latest_spikes = spikes.copy()
            self.latest_sums = self.sum(spikes[np.newaxis])[0]
        return self.latest_sums
