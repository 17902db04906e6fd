"""Hold the trained models to what the cutoff promises: loss, timesteps, time, alarm.

    python -m benchmarks.cutoff_bars [MODEL ...] [--data-dir DIR ...] [--lava 10]

The inputs that training has not seen are cut into halves again and again: thresholds
come from one, the figures from the other. Models whose data are in no folder are named
and left out.
"""

import argparse
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.cases import split_of
from snn_deploy.arrays import AnyArray, FloatArray, IntArray
from snn_deploy.artifact import Artifact, pack
from snn_deploy.backends.protocol import Program
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff.calibrate import calibrate, cheapest_fixed
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.drift import look
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.monitor import collect_scores, decide_inputs, run_inputs
from snn_deploy.cutoff.oracle import gaps
from snn_deploy.cutoff.rules.rule import Calibration, Settings
from snn_deploy.cutoff.thresholds import loss_of_stopping, safe_timesteps, stops
from snn_deploy.data.data import Data
from snn_deploy.data.datasets import Part
from snn_deploy.errors import DataError
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.registry import load_model
from snn_deploy.training.recipe_file import read_recipe

BUDGETS = {
    "mnist_lif": 0.005,
    "mnist_qcfs": 0.01,
    "mnist_counts": 0.01,
    "nmnist_lif": 0.02,  # half of its 400 inputs cannot promise less
    "cifar10_small": 0.01,
}
MOST_INPUTS = 4000
SIGMA, DEGREES, WINDOW = 0.3, 30.0, 500
SHIFTS = {
    "noise": (SIGMA, 0.0),
    "rotation": (0.0, DEGREES),
    "noise and rotation": (SIGMA, DEGREES),
}
N_TIMED = 500  # inputs
ROUNDS = 5


def loaded(
    name: str, data_dirs: Sequence[Path]
) -> tuple[Artifact, Program, Data, float]:
    """Return a model, compiled, inputs it was not trained on, and their largest value.

    Raises
    ------
    DataError
        If its data are in none of the folders.
    """
    folder = packaged_folder("models") / name
    split = split_of(read_recipe(folder / "recipe.toml"), data_dirs)
    graph = load_model(folder / "model.pt")
    artifact = pack(compile_model(graph, read_target("loihi-sim")))
    x = np.concatenate([split.calibration.x, split.test.x])
    y = np.concatenate([split.calibration.y, split.test.y])
    some = np.random.default_rng(0).permutation(len(x))[:MOST_INPUTS]
    program = open_backend("cpu").load(artifact.network)
    data = Data(x=x[some], y=y[some], training=graph.training)
    return artifact, program, data, largest_value(split.test)


def largest_value(part: Part) -> float:
    """Return what a white pixel has, or an event."""
    return 1.0 if part.is_events else 255.0


def shifted(x: AnyArray, largest: float, sigma: float, degrees: float) -> AnyArray:
    """Return inputs rotated, with noise, and rounded: of events, there or not."""
    from scipy.ndimage import rotate

    rng = np.random.default_rng(0)
    found = np.empty_like(x)
    for i, values in enumerate(x):
        turned = values / largest
        if degrees:
            turned = rotate(turned, degrees, axes=(-2, -1), reshape=False, order=1)
        noisy = turned + rng.normal(scale=sigma, size=turned.shape)
        found[i] = np.rint(largest * np.clip(noisy, 0, 1))
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


def show_alarm(
    clean: Evidence, odd: dict[str, Evidence], budget: float, n_trials: int
) -> None:
    """Print how often windows raise the alarm, shifted and not."""
    rng = np.random.default_rng(1)
    n = len(clean.scores) // 2
    n_window = min(WINDOW, n)
    nobody = np.zeros(0, np.bool_)
    kinds = {**odd, "no shift": clean}
    alarms = dict.fromkeys(kinds, 0)
    for _ in range(n_trials):
        order = rng.permutation(2 * n)
        calibration = calibrate(clean.take(order[:n]), Settings(budget=budget))
        window = order[n : n + n_window]
        for name, seen in kinds.items():
            first = gaps(seen.scores[window, 0]).astype(np.float64)
            alarms[name] += look(calibration, first, nobody).is_alarm
    shares = ", ".join(f"{name} {k / n_trials:.1%}" for name, k in alarms.items())
    print(f"  alarm in windows of {n_window}, {n_trials} trials: {shares}")


def share_of_time(early: Callable[[], object], full: Callable[[], object]) -> float:
    """Return the shortest time of the one over that of the other, taken in turns."""
    times: FloatArray = np.zeros((ROUNDS, 2))
    for row in times:
        for i, work in enumerate((early, full)):
            start = time.thread_time()
            work()
            row[i] = time.thread_time() - start
    shortest = times.min(axis=0)
    return float(shortest[0] / shortest[1])


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
    some = [(i, data.stimulus(i)) for i in range(min(N_TIMED, len(data)))]
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
            partial(_all, run, program, network, some, rule) for rule in (cutoff, never)
        )
        time_share = share_of_time(early, full)
        print(f"  cpu engine: {time_share:.3f} of the time, {share:.3f} of the {what}")
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
    parser.add_argument("models", nargs="*", metavar="MODEL", default=list(BUDGETS))
    parser.add_argument("--data-dir", type=Path, action="append", default=[])
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--lava", type=int, default=10, help="inputs; 0: none")
    options = parser.parse_args()
    unknown = [name for name in options.models if name not in BUDGETS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: give names of {', '.join(BUDGETS)}")
    for name in options.models:
        print(name, flush=True)
        try:
            show(name, options)
        except DataError as error:
            print(f"  left out: {error}")


def show(name: str, options: argparse.Namespace) -> None:
    """Print all figures for a model."""
    budget = BUDGETS[name]
    artifact, program, data, largest = loaded(name, options.data_dir)
    clean = evidence(artifact, program, data)
    odd = {
        kind: evidence(
            artifact, program, replace(data, x=shifted(data.x, largest, *shift))
        )
        for kind, shift in SHIFTS.items()
    }
    show_promise(clean, budget, options.splits)
    show_alarm(clean, odd, budget, options.splits)
    calibration = calibrate(clean, Settings(budget=budget))
    show_realized(artifact, data, calibration, options.lava)


if __name__ == "__main__":
    main()
