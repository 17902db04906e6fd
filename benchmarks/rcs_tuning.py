"""Fine-tune one QCFS network as a spiking one, with the regularizer RCS and without it.

    python -m benchmarks.rcs_tuning models/cifar10_small/recipe.toml PARENT
        [--data-dir cifar10] [--weights 0 0.001 0.01] [--seeds 3] [--epochs 1]
        [--images N] [--folder build/rcs_tuning] [-o table.md]

``PARENT`` is a ``checkpoint.pt`` of the recipe from its first phase, whose best weights
are taken (keep a copy when that is over). Only the next phase is trained, from the same
weights for all; networks of one seed differ in nothing but the regularizer's weight,
seeds in what is drawn (the order and the changes of images, and which are held out).
The measures are those of ``benchmarks.rcs``, and the timesteps and accuracies of the
rules ``risk`` (budget 1 %) and ``topk`` (the authors' calibration, epsilon 1 %).

What is done is kept, one folder for each seed and weight, and a run that was ended goes
on from its last epoch.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measure import measure, timesteps_at
from benchmarks.rcs import interval
from snn_deploy.cutoff.oracle import optimal_cutoff_timesteps
from snn_deploy.data.datasets import Split, load_split
from snn_deploy.files.writing import write_whole
from snn_deploy.importers.torch.file import save, unpickled
from snn_deploy.training.checkpoint import Checkpoint, write_checkpoint
from snn_deploy.training.recipe_file import read_recipe
from snn_deploy.training.recipes import Rcs, Recipe
from snn_deploy.training.train import CHECKPOINT, build, fit

BUDGET = 0.01
RULES = ("risk", "topk")

Figures = dict[str, float]


def recipe_of(recipe: Recipe, seed: int, weight: float, n_epochs: int) -> Recipe:
    """Return a recipe that ends behind its first fine-tuning, with RCS in it."""
    tuning = recipe.fine_tuning[0]
    return replace(
        recipe,
        seed=seed,
        fine_tuning=(replace(tuning, epochs=n_epochs or tuning.epochs),),
        grid_tuning=None,
        regularizer=Rcs(weight=weight) if weight > 0 else None,
    )


def figures_of(recipe: Recipe, parent: Checkpoint, split: Split, home: Path) -> Figures:
    """Return what a network does that is tuned from its parent's best weights."""
    path = home / "figures.json"
    if path.exists():
        kept: Figures = json.loads(path.read_text("utf-8"))
        return kept
    if not (home / CHECKPOINT).exists():
        home.mkdir(parents=True, exist_ok=True)
        begin(home / CHECKPOINT, recipe, parent)
    checkpoint = fit(recipe, split.train, home, resume=True)
    network = build(recipe, split.train)
    network.load_state_dict(checkpoint.best_network)
    model, shape = home / "model.pt", split.train.input_shape
    save(network.eval(), model, input_shape=shape, timesteps=recipe.timesteps)
    found = {}
    for rule in RULES:
        measured = measure(model, split, BUDGET, rule)
        found[rule] = float(measured.stops.mean())
        found[f"{rule}_accuracy"] = 100 * measured.early_accuracy
    found["oct"] = float(
        optimal_cutoff_timesteps(measured.scores, measured.labels).mean()
    )
    for timestep, accuracy in enumerate(measured.accuracies, 1):
        found[f"after_{timestep}"] = 100 * accuracy
    np.savez(home / "scores.npz", scores=measured.scores, labels=measured.labels)
    text = json.dumps(found, indent=1)
    write_whole(path, lambda temporary: _write(temporary, text))
    return found


def begin(path: Path, recipe: Recipe, parent: Checkpoint) -> None:
    """Write the checkpoint of a recipe whose first phase was the parent's."""
    n_epochs = recipe.training.epochs
    write_checkpoint(
        path,
        replace(parent, recipe=repr(recipe), n_epochs=n_epochs, best_epoch=n_epochs),
    )


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def equalized(found: list[Figures], homes: list[Path]) -> None:
    """Add the timesteps at which networks of one seed are as accurate as the worst."""
    last = max(key for key in found[0] if key.startswith("after_"))
    common = min(figures[last] for figures in found) / 100
    for figures, home in zip(found, homes, strict=True):
        with np.load(home / "scores.npz") as kept:
            figures["equal"] = timesteps_at(kept["scores"], kept["labels"], common)


def table(found: list[list[Figures]], weights: list[float]) -> str:
    """Return the table: means over seeds, and changes against the first weight."""
    keys = [key for key in found[0][0] if key != "equal"] + ["equal"]
    lines = [
        f"| weight | {' | '.join(key.replace('_', ' ') for key in keys)} |",
        "|---" * (len(keys) + 1) + "|",
    ]
    for index, weight in enumerate(weights):
        values = {key: np.array([seed[index][key] for seed in found]) for key in keys}
        cells = [f"{values[key].mean():.3f}" for key in keys]
        lines.append(f"| {weight:g} | {' | '.join(cells)} |")
        if index:
            first = {key: np.array([seed[0][key] for seed in found]) for key in keys}
            cells = [interval(values[key] - first[key]) for key in keys]
            lines.append(f"| change | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train and measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(
        description="fine-tune one network with and without RCS"
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("parent", type=Path)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--weights", type=float, nargs="+", default=[0, 0.001, 0.01])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=0, help="0: the recipe's")
    parser.add_argument("--images", type=int, default=0, help="0: all of them")
    parser.add_argument("--folder", type=Path, default=Path("build/rcs_tuning"))
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    recipe = read_recipe(options.recipe)
    split = load_split(
        recipe.data, data_dir=options.data_dir, timesteps=recipe.timesteps
    )
    if options.images:
        order = np.random.default_rng(0).permutation(len(split.train))
        split = replace(split, train=split.train.take(order[: options.images]))
    parent = Checkpoint(**unpickled(options.parent))
    if parent.phase > 0:
        parser.error(f"{options.parent}: is in phase {parent.phase + 1}, not the first")
    found = []
    for seed in range(options.seeds):
        homes = [options.folder / f"{seed}-{w:g}" for w in options.weights]
        some = []
        for weight, home in zip(options.weights, homes, strict=True):
            tuned = recipe_of(recipe, seed, weight, options.epochs)
            some.append(figures_of(tuned, parent, split, home))
            print(f"seed {seed}, weight {weight:g}: {some[-1]}", flush=True)
        equalized(some, homes)
        found.append(some)
    text = table(found, options.weights)
    print(text)
    if options.output:
        write_whole(options.output, lambda temporary: _write(temporary, text))


if __name__ == "__main__":
    main()
