"""Tuning on the chip's grid: scored with rounded weights, statistics kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.data.datasets import Part, Split
from snn_deploy.errors import TargetError
from snn_deploy.importers.torch.file import read_model
from snn_deploy.ir.quantized import LOSSY_STEPS
from snn_deploy.training import phases, recipes, train
from snn_deploy.training.batches import on_device
from snn_deploy.training.checkpoint import Checkpoint
from snn_deploy.training.grid import weight_of, weight_steps
from snn_deploy.training.recipes import GridTuning, Recipe, Training
from tests.build import simulator

TRAINING = Training(epochs=2, batch_size=10, learning_rate=0.01, weight_decay=0.0)
TUNING = GridTuning(epochs=2, batch_size=10, learning_rate=0.003, weight_decay=0.0)
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
        recipes.Linear(features=2),
    ),
    loss=recipes.Tet(),
    training=TRAINING,
    grid_tuning=TUNING,
)


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the grid so coarse that rounding to it changes every answer."""
    fine = weight_steps

    def steps(*arguments: Any) -> dict[str, torch.Tensor]:
        return {name: 60 * step for name, step in fine(*arguments).items()}

    monkeypatch.setattr(phases, "weight_steps", steps)


def phase_of(recipe: Recipe, checkpoint: Checkpoint, part: Part) -> phases.Phase:
    return phases.Phase(
        recipe, train.build(recipe, part), checkpoint, on_device(part, train.CPU)
    )


def test_statistics_stay_and_weights_and_their_loss_move(
    bars: Part, tmp_path: Path
) -> None:
    plain = train.fit(replace(RECIPE, grid_tuning=None), bars, tmp_path / "plain")

    tuned = train.fit(RECIPE, bars, tmp_path / "tuned")

    assert (tuned.phase, tuned.n_epochs) == (1, 2)
    moved = {
        key
        for key, before in plain.best_network.items()
        if not torch.equal(tuned.network[key], before)
    }
    assert {"0.weight", "1.weight", "1.bias", "4.bias"} <= moved
    assert not any("running" in key or "num_batches" in key for key in moved)


@pytest.mark.usefixtures("coarse")
def test_loss_is_that_of_the_rounded_weights(bars: Part, tmp_path: Path) -> None:
    checkpoint = train.fit(RECIPE, bars, tmp_path)
    phase = phase_of(RECIPE, checkpoint, bars)

    on_grid = phases.evaluate(phase, on_device(bars, train.CPU))

    steps = phase.steps()
    with torch.no_grad():
        for name, step in steps.items():
            weight = weight_of(phase.network, name)
            weight.copy_((weight / step).round() * step)
    phase.training = TRAINING  # no rounding any more
    assert phases.evaluate(phase, on_device(bars, train.CPU)) == pytest.approx(
        on_grid, abs=1e-6
    )


@pytest.mark.usefixtures("coarse")
def test_tuned_network_loses_less_on_a_coarse_grid(bars: Part, tmp_path: Path) -> None:
    longer = replace(RECIPE.training, epochs=15)
    recipe = replace(RECIPE, training=longer, grid_tuning=replace(TUNING, epochs=15))
    plain = train.fit(replace(recipe, grid_tuning=None), bars, tmp_path / "plain")
    tuned = train.fit(recipe, bars, tmp_path / "tuned")

    losses = [
        phases.evaluate(
            phase_of(recipe, replace(found, **changes), bars),
            on_device(bars, train.CPU),
        )
        for found, changes in (
            (plain, {"network": plain.best_network, "phase": 1, "optimizer": None}),
            (tuned, {"network": tuned.best_network}),
        )
    ]

    assert losses[1] < 0.8 * losses[0]


def test_unknown_target_is_refused(bars: Part, tmp_path: Path) -> None:
    recipe = replace(RECIPE, grid_tuning=replace(TUNING, target="lohi2"))

    with pytest.raises(TargetError, match="did you mean 'loihi2'"):
        train.fit(recipe, bars, tmp_path)


STORED = """
name = "tiny"
description = "a test"
data = "bars"
seed = 0
timesteps = 3
layers = [
  { kind = "conv", channels = 4, kernel = 5, stride = 4 },
  { kind = "batch_norm" },
  { kind = "qcfs", levels = 4, threshold = 1.0 },
  { kind = "residual", body = [
    { kind = "conv", channels = 4, kernel = 3, padding = 1 },
    { kind = "batch_norm" },
  ], skip = [
    { kind = "conv", channels = 4, kernel = 1 },
    { kind = "batch_norm" },
  ] },
  { kind = "qcfs", levels = 4, threshold = 1.0 },
  { kind = "flatten" },
  { kind = "linear", features = 2 },
]
loss = { kind = "tet" }
training = { epochs = 2, batch_size = 10, learning_rate = 0.01, weight_decay = 0 }
fine_tuning = [{ epochs = 1 }]
grid_tuning = { epochs = 1, learning_rate = 0.001 }
"""


def test_trained_weights_are_stored_as_the_chips_bytes_and_compile_without_loss(
    bars: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = Split(train=bars, calibration=bars, test=bars)
    monkeypatch.setattr(train, "load_split", lambda name, **_: split)
    (tmp_path / "recipe.toml").write_text(STORED, encoding="utf-8")

    path = train.train(tmp_path / "recipe.toml", tmp_path / "out")

    stored = torch.load(path)["tensors"]
    kinds = {str(v.dtype) for k, v in stored.items() if k.endswith(".weight")}
    assert kinds == {"torch.int8"}
    weights_aside = set(LOSSY_STEPS) - {"round weights"}
    compile_model(read_model(path), simulator(), is_strict=True, allow=weights_aside)
