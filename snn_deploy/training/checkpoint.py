"""Checkpoints: what an interrupted training needs to go on as if nothing happened."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snn_deploy.errors import ArtifactError, ModelError
from snn_deploy.files.writing import write_whole
from snn_deploy.importers.torch.file import unpickled

_State = dict[str, Any]  # a torch state_dict
_KINDS: dict[str, Any] = {
    "recipe": str, "phase": int, "n_epochs": int, "network": dict,
    "optimizer": (dict, type(None)), "best_network": dict, "best_loss": float,
    "best_epoch": int, "seconds": float, "threads": tuple, "devices": tuple,
}  # fmt: skip


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
    devices: tuple[str, ...]  # on which, one after another: cpu, cuda


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint`` at ``path``, at once or not at all."""
    packed = io.BytesIO()  # torch would hide a full disk behind a RuntimeError
    torch.save(vars(checkpoint), packed)

    def write(temporary: Path) -> None:
        temporary.write_bytes(packed.getvalue())

    write_whole(path, write)


def read_checkpoint(path: Path, *, recipe: str, network: _State) -> Checkpoint:
    """Return the checkpoint at ``path``, which must be of the same ``recipe``.

    Its weights must have the names and shapes of those in ``network``.

    Raises
    ------
    ArtifactError
        If the file is damaged, or belongs to another recipe or network.
    """
    try:
        checkpoint = Checkpoint(**unpickled(path))
        _check(checkpoint)
    except (ModelError, TypeError):
        raise ArtifactError(
            f"{path}: not a checkpoint, or damaged; train without --resume to start "
            "over"
        ) from None
    if checkpoint.recipe != recipe:
        raise ArtifactError(
            f"{path}: belongs to another recipe; train without --resume to start over"
        )
    for saved in (checkpoint.network, checkpoint.best_network):
        if _shapes(saved) != _shapes(network):
            raise ArtifactError(
                f"{path}: its weights are of another network, as for other data; train "
                "without --resume to start over"
            )
    return checkpoint


def _check(checkpoint: Checkpoint) -> None:
    for name, kind in _KINDS.items():
        if not isinstance(getattr(checkpoint, name), kind):
            raise TypeError(name)
    if checkpoint.phase < 0 or not checkpoint.threads or not checkpoint.devices:
        raise TypeError("phase, threads, devices")


def _shapes(state: _State) -> dict[str, object]:
    return {name: getattr(value, "shape", None) for name, value in state.items()}
