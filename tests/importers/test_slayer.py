"""read_lava_dl: networks that lava-dl builds, runs and exports itself."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from snn_deploy.arrays import Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.registry import load_model
from tests.build import rng
from tests.importers.test_lava_dl_layers import found

pytest.importorskip("lava.lib.dl")
# it needs OpenCV and torchvision, and nothing here needs it
DETECTION = "lava.lib.dl.slayer.object_detection"
sys.modules.setdefault(DETECTION, ModuleType(DETECTION))
slayer: Any = pytest.importorskip("lava.lib.dl.slayer")

TIMESTEPS = 60
NEURONS = {"threshold": 0.5, "current_decay": 0.3, "voltage_decay": 0.1}
NOW = {"delay_shift": False}  # within a timestep, as our float graphs are


def dense() -> list[Any]:
    block = slayer.block.cuba.Dense
    first = block(NEURONS, 20, 12, weight_scale=2, **NOW)
    return [first, block(NEURONS, 12, 5, weight_scale=4, **NOW)]


def convolutions() -> list[Any]:
    block = slayer.block.cuba
    conv = {"padding": 1, "weight_scale": 2, **NOW}
    return [
        block.Conv(NEURONS, 2, 4, 3, stride=(2, 1), **conv),
        block.Conv(NEURONS, 4, 6, 3, groups=2, dilation=2, **conv),
        block.Pool(NEURONS, 2, **NOW),
        block.Flatten(),
        block.Dense(NEURONS, 18, 5, weight_scale=4, **NOW),
    ]


def delayed() -> list[Any]:
    first, last = dense()
    first = slayer.block.cuba.Dense(NEURONS, 20, 12, weight_scale=2, delay=True, **NOW)
    first(torch.zeros(1, 20, 1))  # the delays take their shape
    first.delay.delay.data = torch.arange(12.0) / 2
    return [first, last]


def recurrent() -> list[Any]:
    first, last = dense()
    loop = slayer.block.cuba.Recurrent(NEURONS, 12, 12, weight_scale=2, **NOW)
    return [first, loop, last]


def exported(path: Path, blocks: list[Any], shape: Shape) -> Path:
    with h5py.File(path, "w") as file:
        file["simulation/tSample"] = TIMESTEPS
        layers = file.create_group("layer")
        layers["0/type"], layers["0/shape"] = "input", shape
        for number, block in enumerate(blocks, 1):
            block.export_hdf5(layers.create_group(str(number)))
    return path


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (dense, (20,)),
        (convolutions, (2, 8, 8)),
        (delayed, (20,)),
        (recurrent, (20,)),
    ],
)
def test_every_spike_is_that_of_lava_dl(
    build: Callable[[], list[Any]], shape: Shape, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    blocks = build()
    x = (rng(1).random((TIMESTEPS, *shape)) < 0.4).astype(np.int64)
    with torch.no_grad():
        spikes = torch.as_tensor(np.moveaxis(x, 0, -1)[np.newaxis]).float()
        for block in blocks:
            spikes = block(spikes)
    expected = spikes[0].T.numpy()

    path = exported(tmp_path / "net.net", blocks, shape)

    mine = found(path, x, str(len(blocks)))
    np.testing.assert_array_equal(mine, expected)
    assert 0.02 < expected.mean() < 0.98


@pytest.mark.parametrize("dynamics", [True, False])
def test_an_affine_readout_never_spikes(dynamics: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    first, _ = dense()
    last = slayer.block.cuba.Affine(NEURONS, 12, 5, weight_scale=4, dynamics=dynamics)
    x = (rng(1).random((TIMESTEPS, 20)) < 0.4).astype(np.int64)
    with torch.no_grad():
        values = last(first(torch.as_tensor(x.T[np.newaxis]).float()))[0].T.numpy()

    path = exported(tmp_path / "net.net", [first, last], (20,))

    # slayer's Affine without dynamics gives sums, which the read-out adds up
    voltages = values if dynamics else np.cumsum(values, axis=0)
    mine = found(path, x, "2", "voltage")
    np.testing.assert_array_equal(mine, np.rint(voltages * 64 * 64))
    assert np.abs(mine).max() > 1000


@pytest.mark.parametrize("kind", ["alif", "rf", "rf_iz", "sigma_delta"])
def test_other_neurons_of_lava_dl_are_refused(kind: str, tmp_path: Path) -> None:
    settings = {
        "alif": {**NEURONS, "threshold_step": 0.1, "threshold_decay": 0.1,
                 "refractory_decay": 0.1},
        "sigma_delta": {"threshold": 0.1, "activation": torch.relu},
    }.get(kind, {"threshold": 0.1, "period": 10, "decay": 0.1})  # fmt: skip
    block = getattr(slayer.block, kind).Dense(settings, 4, 3)
    with torch.no_grad():
        block(torch.zeros(1, 4, 1))

    path = exported(tmp_path / "net.net", [block], (4,))

    with pytest.raises(ModelError, match=r"1.*(neurons of type|complex weights)"):
        load_model(path)
