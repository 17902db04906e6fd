"""Fine-tuning: a network goes on as the spiking network it stands for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snn_deploy.compiler.pipeline import to_spiking
from snn_deploy.data.datasets import Part, Split
from snn_deploy.importers.torch.file import read_model
from snn_deploy.ir.floating import FloatRun
from snn_deploy.ir.neurons import Comparison, Lif, Reset
from snn_deploy.ir.stimuli import encode
from snn_deploy.nn.neurons import IntegrateAndFire
from snn_deploy.training import recipes, train
from snn_deploy.training.batches import on_device
from snn_deploy.training.card import write_card
from snn_deploy.training.losses import tet_loss
from snn_deploy.training.networks import as_float, convert, run_over_time
from snn_deploy.training.phases import Phase
from snn_deploy.training.recipes import GridTuning, Recipe, Training
from tests.training.test_identities import spikes_of_module

FINE_TUNED = Recipe(
    name="tiny",
    description="a test",
    data="mnist5k",
    seed=0,
    timesteps=3,
    layers=(
        recipes.Conv(channels=2, kernel=5, stride=4),
        recipes.BatchNorm(),
        recipes.QcfsActivation(levels=4, threshold=1.0),
        recipes.Flatten(),
        recipes.Linear(features=8),
        recipes.QcfsActivation(levels=4, threshold=1.0),
        recipes.Linear(features=2),
    ),
    loss=recipes.Tet(),
    training=Training(
        epochs=3, batch_size=10, learning_rate=0.01, weight_decay=0.01, max_shift=2
    ),
    fine_tuning=(
        Training(
            epochs=2, batch_size=10, learning_rate=0.001, weight_decay=0.01, max_shift=2
        ),
    ),
)


def test_fine_tuning_starts_from_the_best_weights_as_a_spiking_network(
    bars: Part, tmp_path: Path
) -> None:
    before = train.fit(replace(FINE_TUNED, fine_tuning=()), bars, tmp_path / "a")
    (tuning,) = FINE_TUNED.fine_tuning
    still = replace(tuning, epochs=1, learning_rate=1e-30, weight_decay=0)
    recipe = replace(FINE_TUNED, fine_tuning=(still,))

    after = train.fit(recipe, bars, tmp_path / "b")

    assert (after.phase, after.n_epochs) == (1, 1)
    for key in ("0.weight", "2.threshold", "6.weight"):
        assert torch.equal(after.network[key], before.best_network[key]), key
    assert after.best_loss != before.best_loss  # that of spikes


@pytest.mark.parametrize("at", [1, 3, 4])
def test_training_that_is_interrupted_in_either_phase_resumes(
    bars: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    unbroken = train.fit(FINE_TUNED, bars, tmp_path / "unbroken")
    train_epoch, n_calls = train._train_epoch, 0

    def break_off(*arguments: Any) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls > at:
            raise KeyboardInterrupt
        train_epoch(*arguments)

    monkeypatch.setattr(train, "_train_epoch", break_off)
    with pytest.raises(KeyboardInterrupt):
        train.fit(FINE_TUNED, bars, tmp_path / "broken")
    monkeypatch.setattr(train, "_train_epoch", train_epoch)
    resumed = train.fit(FINE_TUNED, bars, tmp_path / "broken", resume=True)

    assert (resumed.phase, resumed.best_epoch) == (1, unbroken.best_epoch)
    for key, weights in unbroken.best_network.items():
        assert torch.equal(resumed.best_network[key], weights), key


def test_fine_tuned_network_is_the_better_spiking_network(
    bars: Part, tmp_path: Path
) -> None:
    longer = replace(FINE_TUNED.training, epochs=15)
    (tuning,) = FINE_TUNED.fine_tuning
    tuned = replace(tuning, epochs=15, learning_rate=0.003)
    recipe = replace(FINE_TUNED, training=longer, fine_tuning=(tuned,), timesteps=2)

    losses: list[float] = []
    for trained in (replace(recipe, fine_tuning=()), recipe):
        checkpoint = train.fit(trained, bars, tmp_path / str(len(losses)))
        network = train.build(recipe, bars)
        network.load_state_dict(checkpoint.best_network)
        outputs = run_over_time(convert(network.eval()), as_float(bars.x), 2)
        labels = torch.from_numpy(bars.y.copy())
        losses.append(tet_loss(outputs, labels, mse_weight=0.0).item())

    assert losses[1] < losses[0]


TUNED = """
name = "tiny"
description = "a test"
data = "bars"
seed = 0
timesteps = 3
layers = [
  { kind = "conv", channels = 2, kernel = 5, stride = 4 },
  { kind = "batch_norm" },
  { kind = "qcfs", levels = 4, threshold = 1.0 },
  { kind = "residual", body = [
    { kind = "conv", channels = 2, kernel = 3, padding = 1 },
    { kind = "batch_norm" },
  ] },
  { kind = "qcfs", levels = 4, threshold = 1.0 },
  { kind = "flatten" },
  { kind = "linear", features = 2 },
]
loss = { kind = "tet" }
training = { epochs = 2, batch_size = 10, learning_rate = 0.01, weight_decay = 0 }
grid_tuning = { epochs = 1, learning_rate = 0.001 }

[[fine_tuning]]
epochs = 1

[[fine_tuning]]
epochs = 2
"""


def test_tuned_weights_reach_the_model_the_card_and_every_spike(
    bars: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = Split(train=bars, calibration=bars, test=bars)
    monkeypatch.setattr(train, "load_split", lambda name, **_: split)
    kept: list[torch.nn.Sequential] = []
    monkeypatch.setattr(train, "write_card", keep(kept, write_card))
    (tmp_path / "recipe.toml").write_text(TUNED, encoding="utf-8")

    model = train.train(tmp_path / "recipe.toml", tmp_path / "out")

    graph = to_spiking(read_model(model))

    lifs = [node for node in graph.order if isinstance(node, Lif)]
    assert len(lifs) == 2
    for node in lifs:
        assert node.voltage_decay == 0
        assert node.initial_voltage == node.threshold / 2 == node.spike_value / 2
        assert (node.reset, node.comparison) == (Reset.SOFT, Comparison.GREATER_EQUAL)
    run = FloatRun(graph, [encode(x, graph.training.encoding, 3) for x in bars.x])
    spikes = spikes_of_module(convert(kept[0]).double(), bars, 3)
    assert 0.02 < np.mean(spikes[lifs[0].name]) < 0.98
    for timestep in range(3):
        run.step()
        for node in lifs:
            found = run.sent[-1][node.name] > 0
            np.testing.assert_array_equal(found, spikes[node.name][timestep])
    card = (tmp_path / "out" / "card.md").read_text(encoding="utf-8")
    assert (
        "| 2 with every input shown once, then 1 as a spiking network for all 3 "
        "timesteps, then 2 as a spiking network for all 3 timesteps, then 1 on the "
        "grid of loihi-sim, number 1 chosen of the last |"
    ) in card


def keep(kept: list[torch.nn.Sequential], write: Any) -> Any:
    """Return ``write`` that also keeps the network of which it writes a card."""

    def write_and_keep(network: torch.nn.Sequential, *others: object) -> None:
        kept.append(network)
        write(network, *others)

    return write_and_keep


def test_what_a_phase_trains_is_spiking_behind_the_first(bars: Part) -> None:
    (tuning,) = FINE_TUNED.fine_tuning
    grid = GridTuning(epochs=1, batch_size=10, learning_rate=0.001, weight_decay=0)
    recipe = replace(FINE_TUNED, fine_tuning=(tuning, tuning), grid_tuning=grid)
    network = train.build(recipe, bars)
    checkpoint = train._untrained(recipe, network)

    phases = [
        Phase(
            recipe,
            network,
            replace(checkpoint, phase=number),
            on_device(bars, train.CPU),
        )
        for number in range(4)
    ]

    found = [
        sum(isinstance(m, IntegrateAndFire) for m in phase.trained.modules())
        for phase in phases
    ]
    assert found == [0, 2, 2, 2]
