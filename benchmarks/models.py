"""Accuracy and timesteps of trained networks, against what they were to reach.

    python -m benchmarks.models FOLDER... [--budget 0.01] [--data-dir DIR ...]

Each folder holds ``model.pt`` and the ``recipe.toml`` that names its data; folders of
one name (networks of several seeds) are averaged. Prints a table in Markdown.
"""

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from benchmarks.cases import split_of
from benchmarks.measure import Measured, measure
from snn_deploy.arrays import BoolArray
from snn_deploy.cli.demo import float_answers
from snn_deploy.data.data import Data
from snn_deploy.data.datasets import Split
from snn_deploy.importers.registry import load_model
from snn_deploy.training.recipe_file import read_recipe

HEAD = (
    "| network | test inputs | float [%] | integers [%] | drop | with cutoff [%] "
    "| timesteps | fewer |\n|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A network, in integers and in float."""

    measured: Measured
    is_right: BoolArray  # (n,), in float, after the last timestep

    @property
    def float_accuracy(self) -> float:
        return float(self.is_right.mean())


def trained(model: Path, split: Split, budget: float) -> Trained:
    """Measure a model, and run its test inputs in float as well."""
    measured = measure(model, split, budget)
    graph = load_model(model)
    test = Data(x=split.test.x, y=split.test.y, training=graph.training)
    answers = np.array(list(float_answers(graph, test)))
    return Trained(measured=measured, is_right=answers == measured.labels)


def row(name: str, networks: list[Trained]) -> str:
    """Return a line of the table: the means over networks."""

    def mean(values: list[float]) -> float:
        return float(np.mean(values))

    found = [network.measured for network in networks]
    n_timesteps = found[0].n_timesteps
    in_float = mean([100 * network.float_accuracy for network in networks])
    integer = mean([100 * m.accuracies[-1] for m in found])
    early = mean([100 * m.early_accuracy for m in found])
    used = mean([float(m.stops.mean()) for m in found])
    cells = (
        name,
        f"{len(found[0].labels)}",
        f"{in_float:.2f}",
        f"{integer:.2f}",
        f"{in_float - integer:.2f}",
        f"{early:.2f}",
        f"{used:.2f} of {n_timesteps}",
        f"{n_timesteps / used:.2f} x",
    )
    return f"| {' | '.join(cells)} |"


def interval(network: Trained) -> str:
    """Return the 95 % interval (Wilson) of the accuracy in float."""
    is_right = network.is_right
    test = binomtest(int(is_right.sum()), len(is_right))
    low, high = test.proportion_ci(method="wilson")
    return f"{100 * low:.1f} to {100 * high:.1f}"


def main() -> None:
    """Measure every folder, then print the table."""
    parser = argparse.ArgumentParser(description="measure trained networks")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--budget", type=float, default=0.01)
    parser.add_argument("--data-dir", type=Path, action="append", default=[])
    options = parser.parse_args()
    found: dict[str, list[Trained]] = defaultdict(list)
    print(HEAD)
    for folder in options.folders:
        recipe = read_recipe(folder / "recipe.toml")
        split = split_of(recipe, options.data_dir)
        measured = trained(folder / "model.pt", split, options.budget)
        found[recipe.name].append(measured)
        print(row(f"{folder}, float {interval(measured)}", [measured]))
    for name, networks in found.items():
        print(row(f"{name}, mean of {len(networks)}", networks))


if __name__ == "__main__":
    main()
