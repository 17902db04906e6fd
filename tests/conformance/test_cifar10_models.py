"""The CIFAR-10 networks answer on the chip's integers as their cards say."""

from pathlib import Path

import numpy as np
import pytest

from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff.monitor import collect_scores
from snn_deploy.data.data import Data
from snn_deploy.data.datasets import load_split
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.registry import load_model

FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "cifar10"


@pytest.mark.parametrize(("name", "least"), [("cifar10_small", 0.84)])
def test_integers_keep_the_accuracy(name: str, least: float) -> None:
    if not FOLDER.is_dir():
        pytest.skip(f"CIFAR-10 is not in {FOLDER}")
    test = load_split("cifar10", data_dir=FOLDER).test.take(np.arange(1000))
    graph = load_model(packaged_folder("models") / name / "model.pt")
    network = compile_model(graph, read_target("loihi-sim"))
    data = Data(x=test.x, y=test.y, training=network.graph.training)

    program = open_backend("cpu").load(network)
    scores = collect_scores(program, network, data.stimuli(), lambda results: results)

    accuracy = (scores[:, -1].argmax(axis=1) == test.y).mean()
    assert accuracy >= least
