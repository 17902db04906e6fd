"""Compare rules of the cutoff: what they lose, take and promise, over many re-splits.

    python -m benchmarks.cutoff_networks          # trains 20 small networks, once
    python -m benchmarks.cutoff [--splits 200] [--folder build/cutoff] [-o table.md]

For each data set 10 networks, trained from different seeds; for each of them the inputs
that training has not seen are cut into halves 200 times, one to calibrate on, one to
test. A rule's figures are means over the re-splits; the table gives their mean over the
networks and its 95 % interval. Networks that are done are kept.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.cutoff_networks import DATA, RECIPES, Answers, file_of, read_answers
from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.costs.prices import prices_for
from snn_deploy.costs.stopping import stopping_costs
from snn_deploy.cutoff.calibrate import calibrate
from snn_deploy.cutoff.decision import Cutoff, never
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.cutoff.oracle import (
    agreement_timesteps,
    answers,
    first_correct_timesteps,
    optimal_cutoff_timesteps,
)
from snn_deploy.cutoff.rules.fixed import fixed
from snn_deploy.cutoff.rules.rule import Calibration, Settings
from snn_deploy.cutoff.rules.topk import topk, topk_thresholds
from snn_deploy.cutoff.thresholds import loss_of_stopping, safe_timesteps, stops
from snn_deploy.data.data import Data
from snn_deploy.data.datasets import load_split
from snn_deploy.files.writing import write_whole
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.training.recipe_file import read_recipe

BUDGET, CONFIDENCE = 0.01, 0.9
COVERAGE_LOST = 0.1  # of SpikeCP, whose promise is about sets of classes
N_COSTED = 100
FIGURES = ("lost", "changed", "timesteps", "energy_uj", "over", "refused")

RISK = {
    "risk, labels, with confidence": Settings(budget=BUDGET),
    "risk, labels, on average": Settings(budget=BUDGET, form="expectation"),
    "risk, no labels, with confidence": Settings(budget=BUDGET),
    "risk, no labels, on average": Settings(budget=BUDGET, form="expectation"),
}
OTHERS = {
    "topk, held out": Settings(rule="topk", budget=BUDGET),
    "confidence": Settings(rule="confidence", budget=BUDGET),
    "entropy": Settings(rule="entropy", budget=BUDGET),
    "spikecp": Settings(rule="spikecp", budget=COVERAGE_LOST),
    "certain": Settings(rule="certain"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Costs:
    """Mean energy [uJ] of stopping after each timestep."""

    polled: FloatArray  # (n_timesteps,), the outputs read at each of them
    once: FloatArray  # read at the stop only


def network_of(folder: Path, name: str, seed: int) -> MappedNetwork:
    """Return the compiled network whose answers are kept."""
    graph = load_model(folder / f"{name}-{seed}" / "model.pt")
    return compile_model(graph, read_target("loihi-sim"))


def costs_of(network: MappedNetwork, name: str) -> Costs:
    """Return what stopping costs, the mean of some inputs."""
    test = load_split(read_recipe(RECIPES / f"cutoff_{name}.toml").data).test
    data = Data(x=test.x[:N_COSTED], y=None, training=network.graph.training)
    program = open_backend("cpu").load(network)
    prices = prices_for(network, "embedded")
    every = np.arange(1, network.graph.training.timesteps + 1)
    polled: list[FloatArray] = []
    silent: list[FloatArray] = []
    read: list[FloatArray] = []
    for result in run_inputs(program, network, data.stimuli(), never):
        for looks, found in ((every, polled), (every[:0], silent), (every[:1], read)):
            energy, _ = stopping_costs(network, result.activity, looks, prices)
            found.append(energy)
    one_read = np.mean(read) - np.mean(silent)
    return Costs(
        polled=1e6 * np.mean(polled, axis=0),
        once=1e6 * (np.mean(silent, axis=0) + one_read),
    )


def evidence_of(network: MappedNetwork, scores: IntArray, labels: IntArray) -> Evidence:
    """Return outputs as ``calibrate`` takes them."""
    return Evidence(
        scores=scores,
        labels=labels,
        graph=network.graph,
        network_sha256="",
        inputs_sha256="",
    )


def rules(
    kept: Answers, seen: Evidence, published: dict[str, Cutoff]
) -> Iterator[tuple[str, Cutoff, bool]]:
    """Yield each rule calibrated on ``seen``, and whether it refuses to stop early."""
    for t in range(1, seen.n_timesteps + 1):
        yield f"fixed:{t}", fixed(t), False
    for name, cutoff in published.items():
        yield name, cutoff, False
    unlabelled = Evidence(**{**vars(seen), "labels": None})
    for name, settings in (RISK | OTHERS).items():
        known = unlabelled if "no labels" in name else seen
        found: Calibration = calibrate(known, settings)
        yield name, found.cutoff, not found.stops_early


def figures(
    scores: IntArray, labels: IntArray, timesteps: IntArray, energies: FloatArray
) -> dict[str, float]:
    """Return what stopping there does to test inputs."""
    unsafe = (timesteps < safe_timesteps(scores, labels)).mean()
    return {
        "lost": loss_of_stopping(scores, labels, timesteps),
        "changed": loss_of_stopping(scores, None, timesteps),
        "timesteps": float(timesteps.mean()),
        "energy_uj": float(energies[timesteps - 1].mean()),
        "over": float(unsafe > BUDGET),
    }


def oracles(scores: IntArray, labels: IntArray) -> dict[str, IntArray]:
    """Return the timesteps of measures that look ahead."""
    return {
        "oracle: OCT": optimal_cutoff_timesteps(scores, labels),
        "oracle: first correct": first_correct_timesteps(scores, labels),
        "oracle: agreement": agreement_timesteps(scores),
    }


def compare(
    kept: Answers, network: MappedNetwork, costs: Costs, n_splits: int
) -> dict[str, dict[str, float]]:
    """Return the means of each rule's figures over the re-splits."""
    dropped = np.rint(kept.dropped / kept.scale).astype(np.int64)
    published: dict[str, Cutoff] = {
        name: topk(topk_thresholds(outputs, kept.train_labels, BUDGET))
        for name, outputs in (
            ("topk, training data with dropout", dropped),
            ("topk, training data", kept.train),
        )
    }
    sums: dict[str, dict[str, float]] = {}
    rng = np.random.default_rng(0)
    n = len(kept.pool)

    def add(name: str, found: dict[str, float]) -> None:
        row = sums.setdefault(name, dict.fromkeys(FIGURES, 0.0))
        for key, value in found.items():
            row[key] += value / n_splits

    for _ in range(n_splits):
        order = rng.permutation(n)
        calibration, test = order[: n // 2], order[n // 2 :]
        seen = evidence_of(
            network, kept.pool[calibration], kept.pool_labels[calibration]
        )
        scores, labels = kept.pool[test], kept.pool_labels[test]
        for name, cutoff, refuses in rules(kept, seen, published):
            energies = costs.once if name.startswith("fixed") else costs.polled
            found = figures(scores, labels, stops(scores, cutoff), energies)
            add(name, {**found, "refused": float(refuses)})
        for name, timesteps in oracles(scores, labels).items():
            add(name, figures(scores, labels, timesteps, costs.polled))
    last = answers(kept.pool)[:, -1]
    add("accuracy", {"lost": n_splits * float((last == kept.pool_labels).mean())})
    return sums


def table(found: list[dict[str, dict[str, float]]]) -> list[str]:
    """Return the lines of a table: a row for each rule, mean and 95 % interval."""
    from scipy.stats import t as student

    lines = [
        "| rule | accuracy lost [points] | answers changed [%] | timesteps | "
        "energy [µJ] | loss over the budget [% of re-splits] | refused [%] |",
        "|---|---|---|---|---|---|---|",
    ]
    half = student.ppf(0.975, max(len(found) - 1, 1)) / np.sqrt(len(found))
    scales = {"lost": 100, "changed": 100, "over": 100, "refused": 100}
    for name in found[0]:
        if name == "accuracy":
            continue
        cells = []
        for figure in FIGURES:
            values = scales.get(figure, 1) * np.array(
                [row[name][figure] for row in found]
            )
            spread = half * values.std(ddof=1) if len(values) > 1 else 0.0
            cells.append(f"{values.mean():.2f} ± {spread:.2f}")
        if name.startswith(("oracle", "fixed")):
            cells[-1] = ""
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Compare what is not compared yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=Path("build/cutoff"))
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    lines: list[str] = []
    for name in DATA:
        found = []
        paths = sorted(options.folder.glob(f"{name}-*.npz"))
        for seed in range(len(paths)):
            found.append(_compared(options.folder, name, seed, options.splits))
            print(f"{name} {seed}", flush=True)
        accuracy = 100 * np.array([row["accuracy"]["lost"] for row in found])
        lines += [
            f"### {name}: {len(found)} networks, {options.splits} re-splits each, "
            f"accuracy at the end {accuracy.mean():.2f} % "
            f"({accuracy.min():.2f} to {accuracy.max():.2f})",
            "",
            *table(found),
            "",
        ]
    text = "\n".join(lines)
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


def _compared(
    folder: Path, name: str, seed: int, n_splits: int
) -> dict[str, dict[str, float]]:
    path = folder / f"{name}-{seed}-{n_splits}.json"
    if not path.exists():
        kept = read_answers(file_of(folder, name, seed))
        network = network_of(folder, name, seed)
        found = compare(kept, network, costs_of(network, name), n_splits)
        text = json.dumps(found, indent=1)
        write_whole(path, lambda temporary: _write(temporary, text))
    loaded: dict[str, dict[str, float]] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
