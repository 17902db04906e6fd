"""Train a network from its recipe."""

import copy
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

from snn_deploy.datasets import Part, load_split
from snn_deploy.errors import ModelError, TrainingError
from snn_deploy.importers.model_file import save
from snn_deploy.training import losses, rcs, recipes
from snn_deploy.training.card import write_card
from snn_deploy.training.checkpoint import (
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from snn_deploy.training.networks import as_float, build_network, run_over_time
from snn_deploy.training.recipe_file import read_recipe
from snn_deploy.training.recipes import Recipe

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"  # in the output folder, until the training is over


def train(
    recipe_path: Path,
    output_folder: Path,
    *,
    changes: Sequence[str] = (),
    data_dir: Path | None = None,
    resume: bool = False,
) -> Path:
    """Train the network of a recipe and write ``model.pt`` and ``card.md``.

    ``changes`` are those of ``read_recipe``. Until the files are written, every epoch
    ends with a ``checkpoint.pt`` in the same folder, and ``resume`` goes on from there
    to exactly the weights of an unbroken run; without one it starts at the beginning.
    The epoch is chosen by the loss on digits
    held out of the training part. Calibration digits are not used, and test digits
    only for the card.

    Returns
    -------
    Path
        The ``model.pt`` that was written.
    """
    recipe = read_recipe(recipe_path, changes)
    split = load_split(recipe.data, data_dir=data_dir, timesteps=recipe.timesteps)
    _check_input(recipe, split.train)
    checkpoint = fit(recipe, split.train, output_folder, resume=resume)
    network = build(recipe, split.train)
    network.load_state_dict(checkpoint.best_network)
    network.eval()
    model_path = output_folder / "model.pt"
    save(
        network,
        model_path,
        input_shape=split.train.input_shape,
        timesteps=recipe.timesteps,
        encoding="events" if split.train.is_events else "direct",
        input_scale=1.0,
        input_offset=0.0,
    )
    write_card(network, recipe, split, checkpoint, model_path)
    (output_folder / CHECKPOINT).unlink()
    return model_path


def _check_input(recipe: Recipe, part: Part) -> None:
    if not part.is_events:
        return
    if part.x.shape[1] < recipe.timesteps:
        raise ModelError(
            f"{recipe.name}: timesteps is {recipe.timesteps}, but the events of "
            f"{recipe.data} last {part.x.shape[1]}; lower it"
        )
    if any(isinstance(layer, recipes.QcfsActivation) for layer in recipe.layers):
        raise ModelError(
            f"{recipe.name}: qcfs needs an input that is the same at every timestep, "
            f"{recipe.data} holds events; use lif"
        )


def build(recipe: Recipe, part: Part) -> nn.Sequential:
    """Return the untrained network of ``recipe`` for inputs like those of ``part``."""
    return build_network(recipe.layers, part.input_shape, seed=recipe.seed)


def fit(
    recipe: Recipe,
    digits: Part,
    output_folder: Path,
    *,
    resume: bool = False,
) -> Checkpoint:
    """Return the training after its last epoch, having written every epoch to disk.

    Raises
    ------
    TrainingError
        If the loss is no number. The checkpoint of the last whole epoch is kept.
    """
    output_folder.mkdir(parents=True, exist_ok=True)
    path = output_folder / CHECKPOINT
    used, held_out = _hold_out(digits, recipe)
    network = build(recipe, digits)
    optimizer = _optimizer(network, recipe)
    checkpoint = Checkpoint(
        recipe=repr(recipe),
        n_epochs=0,
        network=network.state_dict(),
        optimizer=optimizer.state_dict(),
        best_network=network.state_dict(),
        best_loss=float("inf"),
        best_epoch=0,
        seconds=0.0,
    )
    if resume and path.exists():
        checkpoint = read_checkpoint(path, recipe=repr(recipe))
        network.load_state_dict(checkpoint.network)
        optimizer.load_state_dict(checkpoint.optimizer)
    console = Console(stderr=True)
    with Progress(console=console, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(recipe.name, total=recipe.training.epochs)
        progress.update(task, completed=checkpoint.n_epochs)
        while not _is_over(checkpoint, recipe):
            start = time.perf_counter()
            _train_epoch(network, optimizer, recipe, used, checkpoint.n_epochs)
            loss = _evaluate(network, recipe, held_out)
            _check_finite(loss, recipe, f"after epoch {checkpoint.n_epochs + 1}")
            checkpoint = _advance(checkpoint, network, optimizer, loss, start)
            write_checkpoint(path, checkpoint)
            progress.update(task, advance=1, description=f"loss {loss:.4f}")
    return checkpoint


def _is_over(checkpoint: Checkpoint, recipe: Recipe) -> bool:
    training, n_epochs = recipe.training, checkpoint.n_epochs
    is_stuck = 0 < training.patience <= n_epochs - checkpoint.best_epoch
    return n_epochs >= training.epochs or is_stuck


def _check_finite(loss: float, recipe: Recipe, when: str) -> None:
    if not np.isfinite(loss):
        raise TrainingError(
            f"{recipe.name}: the loss is {loss} {when}; lower the learning_rate, now "
            f"{recipe.training.learning_rate:g}, and train again (the checkpoint of "
            "the last whole epoch is kept)"
        )


def _hold_out(digits: Part, recipe: Recipe) -> tuple[Part, Part]:
    order = np.random.default_rng(recipe.seed).permutation(len(digits))
    n_held_out = max(1, int(recipe.training.held_out * len(digits)))
    return digits.take(order[n_held_out:]), digits.take(order[:n_held_out])


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Only weights decay; biases, batch normalizations and thresholds do not."""
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": recipe.training.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.training.learning_rate)


def _train_epoch(
    network: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    digits: Part,
    epoch: int,
) -> None:
    """Train on all ``digits`` once; the randomness depends on seed and epoch only."""
    training = recipe.training
    rng = np.random.default_rng((recipe.seed, epoch))
    starts = range(0, len(digits), training.batch_size)
    order = rng.permutation(len(digits))
    network.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        for index, start in enumerate(starts):
            progress = (epoch + index / len(starts)) / training.epochs
            for group in optimizer.param_groups:
                group["lr"] = training.learning_rate * _cosine(progress)
            batch = digits.take(order[start : start + training.batch_size])
            shifted = shift_at_random(batch.x, training.max_shift, rng)
            loss = _objective(network, recipe, replace(batch, x=shifted))
            where = f"in epoch {epoch + 1}, batch {index + 1} of {len(starts)}"
            _check_finite(float(loss.detach()), recipe, where)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def _cosine(progress: float) -> float:
    """Return the share of the learning rate: 1 at the start, 0 at the end."""
    return 0.5 * (1 + float(np.cos(np.pi * progress)))


def _objective(network: nn.Sequential, recipe: Recipe, batch: Part) -> Tensor:
    """Return what training makes small: the loss, and the regularizer if any."""
    labels, regularizer = torch.from_numpy(batch.y.copy()), recipe.regularizer
    if regularizer is None:
        return _loss(_outputs(network, recipe, batch), recipe, labels)
    share = regularizer.share
    with rcs.observe(network, share) as turns:
        outputs = _outputs(network, recipe, batch)
    penalty = rcs.penalty(turns, outputs, labels, share)
    return _loss(outputs, recipe, labels) + regularizer.weight * penalty


def _outputs(network: nn.Sequential, recipe: Recipe, part: Part) -> Tensor:
    x = as_float(part.x, is_events=part.is_events)
    return run_over_time(network, x, recipe.timesteps, is_events=part.is_events)


def _loss(outputs: Tensor, recipe: Recipe, labels: Tensor) -> Tensor:
    match recipe.loss:
        case recipes.MeanOutput():
            return losses.mean_output_loss(outputs, labels)
        case recipes.Tet(mse_weight=mse_weight):
            return losses.tet_loss(outputs, labels, mse_weight=mse_weight)
        case recipes.RunningCount(gain=gain):
            return losses.running_count_loss(outputs, labels, gain=gain)


def _evaluate(network: nn.Sequential, recipe: Recipe, digits: Part) -> float:
    network.eval()
    with torch.no_grad():
        labels = torch.from_numpy(digits.y.copy())
        return float(_loss(_outputs(network, recipe, digits), recipe, labels))


def _advance(
    checkpoint: Checkpoint,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: float,
    start: float,
) -> Checkpoint:
    is_best = loss < checkpoint.best_loss
    n_epochs = checkpoint.n_epochs + 1
    logger.info("epoch %d: held-out loss %.4f", n_epochs, loss)
    weights = network.state_dict()
    return Checkpoint(
        recipe=checkpoint.recipe,
        n_epochs=n_epochs,
        network=weights,
        optimizer=optimizer.state_dict(),
        best_network=copy.deepcopy(weights) if is_best else checkpoint.best_network,
        best_loss=min(loss, checkpoint.best_loss),
        best_epoch=n_epochs if is_best else checkpoint.best_epoch,
        seconds=checkpoint.seconds + time.perf_counter() - start,
    )


def shift_at_random(
    x: npt.NDArray[np.uint8], max_shift: int, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Return every image moved by up to ``max_shift`` pixels in each direction."""
    if max_shift == 0:
        return x
    height, width = x.shape[-2:]
    margins = ((0, 0),) * (x.ndim - 2) + ((max_shift, max_shift),) * 2
    corners = rng.integers(0, 2 * max_shift + 1, size=(len(x), 2)).tolist()
    return np.stack(
        [
            image[..., top : top + height, left : left + width]
            for image, (top, left) in zip(np.pad(x, margins), corners, strict=True)
        ]
    )
