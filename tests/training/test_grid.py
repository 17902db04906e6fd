"""grid: what is rounded in training is what the compiler rounds, weight for weight."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.pipeline import to_spiking
from snn_deploy.importers.torch.module import trace
from snn_deploy.ir.graph import Training
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.training import recipes
from snn_deploy.training.grid import rounded, weight_of, weight_steps
from snn_deploy.training.networks import build_network
from tests.build import simulator

SHAPE = (1, 8, 8)
TRAINING = Training(timesteps=4, encoding=Encoding.DIRECT)
SPIKING: Sequence[recipes.Layer] = (
    recipes.Conv(channels=3, kernel=3),
    recipes.BatchNorm(gain=2.0),
    recipes.Lif(decay=0.5),
    recipes.Flatten(),
    recipes.Linear(features=4),
)
RATES: Sequence[recipes.Layer] = (
    recipes.Conv(channels=3, kernel=3, padding=1, bias=True),
    recipes.QcfsActivation(levels=4, threshold=0.7),
    recipes.AvgPool(kernel=2),
    recipes.Flatten(),
    recipes.Linear(features=4),
)


def trained(layers: Sequence[recipes.Layer]) -> torch.nn.Sequential:
    """Return a network whose batch normalization has seen data."""
    network = build_network(layers, SHAPE, seed=0)
    for module in network:
        if isinstance(module, torch.nn.BatchNorm2d):
            generator = torch.Generator().manual_seed(1)
            module.running_var = 0.5 + torch.rand(3, generator=generator)
            module.running_mean = torch.rand(3, generator=generator)
    return network.eval()


@pytest.mark.parametrize("layers", [SPIKING, RATES])
def test_rounded_weights_are_the_integers_of_the_compiler(
    layers: Sequence[recipes.Layer],
) -> None:
    network = trained(layers)
    graph = to_spiking(trace(network, "n", SHAPE, TRAINING))
    chip = quantize(graph, simulator())

    steps = weight_steps(network, SHAPE, TRAINING, simulator())

    assert sorted(steps) == ["0", "4"]
    for name, projection in zip(("0", "4"), chip.projections, strict=True):
        weight = weight_of(network, name).detach()
        integers = 2 * (weight / steps[name]).round().long().numpy()
        stored = projection.synapses.weights
        if stored.shape != integers.shape:  # a pooling has been folded into it
            stored = stored.reshape(-1, 3, 4, 2, 4, 2)[:, :, :, 0, :, 0].reshape(4, -1)
        np.testing.assert_array_equal(integers, stored)


def test_weights_are_on_the_grid_inside_and_as_before_outside() -> None:
    network = trained(SPIKING)
    steps = weight_steps(network, SHAPE, TRAINING, simulator())
    own = weight_of(network, "0").detach().clone()

    with rounded(network, steps):
        inside = weight_of(network, "0").detach().clone()
        network(torch.ones(1, *SHAPE))[0].sum().backward()

    counts = inside / steps["0"]
    assert not torch.equal(inside, own)
    torch.testing.assert_close(counts, counts.round())
    assert ((inside - own).abs() <= steps["0"] / 2 * 1.0001).all()
    assert torch.equal(weight_of(network, "0").detach(), own)
    assert (
        weight_of(network, "4").grad is not None
    )  # that of the rounded weights is kept


def test_weights_come_back_after_an_error() -> None:
    network = trained(SPIKING)
    steps = weight_steps(network, SHAPE, TRAINING, simulator())
    own = weight_of(network, "0").detach().clone()

    with pytest.raises(KeyboardInterrupt), rounded(network, steps):
        raise KeyboardInterrupt

    assert torch.equal(weight_of(network, "0").detach(), own)


def test_channel_without_weights_stays_without() -> None:
    network = trained(SPIKING)
    with torch.no_grad():
        weight_of(network, "0")[1] = 0

    steps = weight_steps(network, SHAPE, TRAINING, simulator())

    with rounded(network, steps):
        assert (weight_of(network, "0")[1] == 0).all()
        assert weight_of(network, "0").isfinite().all()
