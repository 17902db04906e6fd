"""One phase of a training: what is trained, on which loss, with which optimizer."""

import numpy as np
import torch
from torch import Tensor, nn

from snn_deploy.errors import ArtifactError
from snn_deploy.inputs.datasets import Part
from snn_deploy.ir import graph
from snn_deploy.spikes import Encoding
from snn_deploy.target_file import read_target
from snn_deploy.training import losses, rcs, recipes
from snn_deploy.training.checkpoint import Checkpoint
from snn_deploy.training.grid import rounded, weight_steps
from snn_deploy.training.networks import as_float, convert, run_over_time
from snn_deploy.training.recipes import FineTuning, GridTuning, Recipe, Training

_BLOCK = 500  # inputs evaluated at once


class Phase:
    """One of ``Recipe.phases``, as far as ``checkpoint`` has come, on ``part``."""

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Sequential,
        checkpoint: Checkpoint,
        part: Part,
    ) -> None:
        self.recipe, self.number, self.part = recipe, checkpoint.phase, part
        self.training = recipe.phases[self.number]
        is_first = self.number == 0
        shows_once = is_first and bool(recipe.fine_tuning)
        self.n_timesteps = 1 if shows_once else recipe.timesteps
        self.network = network
        network.load_state_dict(checkpoint.network)
        # shares its parameters with the network
        self.trained = network if is_first else convert(network, self._decay())
        self.optimizer = _optimizer(network, self.training)
        if checkpoint.optimizer is not None:
            try:
                self.optimizer.load_state_dict(checkpoint.optimizer)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise ArtifactError(
                    f"{recipe.name}: the checkpoint has another optimizer ({error}); "
                    "train without --resume to start over"
                ) from error

    def _decay(self) -> float:
        if isinstance(self.training, FineTuning):
            return self.training.decay
        return self.recipe.decay

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
            encoding=Encoding.EVENTS if self.part.is_events else Encoding.DIRECT,
        )
        target = read_target(self.training.target)
        return weight_steps(self.trained, self.part.input_shape, form, target)


def _optimizer(network: nn.Module, training: Training) -> torch.optim.Optimizer:
    """Only weights decay; biases, batch normalizations and thresholds do not."""
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": training.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=training.learning_rate)


def objective(phase: Phase, batch: Part) -> Tensor:
    """Return what training makes small: the loss, and the regularizer if any."""
    recipe, labels = phase.recipe, torch.from_numpy(batch.y.copy())
    if recipe.regularizer is None:
        return _loss(_outputs(phase, batch), recipe, labels)
    share = recipe.regularizer.share
    with rcs.observe(phase.trained, share) as turns:
        outputs = _outputs(phase, batch)
    penalty = rcs.penalty(turns, outputs, labels, share)
    return _loss(outputs, recipe, labels) + recipe.regularizer.weight * penalty


def evaluate(phase: Phase, part: Part) -> float:
    """Return the mean loss on ``part``."""
    phase.trained.eval()
    total = 0.0
    with torch.no_grad(), rounded(phase.network, phase.steps()):
        for start in range(0, len(part), _BLOCK):
            block = part.take(np.arange(start, min(start + _BLOCK, len(part))))
            labels = torch.from_numpy(block.y.copy())
            loss = _loss(_outputs(phase, block), phase.recipe, labels)
            total += float(loss) * len(block)
    return total / len(part)


def _outputs(phase: Phase, part: Part) -> Tensor:
    x = as_float(part.x, is_events=part.is_events)
    with torch.autocast("cpu", torch.bfloat16, enabled=phase.training.bfloat16):
        outputs = run_over_time(
            phase.trained, x, phase.n_timesteps, is_events=part.is_events
        )
    return outputs.float()


def _loss(outputs: Tensor, recipe: Recipe, labels: Tensor) -> Tensor:
    match recipe.loss:
        case recipes.MeanOutput():
            return losses.mean_output_loss(outputs, labels)
        case recipes.Tet(mse_weight=mse_weight):
            return losses.tet_loss(outputs, labels, mse_weight=mse_weight)
        case recipes.RunningCount(gain=gain):
            return losses.running_count_loss(outputs, labels, gain=gain)
