"""The neurons of one population."""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess, ProcessParameters
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from snn_deploy.arrays import IntArray
from snn_deploy.backends.lava.memory import Feed, Ledger, Raster, Tape
from snn_deploy.backends.lava.processes.timed import TimedModel
from snn_deploy.ir.dynamics import Neurons
from snn_deploy.ir.quantized import (
    Population,
)


class PopulationProcess(AbstractProcess):
    """Sums what arrives, updates its neurons, sends spikes; held until its offset.

    With ``reset_every`` it returns to rest after so many timesteps, again and again;
    with ``held_after`` once, and stays there.
    """

    def __init__(
        self,
        *,
        population: Population,
        current_decay_offset: int,
        reset_every: int | None,
        held_after: int | None,
        feed: Feed,
        sent: Raster,
        busy: Raster,
        limited: IntArray,
        tape: Tape,
        ledger: Ledger,
    ) -> None:
        super().__init__(
            population=population,
            current_decay_offset=current_decay_offset,
            reset_every=reset_every,
            held_after=held_after,
            feed=feed,
            sent=sent,
            busy=busy,
            limited=limited,
            tape=tape,
            ledger=ledger,
        )
        self.arriving = InPort(shape=(population.size,))
        self.spikes = OutPort(shape=(population.size,))
        self.voltage = OutPort(shape=(population.size,))


@implements(proc=PopulationProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyPopulationModel(TimedModel):
    """The neurons of the reference, one input at a time."""

    arriving: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    spikes: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    voltage: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)

    def __init__(self, proc_params: ProcessParameters) -> None:
        super().__init__(proc_params)
        self.population: Population = proc_params["population"]
        self.reset_every: int | None = proc_params["reset_every"]
        self.held_after: int | None = proc_params["held_after"]
        self.feed: Feed = proc_params["feed"]
        self.sent: Raster = proc_params["sent"]
        self.busy: Raster = proc_params["busy"]
        self.limited: IntArray = proc_params["limited"]  # in each chip timestep
        self.tape: Tape = proc_params["tape"]
        self.neurons = Neurons(self.population, proc_params["current_decay_offset"])
        self.rest()

    def rest(self) -> None:
        self.state = self.neurons.rest(1)

    def run_timestep(self) -> None:
        arriving = self.arriving.recv()
        local = self.timestep - self.population.offset
        self.limited[self.timestep - 1] = 0
        if local >= 1:
            if self.reset_every and (local - 1) % self.reset_every == 0:
                self.rest()
            self._update(arriving, local)
        self.tape.write(self.timestep, self.state)
        self.sent.write(self.timestep, self.state.spikes[0])
        self.spikes.send(self.state.spikes[0].astype(np.int32))
        self.voltage.send(self.state.voltage[0])

    def _update(self, arriving: IntArray, local: int) -> None:
        before = self.state
        bias = self.feed.bias(self.population)
        mantissas = self.neurons.bias if bias is None else bias
        busy = (before.current != 0) | (before.voltage != 0)
        self.busy.write(self.timestep, busy[0] | (mantissas != 0))
        if self.held_after is not None and local > self.held_after:
            self.state = self.neurons.held(before)
            return
        brought = None if bias is None else bias[np.newaxis]
        self.state = self.neurons.update(before, arriving[np.newaxis], brought)
        self.limited[self.timestep - 1] = self.state.limited_since(before)[0]
