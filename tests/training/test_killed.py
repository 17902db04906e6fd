"""A training that is killed at any moment goes on to the weights of an unbroken one."""

import contextlib
import os
import random
import shutil
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


def kill_after(n_epochs: int, recipe: Path, folder: Path) -> bool:
    """Kill a training after so many checkpoints; return whether it was still alive."""
    process = run(recipe, folder)
    seen: set[int] = set()
    while len(seen) < n_epochs and process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            seen.add((folder / CHECKPOINT).stat().st_mtime_ns)
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.1))  # amid an epoch, or as the next one is stored
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def test_killed_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        unbroken = train(recipe, tmp_path / "unbroken" / "tiny")
        while True:
            n_epochs = random.randrange(1, 7)  # of 9
            if kill_after(n_epochs, recipe, tmp_path / "broken" / "tiny"):
                break
            shutil.rmtree(tmp_path / "broken")  # it was faster
        resumed = train(recipe, tmp_path / "broken" / "tiny", resume=True)
    finally:
        torch.set_num_threads(n_threads)

    assert resumed.read_bytes() == unbroken.read_bytes(), n_epochs
    names = sorted(path.name for path in (tmp_path / "broken" / "tiny").iterdir())
    left = [name for name in names if not name.startswith(".checkpoint.pt.")]
    assert left == ["card.md", "model.pt"]
