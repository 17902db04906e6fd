"""A small network in all three kinds of file that the readers take."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

import snn_deploy
from snn_deploy.artifact import Artifact, pack, write_artifact
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.ir.graph import Graph
from snn_deploy.nn.neurons import Qcfs

SHAPE = (1, 4, 4)


@cache
def module() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 2, 3, padding=1),
            Qcfs(levels=4, threshold=1.0),
            nn.Flatten(),
            nn.Linear(32, 3),
        )


def write_model(path: Path) -> Graph:
    return snn_deploy.save(module(), path, input_shape=SHAPE, timesteps=4)


def small_artifact(graph: Graph) -> Artifact:
    network = compile_model(graph, read_target("loihi-sim"))
    artifact = pack(network)
    return pack(network, calibration(artifact.sha256))


def calibration(network_sha256: str, n_timesteps: int = 4) -> Calibration:
    return Calibration(
        rule="risk",
        betas=np.full(n_timesteps, 1000.0),
        budget=0.01,
        confidence=0.9,
        uses_labels=True,
        n_inputs=300,
        n_inputs_needed=230,
        timesteps=n_timesteps,
        network_sha256=network_sha256,
        inputs_sha256="0" * 64,
        mean_timesteps=2.5,
        loss=0.0,
    )


def write_all(folder: Path) -> None:
    """Write ``model.pt``, ``model.snn`` and ``data.npz``."""
    graph = write_model(folder / "model.pt")
    write_artifact(small_artifact(graph), folder / "model.snn")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, size=(3, *SHAPE), dtype=np.uint8)
    np.savez(folder / "data.npz", x=x, y=np.array([0, 1, 2]))
    np.savez_compressed(folder / "packed.npz", x=x, y=np.array([0, 1, 2]))
