"""Hold the trained models to what the cutoff promises: loss, timesteps, time, alarm.

    python -m benchmarks.cutoff_bars [--splits 200] [--lava 10]

The digits that training has not seen are cut into halves again and again: thresholds
come from one, the figures from the other.
"""

import argparse
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import numpy as np

from snn_deploy.arrays import AnyArray, IntArray
from snn_deploy.artifact import Artifact, pack
from snn_deploy.backends import Program, open_backend
from snn_deploy.files import packaged_folder
from snn_deploy.host.calibrate import Evidence, calibrate, cheapest_fixed
from snn_deploy.host.calibration import Calibration, Settings
from snn_deploy.host.cutoff import never
from snn_deploy.host.drift import look
from snn_deploy.host.monitor import collect_scores, decide_inputs, run_inputs
from snn_deploy.host.oracle import gaps
from snn_deploy.host.thresholds import loss_of_stopping, safe_timesteps, stops
from snn_deploy.importers import load_model
from snn_deploy.inputs.data import Data
from snn_deploy.inputs.datasets import load_split
from snn_deploy.pipeline import compile_model
from snn_deploy.target_file import read_target

BUDGETS = {"mnist_lif": 0.005, "mnist_qcfs": 0.01, "mnist_counts": 0.01}
SIGMA, DEGREES, WINDOW = 0.3, 30.0, 500
N_TIMED = 500  # inputs
ROUNDS = 5


def loaded(name: str) -> tuple[Artifact, Program, Data]:
    """Return a model, compiled, and the digits that it was not trained on."""
    graph = load_model(packaged_folder("models") / name / "model.pt")
    artifact = pack(compile_model(graph, read_target("loihi-sim")))
    split = load_split("mnist5k")
    x = np.concatenate([split.calibration.x, split.test.x])
    y = np.concatenate([split.calibration.y, split.test.y])
    program = open_backend("cpu").load(artifact.network)
    return artifact, program, Data(x=x, y=y, training=graph.training)


def shifted(x: AnyArray) -> AnyArray:
    """Return the digits rotated, with noise, as bytes."""
    from scipy.ndimage import rotate

    turned = rotate(x / 255, DEGREES, axes=(2, 3), reshape=False, order=1)
    noise = np.random.default_rng(0).normal(scale=SIGMA, size=x.shape)
    found: AnyArray = np.rint(255 * np.clip(turned + noise, 0, 1)).astype(np.uint8)
    return found


def evidence(artifact: Artifact, program: Program, data: Data) -> Evidence:
    """Return what all inputs give."""
    return Evidence(
        scores=collect_scores(program, artifact.network, data.stimuli()),
        labels=data.y,
        graph=artifact.network.graph,
        network_sha256=artifact.sha256,
        inputs_sha256=data.sha256,
        input_hashes=data.hashes,
    )


def show_promise(seen: Evidence, budget: float, n_splits: int) -> None:
    """Print timesteps and losses over re-splits, and what the promise allows."""
    from scipy.stats import betabinom, binom

    rng = np.random.default_rng(0)
    n = len(seen.scores) // 2
    settings = Settings(budget=budget)
    found = []
    for _ in range(n_splits):
        order = rng.permutation(2 * n)
        calibration = calibrate(seen.take(order[:n]), settings)
        test = seen.take(order[n:])
        timesteps = stops(test.scores, calibration.cutoff)
        unsafe = (timesteps < safe_timesteps(test.scores, test.labels)).mean()
        lost = loss_of_stopping(test.scores, test.labels, timesteps)
        fixed = cheapest_fixed(test, lost)
        found.append((timesteps.mean(), lost, unsafe > budget, lost > budget, fixed))
    mean, lost, over, accuracy_over, fixed = np.mean(found, axis=0)
    k = int(binom.ppf(0.1, n, budget))
    k -= int(binom.cdf(k, n, budget) > 0.1)
    allowed = betabinom.sf(int(budget * n), n, k + 1, n - k)
    wins = np.mean([row[0] < row[4] for row in found])
    print(
        f"  risk {budget:g}, confidence 0.9: {mean:.3f} timesteps, accuracy lost "
        f"{lost:.4f}; over the budget on {n} test inputs in {over:.1%} of {n_splits} "
        f"re-splits (promise and finite test set allow {allowed:.1%}), accuracy lost "
        f"over it in {accuracy_over:.1%}; cheapest fixed timestep that loses no more: "
        f"{fixed:.2f}, the cutoff takes fewer in {wins:.0%}"
    )


def show_alarm(clean: Evidence, odd: Evidence, n_trials: int) -> None:
    """Print how often windows raise the alarm, shifted and not."""
    rng = np.random.default_rng(1)
    n = len(clean.scores) // 2
    nobody = np.zeros(0, np.bool_)
    alarms = {"shifted": 0, "not shifted": 0}
    for _ in range(n_trials):
        order = rng.permutation(2 * n)
        calibration = calibrate(clean.take(order[:n]), Settings())
        window = order[n : n + WINDOW]
        for name, seen in (("shifted", odd), ("not shifted", clean)):
            first = gaps(seen.scores[window, 0]).astype(np.float64)
            alarms[name] += look(calibration, first, nobody).is_alarm
    shares = ", ".join(f"{name} {k / n_trials:.1%}" for name, k in alarms.items())
    print(f"  alarm in windows of {WINDOW}, {n_trials} trials: {shares}")


def best_of(work: Callable[[], object]) -> float:
    """Return the shortest time [s]."""
    times = []
    for _ in range(ROUNDS):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return min(times)


def _all(run: Callable[..., Iterable[object]], *arguments: object) -> None:
    deque(run(*arguments), maxlen=0)


def show_realized(
    artifact: Artifact, data: Data, calibration: Calibration, n_lava: int
) -> None:
    """Print the share of time and of chip timesteps that is really left."""
    network = artifact.network
    program = open_backend("cpu").load(network)
    engine = getattr(program, "engine", None)
    if engine is not None:
        engine.n_threads = 1
    some = [(i, data.stimulus(i)) for i in range(N_TIMED)]
    cutoff = calibration.cutoff
    found = decide_inputs(program, network, some, cutoff)
    mean = np.mean([len(scores) for _, scores in found])
    n_timesteps, depth = network.graph.training.timesteps, network.graph.depth
    shares = (mean / n_timesteps, (mean + depth) / (n_timesteps + depth))
    for what, run, share in (
        ("timesteps, nothing counted", decide_inputs, shares[0]),
        ("chip timesteps, all counted", run_inputs, shares[1]),
    ):
        early, full = (
            best_of(partial(_all, run, program, network, some, rule))
            for rule in (cutoff, never)
        )
        print(
            f"  cpu engine: {early / full:.3f} of the time, {share:.3f} of the {what}"
        )
    if n_lava:
        _show_lava(artifact, data, calibration, n_lava, depth)


def _show_lava(
    artifact: Artifact, data: Data, calibration: Calibration, n: int, depth: int
) -> None:
    network = artifact.network
    n_timesteps = network.graph.training.timesteps
    program = open_backend("lava").load(network)
    executed: IntArray = np.zeros(0, np.int64)
    for index in range(n):
        stimuli = [(index, data.stimulus(index))]
        (result,) = run_inputs(program, network, stimuli, calibration.cutoff)
        session = getattr(program, "session")  # noqa: B009  # Lava's own count
        counts = {count for _, count in session.executed}
        assert counts == {result.chip_timesteps}, counts
        executed = np.append(executed, result.chip_timesteps)
    program.close()
    print(
        f"  lava, {n} inputs: every process executed {executed.mean():.2f} of "
        f"{n_timesteps + depth} chip timesteps on average, as claimed"
    )


def main() -> None:
    """Print all figures for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--lava", type=int, default=10, help="inputs; 0: none")
    options = parser.parse_args()
    for name, budget in BUDGETS.items():
        print(name, flush=True)
        artifact, program, data = loaded(name)
        clean = evidence(artifact, program, data)
        odd = evidence(artifact, program, replace(data, x=shifted(data.x)))
        show_promise(clean, budget, options.splits)
        show_alarm(clean, odd, options.splits)
        calibration = calibrate(clean, Settings(budget=budget))
        show_realized(artifact, data, calibration, options.lava)


if __name__ == "__main__":
    main()
