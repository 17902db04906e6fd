"""train: repeatable, resumable, and blind to calibration and test digits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from snn_deploy.datasets import Part, Split
from snn_deploy.importers.model_file import read_model
from snn_deploy.training import recipes, train
from snn_deploy.training.recipes import Recipe, Training

RECIPE = Recipe(
    name="tiny",
    description="a test",
    data="mnist5k",
    seed=0,
    timesteps=3,
    layers=(
        recipes.Conv(channels=2, kernel=5, stride=4),
        recipes.BatchNorm(gain=2.0),
        recipes.Lif(decay=0.5),
        recipes.Flatten(),
        recipes.Dropout(probability=0.2),
        recipes.Linear(features=2),
    ),
    loss=recipes.Tet(),
    training=Training(
        epochs=4, batch_size=10, learning_rate=0.01, weight_decay=0.01, max_shift=2
    ),
)

RECIPE_TEXT = """
name = "tiny"
description = "a test"
data = "bars"
seed = 0
timesteps = 3
layers = [
  { kind = "flatten" },
  { kind = "linear", features = 5 },
  { kind = "lif", decay = 0.5 },
  { kind = "linear", features = 2 },
]
loss = { kind = "mean_output" }
training = { epochs = 1, batch_size = 10, learning_rate = 0.1, weight_decay = 0 }
"""


@pytest.fixture
def bars() -> Part:
    """Forty small images of an upright (0) or a lying (1) bar."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 40)
    x = rng.integers(0, 60, (40, 1, 13, 13)).astype(np.uint8)
    x[y == 0, :, :, 5:8] = 255
    x[y == 1, :, 5:8, :] = 255
    return Part(x=x, y=y)


def test_training_learns(bars: Part, tmp_path: Path) -> None:
    longer = replace(RECIPE.training, epochs=20, learning_rate=0.03)
    recipe = replace(RECIPE, training=longer)

    checkpoint = train.fit(recipe, bars, tmp_path, recipe_text="a")

    assert checkpoint.best_epoch > 1
    assert checkpoint.best_loss < 0.35  # chance is log(2) = 0.69


def test_interrupted_training_resumes_to_the_same_weights(
    bars: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = train.fit(RECIPE, bars, tmp_path / "unbroken", recipe_text="a")
    train_epoch = train._train_epoch

    def train_two_epochs(*arguments: object) -> None:
        if arguments[-1] == 2:
            raise KeyboardInterrupt
        train_epoch(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(train, "_train_epoch", train_two_epochs)
    with pytest.raises(KeyboardInterrupt):
        train.fit(RECIPE, bars, tmp_path / "broken", recipe_text="a")
    monkeypatch.setattr(train, "_train_epoch", train_epoch)
    resumed = train.fit(RECIPE, bars, tmp_path / "broken", recipe_text="a", resume=True)

    assert resumed.n_epochs == unbroken.n_epochs == 4
    assert resumed.best_epoch == unbroken.best_epoch
    for key, weights in unbroken.network.items():
        assert torch.equal(resumed.network[key], weights), key
    for key, weights in unbroken.best_network.items():
        assert torch.equal(resumed.best_network[key], weights), key


def test_model_and_card_replace_the_checkpoint(
    bars: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = Split(train=bars, calibration=bars, test=bars)
    monkeypatch.setattr(train, "load_split", lambda name: split)
    recipe_path = tmp_path / "recipe.toml"
    recipe_path.write_text(RECIPE_TEXT, encoding="utf-8")

    model_path = train.train(recipe_path, tmp_path / "out")

    graph = read_model(model_path)
    assert (graph.training.timesteps, graph.training.encoding.value) == (3, "direct")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "card.md",
        "model.pt",
    ]


def test_finished_training_is_not_repeated(
    bars: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = train.fit(RECIPE, bars, tmp_path, recipe_text="a")
    monkeypatch.setattr(train, "_train_epoch", None)

    resumed = train.fit(RECIPE, bars, tmp_path, recipe_text="a", resume=True)

    assert resumed.best_loss == finished.best_loss


def test_global_randomness_is_left_alone(bars: Part, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()

    train.fit(RECIPE, bars, tmp_path, recipe_text="a")

    assert torch.equal(torch.random.get_rng_state(), before)


def test_shifted_image_keeps_what_stays_in_view() -> None:
    x = torch.zeros(20, 1, 9, 9)
    x[:, :, 3:6, 3:6] = 1.0

    shifted = train.shift_at_random(x, 2, np.random.default_rng(0))

    assert shifted.shape == x.shape
    assert shifted.sum((1, 2, 3)).tolist() == [9.0] * 20
    places = {tuple(image.nonzero()[0].tolist()) for image in shifted}
    assert len(places) > 5
