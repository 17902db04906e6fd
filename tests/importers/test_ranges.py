"""Data of another range than 0 to 1, for every reader of trained modules."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import snn_deploy as sd
from snn_deploy.errors import ModelError
from snn_deploy.front.inputs import as_data
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph
from tests.importers import builders
from tests.importers.agreement import louder
from tests.importers.test_onnx import export
from tests.importers.test_pt2 import exported

pytestmark = pytest.mark.filterwarnings("ignore")  # exports have many of their own
RANGE, SHAPE = (-1.0, 2.0), (2, 8, 8)
BUILDER: dict[str, Any] = {"builder": "tests.importers.builders:conventional"}
FORMS = ("state_dict", "pickle", "pt2", "onnx")


def read(form: str, module: nn.Module, folder: Path, **options: Any) -> Graph:
    """Return the network in a file of this form."""
    told: dict[str, Any] = {"input_shape": SHAPE, "timesteps": 4, **options}
    match form:
        case "state_dict":
            torch.save(module.state_dict(), folder / "net.pt")
            return load_model(folder / "net.pt", **BUILDER, **told)
        case "pickle":
            torch.save(module, folder / "net.pt")
            return load_model(folder / "net.pt", trust_pickle=True, **told)
        case "pt2":
            return load_model(exported(module, folder / "net.pt2"), **options)
        case _:
            return load_model(export(folder / "net.onnx", module, SHAPE), **options)


@pytest.mark.parametrize("form", FORMS)
def test_a_reader_takes_values_of_the_range_that_it_is_told(
    tmp_path: Path, form: str
) -> None:
    module = louder(builders.conventional()).eval()
    levels = np.random.default_rng(0).integers(0, 256, (5, *SHAPE))
    x = (levels / 255 * 3 - 1).astype(np.float32)

    graph = read(form, module, tmp_path, input_range=RANGE)

    data = as_data(x, None, sd.compile(graph).artifact.network.graph)
    stimuli = [stimulus for _, stimulus in data.stimuli()]
    np.testing.assert_array_equal([s.values[0] for s in stimuli], levels)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    found = evaluate(graph, stimuli, 1)[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_inputs_to_balance_on_have_the_range_too(tmp_path: Path) -> None:
    module: Any = louder(builders.with_relu()).eval()
    path = export(tmp_path / "net.onnx", module, (1, 8, 8))
    x = np.random.default_rng(0).uniform(*RANGE, (20, 1, 8, 8))

    graph = load_model(path, input_range=RANGE, balance_on=x, percentile=100)

    (relu,) = (n for n in graph.nodes if hasattr(n, "maximum"))
    with torch.no_grad():
        largest = module[:3](torch.from_numpy(x).float()).max().item()
    assert relu.maximum == pytest.approx(largest, rel=0.02)
    with pytest.raises(sd.DataError, match="the network takes -1 to 2"):
        load_model(path, input_range=RANGE, balance_on=x * 2)


def test_a_range_that_contradicts_the_file_is_refused(tmp_path: Path) -> None:
    module, path = louder(builders.conventional()), tmp_path / "net.pt"
    sd.save(module, path, input_shape=SHAPE, timesteps=4, input_range=RANGE)

    assert load_model(path, input_range=RANGE).training.input_range == RANGE
    with pytest.raises(ModelError, match="was saved for data from -1 to 2; save it"):
        load_model(path, input_range=(0, 1))
    neurons = builders.of_snntorch()
    net = sd.compile(neurons, input_shape=6, timesteps=4, input_range=RANGE)
    net.to_nir(tmp_path / "net.nir")
    with pytest.raises(ModelError, match="the file says -1 to 2; leave it out"):
        load_model(tmp_path / "net.nir", input_range=(-3, 3))
    with pytest.raises(ModelError, match="encoding 'rate' has none"):
        read("pickle", module, tmp_path, input_range=RANGE, encoding="rate")
