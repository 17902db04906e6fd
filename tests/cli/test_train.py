"""``snn-deploy train``: from a recipe to a model and its card, on small digits."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from snn_deploy.importers.registry import load_model
from tests.cli.conftest import Command, files_in

RECIPE = """
name = "tiny"
description = "a test"
data = "digits"
seed = 0
timesteps = 3
layers = [
  { kind = "flatten" },
  { kind = "linear", features = 20 },
  { kind = "lif", decay = 0.5 },
  { kind = "linear", features = 10 },
]
loss = { kind = "tet" }
training = { epochs = 1, batch_size = 50, learning_rate = 0.01, weight_decay = 0 }
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def test_a_recipe_becomes_a_model_and_a_card(
    command: Command, recipe: Path, tmp_path: Path
) -> None:
    result = command(
        "train", recipe, "-o", tmp_path / "out", "--set", "seed=5", "--set", "name=new"
    )

    assert result.status == 0
    assert f"wrote {tmp_path / 'out' / 'model.pt'}" in result.out
    assert files_in(tmp_path / "out") == ["card.md", "model.pt"]
    card = (tmp_path / "out" / "card.md").read_text(encoding="utf-8")
    assert card.startswith("# new\n")
    assert "| training seed | 5 |" in card
    assert load_model(tmp_path / "out" / "model.pt").training.timesteps == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data=digit", "no data set is called 'digit'; did you mean 'digits'?"),
        ("data=nmnist", "nmnist: no --data-dir is given; name the folder that holds"),
        ("data=none.npz", "none.npz: no such file; check the path"),
        ("training.epoch=1", "[training]: unknown key 'epoch'; did you mean 'epochs'?"),
        ("training.learning_rate=1e30", "tiny: the loss is inf in epoch 1, batch 2"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(
    command: Command, recipe: Path, change: str, message: str
) -> None:
    result = command("train", recipe, "--set", change)

    assert message in result.error()
    assert files_in(recipe.parent) == ["recipe.toml"]


def test_full_disk_is_an_error_of_one_line(recipe: Path) -> None:
    def limit() -> None:  # no file may grow, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    failed = subprocess.run(
        [sys.executable, "-m", "snn_deploy", "train", str(recipe)],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # it would cut short ours
    )

    path = recipe.with_name("checkpoint.pt")
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"error: {path}: File too large; check space")
    assert failed.stderr.count("\n") == 1
    assert files_in(recipe.parent) == ["recipe.toml"]


def test_events_without_the_file_name_it(
    command: Command, recipe: Path, tmp_path: Path
) -> None:
    result = command("train", recipe, "--set", "data=nmnist", "--data-dir", tmp_path)

    missing = tmp_path / "nmnist_small.npz"
    assert result.error().startswith(f"{missing}: no such file; it is made of")
