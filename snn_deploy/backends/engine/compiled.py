"""The compiled engine: one input runs all its timesteps, inputs spread over threads.

It computes what ``ir/reference.py`` computes, bit for bit, and counts what
``counting.py`` counts. ``SNN_DEPLOY_ENGINE`` forces an instruction set, or ``numpy``,
the reference.
"""

import logging
import os
from collections.abc import Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.engine.grid import UnsupportedError
from snn_deploy.backends.engine.layout import Layout
from snn_deploy.backends.engine.tally import activity, counting_of
from snn_deploy.backends.protocol import Turn
from snn_deploy.backends.results import Activity, Block, Counts, StepRecord
from snn_deploy.errors import BackendError
from snn_deploy.fixedpoint import BIAS_MANTISSA_LIMIT
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.stimuli import Stimulus

if TYPE_CHECKING:
    from snn_deploy.backends.engine._engine import Counting, Session

logger = logging.getLogger(__name__)

VARIABLE = "SNN_DEPLOY_ENGINE"
NUMPY = "numpy"
INSTRUCTIONS = ("avx512", "avx2", "plain")

EngineInput = tuple[IntArray, bool, IntArray | None]


def instructions() -> str:
    """Return the instruction set that runs here, ``numpy`` without the engine.

    Raises
    ------
    BackendError
        If ``SNN_DEPLOY_ENGINE`` asks for one that does not run here.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", NUMPY, *INSTRUCTIONS):
        choices = ", ".join((*INSTRUCTIONS, NUMPY))
        raise BackendError(f"{VARIABLE} is {wanted!r}; choose from {choices}")
    found = available()
    if wanted in ("", NUMPY):
        return wanted or (found[0] if found else NUMPY)
    if not found:
        raise BackendError(
            f"{VARIABLE} is {wanted!r}, but the compiled engine is not installed; "
            "install again with a C++ compiler, or unset it"
        )
    if wanted not in found:
        raise BackendError(
            f"{VARIABLE} is {wanted!r}, which this processor has not; choose from "
            f"{', '.join((*found, NUMPY))}"
        )
    return wanted


def n_cores() -> int:
    """Return how many cores this process may use; of macOS and Windows, all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def missing_note() -> str | None:
    """Return what to tell who runs without the engine, unless it was asked for."""
    if available() or os.environ.get(VARIABLE) == NUMPY:
        return None
    return (
        "the compiled engine is not installed, NumPy serves, which is slower; a C++ "
        "compiler and pip install --force-reinstall --no-deps snn-deploy build it"
    )


def available() -> list[str]:
    """Return the instruction sets that run here, the fastest first; none: no engine."""
    try:
        from snn_deploy.backends.engine._engine import instruction_sets
    except ImportError:
        return []
    return list(instruction_sets())


@cache
def say_once(note: str) -> None:
    """Tell the user something that holds for all that follows."""
    logger.warning(note)


def load_engine(network: MappedNetwork) -> "Engine | None":
    """Return the network in the engine, ``None`` where the reference has to serve."""
    chosen = instructions()
    if chosen == NUMPY:
        return None
    try:
        return Engine(network, chosen)
    except UnsupportedError as error:
        say_once(
            f"note: the compiled engine cannot run this network exactly ({error}); "
            "NumPy serves, which is slower"
        )
        return None


def takes(layout: Layout, stimuli: Sequence[Stimulus]) -> bool:
    """Whether these inputs run exactly: no sum or bias leaves its range."""
    limit = layout.largest_input
    for stimulus in stimuli:
        if stimulus.largest > limit:
            return False
        bias = stimulus.bias
        if bias is not None and np.abs(bias).max(initial=0) > BIAS_MANTISSA_LIMIT:
            return False
    return True


class Engine:
    """A network in the engine; nothing of it changes, so that threads may share it."""

    def __init__(self, network: MappedNetwork, instructions: str) -> None:
        self.network = network
        self.instructions = instructions
        self.layout = Layout(network.graph)
        self.n_threads = n_cores()

    @cached_property
    def counting(self) -> "Counting":
        """What is to be counted; two threads may make it twice, equal."""
        return counting_of(self.layout, self.network)

    def accepts(self, stimuli: Sequence[Stimulus]) -> bool:
        """Whether these inputs run exactly: no sum or bias leaves its range."""
        return takes(self.layout, stimuli)

    def run(
        self, stimuli: Sequence[Stimulus], betas: FloatArray, *, is_counted: bool
    ) -> Block:
        """Run each input until its gap is over the timestep's threshold, or the end."""
        scores, timesteps, counts, interrupt = self.layout.network.run(
            [engine_input(stimulus) for stimulus in stimuli],
            np.ascontiguousarray(betas, dtype=np.float64),
            self.n_threads,
            self.counting if is_counted else None,
            self.instructions,
            self._is_extreme(stimuli),
        )
        return Block(
            scores=scores,
            timesteps=timesteps,
            counts=Counts(counts, len(self.network.cores)),
            depth=self.network.graph.depth,
            interrupt=interrupt,
        )

    def start(self, stimuli: Sequence[Stimulus]) -> "EngineSession":
        """Begin a batch that advances step by step, and is counted."""
        from snn_deploy.backends.engine._engine import Session

        inputs = [engine_input(stimulus) for stimulus in stimuli]
        network = self.layout.network
        session = Session(
            network,
            inputs,
            self.counting,
            self.instructions,
            self._is_extreme(stimuli),
        )
        return EngineSession(session, len(inputs), self.network)

    def _is_extreme(self, stimuli: Sequence[Stimulus]) -> bool:
        """Whether a spike carries more than the network is made for, or less than 0."""
        most = self.network.graph.source.largest_value
        return any(low < 0 or high > most for low, high in (s.range for s in stimuli))


class EngineSession:
    """A batch in progress, of one thread at a time."""

    def __init__(self, session: "Session", n: int, network: MappedNetwork) -> None:
        self.session = session
        self.network = network
        self.timestep = 0
        self.inputs = np.arange(n)
        self.activities: dict[int, Activity] = {}
        self.turn = Turn()

    def step(self) -> StepRecord | None:
        """Advance one input timestep."""
        with self.turn:
            return self._step()

    def _step(self) -> StepRecord | None:
        if self.timestep == self.network.graph.training.timesteps or not len(
            self.inputs
        ):
            return None
        self.timestep += 1
        readout = self.session.step(self.inputs)
        return StepRecord(timestep=self.timestep, inputs=self.inputs, readout=readout)

    def retire(self, inputs: IntArray) -> None:
        """Stop computing these inputs."""
        with self.turn:
            self._retire(inputs)

    def _retire(self, inputs: IntArray) -> None:
        for position in self.inputs[np.isin(self.inputs, inputs)]:
            counts = self.session.finish(int(position))
            index = int(position)
            self.activities[index] = activity(counts, self.timestep, self.network)
        self.inputs = self.inputs[~np.isin(self.inputs, inputs)]

    def activity(self, position: int) -> Activity:
        """Return the counts of one input of the batch, which ends it."""
        with self.turn:
            if position not in self.activities:
                self._retire(np.array([position]))
            return self.activities[position]

    def close(self) -> None:
        """Nothing to free."""


def engine_input(stimulus: Stimulus) -> EngineInput:
    """Return what the engine takes of an input."""
    bias = None if stimulus.bias is None else stimulus.bias.reshape(-1)
    return stimulus.values, stimulus.is_constant, bias
