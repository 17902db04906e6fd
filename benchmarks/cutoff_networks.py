"""Train the networks of ``benchmarks.cutoff`` and keep what they answer.

    python -m benchmarks.cutoff_networks [--seeds 10] [--folder build/cutoff]

One ``.npz`` for each data set and training seed, with the accumulated outputs of all
inputs on the compiled integer network, and the float network's outputs on its training
data with dropout switched on, as the authors of the published rule calibrate it. What
is there already stays.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.artifact import Artifact, pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff.monitor import collect_scores
from snn_deploy.cutoff.scores import scale_of
from snn_deploy.data.data import Data
from snn_deploy.data.datasets import Part, load_split
from snn_deploy.files.writing import write_whole
from snn_deploy.importers.torch.file import save
from snn_deploy.training.networks import (
    as_float,
    convert,
    is_spiking,
    run_over_time,
)
from snn_deploy.training.recipe_file import read_recipe
from snn_deploy.training.recipes import Recipe
from snn_deploy.training.train import build, fit

RECIPES = Path(__file__).parent / "recipes"
DATA = ("digits", "mnist")
DROPOUT = 0.3  # of the published calibration, behind every spiking layer


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What one trained network gave."""

    pool: IntArray  # (n, n_timesteps, n_classes), inputs that training has not seen
    pool_labels: IntArray
    train: IntArray  # the same of the training inputs
    train_labels: IntArray
    dropped: FloatArray  # float outputs of the training inputs, dropout switched on
    scale: float  # float output = scale * integer output


def file_of(folder: Path, name: str, seed: int) -> Path:
    """Return where the answers of a network are kept."""
    return folder / f"{name}-{seed}.npz"


def read_answers(path: Path) -> Answers:
    """Return what ``main`` has written."""
    with np.load(path) as stored:
        arrays = {key: stored[key] for key in stored.files}
    return Answers(**{**arrays, "scale": float(arrays["scale"])})


def answers_of(name: str, seed: int, folder: Path) -> Answers:
    """Train one network, compile it, and run everything."""
    recipe = replace(read_recipe(RECIPES / f"cutoff_{name}.toml"), seed=seed)
    split = load_split(recipe.data)
    home = folder / f"{name}-{seed}"
    network = _trained(recipe, split.train, home)
    graph = save(
        network,
        home / "model.pt",
        input_shape=split.train.input_shape,
        timesteps=recipe.timesteps,
    )
    artifact = pack(compile_model(graph, read_target("loihi-sim")))
    pool = _joined(split.calibration, split.test)
    return Answers(
        pool=_run(artifact, pool),
        pool_labels=pool.y,
        train=_run(artifact, split.train),
        train_labels=split.train.y,
        dropped=_dropped(network, split.train, recipe),
        scale=scale_of(artifact.network.graph),
    )


def _trained(recipe: Recipe, part: Part, home: Path) -> nn.Sequential:
    checkpoint = fit(recipe, part, home, resume=True)
    network = build(recipe, part)
    network.load_state_dict(checkpoint.best_network)
    network.eval()
    return network


def _joined(first: Part, second: Part) -> Part:
    return Part(
        x=np.concatenate([first.x, second.x]), y=np.concatenate([first.y, second.y])
    )


def _run(artifact: Artifact, part: Part) -> IntArray:
    network = artifact.network
    data = Data(x=part.x, y=part.y, training=network.graph.training)
    program = open_backend("cpu").load(network)
    return collect_scores(program, network, data.stimuli())


def _dropped(network: nn.Sequential, part: Part, recipe: Recipe) -> FloatArray:
    """Return the accumulated float outputs with dropout, its mask redrawn each step."""
    spiking = nn.Sequential(*_with_dropout(convert(network)))
    spiking.eval()
    for module in spiking:
        module.train(isinstance(module, nn.Dropout))
    x = as_float(part.x)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        outputs: Tensor = run_over_time(spiking, x, recipe.timesteps)
    summed: FloatArray = outputs.cumsum(0).swapaxes(0, 1).double().numpy()
    return summed


def _with_dropout(network: nn.Module) -> Iterator[nn.Module]:
    for module in network.children():
        yield module
        if is_spiking(module):
            yield nn.Dropout(DROPOUT)


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--folder", type=Path, default=Path("build/cutoff"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        for name in DATA:
            path = file_of(options.folder, name, seed)
            if not path.exists():
                found = answers_of(name, seed, options.folder)
                write_whole(path, partial(_write, vars(found)))
                print(f"wrote {path}", flush=True)


def _write(arrays: dict[str, Any], path: Path) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


if __name__ == "__main__":
    main()
