"""Neurons of one's own that save is told of."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import snn_deploy
from snn_deploy.errors import ModelError
from snn_deploy.ir.neurons import Comparison, Lif, Reset


class Rounded(nn.Module):
    """Leaky neurons whose arithmetic says nothing: it goes through a table."""

    def __init__(self, keep: float = 0.5) -> None:
        super().__init__()
        self.keep = keep
        self.v: Any = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.v = self.v * self.keep + x
        index = torch.bucketize(self.v, torch.tensor([1.0], dtype=x.dtype))
        spikes = torch.tensor([0.0, 1.0], dtype=x.dtype)[index]
        self.v = self.v * (1 - spikes)
        return spikes


class Sequence(Rounded):
    """The same for all timesteps, (batch, time, ...)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.v = 0.0
        steps = [super(Sequence, self).forward(now) for now in x.unbind(1)]
        return torch.stack(steps, 1)


class Stateful(Rounded):
    """The same, which gives its voltage as well."""

    def forward(self, x: torch.Tensor) -> Any:
        return super().forward(x), self.v


def network(keep: float = 0.5) -> nn.Module:
    torch.manual_seed(0)
    first = nn.Linear(8, 6)
    with torch.no_grad():
        first.weight.mul_(3)
    return nn.Sequential(first, Rounded(keep), nn.Linear(6, 3))


PLAIN = {"decay": 0.5, "threshold": 1.0, "reset": "hard"}


def save(folder: Path, model: nn.Module, neurons: Any) -> Any:
    path = folder / "net.pt"
    return snn_deploy.save(model, path, input_shape=8, timesteps=8, neurons=neurons)


def test_a_declared_neuron_may_take_all_timesteps(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6), Sequence(), nn.Linear(6, 3), Sequence())

    graph = save(tmp_path, model, {Sequence: {**PLAIN, "time_axis": 1}})

    assert [node.name for node in graph.nodes_of(Lif)] == ["1", "3"]


def test_a_cheap_network_with_large_inputs_is_run_for_more_than_3_timesteps(
    tmp_path: Path,
) -> None:
    first = nn.Linear(4225, 6, bias=False)
    with torch.no_grad():
        first.weight.fill_(1 / 9 / 4225)  # the larger input brings 4 / 9 a timestep
    model = nn.Sequential(nn.Flatten(), first, Rounded(1.0), nn.Linear(6, 3))
    path, shape = tmp_path / "net.pt", (1, 65, 65)

    def declared(reset: str) -> Any:
        neurons: Any = {Rounded: {**PLAIN, "decay": 0.0, "reset": reset}}
        return snn_deploy.save(
            model, path, input_shape=shape, timesteps=8, neurons=neurons
        )

    with pytest.raises(
        ModelError, match="layer 2, Rounded: gives other outputs at timestep 5"
    ):
        declared("soft")
    declared("hard")


def test_a_declared_neuron_may_give_its_state_as_well(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.neurons = nn.Linear(8, 6), Stateful()
            self.last = nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            spikes, _ = self.neurons(self.first(x))
            given: torch.Tensor = self.last(spikes)
            return given

    graph = save(tmp_path, Net(), {Stateful: PLAIN})

    assert [node.name for node in graph.nodes_of(Lif)] == ["neurons"]


def test_a_declared_neuron_is_taken_as_what_it_is_said_to_be(tmp_path: Path) -> None:
    graph = save(tmp_path, network(), {Rounded: PLAIN})

    (node,) = graph.nodes_of(Lif)
    assert (node.name, node.reset, node.comparison) == (
        "1",
        Reset.HARD,
        Comparison.GREATER,
    )
    assert (node.voltage_decay, node.threshold) == (0.5, 1.0)


def test_a_declaration_may_depend_on_the_module(tmp_path: Path) -> None:
    graph = save(
        tmp_path,
        network(keep=0.25),
        {Rounded: lambda module: {**PLAIN, "decay": 1 - module.keep}},
    )

    (node,) = graph.nodes_of(Lif)
    assert node.voltage_decay == 0.75


@pytest.mark.parametrize(
    "wrong",
    [
        {"decay": 0.4},
        {"threshold": 1.2},
        {"reset": "soft"},
        {"initial_voltage": 0.5},
        {"input_gain": 0.5},
    ],
)
def test_a_declaration_that_is_not_true_is_refused(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ModelError, match="layer 1, Rounded: gives other outputs at"):
        save(tmp_path, network(), {Rounded: {**PLAIN, **wrong}})


@pytest.mark.parametrize(
    ("neurons", "message"),
    [
        ({nn.GRU: PLAIN}, "no module of the type GRU; it has Linear, Rounded"),
        ({Rounded: {"decay": 0.5}}, "Rounded has no 'threshold'"),
        ({Rounded: {**PLAIN, "tau": 2}}, "Rounded has 'tau'; known are decay"),
        ({Rounded: {**PLAIN, "reset": "zero"}}, "'zero'; choose from hard, soft"),
        ({Rounded: {**PLAIN, "comparison": "<"}}, "'<'; choose from >, >="),
        ({Rounded: 3}, "is given int; give a dict"),
        (
            {Rounded: {**PLAIN, "time_axis": 2}},
            "time_axis of Rounded is 2; give 0 or 1",
        ),
    ],
)
def test_a_wrong_declaration_is_refused(
    tmp_path: Path, neurons: Any, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        save(tmp_path, network(), neurons)


def test_a_declaration_holds_for_one_save_only(tmp_path: Path) -> None:
    model = network()
    before = model.state_dict()
    save(tmp_path, model, {Rounded: PLAIN})

    with pytest.raises(ModelError, match=r"deployed|a constant"):
        save(tmp_path, model, None)
    np.testing.assert_array_equal(before["0.weight"], model.state_dict()["0.weight"])
