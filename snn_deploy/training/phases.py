"""One phase of a training: what is trained, on which loss, with which optimizer."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from snn_deploy.chip.target_file import read_target
from snn_deploy.errors import ArtifactError
from snn_deploy.ir import graph
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.training import losses, rcs, recipes
from snn_deploy.training.activity import Activity
from snn_deploy.training.batches import Batch
from snn_deploy.training.checkpoint import Checkpoint
from snn_deploy.training.grid import rounded, weight_steps
from snn_deploy.training.networks import convert, run_over_time
from snn_deploy.training.recipes import (
    GridTuning,
    Optimizer,
    Recipe,
    Training,
)

_BLOCK = 500  # inputs evaluated at once


class Phase:
    """One of ``Recipe.phases``, as far as ``checkpoint`` has come, on ``inputs``."""

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Sequential,
        checkpoint: Checkpoint,
        inputs: Batch,
    ) -> None:
        self.recipe, self.number, self.inputs = recipe, checkpoint.phase, inputs
        self.training = recipe.phases[self.number]
        is_first = self.number == 0
        self.n_timesteps = recipe.timesteps_of(self.number)
        self.network = network
        network.load_state_dict(checkpoint.network)
        # shares its parameters with the network
        self.trained = network if is_first else convert(network)
        self.regularizers = _regularizers(recipe, self.trained)
        self.optimizer = _optimizer(network, self.training)
        if checkpoint.optimizer is not None:
            try:
                self.optimizer.load_state_dict(checkpoint.optimizer)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise ArtifactError(
                    f"{recipe.name}: the checkpoint has another optimizer ({error}); "
                    "train without --resume to start over"
                ) from error

    def prepare(self) -> None:
        """Put the layers into training mode; the statistics of a grid stay."""
        self.trained.train()
        if isinstance(self.training, GridTuning):
            for module in self.trained.modules():
                if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                    module.eval()

    def steps(self) -> dict[str, Tensor]:
        """Return the steps of the grid that weights are rounded to, if they are."""
        if not isinstance(self.training, GridTuning):
            return {}
        form = graph.Training(
            timesteps=self.recipe.timesteps,
            encoding=Encoding.EVENTS if self.inputs.is_events else Encoding.DIRECT,
        )
        target, shape = read_target(self.training.target), self.inputs.input_shape
        device = self.inputs.y.device
        # the compiler reads networks in the memory of the CPU
        readable = self.trained
        if device.type != "cpu":
            readable = copy.deepcopy(readable).cpu()
        steps = weight_steps(readable, shape, form, target)
        return {name: step.to(device) for name, step in steps.items()}


def _regularizers(
    recipe: Recipe, trained: nn.Module
) -> list[Callable[[Tensor, Tensor], Tensor]]:
    found: list[Callable[[Tensor, Tensor], Tensor]] = []
    if recipe.regularizer is not None:
        settings = recipe.regularizer
        found.append(rcs.Rcs(trained, weight=settings.weight, share=settings.share))
    if recipe.activity is not None:
        target, weight = recipe.activity.target, recipe.activity.weight
        found.append(Activity(trained, target=target, weight=weight))
    return found


def _optimizer(network: nn.Module, training: Training) -> torch.optim.Optimizer:
    """Only weights decay; biases, batch normalizations and thresholds do not."""
    learned = [p for p in network.parameters() if p.requires_grad]
    weights = [p for p in learned if p.ndim > 1]
    others = [p for p in learned if p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": training.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    match training.optimizer:
        case Optimizer.ADAMW:
            return torch.optim.AdamW(groups, lr=training.learning_rate)
        case Optimizer.SGD:
            return torch.optim.SGD(
                groups,
                lr=training.learning_rate,
                momentum=training.momentum,
                nesterov=training.momentum > 0,
            )


def objective(phase: Phase, batch: Batch) -> Tensor:
    """Return what training makes small: the loss, and the regularizers if any."""
    outputs = _outputs(phase, batch)
    loss = _loss(outputs, phase.recipe, batch.y, phase.training.label_smoothing)
    for regularizer in phase.regularizers:
        loss = loss + regularizer(outputs, batch.y)
    return loss


def evaluate(phase: Phase, inputs: Batch) -> float:
    """Return the mean loss on ``inputs``, its labels not smoothed."""
    phase.trained.eval()
    total = 0.0
    with torch.no_grad(), rounded(phase.network, phase.steps()):
        for block in torch.split(torch.arange(len(inputs)), _BLOCK):
            batch = inputs.take(block)
            loss = _loss(_outputs(phase, batch), phase.recipe, batch.y, 0.0)
            total += float(loss) * len(batch)
    return total / len(inputs)


def _outputs(phase: Phase, batch: Batch) -> Tensor:
    device, is_half = batch.y.device.type, phase.training.bfloat16
    with torch.autocast(device, torch.bfloat16, enabled=is_half):
        outputs = run_over_time(
            phase.trained, batch.pixels, phase.n_timesteps, is_events=batch.is_events
        )
    return outputs.float()


def _loss(outputs: Tensor, recipe: Recipe, labels: Tensor, smoothing: float) -> Tensor:
    match recipe.loss:
        case recipes.MeanOutput():
            return losses.mean_output_loss(outputs, labels, smoothing=smoothing)
        case recipes.Tet(mse_weight=mse_weight):
            return losses.tet_loss(
                outputs, labels, mse_weight=mse_weight, smoothing=smoothing
            )
        case recipes.RunningCount(gain=gain):
            return losses.running_count_loss(
                outputs, labels, gain=gain, smoothing=smoothing
            )
