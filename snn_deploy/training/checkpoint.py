"""Checkpoints: what an interrupted training needs to go on as if nothing happened."""

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snn_deploy.errors import ArtifactError
from snn_deploy.files import write_whole

_State = dict[str, Any]  # a torch state_dict


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A training after ``n_epochs`` whole epochs of a phase."""

    recipe: str  # the repr of the Recipe
    phase: int  # of ``Recipe.phases``; epochs and the best are counted in it
    n_epochs: int
    network: _State
    optimizer: _State | None  # before the first epoch, none
    best_network: dict[str, Tensor]
    best_loss: float  # on the held-out digits
    best_epoch: int
    seconds: float  # spent in training so far
    threads: tuple[int, ...]  # how many it was trained with, one after another


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint`` at ``path``, at once or not at all."""
    packed = io.BytesIO()  # torch would hide a full disk behind a RuntimeError
    torch.save(vars(checkpoint), packed)

    def write(temporary: Path) -> None:
        temporary.write_bytes(packed.getvalue())

    write_whole(path, write)


def read_checkpoint(path: Path, *, recipe: str) -> Checkpoint:
    """Return the checkpoint at ``path``, which must be of the same ``recipe``.

    Raises
    ------
    ArtifactError
        If the file is damaged or belongs to another recipe.
    """
    try:
        checkpoint = Checkpoint(**torch.load(path, weights_only=True))
    except (OSError, RuntimeError, EOFError, TypeError, pickle.PickleError) as error:
        raise ArtifactError(
            f"{path}: not a checkpoint, {error}; train without --resume"
        ) from error
    if checkpoint.recipe != recipe:
        raise ArtifactError(
            f"{path}: belongs to another recipe; train without --resume to start over"
        )
    return checkpoint
