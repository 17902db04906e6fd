"""Run a mapped network on this computer: batches of inputs, each until retired.

The compiled engine serves where it is installed and the network suits it, else the
vectorized NumPy reference; both give the same.
"""

from collections import deque
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from snn_deploy.arrays import BoolArray, FloatArray, IntArray
from snn_deploy.backends.counting import Counter
from snn_deploy.backends.engine.compiled import load_engine, missing_note, say_once
from snn_deploy.backends.engine.trace import trace
from snn_deploy.backends.protocol import LIMITED, Recording, Session, Turn
from snn_deploy.backends.results import Activity, Block, Counts, StepRecord
from snn_deploy.chip.events import ACCESS
from snn_deploy.ir.connecting import Reaching
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Stimulus

MOST_NEURONS = 1 << 22  # of a batch, all inputs together


class CpuBackend:
    """The computer at hand."""

    name = "cpu"
    is_slow = False

    def load(self, network: MappedNetwork) -> "CpuProgram":
        """Return the network, laid out."""
        note = missing_note()
        if note is not None:
            say_once(f"note: {note}")
        return CpuProgram(network)


class ReferenceBackend:
    """The NumPy reference, also where the engine is installed."""

    name = "reference"
    is_slow = False

    def load(self, network: MappedNetwork) -> "CpuProgram":
        """Return the network, laid out."""
        return CpuProgram(network, has_engine=False)


class CpuProgram:
    """A mapped network, ready to run."""

    def __init__(self, network: MappedNetwork, *, has_engine: bool = True) -> None:
        self.network = network
        n = network.graph.source.size + sum(p.size for p in network.graph.populations)
        self.max_batch = int(np.clip(MOST_NEURONS // n, 2, 100))
        self.engine = load_engine(network) if has_engine else None

    @cached_property
    def counter(self) -> Counter:
        """What each spike costs."""
        return Counter(self.network)

    @cached_property
    def reach(self) -> dict[str, Reaching]:
        """Which neurons each projection's spikes reach."""
        graph = self.network.graph
        return {
            p.name: p.synapses.reaching(graph.shape_of(p.source))
            for p in graph.projections
        }

    def start(
        self, stimuli: Sequence[Stimulus], looks: IntArray | None = None
    ) -> Session:
        """Begin a batch from rest; it waits for the host at every timestep."""
        if self.engine is not None and self.engine.accepts(stimuli):
            return self.engine.start(stimuli)
        return ReferenceSession(self, stimuli)

    def run(
        self, stimuli: Sequence[Stimulus], betas: FloatArray, *, is_counted: bool
    ) -> Block | None:
        """Run each input until it has settled; ``None`` without the engine."""
        if self.engine is None or not self.engine.accepts(stimuli):
            return None
        return self.engine.run(stimuli, betas, is_counted=is_counted)

    def record(
        self,
        stimulus: Stimulus,
        quantities: Sequence[str],
        *,
        n_timesteps: int,
        reset_every: int | None = None,
    ) -> Recording:
        """Run one input from rest; return what its neurons did."""
        (found,) = self.record_all(
            [stimulus], quantities, n_timesteps=n_timesteps, reset_every=reset_every
        )
        return found

    def record_all(
        self,
        stimuli: Sequence[Stimulus],
        quantities: Sequence[str],
        *,
        n_timesteps: int,
        reset_every: int | None = None,
    ) -> list[Recording]:
        """Return what ``record`` does of each input; spikes alone by the engine."""
        graph = self.network.graph
        if self.engine is not None and reset_every is None:
            found = record_spikes(graph, stimuli, quantities, n_timesteps)
            if found is not None:
                return found
        return reference_recordings(
            graph, stimuli, quantities, n_timesteps=n_timesteps, reset_every=reset_every
        )

    def close(self) -> None:
        """Nothing to free."""


class ReferenceSession:
    """A batch in NumPy, as on a pipelined chip: what is behind the host runs ahead.

    It computes up to the chip timestep in which the last population to begin is where
    the host is, so that streams can be counted, and keeps what the host will read.
    """

    def __init__(self, program: CpuProgram, stimuli: Sequence[Stimulus]) -> None:
        graph = program.network.graph
        self.program = program
        self.graph = graph
        holds = graph.precision.counts_timesteps
        self.simulation = Simulation(graph, stimuli, holds=holds)
        self.timestep = 0  # of the host
        self.readouts: deque[IntArray] = deque()  # of later ones
        self.turn = Turn()
        self.inputs = np.arange(len(stimuli))
        # counts by the offset of the sender, that is of its local timesteps
        self.counts = {offset: self._no_counts() for offset in self.graph.offsets}
        self.ended = np.zeros(len(stimuli), np.int64)  # timesteps of each input
        # saturations and wraps, by the first timestep whose answer can rest on them
        n_timesteps = graph.training.timesteps
        self.limited = np.zeros((len(stimuli), n_timesteps + 1, 2), np.int64)

    def step(self) -> StepRecord | None:
        """Advance one input timestep; the first one fills the pipeline."""
        with self.turn:
            return self._step()

    def _step(self) -> StepRecord | None:
        if self.timestep == self.graph.training.timesteps or not len(self.inputs):
            return None
        self.timestep += 1
        while self.simulation.timestep < self.timestep + self.graph.lag:
            self._chip_step()
        self.ended[self.inputs] = self.timestep
        return StepRecord(
            timestep=self.timestep,
            inputs=self.inputs,
            readout=self.readouts.popleft(),
        )

    def retire(self, inputs: IntArray) -> None:
        """Stop computing these inputs."""
        with self.turn:
            stays = ~np.isin(self.inputs, inputs)
            self.inputs = self.inputs[stays]
            self.simulation.keep(np.flatnonzero(stays))
            self.readouts = deque(readout[stays] for readout in self.readouts)

    def activity(self, position: int) -> Activity:
        """Return the counts of one input of the batch."""
        counter, t = self.program.counter, int(self.ended[position])
        last, depth = self.graph.training.timesteps, self.graph.depth
        n = t + depth if t else 0
        whole, tail = counter.start(n), counter.start(self.graph.lag)
        run_on = counter.start(depth)
        whole.cores[..., ACCESS] = counter.mapped
        for offset, counts in self.counts.items():
            mine = counts.values[position]
            whole.values[:] += mine[:n]
            tail.values[:offset] += mine[t : t + offset]
            if last + offset < n:
                run_on.values[offset : n - last] += mine[last + offset : n]
        whole.limits[-1:] += self.limited[position, : t + 1].sum(axis=0)
        return Activity.of(t, whole, tail, run_on)

    def close(self) -> None:
        """Nothing to free."""

    def _no_counts(self) -> Counts:
        shape = (len(self.inputs), self.graph.training.timesteps + self.graph.lag)
        return self.program.counter.start(*shape, dtype=np.int32)

    def _chip_step(self) -> None:
        before = dict(self.simulation.states)
        self.simulation.step()
        chip_timestep = self.simulation.timestep
        counter, n = self.program.counter, len(self.inputs)
        counts = {offset: counter.start(n) for offset in self.counts}
        for name, spikes in self.simulation.sent[-1].items():
            counter.add_spikes(counts[self.graph.offset_of(name)], name, spikes)
        for name in self.simulation.states:
            neurons = self.simulation.neurons[name]
            state = before.get(name, neurons.rest(n))
            bias = self.simulation.bias(neurons.population)
            mantissas = neurons.bias if bias is None else bias
            busy = (state.current != 0) | (state.voltage != 0) | (mantissas != 0)
            at = counts[neurons.population.offset]
            counter.add_updates(at, name, busy | self._reached(name))
            self._add_limited(name)
        for offset, kept in self.counts.items():
            kept.values[self.inputs, chip_timestep - 1] = counts[offset].values
        if chip_timestep > self.graph.depth:
            self.readouts.append(self.simulation.readout())

    def _add_limited(self, name: str) -> None:
        """Count what met a limit in a population, if an answer can rest on it."""
        lag = min(self.graph.offset_of(name), self.graph.depth)
        timestep = self.simulation.timestep - lag
        if timestep <= self.graph.training.timesteps:
            self.limited[self.inputs, timestep] += self.simulation.limited[name]

    def _reached(self, name: str) -> BoolArray:
        population = self.graph.population(name)
        reached = np.zeros((len(self.inputs), population.size), np.bool_)
        for projection in self.graph.projections_into(population):
            spikes = self.simulation.arrived(projection)
            if spikes is not None:
                reached |= self.program.reach[projection.name](spikes)
        return reached


def record_spikes(
    graph: QuantizedGraph,
    stimuli: Sequence[Stimulus],
    quantities: Sequence[str],
    n_timesteps: int,
) -> list[Recording] | None:
    """Return what the engine records, if it can: spikes; see ``trace``."""
    if not {*quantities} <= {"spikes", *LIMITED}:
        return None
    n_chip_timesteps = n_timesteps + graph.lag  # in those behind, nothing is injected
    cut = [
        Stimulus(
            values=np.stack([s.at(row + 1) for row in range(n_timesteps)]),
            is_constant=False,
            bias=s.bias,
        )
        for s in stimuli
    ]
    traced = trace(graph, cut, n_chip_timesteps)
    if traced is None:
        return None
    recordings: list[Recording] = [{} for _ in stimuli]
    for population in graph.populations:
        offset = population.offset
        rows = traced[population.name, "spikes"][:, : n_chip_timesteps - offset]
        for found, mine in zip(recordings, rows, strict=True):
            held = np.zeros((offset, population.size), mine.dtype)
            found[population.name, "spikes"] = np.concatenate([held, mine])
            for quantity in LIMITED:
                found[population.name, quantity] = np.zeros((n_chip_timesteps, 1), int)
    return [
        {key: values for key, values in found.items() if key[1] in quantities}
        for found in recordings
    ]


def reference_recordings(
    graph: QuantizedGraph,
    stimuli: Sequence[Stimulus],
    quantities: Sequence[str],
    *,
    n_timesteps: int,
    reset_every: int | None = None,
) -> list[Recording]:
    """Return what the reference does with each input; see ``Program.record``."""
    n, n_chip_timesteps = len(stimuli), n_timesteps + graph.lag
    simulation = Simulation(graph, stimuli, n_timesteps=n_timesteps, period=reset_every)
    rest = {p.name: simulation.neurons[p.name].rest(n) for p in graph.populations}
    found = {
        (name, quantity): np.repeat(
            np.reshape(getattr(state, quantity), (n, 1, -1)), n_chip_timesteps, axis=1
        )
        for name, state in rest.items()
        for quantity in quantities
    }
    for row in range(n_chip_timesteps):
        simulation.step()
        for name, state in simulation.states.items():
            limited = dict(zip(LIMITED, simulation.limited[name].T, strict=True))
            for quantity in quantities:
                values = (
                    limited[quantity][:, np.newaxis]
                    if quantity in limited
                    else getattr(state, quantity)
                )
                found[name, quantity][:, row] = values
    return [{key: values[i] for key, values in found.items()} for i in range(n)]
