"""byte_weights: integers and scales that come back exactly, or none at all."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import snn_deploy
from snn_deploy.errors import ModelError
from snn_deploy.importers.byte_weights import (
    SCALES,
    from_integers,
    integers_and_scales,
)
from snn_deploy.importers.torch.file import _sha256, read_model
from snn_deploy.ir.nodes import Linear
from snn_deploy.nn.neurons import Qcfs

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(40, 27), (16, 3, 3, 3), (5, 1)])
@pytest.mark.parametrize("largest", [1, 2, 30, 127])
def test_weights_on_a_grid_come_back_exactly(
    shape: tuple[int, ...], largest: int
) -> None:
    integers = torch.from_numpy(RNG.integers(-largest, largest + 1, shape))
    scales = torch.from_numpy(RNG.random(shape[0]).astype(np.float32)) + 1e-4
    weights = integers * scales.reshape(-1, *(1,) * (len(shape) - 1))
    weights[0] = 0  # an output without weights

    found = integers_and_scales(weights.double().numpy())

    assert found is not None
    np.testing.assert_array_equal(from_integers(*found), weights.double().numpy())


def test_other_weights_are_left_as_they_are() -> None:
    weights = RNG.normal(size=(4, 30)).astype(np.float32).astype(np.float64)
    on_grid = np.array([[0.0, 1.0, -2.0], [0.5, 0.5, 127 * 0.5]])
    too_many_steps = np.array([[1.0, 128.0]])
    more_precise = np.array([[1.0 + 1e-12, 1.0]])

    assert integers_and_scales(weights) is None
    assert integers_and_scales(on_grid) is not None
    assert integers_and_scales(too_many_steps) is None
    assert integers_and_scales(more_precise) is None
    assert integers_and_scales(np.array([[np.inf, 1.0]])) is None


def network(*, on_grid: bool) -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(400, 300), Qcfs(4, 1.0), nn.Linear(300, 2))
    if on_grid:
        with torch.no_grad():
            for layer in (layers[0], layers[2]):
                assert isinstance(layer, nn.Linear)
                step = layer.weight.abs().amax(1, keepdim=True) / 100
                layer.weight.copy_((layer.weight / step).round() * step)
    return layers


def test_model_on_a_grid_takes_a_quarter_of_the_bytes_and_is_the_same(
    tmp_path: Path,
) -> None:
    sizes = []
    for on_grid in (False, True):
        path, module = tmp_path / f"{on_grid}.pt", network(on_grid=on_grid)
        snn_deploy.save(module, path, input_shape=(400,), timesteps=4)
        sizes.append(path.stat().st_size)

        first, _ = read_model(path).nodes_of(Linear)

        weight = module.get_parameter("0.weight").detach().double().numpy()
        np.testing.assert_array_equal(first.weight, weight)

    assert sizes[1] < 0.3 * sizes[0]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda scales: scales[:-1],
        lambda scales: scales.double(),
        lambda scales: scales.reshape(-1, 1),
    ],
)
def test_scales_of_another_form_are_refused(tmp_path: Path, spoil: object) -> None:
    path = tmp_path / "net.pt"
    snn_deploy.save(network(on_grid=True), path, input_shape=(400,), timesteps=4)
    content = torch.load(path)
    names = [name for name in content["tensors"] if name.endswith(SCALES)]
    assert len(names) == 2
    content["tensors"][names[0]] = spoil(content["tensors"][names[0]]).clone()  # type: ignore[operator]
    content["sha256"] = _sha256(content["graph"], content["tensors"])
    torch.save(content, path)

    with pytest.raises(ModelError, match=r"description of the network is damaged"):
        read_model(path)


@pytest.mark.parametrize("version", [1, 2])
def test_file_of_an_older_version_is_read(version: int, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    snn_deploy.save(network(on_grid=False), path, input_shape=(400,), timesteps=4)
    content = torch.load(path)
    assert content["version"] == 3
    before = read_model(path).nodes_of(Linear)[0].weight

    torch.save({**content, "version": version}, path)

    np.testing.assert_array_equal(read_model(path).nodes_of(Linear)[0].weight, before)
