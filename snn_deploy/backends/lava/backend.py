"""Run a mapped network in Lava's fixed-point simulator, one input at a time.

Every population and every projection is a Lava process. They are compiled and started
once for each program; between inputs Lava pauses and every process returns to rest.
"""

import atexit
import contextlib
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from snn_deploy.arrays import BoolArray, IntArray, spread
from snn_deploy.backends.counting import Counter
from snn_deploy.backends.lava.compat import import_lava
from snn_deploy.backends.protocol import LIMITED, Recording, Turn
from snn_deploy.backends.results import Activity, StepRecord
from snn_deploy.chip.events import ACCESS
from snn_deploy.errors import BackendError
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import Projection
from snn_deploy.ir.stimuli import Stimulus

if TYPE_CHECKING:
    from snn_deploy.backends.lava.machine import Machine
    from snn_deploy.backends.lava.memory import Job


class LavaBackend:
    """Lava's simulator of the chip."""

    name = "lava"
    is_slow = True

    def __init__(self) -> None:
        import_lava()

    def load(self, network: MappedNetwork) -> "LavaProgram":
        """Return the network as running Lava processes."""
        program = LavaProgram(network)
        _ = program.machine  # what fails now is no input's fault
        return program


class LavaProgram:
    """A mapped network in Lava; what runs or records inputs is built when asked for."""

    max_batch = 1

    def __init__(self, network: MappedNetwork) -> None:
        graph = network.graph
        self.network = network
        self.counter = Counter(network)
        self.reach = {
            p.name: p.synapses.reaching(graph.shape_of(p.source))
            for p in graph.projections
        }
        machines: list[Machine] = []
        self._machines = machines  # once asked for: for inputs, and for recording
        self._end = weakref.finalize(self, _close, machines)
        atexit.register(self._end)  # before multiprocessing's, which joins for ever
        self.session: LavaSession | None = None

    @property
    def machine(self) -> "Machine":
        """What runs inputs; it is built for the first of them."""
        from snn_deploy.backends.lava.memory import Job

        job = Job(n_timesteps=self.network.graph.training.timesteps)
        known = [machine for machine in self._machines if machine.job == job]
        return known[0] if known else self._new_machine(job)

    def start(
        self, stimuli: Sequence[Stimulus], looks: IntArray | None = None
    ) -> "LavaSession":
        """Begin one input from rest."""
        if len(stimuli) != 1:
            raise BackendError(f"lava runs 1 input at a time, found {len(stimuli)}")
        if self.session is not None:
            self.session.close()
        every = np.arange(1, self.network.graph.training.timesteps + 1)
        self.session = LavaSession(self, stimuli[0], every if looks is None else looks)
        return self.session

    def record(
        self,
        stimulus: Stimulus,
        quantities: Sequence[str],
        *,
        n_timesteps: int,
        reset_every: int | None = None,
    ) -> Recording:
        """Run one input from rest; return what its neurons did.

        The machine built for it stays, for the next input that is recorded so.
        """
        from snn_deploy.backends.lava.memory import Job

        job = Job(
            n_timesteps=n_timesteps,
            is_recording=True,
            quantities=tuple(sorted({*quantities} - {*LIMITED})),
            reset_every=reset_every,
        )
        machine = self._recorder(job)
        n_chip_timesteps = job.n_chip_timesteps(self.network.graph)
        with machine.killed_on_error():
            machine.begin(stimulus)
            for _ in range(n_chip_timesteps):
                machine.listen(n_chip_timesteps=1)
            machine.pause(n_chip_timesteps)
        found: Recording = {
            (name, quantity): rows.astype(np.int64)
            for name, tape in machine.network.tapes.items()
            for quantity, rows in tape.rows.items()
        }
        for name, rows in machine.network.limited.items():
            counts = dict(zip(LIMITED, rows[:n_chip_timesteps].T, strict=True))
            found |= {
                (name, q): counts[q][:, np.newaxis] for q in LIMITED if q in quantities
            }
        return found

    def _recorder(self, job: "Job") -> "Machine":
        for machine in [m for m in self._machines if m.job.is_recording]:
            if machine.is_open and machine.job == job:
                return machine
            machine.close()
            self._machines.remove(machine)
        return self._new_machine(job)

    def _new_machine(self, job: "Job") -> "Machine":
        from snn_deploy.backends.lava.machine import Machine

        if not self._end.alive:
            raise BackendError("lava: the program is closed; load the network again")
        self._machines.append(Machine(self.network.graph, job))
        return self._machines[-1]

    def close(self) -> None:
        """End Lava's processes; an input in progress ends with them."""
        if self.session is not None:
            self.session.is_over = True
        self._end()
        atexit.unregister(self._end)


def _close(machines: "list[Machine]") -> None:
    with contextlib.ExitStack() as stack:  # each, whatever another does
        for machine in machines:
            stack.callback(machine.close)


class LavaSession:
    """One input in progress; Lava waits for the host where it looks, nowhere else."""

    def __init__(
        self, program: LavaProgram, stimulus: Stimulus, looks: IntArray
    ) -> None:
        self.program = program
        self.stimulus = stimulus
        self.looks = looks
        self.turn = Turn()
        self.timestep = 0  # that the host has seen
        self.n_computed = 0  # by Lava, up to a look
        self.readouts: IntArray = np.zeros((0, 0), np.int64)  # (n_computed, n_out)
        self.is_over = False
        # once it is over, each process, as the graph calls it, and its chip timesteps
        self.executed: tuple[tuple[str, int], ...] = ()
        self.sent: dict[str, BoolArray] = {}
        self.busy: dict[str, BoolArray] = {}
        self.limited: IntArray = np.zeros(2, np.int64)  # saturations and wraps

    def step(self) -> StepRecord | None:
        """Return the next input timestep; Lava computes up to the next look."""
        with self.turn:
            return self._step()

    def _step(self) -> StepRecord | None:
        if self.timestep == self.n_computed:
            if self.is_over:
                return None
            self._compute()
        self.timestep += 1
        return StepRecord(
            timestep=self.timestep,
            inputs=np.arange(1),
            readout=self.readouts[self.timestep - 1 : self.timestep],
        )

    def _compute(self) -> None:
        machine, graph = self.program.machine, self.program.network.graph
        look = int(self.looks[self.looks > self.n_computed][0])
        n_chip_timesteps = look - self.n_computed
        with machine.killed_on_error():
            if self.n_computed == 0:
                machine.begin(self.stimulus, self.looks.tolist())
                n_chip_timesteps += graph.depth  # fill the pipeline
            else:
                machine.answer(goes_on=True)
            machine.listen(n_chip_timesteps)
            self.n_computed = look
            self.readouts = machine.network.readouts[:look].copy()
            if look == graph.training.timesteps:
                self._finish()

    def retire(self, inputs: IntArray) -> None:
        """Stop the chip, if the one input is among these.

        Raises
        ------
        BackendError
            If Lava is past this timestep, at which there was to be no poll.
        """
        with self.turn:
            if not np.any(np.asarray(inputs) == 0):
                return
            if self.timestep < self.n_computed:
                raise BackendError(
                    f"the input was to be retired at timesteps {self.looks.tolist()} "
                    f"only, and is at {self.timestep}; start it with looks at every "
                    "timestep"
                )
            self.close()

    def activity(self, position: int) -> Activity:
        """Return the counts of the input, which must be over."""
        if not self.is_over:
            raise BackendError(f"input {position} is still running; retire it first")
        return self._counted()

    def close(self) -> None:
        """Stop the chip."""
        self.timestep = self.n_computed
        if self.is_over:
            return
        self.is_over = True
        if self.n_computed and self.program.machine.is_open:
            machine = self.program.machine
            with machine.killed_on_error():
                machine.answer(goes_on=False)
                self._finish()

    def _finish(self) -> None:
        self.is_over = True
        machine, graph = self.program.machine, self.program.network.graph
        n = self.n_computed + graph.lag
        self.executed = machine.pause(n)
        network = machine.network
        self.sent = {name: raster.read(n) for name, raster in network.sent.items()}
        self.busy = {name: raster.read(n) for name, raster in network.busy.items()}
        for name, rows in network.limited.items():  # up to its last timestep of its own
            ends = self.n_computed + min(graph.offset_of(name), graph.depth)
            self.limited += rows[:ends].sum(axis=0)

    def _counted(self) -> Activity:
        graph, counter = self.program.network.graph, self.program.counter
        t = self.n_computed if self.sent else 0
        n = t + graph.depth if t else 0
        whole, tail = counter.start(n), counter.start(graph.lag)
        run_on = counter.start(graph.depth)
        whole.cores[:, :, ACCESS] = counter.mapped
        for name, spikes in self.sent.items():
            counter.add_spikes(whole, name, spikes[:n])
            counter.add_spikes(tail, name, self._tail(name, spikes))
            counter.add_spikes(run_on, name, self._run_on(name, spikes))
        for name, busy in self.busy.items():
            updated = busy | self._reached(name)
            updated[: graph.population(name).offset] = False  # held
            counter.add_updates(whole, name, updated[:n])
            counter.add_updates(tail, name, self._tail(name, updated))
            counter.add_updates(run_on, name, self._run_on(name, updated))
        whole.limits[-1:] += self.limited
        return Activity.of(t, whole, tail, run_on)

    def _tail(self, name: str, rows: BoolArray) -> BoolArray:
        """Return the rows behind the input's last timestep, up to the sender's own."""
        tail = rows[self.n_computed :].copy()
        tail[self.program.network.graph.offset_of(name) :] = False
        return tail

    def _run_on(self, name: str, rows: BoolArray) -> BoolArray:
        """Return the rows of the chip timesteps in which a sender runs on."""
        graph = self.program.network.graph
        last, offset = graph.training.timesteps, graph.offset_of(name)
        found = np.zeros((graph.depth, rows.shape[1]), np.bool_)
        mine = rows[last + offset : self.n_computed + graph.depth]
        found[offset : offset + len(mine)] = mine
        return found

    def _reached(self, name: str) -> BoolArray:
        graph = self.program.network.graph
        reached = np.zeros_like(self.busy[name])
        for projection in graph.projections_into(graph.population(name)):
            reached |= self.program.reach[projection.name](self._arrived(projection))
        return reached

    def _arrived(self, projection: Projection) -> BoolArray:
        """Return the spikes by the chip timestep of their arrival."""
        shape = self.program.network.graph.shape_of(projection.source)
        delays = projection.delay + spread(projection.axon_delay, shape)
        sent = self.sent[projection.source]
        arrived = np.zeros_like(sent)
        for delay in np.unique(delays):
            axons = delays == delay
            arrived[delay:, axons] = sent[: max(len(sent) - delay, 0), axons]
        return arrived
