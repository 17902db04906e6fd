"""checkpoint: written whole, read only for the same recipe."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from snn_deploy.errors import ArtifactError
from snn_deploy.training.checkpoint import (
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)

WEIGHTS = {"weight": torch.ones(2)}
CHECKPOINT = Checkpoint(
    recipe="a",
    phase=0,
    n_epochs=2,
    network=WEIGHTS,
    optimizer={"state": {}},
    best_network={"weight": torch.zeros(2)},
    best_loss=0.5,
    best_epoch=1,
    seconds=1.5,
    threads=(1,),
    devices=("cpu",),
)


def test_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"

    write_checkpoint(path, CHECKPOINT)
    read = read_checkpoint(path, recipe="a", network=WEIGHTS)

    assert torch.equal(read.network["weight"], torch.ones(2))
    assert (read.n_epochs, read.best_loss, read.best_epoch) == (2, 0.5, 1)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, CHECKPOINT)

    with pytest.raises(ArtifactError, match="belongs to another recipe"):
        read_checkpoint(path, recipe="b", network=WEIGHTS)


@pytest.mark.parametrize("n_bytes", [0, 10, 500])
def test_truncated_checkpoint_is_refused(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, CHECKPOINT)
    path.write_bytes(path.read_bytes()[:n_bytes])

    with pytest.raises(ArtifactError, match="not a checkpoint"):
        read_checkpoint(path, recipe="a", network=WEIGHTS)


def test_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, CHECKPOINT)

    with pytest.raises(ArtifactError, match="its weights are of another network"):
        read_checkpoint(path, recipe="a", network={"weight": torch.ones(3)})


@pytest.mark.parametrize(
    "change",
    [{"phase": -1}, {"threads": ()}, {"network": None}, {"seconds": "1"}],
    ids=str,
)
def test_checkpoint_of_other_kinds_of_values_is_refused(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, replace(CHECKPOINT, **change))

    with pytest.raises(ArtifactError, match="not a checkpoint"):
        read_checkpoint(path, recipe="a", network=WEIGHTS)
