"""networks: ordinary torch and Norse modules, run layer by layer or step by step."""

import pytest
import torch
from norse.torch import LIFBoxCell
from torch import nn

from snn_deploy.errors import ModelError
from snn_deploy.nn.tebn import Tebn
from snn_deploy.training import recipes
from snn_deploy.training.networks import (
    Chain,
    build_network,
    convert,
    run_over_time,
)

SPIKING = (
    recipes.Conv(channels=3, kernel=3),
    recipes.BatchNorm(gain=4.0),
    recipes.Lif(decay=0.5),
    recipes.Flatten(),
    recipes.Linear(features=20),
    recipes.BatchNorm(gain=6.0),
    recipes.Lif(decay=0.25),
    recipes.Linear(features=2),
)
RATES = (
    recipes.Conv(channels=3, kernel=3, padding=1, bias=True),
    recipes.QcfsActivation(levels=4, threshold=0.5),
    recipes.AvgPool(kernel=2),
    recipes.Flatten(),
    recipes.Linear(features=2),
)


def test_spiking_network_is_a_chain_of_ordinary_modules() -> None:
    network = build_network(SPIKING, (1, 5, 5), seed=0)

    assert type(network) is Chain
    assert [type(module) for module in network] == [
        nn.Conv2d,
        nn.BatchNorm2d,
        LIFBoxCell,
        nn.Flatten,
        nn.Linear,
        nn.BatchNorm1d,
        LIFBoxCell,
        nn.Linear,
    ]


def test_same_seed_gives_the_same_weights_and_leaves_torch_alone() -> None:
    before = torch.random.get_rng_state()

    first, again, other = (
        build_network(RATES, (1, 6, 6), seed=seed).state_dict()["0.weight"]
        for seed in (0, 0, 1)
    )

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("norm", [recipes.BatchNorm(), recipes.Tebn(timesteps=6)])
def test_layer_by_layer_computes_what_timestep_by_timestep_does(
    norm: recipes.Layer,
) -> None:
    network = build_network((SPIKING[0], norm, *SPIKING[1:]), (1, 5, 5), seed=0).eval()
    if isinstance(network[1], Tebn):
        network[1].factors.data = torch.tensor([1.0, 3.0, 0.5, 1.0, 2.0, 0.1])
    x = torch.rand(4, 1, 5, 5, generator=torch.Generator().manual_seed(1)) * 3

    together = run_over_time(network, x, 6)

    state, outputs = None, []
    for _ in range(6):
        output, state = network(x, state)
        outputs.append(output)
    torch.testing.assert_close(together, torch.stack(outputs))
    assert not torch.equal(together[0], together[-1])


def test_network_without_spikes_answers_once() -> None:
    network = build_network(RATES, (1, 6, 6), seed=0)
    x = torch.ones(2, 1, 6, 6)

    outputs = run_over_time(network, x, 8)

    assert torch.equal(outputs, network(x).unsqueeze(0))


def test_converted_network_gives_the_same_mean_output_after_its_levels() -> None:
    network = build_network(RATES, (1, 6, 6), seed=0)
    x = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(1))

    outputs = run_over_time(convert(network), x, 4)

    torch.testing.assert_close(outputs.mean(0), network(x))


def test_network_without_qcfs_is_not_converted() -> None:
    network = build_network(SPIKING, (1, 5, 5), seed=0)

    assert convert(network) is network


def test_layer_that_does_not_fit_is_refused_by_index() -> None:
    layers = (recipes.Flatten(), recipes.Conv(channels=1, kernel=3))

    with pytest.raises(ModelError, match=r"layer 1: Conv2d does not fit .* \(25,\)"):
        build_network(layers, (1, 5, 5), seed=0)
