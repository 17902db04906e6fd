"""Turn what inputs did into rows: answers, counts, joules and seconds."""

from collections.abc import Sequence

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray
from snn_deploy.backends.results import Block, Counts
from snn_deploy.chip.events import EVENTS, SYNAPTIC_OPERATION
from snn_deploy.chip.target import BAND, end_name
from snn_deploy.costs.energy import PARTS, dynamic_energy, energies
from snn_deploy.costs.latency import stream_times, timestep_durations
from snn_deploy.costs.prices import prices_for
from snn_deploy.cutoff.oracle import answers, gaps
from snn_deploy.ir.heads import HeadKind
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.rows import NO_LABEL, ROW


class Pricing:
    """What a network costs on its target.

    Parameters
    ----------
    network : MappedNetwork
    labels, hashes : array, (n,), or None
        Of all inputs.
    lengths : array, (n,), optional
        The last timesteps of inputs that do not last as long as the network runs.
    monitor : {"embedded", "host"}
    targets : array, (n, n_outputs), optional
        The values that all inputs should give.
    """

    def __init__(
        self,
        network: MappedNetwork,
        labels: IntArray | None,
        hashes: IntArray,
        monitor: str,
        lengths: IntArray | None = None,
        targets: FloatArray | None = None,
    ) -> None:
        self.network = network
        self.labels = labels
        self.targets = targets
        self.is_class = targets is None and network.graph.head.kind is HeadKind.CLASS
        self.hashes = hashes
        self.lengths = lengths
        self.prices = prices_for(network, monitor)

    def one_by_one(
        self, indices: IntArray, block: Block, n_polls: IntArray
    ) -> AnyArray:
        """Return the rows of inputs that have the chip for themselves.

        The next one starts when it has its answer and the chip is cleared.
        """
        counts = block.whole
        n_chip_timesteps = block.timesteps + self.network.graph.depth
        durations = timestep_durations(counts.cores, counts.chip, self.prices)
        is_over = np.arange(durations.shape[1]) >= n_chip_timesteps[:, np.newaxis]
        durations[is_over] = 0
        latency_s = durations.sum(axis=1) + n_polls[:, np.newaxis] * self.prices.poll
        times = latency_s, latency_s + self.prices.clearing
        found = self._rows(indices, block, counts.sum(axis=1), *times)
        found["chip_timesteps"] = n_chip_timesteps
        self._add_run_on(found, block.run_on.sum(axis=1))
        return found

    def _add_run_on(self, found: AnyArray, run_on: Counts) -> None:
        """Add what of the events is that of layers that run on, to rows."""
        operations = run_on.cores[..., SYNAPTIC_OPERATION]
        found["run_on_synaptic_operations"] = operations.sum(axis=1)
        of_chip = run_on.chip[:, np.newaxis]  # see ``costs.energy.energies``
        energy_j = dynamic_energy(
            run_on.cores.sum(axis=1, keepdims=True), of_chip, self.prices
        )
        for i, end in enumerate(BAND):
            found[end_name("energy_run_on_j", end)] = energy_j[:, 0, i]

    def in_a_stream(self, indices: IntArray, blocks: Sequence[Block]) -> AnyArray:
        """Return the rows of inputs that follow one another without a gap.

        Nothing is in the pipeline before the first one and behind the last one.
        """
        mapped = np.array([core.n_compartments for core in self.network.cores])
        depth = self.network.graph.depth
        latency_s, period_s = stream_times(blocks, mapped, depth, self.prices)
        parts, start = [], 0
        for block in blocks:
            mine = slice(start, start + len(block))
            times = latency_s[mine], period_s[mine]
            parts.append(self._rows(indices[mine], block, block.streamed, *times))
            start += len(block)
        found = np.concatenate(parts)
        found["chip_timesteps"] = found["timesteps"]
        return found

    def _errors(
        self, indices: IntArray, last: IntArray, timesteps: IntArray
    ) -> tuple[AnyArray, AnyArray]:
        """Return the squared and the absolute errors of values, ``(n,)`` each."""
        if self.targets is None:
            return np.array(np.nan), np.array(np.nan)
        values = self.network.graph.in_units(last, timesteps)
        difference = values - self.targets[indices]
        return (difference**2).mean(axis=1), np.abs(difference).mean(axis=1)

    def _rows(
        self,
        indices: IntArray,
        block: Block,
        counts: Counts,
        latency_s: FloatArray,
        period_s: FloatArray,
    ) -> AnyArray:
        """Return rows from the counts ``(n, n_columns)`` and times of inputs."""
        last = block.scores[np.arange(len(block)), block.timesteps - 1]
        energy_j = energies(
            counts.cores.sum(axis=1), counts.chip, period_s, self.prices
        )
        found = np.zeros(len(block), ROW)
        found["index"] = indices
        found["input_hash"] = self.hashes[indices]
        found["label"] = NO_LABEL if self.labels is None else self.labels[indices]
        if self.is_class:
            found["prediction"], found["gap"] = answers(last), gaps(last)
        found["squared_error"], found["absolute_error"] = self._errors(
            indices, last, block.timesteps
        )
        found["timesteps"] = block.timesteps
        ends: AnyArray = np.array(block.n_timesteps)
        if self.lengths is not None:
            ends = np.minimum(self.lengths[indices], ends)
        found["stopped_early"] = block.timesteps < ends
        for event in EVENTS:
            if event.column:
                found[event.column] += counts.total(event)
        for i, end in enumerate(BAND):
            for k, part in enumerate(PARTS):
                found[end_name(f"energy_{part}_j", end)] = energy_j[:, k, i]
            found[end_name("latency_s", end)] = latency_s[:, i]
            found[end_name("period_s", end)] = period_s[:, i]
        return found
