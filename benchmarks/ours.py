"""The engine of snn-deploy in all its settings, and its reference in NumPy."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.cases import Case, multiplications
from benchmarks.contender import Contender, Sample, Setting, clock_of, shortest
from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.engine.compiled import Engine, available
from snn_deploy.backends.results import Block
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.ir.stimuli import Stimulus

DRAINED = "drained"
NUMPY = Setting("numpy")
NUMPY_MULTIPLICATIONS = 1_000_000_000  # about as many for the inputs of one batch


def fastest() -> str:
    """Return the instruction set that stands for the engine."""
    return available()[0]


def engine_settings() -> list[Setting]:
    """Return how the engine runs, the fastest instruction set first."""
    return [
        Setting(program, threads, mode=mode)
        for program in available()
        for threads, mode in ((1, ""), (2, ""), (1, "counted"), (1, "cutoff"))
        if mode != "cutoff" or program == fastest()
    ]


def engine_contenders(case: Case) -> Iterator[Contender]:
    """Yield the engine, with each instruction set."""
    engine = Engine(case.network, fastest())
    for setting in engine_settings():
        yield _engine_contender(case, engine, setting)
    if not case.stimuli[0].is_constant:
        yield _drained_contender(case)


def _drained_contender(case: Case) -> Contender:
    """Return the engine running until the chip's pipeline is empty, nothing counted.

    Who counts advances the layers as far as they get on a chip. What counting costs
    beyond that is the counted time over this one.
    """
    setting = Setting(fastest(), mode=DRAINED)
    training = case.graph.training
    longer = replace(training, timesteps=case.n_timesteps + case.graph.depth)
    graph = replace(case.graph, training=longer)
    engine = Engine(replace(case.network, graph=graph), fastest())
    rest = np.zeros((case.graph.depth, *case.graph.source.shape), np.int32)
    stimuli = [
        replace(stimulus, values=np.concatenate([stimulus.values, rest]))
        for stimulus in case.stimuli
    ]
    never = np.full(longer.timesteps, np.inf)

    def measure(seconds: float) -> Sample:
        def work(_: int) -> Block:
            return run_engine(engine, setting, stimuli, never)

        work(0)
        found = shortest(clock_of(setting), seconds, work)
        return Sample(1e6 * found / (len(stimuli) * case.n_timesteps))

    return Contender(setting, measure)


def _engine_contender(case: Case, engine: Engine, setting: Setting) -> Contender:
    never = np.full(case.n_timesteps, np.inf)
    betas = case.betas if setting.mode == "cutoff" else never

    def measure(seconds: float) -> Sample:
        def work(_: int) -> Block:
            return run_engine(engine, setting, case.stimuli, betas)

        steps = work(0).timesteps  # warms up
        found = shortest(clock_of(setting), seconds, work)
        notes = {"timesteps": float(steps.mean())} if setting.mode == "cutoff" else {}
        return Sample(1e6 * found / (len(steps) * case.n_timesteps), notes)

    return Contender(setting, measure)


def run_engine(
    engine: Engine, setting: Setting, stimuli: list[Stimulus], betas: FloatArray
) -> Block:
    """Run inputs in the engine as ``setting`` says."""
    engine.instructions = setting.program
    engine.n_threads = setting.threads
    return engine.run(stimuli, betas, is_counted=setting.mode == "counted")


def numpy_contender(case: Case) -> Contender:
    """Return the reference, which computes a batch of inputs at once."""
    n = numpy_batch(case)

    def measure(seconds: float) -> Sample:
        def work(turn: int) -> None:
            start = turn * n % (len(case.stimuli) - n + 1)
            reference_scores(case, case.stimuli[start : start + n])

        with threadpool_limits(1):
            found = shortest(clock_of(NUMPY), seconds, work)
        return Sample(1e6 * found / (n * case.n_timesteps), {"batch": n})

    return Contender(NUMPY, measure)


def numpy_batch(case: Case) -> int:
    """Return how many inputs the reference computes at once."""
    per_input = multiplications(case.graph) * case.n_timesteps
    return int(np.clip(NUMPY_MULTIPLICATIONS // per_input, 1, len(case.stimuli)))


def reference_scores(case: Case, stimuli: list[Stimulus]) -> IntArray:
    """Return the reference's accumulated outputs ``(n, n_timesteps, n_classes)``."""
    simulation = Simulation(case.graph, stimuli)
    rows = []
    for _ in range(case.n_timesteps + case.graph.depth):
        simulation.step()
        if simulation.timestep > case.graph.depth:
            rows.append(simulation.readout())
    return accumulated(case.graph, np.stack(rows, axis=1))


def accumulated(graph: QuantizedGraph, readouts: IntArray) -> IntArray:
    """Return outputs ``(n, n_timesteps, n_classes)`` accumulated as trained."""
    match graph.training.functional:
        case Functional.SUM:
            return readouts.cumsum(axis=1)
        case Functional.MAX:
            return np.maximum.accumulate(readouts, axis=1)
    return readouts
