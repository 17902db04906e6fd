"""A training that is killed at any moment goes on to the weights of an unbroken one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from snn_deploy.training.train import CHECKPOINT, train

RECIPE = """
name = "tiny"
description = "a test"
data = "digits"
seed = 0
timesteps = 4
layers = [
  { kind = "flatten" },
  { kind = "linear", features = 64 },
  { kind = "batch_norm", gain = 2.0 },
  { kind = "lif", decay = 0.5 },
  { kind = "dropout", probability = 0.2 },
  { kind = "linear", features = 10 },
]
loss = { kind = "tet" }
regularizer = { kind = "rcs", weight = 0.01 }
training = { epochs = 6, batch_size = 40, learning_rate = 0.01, weight_decay = 0.01 }
grid_tuning = { epochs = 3, learning_rate = 0.001 }
"""


def run(recipe: Path, folder: Path) -> "subprocess.Popen[bytes]":
    command = (sys.executable, "-m", "snn_deploy", "train", str(recipe))
    return subprocess.Popen(
        (*command, "-o", str(folder), "--resume"),
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # sums depend on the threads
    )


def test_killed_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        unbroken = train(recipe, tmp_path / "unbroken" / "tiny")
        process = run(recipe, tmp_path / "broken" / "tiny")
        while not (tmp_path / "broken" / "tiny" / CHECKPOINT).exists():
            assert process.poll() is None, "it ended before its first checkpoint"
            time.sleep(0.01)
        delay = random.uniform(0, 1.5)  # a few epochs
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        was_killed = process.wait() == -signal.SIGKILL
        resumed = train(recipe, tmp_path / "broken" / "tiny", resume=True)
    finally:
        torch.set_num_threads(n_threads)

    assert resumed.read_bytes() == unbroken.read_bytes(), (delay, was_killed)
    names = sorted(path.name for path in (tmp_path / "broken" / "tiny").iterdir())
    left = [name for name in names if not name.startswith(".checkpoint.pt.")]
    assert left == ["card.md", "model.pt"]
