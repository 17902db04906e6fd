"""What a network in chip integers computes, by definition: NumPy, timestep by timestep.

One simulation serves a graph before ``retime`` (all layers within one timestep) and
behind it: each spike takes at least one timestep, populations are held until their
local timestep 1 and, on a chip that counts timesteps, behind their last one. It runs a
batch of inputs in step and can drop inputs at any time.
"""

from collections.abc import Sequence

import numpy as np

from snn_deploy.arrays import IntArray, spread
from snn_deploy.ir.dynamics import Neurons, State, SynapticSum
from snn_deploy.ir.quantized import Population, Projection, QuantizedGraph
from snn_deploy.ir.stimuli import Stimulus


class Simulation:
    """A batch of inputs running through a network.

    After each ``step``, ``states`` holds every population that is not held any more,
    ``sent`` the spikes of the latest timesteps, newest last, and ``limited`` how often
    voltages saturated and currents wrapped in this one, ``(n, 2)``.

    Parameters
    ----------
    graph : QuantizedGraph
    stimuli : sequence of Stimulus
    n_timesteps : int, optional
        How long an input lasts; nothing is injected later. Default: as trained.
    period : int, optional
        Every population returns to rest before its local timesteps 1, period + 1, ...
    is_stream : bool
        With a period: the stimuli are inputs in a row, so spikes that would arrive in
        another period than they were sent in are dropped. Otherwise they arrive, as on
        a chip that resets its neurons only.
    holds : bool
        Every population rests once its local timestep ``n_timesteps`` is over.
    """

    def __init__(
        self,
        graph: QuantizedGraph,
        stimuli: Sequence[Stimulus],
        *,
        n_timesteps: int | None = None,
        period: int | None = None,
        is_stream: bool = False,
        holds: bool = False,
    ) -> None:
        self.graph = graph
        self.stimuli = list(stimuli)
        self.n_timesteps = n_timesteps or graph.training.timesteps
        self.period = period
        self.is_stream = is_stream
        self.holds = holds
        self.timestep = 0
        offset = graph.precision.current_decay_offset
        self.neurons = {p.name: Neurons(p, offset) for p in graph.populations}
        largest = max(s.largest for s in stimuli)
        self.sums = {
            p.name: SynapticSum(
                graph, p, largest if p.source == graph.source.name else None
            )
            for p in graph.projections
        }
        self.states: dict[str, State] = {}
        self.limited: dict[str, IntArray] = {}
        self.sent: list[dict[str, IntArray]] = []
        self.longest_delay = max(
            (p.longest_delay for p in graph.projections), default=0
        )
        self.is_constant = all(s.is_constant for s in stimuli) and period is None
        self.constant_sums: dict[str, IntArray] = {}

    def step(self) -> None:
        """Advance all inputs by one timestep of the chip."""
        self.timestep += 1
        self.sent.append({self.graph.source.name: self._input()})
        for population in self.graph.order:
            local = self.timestep - population.offset
            if local < 1:
                continue
            neurons = self.neurons[population.name]
            if local == 1 or (self.period and (local - 1) % self.period == 0):
                self.states[population.name] = neurons.rest(len(self.stimuli))
            before = self.states[population.name]
            if self.holds and local > self.n_timesteps:
                state = neurons.held(before)
            else:
                state = neurons.update(
                    before,
                    self._arriving(population),
                    self.bias(population),
                )
            self.states[population.name] = state
            self.limited[population.name] = state.limited_since(before)
            self.sent[-1][population.name] = state.spikes
        if len(self.sent) > self.longest_delay + 1:
            self.sent.pop(0)

    def keep(self, positions: IntArray) -> None:
        """Go on with the inputs at these positions of the batch only."""
        self.stimuli = [self.stimuli[i] for i in positions]
        self.states = {name: s.take(positions) for name, s in self.states.items()}
        self.sent = [{k: v[positions] for k, v in sent.items()} for sent in self.sent]
        self.constant_sums = {k: v[positions] for k, v in self.constant_sums.items()}

    def readout(self) -> IntArray:
        """Return what the host reads: spikes or voltages ``(n, n_out)``."""
        state = self.states[self.graph.output]
        return state.spikes if self.graph.readout.spikes else state.voltage

    def arrived(self, projection: Projection) -> IntArray | None:
        """Return the spikes ``(n, n_sources)`` that arrive now, ``None`` if none."""
        if not projection.axon_delay.any():
            return self._sent_before(projection, projection.delay)
        shape = self.graph.shape_of(projection.source)
        axon_delay = np.broadcast_to(projection.axon_delay, shape).reshape(-1)
        spikes = np.zeros((len(self.stimuli), len(axon_delay)), np.int64)
        for extra in np.unique(axon_delay):
            sent = self._sent_before(projection, projection.delay + int(extra))
            if sent is not None:
                late = axon_delay == extra
                spikes[:, late] = sent[:, late]
        return spikes

    def _sent_before(self, projection: Projection, delay: int) -> IntArray | None:
        """Return what the source sent ``delay`` timesteps ago, if it still counts."""
        if delay >= len(self.sent):
            return None
        if self.is_stream and self.period:
            target = self.graph.population(projection.target)
            arrival = self.timestep - target.offset
            is_source = projection.source == self.graph.source.name
            offset = 0 if is_source else self.graph.population(projection.source).offset
            sending = self.timestep - delay - offset
            if (arrival - 1) // self.period != (sending - 1) // self.period:
                return None
        return self.sent[-1 - delay].get(projection.source)  # none while it was held

    def _input(self) -> IntArray:
        n = len(self.stimuli)
        if self.timestep > self.n_timesteps:
            return np.zeros((n, self.graph.source.size), np.int32)
        return np.stack([s.at(self.timestep).reshape(-1) for s in self.stimuli])

    def bias(self, population: Population) -> IntArray | None:
        """Return mantissas ``(n, n_neurons)``, if a stimulus brings some."""
        if not population.takes_bias or all(s.bias is None for s in self.stimuli):
            return None
        own = spread(population.bias_mantissa, population.shape)
        biases = [own if s.bias is None else s.bias for s in self.stimuli]
        return np.stack([bias.reshape(-1) for bias in biases])

    def _arriving(self, population: Population) -> IntArray:
        total = np.zeros((len(self.stimuli), population.size), np.int64)
        for projection in self.graph.projections_into(population):
            spikes = self.arrived(projection)
            if spikes is None:
                continue
            if projection.source == self.graph.source.name and self.is_constant:
                total += self._constant_sum(projection, spikes)
            else:
                total += self.sums[projection.name](spikes)
        return total

    def _constant_sum(self, projection: Projection, spikes: IntArray) -> IntArray:
        name = projection.name
        sent_at = self.timestep - projection.longest_delay
        if not 1 <= sent_at <= self.n_timesteps or projection.axon_delay.any():
            return self.sums[name](spikes)
        if name not in self.constant_sums:
            self.constant_sums[name] = self.sums[name](spikes)
        return self.constant_sums[name]
