"""Run a mapped network in Lava's fixed-point simulator, one input at a time.

Every population and every projection is a Lava process. They are compiled and started
once for each program; between inputs Lava pauses and every process returns to rest.
"""

import atexit
import weakref
from collections.abc import Sequence

import numpy as np

from snn_deploy.arrays import BoolArray, IntArray
from snn_deploy.backends.counting import Counter, Reach
from snn_deploy.backends.lava_compat import import_lava
from snn_deploy.errors import BackendError
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.results import Activity, StepRecord
from snn_deploy.spikes import Stimulus


class LavaBackend:
    """Lava's simulator of the chip."""

    name = "lava"

    def __init__(self) -> None:
        import_lava()

    def load(self, network: MappedNetwork) -> "LavaProgram":
        """Return the network as running Lava processes."""
        return LavaProgram(network)


class LavaProgram:
    """A mapped network in Lava, ready to run."""

    max_batch = 1

    def __init__(self, network: MappedNetwork) -> None:
        from snn_deploy.backends.lava_machine import Machine

        graph = network.graph
        self.network = network
        self.counter = Counter(network)
        self.reach = {
            p.name: Reach(p, graph.shape_of(p.source)) for p in graph.projections
        }
        self.machine = Machine(graph)
        self._end = weakref.finalize(self, self.machine.close)
        atexit.register(self._end)  # before multiprocessing's, which joins for ever
        self.session: LavaSession | None = None

    def start(self, stimuli: Sequence[Stimulus]) -> "LavaSession":
        """Begin one input from rest."""
        if len(stimuli) != 1:
            raise BackendError(f"lava runs 1 input at a time, found {len(stimuli)}")
        if self.session is not None:
            self.session.close()
        self.session = LavaSession(self, stimuli[0])
        return self.session

    def close(self) -> None:
        """End Lava's processes; an input in progress ends with them."""
        if self.session is not None:
            self.session.is_over = True
        self._end()
        atexit.unregister(self._end)


class LavaSession:
    """One input in progress; Lava waits for the host behind every input timestep."""

    def __init__(self, program: LavaProgram, stimulus: Stimulus) -> None:
        self.program = program
        self.stimulus = stimulus
        self.timestep = 0
        self.is_over = False
        # once it is over, each process, as the graph calls it, and its chip timesteps
        self.executed: tuple[tuple[str, int], ...] = ()
        self.sent: dict[str, BoolArray] = {}
        self.busy: dict[str, BoolArray] = {}

    def step(self) -> StepRecord | None:
        """Advance one input timestep; the first one fills the pipeline."""
        if self.is_over:
            return None
        machine, graph = self.program.machine, self.program.network.graph
        with machine.killed_on_error():
            if self.timestep == 0:
                machine.begin(self.stimulus)
                readout = machine.listen(n_chip_timesteps=graph.depth + 1)
            else:
                machine.answer(goes_on=True)
                readout = machine.listen(n_chip_timesteps=1)
            self.timestep += 1
            if self.timestep == graph.training.timesteps:
                self._finish()
        return StepRecord(
            timestep=self.timestep, inputs=np.arange(1), readout=readout[np.newaxis]
        )

    def retire(self, inputs: IntArray) -> None:
        """Stop the chip, if the one input is among these."""
        if not self.is_over and np.any(np.asarray(inputs) == 0):
            self.close()

    def activity(self, position: int) -> Activity:
        """Return the counts of the input, which must be over."""
        if not self.is_over:
            raise BackendError(f"input {position} is still running; retire it first")
        return self._counted()

    def close(self) -> None:
        """Stop the chip."""
        if self.is_over:
            return
        self.is_over = True
        machine = self.program.machine
        if self.timestep and machine.is_open:
            with machine.killed_on_error():
                machine.answer(goes_on=False)
                self._finish()

    def _finish(self) -> None:
        self.is_over = True
        machine, graph = self.program.machine, self.program.network.graph
        self.executed = machine.pause()
        n = graph.depth + self.timestep
        for name, executed in self.executed:
            if executed != n:
                raise BackendError(
                    f"{name}: Lava executed {executed} chip timesteps instead of {n}; "
                    "choose --backend cpu, which computes the same"
                )
        self.sent = {name: raster.read(n) for name, raster in machine.sent.items()}
        self.busy = {name: raster.read(n) for name, raster in machine.busy.items()}

    def _counted(self) -> Activity:
        counter, graph = self.program.counter, self.program.network.graph
        n = graph.depth + self.timestep if self.sent else 0
        counts = counter.start(n)
        for name, spikes in self.sent.items():
            counter.add_spikes(counts, name, spikes)
        for name, busy in self.busy.items():
            updated = busy | self._reached(name)
            updated[: graph.population(name).offset] = False  # held
            counter.add_updates(counts, name, updated)
        return Activity(cores=counts.cores, chip=counts.chip)

    def _reached(self, name: str) -> BoolArray:
        graph = self.program.network.graph
        reached = np.zeros_like(self.busy[name])
        for projection in graph.projections_into(graph.population(name)):
            sent = self.sent[projection.source][: len(reached) - projection.delay]
            if len(sent):
                hit = self.program.reach[projection.name](sent)
                reached[projection.delay :] |= hit
        return reached
