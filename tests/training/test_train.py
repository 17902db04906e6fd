"""train: repeatable, resumable, and blind to calibration and test digits."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snn_deploy.data.data import Data
from snn_deploy.data.datasets import Part, Split
from snn_deploy.errors import ArtifactError, ModelError, TrainingError
from snn_deploy.importers.torch.file import read_model
from snn_deploy.ir.floating import accumulate, evaluate
from snn_deploy.ir.stimuli import encode
from snn_deploy.training import phases, rcs, recipes, train
from snn_deploy.training.batches import on_device
from snn_deploy.training.checkpoint import (
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from snn_deploy.training.networks import as_float, run_over_time
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


def kept_in(folder: Path, part: Part) -> Checkpoint:
    weights = train.build(RECIPE, part).state_dict()
    path = folder / "checkpoint.pt"
    return read_checkpoint(path, recipe=repr(RECIPE), network=weights)


def test_training_learns(bars: Part, tmp_path: Path) -> None:
    longer = replace(RECIPE.training, epochs=20, learning_rate=0.03)
    recipe = replace(RECIPE, training=longer)

    checkpoint = train.fit(recipe, bars, tmp_path)

    assert checkpoint.best_epoch > 1
    assert checkpoint.best_loss < 0.35  # chance is log(2) = 0.69


def test_interrupted_training_resumes_to_the_same_weights(
    bars: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = train.fit(RECIPE, bars, tmp_path / "unbroken")
    train_epoch = train._train_epoch

    def train_two_epochs(*arguments: object) -> None:
        if arguments[-1] == 2:
            raise KeyboardInterrupt
        train_epoch(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(train, "_train_epoch", train_two_epochs)
    with pytest.raises(KeyboardInterrupt):
        train.fit(RECIPE, bars, tmp_path / "broken")
    monkeypatch.setattr(train, "_train_epoch", train_epoch)
    resumed = train.fit(RECIPE, bars, tmp_path / "broken", resume=True)

    assert resumed.n_epochs == unbroken.n_epochs == 4
    assert resumed.best_epoch == unbroken.best_epoch
    for key, weights in unbroken.network.items():
        assert torch.equal(resumed.network[key], weights), key
    for key, weights in unbroken.best_network.items():
        assert torch.equal(resumed.best_network[key], weights), key


def test_training_stops_when_it_gets_no_better(bars: Part, tmp_path: Path) -> None:
    # at this rate weights do not move, so that no epoch beats the first
    still = replace(RECIPE.training, epochs=9, learning_rate=1e-30, patience=2)
    layers = (*RECIPE.layers[:1], *RECIPE.layers[2:])  # statistics would move
    recipe = replace(RECIPE, training=still, layers=layers)

    checkpoint = train.fit(recipe, bars, tmp_path)
    again = train.fit(recipe, bars, tmp_path, resume=True)

    assert (checkpoint.best_epoch, checkpoint.n_epochs) == (1, 3)
    assert again.n_epochs == 3


def test_loss_that_is_no_number_stops_and_keeps_the_checkpoint(
    bars: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective, n_calls = phases.objective, 0

    def spoil(*arguments: Any) -> torch.Tensor:
        nonlocal n_calls
        n_calls += 1
        loss = objective(*arguments)
        return loss * float("nan") if n_calls == 6 else loss

    monkeypatch.setattr(train, "objective", spoil)

    # 36 inputs for training are 4 batches an epoch
    with pytest.raises(TrainingError, match="loss is nan in epoch 2, batch 2 of 4;"):
        train.fit(RECIPE, bars, tmp_path)

    kept = kept_in(tmp_path, bars)
    assert kept.n_epochs == 1
    assert all(w.isfinite().all() for w in kept.network.values())


def test_weights_that_explode_in_the_last_batch_are_not_kept(
    bars: Part, tmp_path: Path
) -> None:
    wild = replace(RECIPE.training, learning_rate=1e30, batch_size=36)

    with pytest.raises(TrainingError, match="after epoch 1; lower the learning_rate"):
        train.fit(replace(RECIPE, training=wild), bars, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_batch_of_one_that_cannot_be_normalized_is_refused(
    bars: Part, tmp_path: Path
) -> None:
    # 36 inputs for training
    layers = (
        recipes.Flatten(),
        recipes.Linear(features=4),
        recipes.BatchNorm(),
        recipes.QcfsActivation(levels=4, threshold=1.0),
        recipes.Linear(features=2),
    )
    alone = replace(RECIPE.training, batch_size=7)

    with pytest.raises(
        ModelError,
        match=r"tiny: 1 input\(s\) in epoch 1, batch 6 of 6 are too few .*; set "
        "another batch_size than 7",
    ):
        train.fit(replace(RECIPE, layers=layers, training=alone), bars, tmp_path)


def test_regularizer_is_added_to_the_loss(bars: Part) -> None:
    network = train.build(RECIPE, bars)
    network[4].eval()  # dropout
    inputs = on_device(bars, train.CPU)
    regularized = replace(RECIPE, regularizer=recipes.Rcs(weight=0.5))
    both = [
        phases.Phase(recipe, network, train._untrained(recipe, network), inputs)
        for recipe in (RECIPE, regularized)
    ]

    plain, objective = (phases.objective(phase, inputs) for phase in both)

    seen = rcs.Rcs(network, weight=1.0)
    outputs = run_over_time(network, as_float(bars.x), RECIPE.timesteps)
    penalty = seen(outputs, inputs.y)
    assert penalty > 0
    assert objective.item() == pytest.approx((plain + 0.5 * penalty).item())


def test_model_and_card_replace_the_checkpoint(
    bars: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = Split(train=bars, calibration=bars, test=bars)
    monkeypatch.setattr(train, "load_split", lambda name, **_: split)
    recipe_path = tmp_path / "recipe.toml"
    recipe_path.write_text(RECIPE_TEXT, encoding="utf-8")

    model_path = train.train(recipe_path, tmp_path / "out")

    graph = read_model(model_path)
    assert graph.name == "tiny"
    assert (graph.training.timesteps, graph.training.encoding.value) == (3, "direct")
    data = Data(x=bars.x, y=None, training=graph.training)
    assert set(graph.used_inputs) == set(data.hashes)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "card.md",
        "model.pt",
    ]


def events(n_timesteps: int) -> Part:
    """Forty recordings of a spot that moves to the right (0) or down (1)."""
    y = np.arange(40) % 2
    x = np.zeros((40, n_timesteps, 1, 13, 13), np.uint8)
    for t in range(n_timesteps):
        x[y == 0, t, :, 5:8, t : t + 3] = 1
        x[y == 1, t, :, t : t + 3, 5:8] = 1
    return Part(x=x, y=y, is_events=True)


def test_events_are_learned_from_one_timestep_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = events(6)
    split = Split(train=part, calibration=part, test=part)
    monkeypatch.setattr(train, "load_split", lambda name, **_: split)
    recipe_path = tmp_path / "recipe.toml"
    recipe_path.write_text(RECIPE_TEXT, encoding="utf-8")

    model_path = train.train(recipe_path, tmp_path / "out", changes=("timesteps=4",))

    graph = read_model(model_path)
    assert graph.training.encoding.value == "events"
    recorded = Data(x=part.x, y=None, training=graph.training)
    assert set(graph.used_inputs) == set(recorded.hashes)
    assert graph.input.shape == (1, 13, 13)
    stimuli = [encode(x, graph.training.encoding, 4) for x in part.x]
    scores = accumulate(evaluate(graph, stimuli), graph.training.functional)
    accuracy = 100 * (scores[:, -1].argmax(-1) == part.y).mean()
    card = (tmp_path / "out" / "card.md").read_text(encoding="utf-8")
    assert f"| 4 | {accuracy:.2f} | {accuracy:.2f} |" in card


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("timesteps=7",), "timesteps is 7, but the events of bars last 6; lower it"),
        (
            ('layers.2={kind="qcfs", levels=2, threshold=1}',),
            "qcfs needs an input that is the same at every timestep",
        ),
    ],
)
def test_events_that_a_recipe_cannot_take_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: tuple[str, ...],
    message: str,
) -> None:
    part = events(6)
    split = Split(train=part, calibration=part, test=part)
    monkeypatch.setattr(train, "load_split", lambda name, **_: split)
    recipe_path = tmp_path / "recipe.toml"
    recipe_path.write_text(RECIPE_TEXT, encoding="utf-8")

    with pytest.raises(ModelError, match=message):
        train.train(recipe_path, tmp_path / "out", changes=changes)


def test_finished_training_is_not_repeated(
    bars: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = train.fit(RECIPE, bars, tmp_path)
    monkeypatch.setattr(train, "_train_epoch", None)

    resumed = train.fit(RECIPE, bars, tmp_path, resume=True)

    assert resumed.best_loss == finished.best_loss


def test_same_seed_gives_the_same_weights_and_another_one_others(
    bars: Part, tmp_path: Path
) -> None:
    first, again, other = (
        train.fit(replace(RECIPE, seed=seed), bars, tmp_path / name).network["5.weight"]
        for name, seed in (("first", 5), ("again", 5), ("other", 6))
    )

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_disk_that_fills_up_keeps_the_epochs_before(
    bars: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = train.fit(RECIPE, bars, tmp_path / "unbroken")
    write_bytes, n_calls = Path.write_bytes, 0

    def fill(path: Path, data: bytes) -> int:
        nonlocal n_calls
        n_calls += 1
        if n_calls < 3:
            return write_bytes(path, data)
        write_bytes(path, data[:100])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(OSError, match=r"No space left.*/broken/checkpoint\.pt"):
        train.fit(RECIPE, bars, tmp_path / "broken")
    monkeypatch.undo()

    assert [path.name for path in (tmp_path / "broken").iterdir()] == ["checkpoint.pt"]
    kept = kept_in(tmp_path / "broken", bars)
    resumed = train.fit(RECIPE, bars, tmp_path / "broken", resume=True)
    assert kept.n_epochs == 2
    assert torch.equal(resumed.network["5.weight"], unbroken.network["5.weight"])


def test_other_number_of_threads_is_told_and_recorded(
    bars: Part, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train.fit(RECIPE, bars, tmp_path)
    path = tmp_path / "checkpoint.pt"
    n_threads = torch.get_num_threads()
    elsewhere = replace(kept_in(tmp_path, bars), threads=(99,))
    write_checkpoint(path, elsewhere)

    resumed = train.fit(RECIPE, bars, tmp_path, resume=True)
    (warning,) = caplog.messages
    caplog.clear()
    write_checkpoint(path, resumed)
    train.fit(RECIPE, bars, tmp_path, resume=True)

    assert f"{path}: was trained with 99 thread(s) so far" in warning
    assert f"goes on with {n_threads}; " in warning
    assert warning.endswith("stop here and set OMP_NUM_THREADS=99 for that")
    assert resumed.threads == (99, n_threads)
    assert caplog.messages == []


def test_global_randomness_is_left_alone(bars: Part, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()

    train.fit(RECIPE, bars, tmp_path)

    assert torch.equal(torch.random.get_rng_state(), before)


def test_half_precision_learns_too(bars: Part, tmp_path: Path) -> None:
    half = replace(RECIPE.training, epochs=20, learning_rate=0.03, bfloat16=True)

    checkpoint = train.fit(replace(RECIPE, training=half), bars, tmp_path)

    assert checkpoint.best_loss < 0.35
    assert checkpoint.network["0.weight"].dtype is torch.float32


def test_checkpoint_with_another_optimizer_is_refused(
    bars: Part, tmp_path: Path
) -> None:
    train.fit(RECIPE, bars, tmp_path)
    kept = kept_in(tmp_path, bars)
    halfway = replace(kept, n_epochs=1, optimizer={"param_groups": [], "state": {}})
    write_checkpoint(tmp_path / "checkpoint.pt", halfway)

    with pytest.raises(ArtifactError, match="the checkpoint has another optimizer"):
        train.fit(RECIPE, bars, tmp_path, resume=True)
