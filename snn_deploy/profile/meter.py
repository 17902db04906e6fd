"""Run the inputs of a profile part by part, and keep what is measured."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import repeat

from snn_deploy.artifact import Artifact
from snn_deploy.backends.protocol import Backend, Program
from snn_deploy.backends.results import Failure, RunResult
from snn_deploy.costs.pricing import Pricing
from snn_deploy.cutoff.decision import Cutoff, never
from snn_deploy.cutoff.monitor import BATCH, run_inputs
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.cutoff.steady import Steady
from snn_deploy.data.data import Data
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.profile.parts import Gauge, Part, Way
from snn_deploy.profile.store import Store

FEW = 8  # inputs of a part on Lava, which takes one at a time
Outcome = RunResult | Failure

# takes an iterable that yields after each input, how many there are, and of what
Progress = Callable[[Iterable[None], int, str], Iterable[None]]


def measured(meter: "Meter", way: Way, *, store: Store, progress: Progress) -> Part:
    """Return what all inputs of ``way`` gave, parts from ``store`` among them."""
    whole = meter.empty(way)
    for _ in progress(
        _part_by_part(meter, way, whole, store), len(way.inputs), way.name
    ):
        pass
    return whole


def _part_by_part(
    meter: "Meter", way: Way, whole: Part, store: Store
) -> Iterator[None]:
    n, size = len(way.inputs), meter.part_size
    parts = [range(start, min(start + size, n)) for start in range(0, n, size)]
    meter.expect(way, [mine for mine in parts if not store.names(way, mine)])
    for mine in parts:
        part = store.read(way, mine)
        if part is None or not part.continues(whole, way, len(mine)):
            part = yield from meter.part(way, mine)
            if not part.failures:  # else the next run tries again
                store.keep(way, mine, part)
        else:
            yield from repeat(None, len(mine))
        whole.append(part)


class Meter:
    """A network on a machine that measures parts of a profile."""

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
        self.gauge = Gauge(
            pricing=Pricing(self.network, data.y, monitor),
            labels=data.y,
            hashes=data.hashes,
            calibration=calibration,
        )
        self.stack = ExitStack()  # ends the programs
        self.machines: dict[int, tuple[MappedNetwork, Steady]] = {}
        self.latest: tuple[Way | None, dict[int, Outcome]] = None, {}

    def close(self) -> None:
        """Free the machine."""
        self.stack.close()

    @property
    def part_size(self) -> int:
        """How many inputs are measured before they are stored."""
        return FEW if self.backend.name == "lava" else BATCH

    def expect(self, way: Way, parts: Sequence[range]) -> None:
        """Say which parts will be asked for, in this order."""

    def empty(self, way: Way) -> Part:
        """Return a part for all inputs of ``way``, none of which is measured yet."""
        return Part.empty(way, len(way.inputs), self.network)

    def part(self, way: Way, mine: range) -> Generator[None, None, Part]:
        """Return what the inputs at these places of ``way`` gave; yield after each."""
        lead = way.lead(self.network.graph.lag)
        first = max(mine.start - lead, 0)
        last = min(mine.stop + lead, len(way.inputs))
        results = self._results(way, range(first, last), n_latest=2 * lead)
        return (yield from self.gauge.part(way, results, first, mine))

    def _results(self, way: Way, places: range, n_latest: int) -> Iterator[Outcome]:
        """Yield results in order; the first may be known from the part before."""
        latest_way, latest = self.latest
        if latest_way is not way:
            latest = {}
        start = places.start
        while start in latest:
            yield latest[start]
            start += 1
        kept = {place: result for place, result in latest.items() if place < start}
        for place, result in enumerate(
            self._run(way, range(start, places.stop)), start
        ):
            if place >= places.stop - n_latest:
                kept[place] = result
            yield result
        self.latest = way, kept

    def _run(self, way: Way, places: range) -> Iterator[Outcome]:
        """Yield results in order; an input that a machine dies of is tried again."""
        network, machine = self._machine(way.n_timesteps)
        indices = [way.inputs[place] for place in places]
        cutoff = self.cutoff if way.has_cutoff else never
        assert cutoff is not None

        def attempt(program: Program, start: int) -> Iterator[RunResult]:
            stimuli = ((i, self.data.stimulus(i)) for i in indices[start:])
            return run_inputs(program, network, stimuli, cutoff)

        return machine.run(indices, attempt)

    def _machine(self, n_timesteps: int) -> tuple[MappedNetwork, Steady]:
        """Return the network for inputs of so many timesteps, and what runs it."""
        if n_timesteps not in self.machines:
            graph = self.network.graph
            training = replace(graph.training, timesteps=n_timesteps)
            network = replace(self.network, graph=replace(graph, training=training))
            machine = Steady(partial(self.backend.load, network))
            self.stack.callback(machine.close)
            self.machines[n_timesteps] = network, machine
        return self.machines[n_timesteps]
