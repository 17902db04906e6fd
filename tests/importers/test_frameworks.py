"""A framework is one module of ``importers/torch/frameworks`` and a registry line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snn_deploy
from snn_deploy.arrays import Shape
from snn_deploy.importers.torch.frameworks import registry
from snn_deploy.importers.torch.frameworks.cells import Cell, Dynamics, spiking, values
from snn_deploy.importers.torch.frameworks.framework import Framework
from snn_deploy.ir.neurons import Lif, Reset

IMPORTERS = Path(snn_deploy.__file__).parent / "importers"


class Keeping(nn.Module):
    """Neurons that keep their voltage themselves."""

    def __init__(self, kept: float) -> None:
        super().__init__()
        self.kept, self.voltage = kept, torch.zeros(1)

    def forward(self, x: Tensor) -> Tensor:
        self.voltage = self.kept * self.voltage + x
        spikes = (self.voltage > 1).to(x)
        self.voltage = self.voltage - spikes
        return spikes


class Another(Framework):
    """Stands for a framework that nobody has thought of, whose package is this one."""

    title = "Another"
    package = __name__
    neurons = (__name__,)

    def read_cell(self, cell: Any, name: str, shape: Shape) -> Cell:
        dynamics = Dynamics(voltage_decay=np.array(1 - cell.kept))
        threshold = values(1.0, shape)
        return Cell(neurons=spiking(name, shape, dynamics, threshold, reset=Reset.SOFT))

    def rest(self, module: Any) -> None:
        module.voltage = torch.zeros(1)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), Keeping(0.75), nn.Linear(8, 3))


def test_a_framework_needs_nothing_but_a_line_in_the_registry(
    model: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "FRAMEWORKS", (*registry.FRAMEWORKS, Another()))

    graph = snn_deploy.save(model, tmp_path / "net.pt", input_shape=6, timesteps=4)

    (neurons,) = graph.nodes_of(Lif)
    assert float(neurons.voltage_decay) == 0.25


def test_without_the_line_its_neurons_are_recognized_by_what_they_compute(
    model: nn.Module, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    graph = snn_deploy.save(model, tmp_path / "net.pt", input_shape=6, timesteps=4)

    (neurons,) = graph.nodes_of(Lif)
    assert float(np.max(neurons.voltage_decay)) == 0.25
    assert neurons.reset is Reset.SOFT
    assert "Keeping: read as" in caplog.text


@pytest.mark.parametrize("framework", registry.FRAMEWORKS, ids=lambda f: f.title)
def test_no_other_module_that_reads_modules_knows_it(framework: Framework) -> None:
    names = (framework.package, framework.title)
    torch = IMPORTERS / "torch"
    others = [p for p in torch.rglob("*.py") if p.parent.name != "frameworks"]

    found = [p.name for p in others if any(n in p.read_text("utf-8") for n in names)]

    assert len(others) > 20
    assert found == []
