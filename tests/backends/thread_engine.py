"""Several threads on one program, and on one session; run it under ThreadSanitizer.

    python -m tests.backends.thread_engine [--seconds 60]

Threads share a program that nothing has run before: each must get what one thread gets
alone. Others step and end the inputs of one session at once: a call does its work, or
says that the session is in use.
"""

import argparse
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray
from snn_deploy.backends.engine import _engine as engine
from snn_deploy.backends.engine.cpu import CpuProgram
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.cutoff.rules.risk import risk
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.stimuli import Stimulus
from tests.backends.test_engine import ENDLESS, pictures, slow
from tests.build import simulator, trains
from tests.conformance.networks import mapped

N_THREADS = 4


def together(tasks: list[Callable[[], None]]) -> None:
    """Run each task in a thread of its own, all at once; raise what one raises."""
    barrier = threading.Barrier(len(tasks))
    errors: list[BaseException] = []

    def attempt(task: Callable[[], None]) -> None:
        barrier.wait()
        try:
            task()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=attempt, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error


def outcome(
    program: CpuProgram, chip: MappedNetwork, stimuli: list[Stimulus]
) -> list[AnyArray]:
    """Return scores and counts of inputs that stop early, alone and stepped."""
    cutoff = risk(1.0)
    found: list[AnyArray] = []
    for rule in (cutoff, lambda scores, t: cutoff(scores, t)):
        for result in run_inputs(program, chip, enumerate(stimuli), rule):
            activity = result.activity
            found += [result.scores, activity.cores, activity.chip, activity.tail_cores]
    return found


def share(n_rounds: int) -> int:
    """Return how many results were compared, of threads that share fresh programs."""
    chip = mapped(retime(pictures((3, 20, 33)), simulator()))
    stimuli = list(trains(9, 6, chip.graph.source.shape))
    wanted = outcome(CpuProgram(chip), chip, stimuli)
    n_equal = [0] * N_THREADS
    for _ in range(n_rounds):
        program = CpuProgram(chip)

        def task(thread: int, program: CpuProgram = program) -> None:
            for one, other in zip(outcome(program, chip, stimuli), wanted, strict=True):
                np.testing.assert_array_equal(one, other)
                n_equal[thread] += 1

        together([lambda thread=i: task(thread) for i in range(N_THREADS)])  # type: ignore[misc]
    assert min(n_equal) == n_rounds * len(wanted)
    return sum(n_equal)


def quarrel() -> int:
    """Return how many calls of one session were refused, as it was in use."""
    graph, short, _ = slow(ENDLESS)
    program = CpuProgram(mapped(graph))
    assert program.engine is not None
    network, n = program.engine.layout.network, 3 * N_THREADS
    session = engine.Session(network, [(short.values, True, None)] * n, None)
    is_met = threading.Event()
    refused = [0] * N_THREADS

    def use(thread: int, call: Callable[[], Any]) -> None:
        try:
            call()
        except RuntimeError as error:
            assert "in use by another thread" in str(error)  # noqa: PT017
            refused[thread] += 1
            is_met.set()

    def task(thread: int) -> None:
        mine = list(range(thread, n, N_THREADS))
        while not is_met.is_set():
            use(thread, lambda: session.step(np.array(mine)))
        for which in mine:
            use(thread, lambda which=which: session.finish(which))  # type: ignore[misc]

    together([lambda thread=i: task(thread) for i in range(N_THREADS)])  # type: ignore[misc]
    return sum(refused)


def main() -> None:
    """Do both until the time is up, and tell how often."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    end = time.monotonic() + parser.parse_args().seconds
    n_equal = n_refused = 0
    while time.monotonic() < end:
        n_equal += share(n_rounds=3)
        n_refused += quarrel()
    print(f"{n_equal} results equal, {n_refused} calls refused; no crash")


if __name__ == "__main__":
    main()
