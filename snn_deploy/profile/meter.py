"""Run the inputs of a profile block by block, and keep what is measured."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import repeat

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.artifact import Artifact
from snn_deploy.backends.protocol import Backend, Program
from snn_deploy.backends.results import Block, Failure, RunResult
from snn_deploy.cutoff.decision import Cutoff, never
from snn_deploy.cutoff.monitor import (
    BATCH,
    block_of,
    bytes_of_input,
    run_block,
    run_inputs,
)
from snn_deploy.cutoff.oracle import answers
from snn_deploy.cutoff.restarting import Restarting
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.cutoff.scores import score_called
from snn_deploy.data.data import Data
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.measured import Kind, Measured, Run
from snn_deploy.profile.pricing import Pricing
from snn_deploy.profile.store import Store

MOST_BYTES = 1 << 25  # of a block; its prices take several times as much
FEW = 8  # inputs of a block on Lava, which takes one at a time

# takes an iterable that yields after each input, how many there are, and of what
Progress = Callable[[Iterable[None], int, str], Iterable[None]]


def measure(meter: "Meter", run: Run, *, store: Store, progress: Progress) -> Measured:
    """Return what all inputs of ``run`` gave, blocks from ``store`` among them."""
    whole = Measured.empty(run, len(run.inputs), meter.network)
    done = _block_by_block(meter, run, whole, store)
    for _ in progress(done, len(run.inputs), run.words):
        pass
    return whole


def _block_by_block(
    meter: "Meter", run: Run, whole: Measured, store: Store
) -> Iterator[None]:
    n, size = len(run.inputs), meter.block_size
    blocks = [range(start, min(start + size, n)) for start in range(0, n, size)]
    missing = [mine for mine in blocks if not store.names(run, mine)]
    meter.expect(run, missing, keeps=store.keeps)
    for mine in blocks:
        found = store.read(run, mine)
        if found is None or not found.continues(whole, run, len(mine)):
            found = yield from meter.measure(run, mine)
            if not found.failures:  # else the next run tries again
                store.keep(run, mine, found)
        else:
            yield from repeat(None, len(mine))
        whole.append(found)


class Meter:
    """A network on a machine that measures blocks of inputs for a profile."""

    def __init__(
        self,
        artifact: Artifact,
        backend: Backend,
        data: Data,
        cutoff: Cutoff | None,
        calibration: Calibration | None,
        monitor: str,
    ) -> None:
        self.network = artifact.network
        self.n_timesteps = self.network.graph.training.timesteps
        self.backend = backend
        self.data = data
        self.cutoff = cutoff
        self.calibration = calibration
        self.pricing = Pricing(
            self.network, data.y, data.hashes, monitor, data.lengths, data.targets
        )
        self.stack = ExitStack()  # ends the programs
        self.machines: dict[int, tuple[MappedNetwork, Restarting]] = {}
        self.latest: tuple[Run | None, int, list[Block]] = None, 0, []

    def close(self) -> None:
        """Free the machine."""
        self.stack.close()

    @property
    def block_size(self) -> int:
        """How many inputs are measured before they are stored."""
        if self.backend.is_slow:
            return FEW
        n_bytes = bytes_of_input(self.network, self.data.n_rows)
        return max(1, min(BATCH, MOST_BYTES // n_bytes))

    def expect(self, run: Run, blocks: Sequence[range], *, keeps: bool) -> None:
        """Say which blocks will be asked for, in this order, and whether to keep."""

    def measure(self, run: Run, mine: range) -> Generator[None, None, Measured]:
        """Return what the inputs at these places of ``run`` gave; yield after each.

        One that failed has a row without meaning, and its place in a stream is empty.
        """
        # those that are in the pipeline with them run, too
        shortest = int(self.data.ends.min(initial=run.n_timesteps))
        n_beside = run.n_neighbours(self.network.graph.lag, shortest)
        first = place = max(mine.start - n_beside, 0)
        last = min(mine.stop + n_beside, len(run.inputs))
        found, blocks = Measured.empty(run, len(mine), self.network), []
        for block in self._blocks(run, range(first, last), n_kept=2 * n_beside):
            blocks.append(block)
            inner = block[max(mine.start - place, 0) : max(mine.stop - place, 0)]
            self._add(found, run, max(place, mine.start), inner)
            yield from repeat(None, len(inner))
            place += len(block)
        if run.is_streamed:
            indices = np.array(run.inputs[first:last])
            rows = self.pricing.in_a_stream(indices, blocks)
            found.streamed.extend(rows[mine.start - first : mine.stop - first])
        return found

    def _add(self, found: Measured, run: Run, place: int, block: Block) -> None:
        """Add inputs from this place of ``run`` on to what is measured."""
        if not len(block):
            return
        indices = np.array(run.inputs[place : place + len(block)])
        if run.is_serial:
            polls = self._n_polls(run, block)
            found.serial.extend(self.pricing.one_by_one(indices, block, polls))
        if self.calibration is not None and run.kind is not Kind.FIXED:
            self._look(found, run, indices, block)
        if block.failure:
            found.failures[int(indices[0])] = block.failure
            return
        if run.is_serial:
            found.totals.add(block.whole.values.sum(axis=0))
        else:
            found.totals.add(block.stream_total())
        if run.kind is Kind.FIXED:
            self._add_answers(found, indices, block)

    def _add_answers(self, found: Measured, indices: IntArray, block: Block) -> None:
        """Add how good the answers of each timestep are."""
        best = answers(block.scores)
        found.n_agreeing += (best == best[:, -1:]).sum(axis=0)
        if self.data.y is not None:
            found.n_right += (best == self.data.y[indices, np.newaxis]).sum(axis=0)
        if self.data.targets is not None:
            after = np.arange(1, block.n_timesteps + 1)
            after = np.minimum(after, self.data.ends[indices, np.newaxis])
            values = self.network.graph.in_units(block.scores, after)
            missed = values - self.data.targets[indices, np.newaxis]
            found.squared_errors += (missed**2).mean(axis=-1).sum(axis=0)

    def _n_polls(self, run: Run, block: Block) -> IntArray:
        """Return how often the outputs of each input are read."""
        if run.kind is not Kind.CUTOFF:
            return np.ones(len(block), np.int64)
        if self.calibration is None:
            return block.timesteps
        return self.calibration.n_polls(block.timesteps)

    def _look(self, found: Measured, run: Run, indices: IntArray, block: Block) -> None:
        """Add the first scores looked at, and whether the rule stops at the last.

        An input that is over has settled, whatever the rule says.
        """
        rule = self.calibration
        assert rule is not None
        score = score_called(rule.score, rule.scale)
        first = score(block.scores[:, rule.looks[0] - 1])
        settled = rule.cutoff(block.scores[:, -1], run.n_timesteps)
        settled |= self.data.ends[indices] <= run.n_timesteps
        found.first_scores = np.concatenate([found.first_scores, first])
        found.is_settled = np.concatenate([found.is_settled, settled]).astype(np.int64)

    def _blocks(self, run: Run, places: range, n_kept: int) -> Iterator[Block]:
        """Yield what the inputs gave, in order; the first may have run before."""
        found = []
        latest, place, blocks = self.latest
        for block in blocks if latest is run and place <= places.start else []:
            rest = block[max(places.start - place, 0) :]
            place += len(block)
            if len(rest):
                found.append(rest)
                yield rest
        start = places.start + sum(map(len, found))
        for block in self._run(run, range(start, places.stop)):
            found.append(block)
            yield block
        kept = _last(found, n_kept)
        self.latest = run, places.stop - sum(map(len, kept)), kept

    def _run(self, run: Run, places: range) -> Iterator[Block]:
        """Yield what the inputs give, in order; the machine may die of one alone."""
        if not places:
            return
        network, machine = self._machine(run.n_timesteps)
        indices = [run.inputs[place] for place in places]
        cutoff = self.cutoff if run.kind is Kind.CUTOFF else never
        assert cutoff is not None
        if machine.start().max_batch > 1:
            stimuli = [self.data.stimulus(i) for i in indices]
            yield run_block(machine.start(), network, stimuli, cutoff)
            return

        def attempt(program: Program, start: int) -> Iterator[RunResult]:
            stimuli = ((i, self.data.stimulus(i)) for i in indices[start:])
            return run_inputs(program, network, stimuli, cutoff)

        for result in machine.run(indices, attempt):
            if isinstance(result, Failure):
                yield replace(block_of([], network, n=1), failure=result.reason)
            else:
                yield block_of([result], network)

    def _machine(self, n_timesteps: int) -> tuple[MappedNetwork, Restarting]:
        """Return the network for inputs of so many timesteps, and what runs it."""
        if n_timesteps not in self.machines:
            network = self.network.lasting(n_timesteps)
            machine = Restarting(partial(self.backend.load, network))
            self.stack.callback(machine.close)
            self.machines[n_timesteps] = network, machine
        return self.machines[n_timesteps]


def _last(blocks: Sequence[Block], n: int) -> list[Block]:
    """Return the last ``n`` inputs."""
    found: list[Block] = []
    for block in reversed(blocks):
        if n <= 0:
            break
        found.insert(0, block[-n:])
        n -= len(block)
    return found
