"""Time the engine on three networks: every instruction set, against the reference.

    python -m benchmarks.engine [N1 N2 N3] [--rounds 5]

Microseconds per input and timestep, all inputs different, the best of several rounds:
CPU time of the thread for one thread, wall time for two.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from benchmarks.networks import NETWORKS, TIMESTEPS, inputs, mapped
from snn_deploy.backends.compiled import Engine, available
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.reference import Simulation
from snn_deploy.spikes import Stimulus

N_INPUTS = {"N1": 256, "N2": 48, "N3": 12}
N_REFERENCE = {"N1": 32, "N2": 8, "N3": 1}  # inputs for NumPy, which is slow
NEVER = np.full(TIMESTEPS, np.inf)


def best_of(
    rounds: int, clock: Callable[[], float], work: Callable[[], object]
) -> float:
    """Return the shortest time of ``work`` [s], which runs once before."""
    work()
    times = []
    for _ in range(rounds):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def engine_times(
    engine: Engine, stimuli: list[Stimulus], instructions: str, rounds: int
) -> dict[str, float]:
    """Return the times of one instruction set [us per input and timestep]."""
    engine.instructions = instructions
    scale = 1e6 / (len(stimuli) * TIMESTEPS)

    def run(n_threads: int, is_counted: bool = False) -> Callable[[], object]:
        def work() -> object:
            engine.n_threads = n_threads
            return engine.run(stimuli, NEVER, is_counted=is_counted)

        return work

    return {
        "1 thread": scale * best_of(rounds, time.thread_time, run(1)),
        "counted": scale * best_of(rounds, time.thread_time, run(1, True)),
        "2 threads": scale * best_of(rounds, time.perf_counter, run(2)),
    }


def reference_time(graph: QuantizedGraph, stimuli: list[Stimulus]) -> float:
    """Return the time of the NumPy reference [us per input and timestep]."""

    def work() -> None:
        simulation = Simulation(graph, stimuli)
        for _ in range(TIMESTEPS):
            simulation.step()

    return 1e6 / (len(stimuli) * TIMESTEPS) * best_of(1, time.thread_time, work)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-reference", action="store_true")
    options = parser.parse_args()
    print(f"{'network':8}{'path':10}{'1 thread':>10}{'counted':>10}{'2 threads':>10}")
    for name in options.names:
        graph = NETWORKS[name]()
        stimuli = inputs(graph, N_INPUTS[name])
        engine = Engine(mapped(graph), "")
        for instructions in available():
            times = engine_times(engine, stimuli, instructions, options.rounds)
            row = "".join(f"{value:10.2f}" for value in times.values())
            print(f"{name:8}{instructions:10}{row}", flush=True)
        if not options.no_reference:
            found = reference_time(graph, stimuli[: N_REFERENCE[name]])
            print(f"{name:8}{'numpy':10}{found:10.0f}", flush=True)


if __name__ == "__main__":
    main()
