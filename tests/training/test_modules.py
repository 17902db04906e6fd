"""modules: a module of one's own is trained as what it is deployed as."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snn_deploy
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.data.datasets import Part
from snn_deploy.errors import ModelError
from snn_deploy.nn.neurons import IntegrateAndFire, Qcfs
from snn_deploy.training.activity import Activity
from snn_deploy.training.grid import on_grid
from snn_deploy.training.losses import tet_loss
from snn_deploy.training.modules import as_spiking, train
from snn_deploy.training.rcs import Rcs
from tests.build import simulator

OTHER_LOSSES = (
    "floor sums",
    "round bias",
    "round threshold",
    "compare strictly",
    "round reset amount",
    "round initial voltage",
)


class Own(nn.Module):
    """Not a chain of layers: two branches meet in one layer of neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 5, stride=4)
        self.norm = nn.BatchNorm2d(4)
        self.neurons = nn.ModuleDict({"a": Qcfs(4, 1.0), "b": Qcfs(4, 1.0)})
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.skip = nn.Conv2d(4, 4, 1)
        self.last = nn.Linear(36, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.neurons["a"](self.norm(self.first(x)))
        x = self.neurons["b"](self.second(x) + self.skip(x))
        output: Tensor = self.last(x.flatten(1))
        return output


def own() -> Own:
    torch.manual_seed(0)
    return Own()


def batches(part: Part) -> list[tuple[Tensor, Tensor]]:
    x = torch.from_numpy(part.x.copy()).float() / 255
    labels = torch.from_numpy(part.y.copy())
    return [(x[i : i + 10], labels[i : i + 10]) for i in range(0, len(x), 10)]


def test_all_timesteps_at_once_are_the_neurons_one_after_another(bars: Part) -> None:
    model = own().eval()
    x = batches(bars)[0][0]

    outputs = as_spiking(model, timesteps=3).eval()(x)

    a, b = (
        IntegrateAndFire(model.get_parameter(f"neurons.{key}.threshold"))
        for key in "ab"
    )
    state_a = state_b = None
    for timestep in range(3):
        spikes, state_a = a(model.norm(model.first(x)), state_a)
        spikes, state_b = b(model.second(spikes) + model.skip(spikes), state_b)
        expected = model.last(spikes.flatten(1))
        torch.testing.assert_close(outputs[timestep], expected)
    assert not torch.equal(outputs[0], outputs[2])


def test_both_share_parameters_and_statistics(bars: Part) -> None:
    model = own()
    spiking = as_spiking(model, timesteps=2)

    assert {id(p) for p in spiking.parameters()} == {id(p) for p in model.parameters()}
    spiking(batches(bars)[0][0])
    assert model.norm.num_batches_tracked == 1
    assert isinstance(model.neurons["a"], Qcfs)  # the module itself is left alone


def test_module_without_activations_to_convert_is_refused() -> None:
    with pytest.raises(ModelError, match="Linear: has no Qcfs that could become"):
        as_spiking(nn.Linear(1, 1), timesteps=2)
    with pytest.raises(ModelError, match="timesteps is 0; give at least 1"):
        as_spiking(Qcfs(4, 1.0), timesteps=0)


def test_tutorial_in_ten_lines_learns_is_sparse_and_loses_no_weight(
    bars: Part, tmp_path: Path
) -> None:
    model, loader = own(), batches(bars)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    before = train(model, loader, loss=tet_loss, optimizer=optimizer, epochs=8)

    spiking = as_spiking(model, timesteps=3)
    activity = Activity(spiking, target=0.05)
    regularizers = (Rcs(spiking, weight=0.001), activity)
    tuned = train(
        spiking,
        loader,
        loss=tet_loss,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.005),
        epochs=8,
        regularizers=regularizers,
    )
    grid = on_grid(model, simulator(), input_shape=(1, 13, 13), timesteps=3)
    few = torch.optim.Adam(model.parameters(), lr=0.0005)
    train(spiking, loader, loss=tet_loss, optimizer=few, grid=grid)
    grid.settle()

    assert before[-1] < 0.5 < before[0]
    assert tuned[-1] < tuned[0]
    path = tmp_path / "own.pt"
    graph = snn_deploy.save(model.eval(), path, input_shape=(1, 13, 13), timesteps=3)
    compile_model(graph, simulator(), is_strict=True, allow=OTHER_LOSSES)


def test_weights_that_are_not_on_the_grid_are_refused_by_strict(tmp_path: Path) -> None:
    graph = snn_deploy.save(
        own().eval(), tmp_path / "own.pt", input_shape=(1, 13, 13), timesteps=3
    )

    with pytest.raises(snn_deploy.errors.FitError, match="round weights"):
        compile_model(graph, simulator(), is_strict=True, allow=OTHER_LOSSES)


def test_penalty_makes_a_network_sparser(bars: Part) -> None:
    loader, found = batches(bars), []
    for target in (1.0, 0.02):
        spiking = as_spiking(own(), timesteps=3)
        optimizer = torch.optim.Adam(spiking.parameters(), lr=0.02)
        activity = Activity(spiking, target=target, weight=5.0)
        train(
            spiking,
            loader,
            loss=tet_loss,
            optimizer=optimizer,
            epochs=10,
            regularizers=(activity,),
        )
        spiking(loader[0][0])
        found.append(activity.mean().item())

    assert found[1] < 0.6 * found[0]


def test_loss_of_an_epoch_is_the_mean_over_inputs_by_hand() -> None:
    model = nn.Linear(1, 2)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    loader = [
        (torch.ones(3, 1), torch.zeros(3).long()),
        (torch.ones(1, 1), torch.ones(1).long()),
    ]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)

    (found,) = train(model, loader, loss=tet_loss, optimizer=optimizer)

    assert found == pytest.approx(np.log(2))
