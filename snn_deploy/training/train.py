"""Train a network from its recipe."""

import copy
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from snn_deploy.chip.target_file import read_target
from snn_deploy.data.datasets import Part, load_split
from snn_deploy.errors import ModelError, TrainingError
from snn_deploy.importers.torch.file import read_module, write_model
from snn_deploy.ir import graph
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.nn.neurons import fuse_loops
from snn_deploy.training import recipes
from snn_deploy.training.augment import augment
from snn_deploy.training.batches import Batch, on_device
from snn_deploy.training.card import write_card
from snn_deploy.training.checkpoint import (
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from snn_deploy.training.grid import rounded, settle
from snn_deploy.training.machines import can_fuse, find_device, is_worth_fusing
from snn_deploy.training.meter import Meter
from snn_deploy.training.networks import as_float, build_network
from snn_deploy.training.phases import Phase, evaluate, objective
from snn_deploy.training.recipe_file import read_recipe
from snn_deploy.training.recipes import Recipe, Training
from snn_deploy.training.schedules import learning_rate
from snn_deploy.training.whitening import MOST_IMAGES, whiten

logger = logging.getLogger(__name__)

CPU = torch.device("cpu")
CHECKPOINT = "checkpoint.pt"  # in the output folder, until the training is over


def train(
    recipe_path: Path,
    output_folder: Path,
    *,
    changes: Sequence[str] = (),
    data_dir: Path | None = None,
    resume: bool = False,
    device: str = "auto",
) -> Path:
    """Train the network of a recipe and write ``model.pt`` and ``card.md``.

    ``changes`` are those of ``read_recipe``, ``data_dir`` that of ``load_split``,
    ``device`` is one that ``find_device`` knows. Until the files are written, every
    epoch ends with a ``checkpoint.pt`` in the same folder, and ``resume`` goes on from
    there to exactly the weights of an unbroken run, given the same device and as many
    threads (a warning is logged otherwise); without a checkpoint it starts at the
    beginning. The epoch is chosen by the loss on inputs held out of the training part.
    Calibration inputs are not used, and test inputs only for the card.

    Returns
    -------
    Path
        The ``model.pt`` that was written.
    """
    recipe, place = read_recipe(recipe_path, changes), find_device(device)
    split = load_split(recipe.data, data_dir=data_dir, timesteps=recipe.timesteps)
    _check_input(recipe, split.train)
    checkpoint = fit(recipe, split.train, output_folder, resume=resume, device=place)
    network = _trained(recipe, split.train, checkpoint)
    model_path = output_folder / "model.pt"
    trained = read_module(
        network,
        recipe.name,
        input_shape=split.train.input_shape,
        timesteps=recipe.timesteps,
        encoding="events" if split.train.is_events else "direct",
        input_scale=1.0,
        input_offset=0.0,
        training_inputs=split.train.x,
    )
    write_model(trained, model_path)
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
    if any(isinstance(layer, recipes.QcfsActivation) for layer in recipe.all_layers):
        raise ModelError(
            f"{recipe.name}: qcfs needs an input that is the same at every timestep, "
            f"{recipe.data} holds events; use lif"
        )


def _trained(recipe: Recipe, part: Part, checkpoint: Checkpoint) -> nn.Sequential:
    network = build(recipe, part)
    network.load_state_dict(checkpoint.best_network)
    network.eval()
    if recipe.grid_tuning is not None:
        form = graph.Training(
            timesteps=recipe.timesteps,
            encoding=Encoding.EVENTS if part.is_events else Encoding.DIRECT,
        )
        target = read_target(recipe.grid_tuning.target)
        settle(network, part.input_shape, form, target)
    return network


def build(recipe: Recipe, part: Part) -> nn.Sequential:
    """Return the untrained network of ``recipe`` for inputs like those of ``part``."""
    network = build_network(recipe.layers, part.input_shape, seed=recipe.seed)
    if isinstance(recipe.layers[0], recipes.Whitening):
        whiten(cast(nn.Conv2d, network[0]), as_float(part.x[:MOST_IMAGES]))
    return network


def fit(
    recipe: Recipe,
    digits: Part,
    output_folder: Path,
    *,
    resume: bool = False,
    device: torch.device = CPU,
) -> Checkpoint:
    """Return the training after its last epoch, having written every epoch to disk.

    Raises
    ------
    TrainingError
        If the loss is NaN or infinite. The checkpoint of the last whole epoch is kept.
    """
    output_folder.mkdir(parents=True, exist_ok=True)
    path = output_folder / CHECKPOINT
    used, held_out = (on_device(part, device) for part in _hold_out(digits, recipe))
    network = build(recipe, digits).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    checkpoint = _untrained(recipe, network, device)
    if resume and path.exists():
        checkpoint = read_checkpoint(
            path, recipe=repr(recipe), network=checkpoint.network
        )
        checkpoint = _go_on(checkpoint, path, device)
    is_fused = is_worth_fusing(recipe, len(used)) and can_fuse(device)
    with Meter(recipe, len(used), done=checkpoint) as meter:
        for number in range(checkpoint.phase, len(recipe.phases)):
            if number > checkpoint.phase:
                checkpoint = _begin_phase(checkpoint, number)
            phase = Phase(recipe, network, checkpoint, used)
            if is_fused:
                fuse_loops(phase.trained)
            checkpoint = _fit_phase(phase, held_out, checkpoint, path, meter)
    return checkpoint


def _untrained(
    recipe: Recipe, network: nn.Module, device: torch.device = CPU
) -> Checkpoint:
    return Checkpoint(
        recipe=repr(recipe),
        phase=0,
        n_epochs=0,
        network=network.state_dict(),
        optimizer=None,
        best_network=network.state_dict(),
        best_loss=float("inf"),
        best_epoch=0,
        seconds=0.0,
        threads=(torch.get_num_threads(),),
        devices=(device.type,),
    )


def _go_on(checkpoint: Checkpoint, path: Path, device: torch.device) -> Checkpoint:
    """Return a training with this process's threads and device; warn of other ones."""
    n_threads, before = torch.get_num_threads(), checkpoint.threads[-1]
    if device.type != checkpoint.devices[-1]:
        logger.warning(
            f"{path}: was trained on {checkpoint.devices[-1]} so far, and goes on on "
            f"{device.type}, which rounds sums otherwise; stop here and set --device "
            f"{checkpoint.devices[-1]} for the weights of an unbroken training"
        )
        checkpoint = replace(checkpoint, devices=(*checkpoint.devices, device.type))
    if n_threads == before:
        return checkpoint
    logger.warning(
        f"{path}: was trained with {before} thread(s) so far, and goes on with "
        f"{n_threads}; sums are rounded in another order then, so the weights will not "
        "be those of an unbroken training bit for bit; stop here and set "
        f"OMP_NUM_THREADS={before} for that"
    )
    return replace(checkpoint, threads=(*checkpoint.threads, n_threads))


def _begin_phase(checkpoint: Checkpoint, number: int) -> Checkpoint:
    """Return a phase that starts with the best weights of the one before."""
    return replace(
        checkpoint,
        phase=number,
        n_epochs=0,
        network=checkpoint.best_network,
        optimizer=None,
        best_loss=float("inf"),
        best_epoch=0,
    )


def _fit_phase(
    phase: Phase,
    held_out: Batch,
    checkpoint: Checkpoint,
    path: Path,
    meter: Meter,
) -> Checkpoint:
    """Return the training after the last epoch of a phase."""
    while not _is_over(checkpoint, phase.training):
        start = time.perf_counter()
        meter.begin_epoch(phase.number, checkpoint.n_epochs)
        _train_epoch(phase, meter, checkpoint.n_epochs)
        loss = evaluate(phase, held_out)
        _check_finite(loss, phase, f"after epoch {checkpoint.n_epochs + 1}")
        checkpoint = _advance(checkpoint, phase, loss, start)
        write_checkpoint(path, checkpoint)
        meter.end_epoch(loss)
    return checkpoint


def _is_over(checkpoint: Checkpoint, training: Training) -> bool:
    n_epochs = checkpoint.n_epochs
    is_stuck = 0 < training.patience <= n_epochs - checkpoint.best_epoch
    return n_epochs >= training.epochs or is_stuck


def _check_finite(loss: float, phase: Phase, when: str) -> None:
    if not np.isfinite(loss):
        raise TrainingError(
            f"{phase.recipe.name}: the loss is {loss} {when}; lower the learning_rate, "
            f"now {phase.training.learning_rate:g}, and train again (the checkpoint of "
            "the last whole epoch is kept)"
        )


def _hold_out(digits: Part, recipe: Recipe) -> tuple[Part, Part]:
    order = np.random.default_rng(recipe.seed).permutation(len(digits))
    n_held_out = max(1, int(recipe.training.held_out * len(digits)))
    return digits.take(order[n_held_out:]), digits.take(order[:n_held_out])


def _train_epoch(phase: Phase, meter: Meter, epoch: int) -> None:
    """Train on all inputs once; seed, phase and epoch decide the randomness."""
    recipe, training, optimizer = phase.recipe, phase.training, phase.optimizer
    inputs, steps = phase.inputs, phase.steps()
    epochs_before = sum(before.epochs for before in recipe.phases[: phase.number])
    rng = np.random.default_rng((recipe.seed, epochs_before + epoch))
    order = torch.from_numpy(rng.permutation(len(inputs)))
    batches = torch.split(order, training.batch_size)
    phase.prepare()
    device = inputs.y.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(rng.integers(2**31)))
        for index, chosen in enumerate(batches):
            rate = learning_rate(training, epoch + index / len(batches))
            for group in optimizer.param_groups:
                group["lr"] = rate
            batch = inputs.take(chosen)
            shown = replace(batch, x=augment(batch.x, training, rng))
            with rounded(phase.network, steps):
                where = f"in epoch {epoch + 1}, batch {index + 1} of {len(batches)}"
                loss = _objective(phase, shown, where)
                _check_finite(float(loss.detach()), phase, where)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            meter.advance(len(chosen))


def _objective(phase: Phase, batch: Batch, where: str) -> Tensor:
    try:
        return objective(phase, batch)
    except ValueError as error:  # torch: a single value has no spread to normalize by
        raise ModelError(
            f"{phase.recipe.name}: {len(batch)} input(s) {where} are too few for a "
            f"batch normalization; set another batch_size than "
            f"{phase.training.batch_size}"
        ) from error


def _advance(
    checkpoint: Checkpoint, phase: Phase, loss: float, start: float
) -> Checkpoint:
    is_best = loss < checkpoint.best_loss
    n_epochs = checkpoint.n_epochs + 1
    logger.info("epoch %d: held-out loss %.4f", n_epochs, loss)
    weights = phase.network.state_dict()
    return replace(
        checkpoint,
        n_epochs=n_epochs,
        network=weights,
        optimizer=phase.optimizer.state_dict(),
        best_network=copy.deepcopy(weights) if is_best else checkpoint.best_network,
        best_loss=min(loss, checkpoint.best_loss),
        best_epoch=n_epochs if is_best else checkpoint.best_epoch,
        seconds=checkpoint.seconds + time.perf_counter() - start,
    )
