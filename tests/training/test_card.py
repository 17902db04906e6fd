"""card: what a trained model can do, and which file it is about."""

import re
import subprocess
import sys
from hashlib import sha256
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import torch

from snn_deploy.data.datasets import Part, Split
from snn_deploy.training import card as card_module
from snn_deploy.training import recipes
from snn_deploy.training.card import accuracy_over_time, write_card
from snn_deploy.training.checkpoint import Checkpoint
from snn_deploy.training.networks import build_network
from snn_deploy.training.recipes import Recipe, Training

MODELS = Path(__file__).parents[2] / "models"
LAYERS = (
    recipes.Flatten(),
    recipes.Linear(features=2),
    recipes.QcfsActivation(levels=2, threshold=1.0),
    recipes.Linear(features=2),
)


def _network() -> torch.nn.Sequential:
    """Two pixels in, two outputs that copy them after conversion."""
    network = build_network(LAYERS, (1, 1, 2), seed=0)
    identity = {"weight": torch.eye(2), "bias": torch.zeros(2)}
    for index in (1, 3):
        network[index].load_state_dict(identity)
    return network


def _pixels(*values: tuple[int, int], labels: tuple[int, ...]) -> Part:
    x = np.array(values, dtype=np.uint8).reshape(-1, 1, 1, 2)
    return Part(x=x, y=np.array(labels))


def test_answers_are_those_of_the_converted_network_at_each_timestep() -> None:
    # of values that mean 1, a neuron at 100 spikes in timestep 2, at 200 in 1
    digits = _pixels((100, 200), (200, 100), (0, 100), labels=(1, 0, 1))

    accuracies = accuracy_over_time(_network(), digits, 3)

    # the third is silent at first, and a tie goes to the lower index
    assert accuracies == [pytest.approx(200 / 3), 100.0, 100.0]


def test_card_names_the_file_and_the_accuracies(tmp_path: Path) -> None:
    part = _pixels((0, 255), (255, 0), labels=(1, 1))
    recipe = Recipe(
        name="tiny",
        description="a test",
        data="mnist5k",
        seed=0,
        timesteps=2,
        layers=LAYERS,
        loss=recipes.MeanOutput(),
        training=Training(epochs=3, batch_size=1, learning_rate=0.1, weight_decay=0.0),
    )
    checkpoint = Checkpoint(
        recipe="",
        phase=0,
        n_epochs=3,
        network={},
        optimizer={},
        best_network={},
        best_loss=0.5,
        best_epoch=2,
        seconds=12.3,
        threads=(1, 2),
        devices=("cpu",),
    )
    model_path = tmp_path / "model.pt"
    model_path.write_bytes(b"weights")
    split = Split(train=part, calibration=part, test=part)

    write_card(_network(), recipe, split, checkpoint, model_path)

    card = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert card.startswith("# tiny\n")
    assert sha256(b"weights").hexdigest() in card
    assert "3, number 2 chosen" in card
    assert "12 s on 1 thread(s), then 2 thread(s) of " in card
    arrays = (part.x.tobytes(), part.y.tobytes())
    assert sha256(b"".join(arrays * 3)).hexdigest() in card
    assert "| 2 | 50.00 | 50.00 |" in card


def test_versions_are_those_of_what_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def installed(name: str) -> str:
        if name == "norse":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(card_module, "version", installed)

    assert list(card_module._versions("torch", "norse")) == ["torch 1.0"]


def test_trainer_imports_neither_norse_nor_the_engine() -> None:
    code = (
        "import sys, snn_deploy.training.train as _; "
        "print([n for n in sys.modules if n.startswith('norse') or '_engine' in n])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"


@pytest.mark.parametrize("card", sorted(MODELS.glob("*/card.md")), ids=str)
def test_card_of_each_reference_model_is_about_its_weights(card: Path) -> None:
    weights = card.with_name("model.pt").read_bytes()

    found = re.search(
        r"model\.pt \| `([0-9a-f]{64})`", card.read_text(encoding="utf-8")
    )

    assert found is not None
    assert found[1] == sha256(weights).hexdigest()
    assert len(weights) < 6_000_000
