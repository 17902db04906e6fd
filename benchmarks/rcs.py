"""Train small networks with the regularizer RCS and without it, and compare.

    python -m benchmarks.rcs [--seeds 5] [--folder build/rcs] [-o table.md]

Networks of one training seed differ in nothing but the regularizer's weight. They are
compiled for ``loihi-sim``, and their test inputs run on the chip's integers. Two
measures: the OCT (the first timestep from which the answer is right and stays so; the
last one for inputs that are wrong in the end), and the timesteps at equal accuracy: the
fewest, over all thresholds of the gap, at which a network is as accurate as the worst
of the same seed is after its last timestep. Neither is a rule that could be used; the
third, the timesteps of ``risk`` with a budget of 1 %, is one.

What is done is kept, one file for each network and seed, and a run that was ended goes
on from its last epoch.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as student

from benchmarks.measure import Measured, measure, timesteps_at
from snn_deploy.cutoff.oracle import optimal_cutoff_timesteps
from snn_deploy.data.datasets import Split, load_split
from snn_deploy.files.writing import write_whole
from snn_deploy.importers.torch.file import save
from snn_deploy.training.recipe_file import read_recipe
from snn_deploy.training.recipes import Rcs, Recipe
from snn_deploy.training.train import build, fit

RECIPES = Path(__file__).parent / "recipes"
# QCFS networks of both data sets, then LIF ones; the losses differ on purpose
NETWORKS = {
    "digits, QCFS": "cutoff_digits",
    "MNIST, QCFS, convolutional": "rcs_mnist",
    "digits, LIF, TET": "rcs_digits",
    "MNIST, LIF, mean output": "cutoff_mnist",
}
# none, what the authors' script for QCFS says, and ten times as much
WEIGHTS = (0.0, 0.001, 0.01)
BUDGET = 0.01
FIGURES = ("accuracy", "oct", "equal", "risk")
HEAD = (
    "| network | weight | accuracy [%] | OCT | change | at equal accuracy | change "
    "| `risk` | change |\n|---|---|---|---|---|---|---|---|---|"
)

Figures = dict[str, float]


def recipe_of(name: str, seed: int, weight: float) -> Recipe:
    """Return a recipe of this folder with another seed, and with RCS if it weighs."""
    recipe = read_recipe(RECIPES / f"{name}.toml")
    regularizer = Rcs(weight=weight) if weight > 0 else None
    return replace(recipe, seed=seed, regularizer=regularizer)


def figures_of(name: str, seed: int, folder: Path) -> list[Figures]:
    """Return what the networks of one seed do, one for each weight."""
    path = folder / f"{name}-{seed}.json"
    if path.exists():
        kept: list[Figures] = json.loads(path.read_text("utf-8"))
        return kept
    split = load_split(recipe_of(name, seed, 0).data)
    measured = [
        _measured(recipe_of(name, seed, w), split, folder / f"{name}-{seed}-{w:g}")
        for w in WEIGHTS
    ]
    common = min(m.accuracies[-1] for m in measured)
    found = [_figures(m, common) for m in measured]
    text = json.dumps(found, indent=1)
    write_whole(path, lambda temporary: _write(temporary, text))
    return found


def _measured(recipe: Recipe, split: Split, home: Path) -> Measured:
    checkpoint = fit(recipe, split.train, home, resume=True)
    network = build(recipe, split.train)
    network.load_state_dict(checkpoint.best_network)
    network.eval()
    model, shape = home / "model.pt", split.train.input_shape
    save(network, model, input_shape=shape, timesteps=recipe.timesteps)
    return measure(model, split, BUDGET)


def _figures(measured: Measured, common: float) -> Figures:
    scores, labels = measured.scores, measured.labels
    return {
        "accuracy": 100 * measured.accuracies[-1],
        "oct": float(optimal_cutoff_timesteps(scores, labels).mean()),
        "equal": timesteps_at(scores, labels, common),
        "risk": float(measured.stops.mean()),
    }


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def rows(title: str, found: list[list[Figures]]) -> list[str]:
    """Return a row for each weight: means over seeds, and changes against none."""
    lines = []
    for index, weight in enumerate(WEIGHTS):
        values = {key: np.array([s[index][key] for s in found]) for key in FIGURES}
        cells = [title, f"{weight:g}", f"{values['accuracy'].mean():.2f}"]
        for key in FIGURES[1:]:
            without = np.array([seed[0][key] for seed in found])
            change = interval(values[key] - without) if index else ""
            cells += [f"{values[key].mean():.3f}", change]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def interval(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    """Return the mean and its 95 % interval, by Student's t over the seeds."""
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return f"{mean:+.3f}"
    half = float(student.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"


def main() -> None:
    """Train and measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(
        description="compare networks with and without RCS"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("build/rcs"))
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed in range(options.seeds):  # seeds outside: an early end leaves whole ones
        for name in NETWORKS.values():
            figures_of(name, seed, options.folder)
            print(f"{name} {seed}", flush=True)
    lines = [HEAD]
    for title, name in NETWORKS.items():
        found = [figures_of(name, s, options.folder) for s in range(options.seeds)]
        lines += rows(title, found)
    text = "\n".join(lines)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
