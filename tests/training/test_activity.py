"""activity: spikes cost what they cause, and their penalty can be trained on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from snn_deploy.data.datasets import Part
from snn_deploy.errors import ModelError
from snn_deploy.nn.neurons import IntegrateAndFire, Qcfs
from snn_deploy.training import recipes, train
from snn_deploy.training.activity import Activity
from snn_deploy.training.batches import on_device
from snn_deploy.training.networks import convert, run_over_time
from snn_deploy.training.phases import Phase, objective
from snn_deploy.training.recipe_file import read_recipe
from tests.training.test_train import RECIPE, RECIPE_TEXT


def two_layers() -> nn.Sequential:
    """Two layers of neurons, the first of which feeds twice as many synapses."""
    network = nn.Sequential(
        nn.Linear(2, 2), Qcfs(4, 2.0), nn.Linear(2, 4), Qcfs(4, 1.0), nn.Linear(4, 1)
    )
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim:
                parameter.zero_()
        network.get_parameter("0.bias").copy_(torch.tensor([1.0, 2.0]))
        network.get_parameter("2.bias").copy_(torch.tensor([0.0, 0.25, 0.5, 9.0]))
    return network


def test_mean_activity_is_weighted_by_synaptic_operations_by_hand() -> None:
    network = two_layers()
    activity = Activity(network, target=0.5, weight=2.0)

    network(torch.zeros(3, 2))
    # 1/2 and 1 of the threshold, 8 operations; 0, 1/4, 1/2 and 1, 4 operations
    expected = (8 * 0.75 + 4 * 0.4375) / 12
    found = activity.mean()
    network(torch.zeros(3, 2))

    assert found.item() == pytest.approx(expected)
    assert activity().item() == pytest.approx(2 * (expected - 0.5))
    network(torch.zeros(1, 2))
    assert Activity(network, target=0.9)._target > expected


def test_activity_below_its_target_costs_nothing() -> None:
    network = two_layers()
    activity = Activity(network, target=0.9)

    network(torch.zeros(3, 2))

    assert activity().item() == 0


def test_evaluation_is_not_counted() -> None:
    network = two_layers()
    activity = Activity(network, target=0.0)
    network(torch.zeros(3, 2))
    network.eval()
    network(torch.full((3, 2), 100.0))

    assert activity().item() == pytest.approx((8 * 0.75 + 4 * 0.4375) / 12)


def test_operations_of_a_convolution_are_weights_times_places() -> None:
    network = nn.Sequential(
        Qcfs(4, 1.0), nn.Conv2d(1, 2, 3), Qcfs(4, 1.0), nn.Flatten(), nn.Linear(8, 5)
    )
    activity = Activity(network, target=0.0)

    network(torch.ones(1, 1, 4, 4))

    # 2 channels of 2 x 2 places, 9 weights each; 8 by 5 weights
    assert list(activity._operations.values()) == [72, 40]


def test_spikes_of_all_timesteps_count_and_their_gradient_is_the_surrogate() -> None:
    network = nn.Sequential(nn.Linear(1, 3), Qcfs(4, 2.0), nn.Linear(3, 1))
    spiking = convert(network)
    activity = Activity(spiking, target=0.0)
    current = torch.tensor([[[0.5]], [[3.0]]], requires_grad=True)
    (neurons,) = (m for m in spiking.modules() if isinstance(m, IntegrateAndFire))

    outputs, _ = neurons(current, None, 2)
    nn.Linear(1, 1)(outputs)
    network[2](outputs.expand(2, 1, 3))  # 1 + 0.5 < 2; 1.5 + 3 >= 2: a spike
    cost = activity()
    cost.backward()  # type: ignore[no-untyped-call]

    assert cost.item() == pytest.approx(0.5)
    # the triangle: 1 - |1.5 / 2 - 1| = 0.75 and, beyond its base, 0; over 2 timesteps
    # and a threshold of 2
    assert current.grad is not None
    assert current.grad.flatten().tolist() == pytest.approx([0.75 / 4, 0.0])


def test_it_is_added_to_the_loss(bars: Part) -> None:
    network = train.build(RECIPE, bars)
    network[4].eval()  # dropout
    inputs = on_device(bars, train.CPU)
    penalized = replace(RECIPE, activity=recipes.Activity(target=0.0, weight=3.0))
    both = [
        Phase(recipe, network, train._untrained(recipe, network), inputs)
        for recipe in (RECIPE, penalized)
    ]

    plain, found = (objective(phase, inputs) for phase in both)

    seen = Activity(network, target=0.0)
    run_over_time(network, inputs.pixels, RECIPE.timesteps)
    added = 3 * seen.mean()
    assert added > 0
    assert found.item() == pytest.approx((plain + added).item())


def test_recipe_names_it(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE_TEXT, encoding="utf-8")

    recipe = read_recipe(path, ("activity.target=0", "activity.weight=3"))

    assert recipe.activity == recipes.Activity(target=0.0, weight=3.0)


def test_negative_target_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE_TEXT, encoding="utf-8")

    with pytest.raises(ModelError, match=r"\[activity\]: 'target' is -0\.1; "):
        read_recipe(path, ("activity.target=-0.1",))


def test_neurons_that_nobody_hears_cost_nothing() -> None:
    network = nn.Sequential(nn.Linear(2, 2), Qcfs(4, 2.0))
    activity = Activity(network, target=0.0)

    network(torch.ones(3, 2))

    assert float(activity().detach()) == 0.0
