"""whitening: squares of the training images come out uncorrelated, of variance 1."""

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from snn_deploy.data.datasets import Part
from snn_deploy.training import recipes, train
from snn_deploy.training.batches import on_device
from snn_deploy.training.networks import as_float
from snn_deploy.training.phases import Phase
from tests.training.test_train import RECIPE

WHITE = replace(
    RECIPE,
    layers=(
        recipes.Whitening(kernel=2),
        recipes.QcfsActivation(levels=4, threshold=2.0),
        recipes.Flatten(),
        recipes.Linear(features=2),
    ),
)


def smooth_images() -> Part:
    """Images whose neighbouring pixels are alike, in three channels that are too."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(300, 1, 8, 8)).cumsum(2).cumsum(3)
    x = 128 + 12 * (steps + rng.normal(size=(300, 3, 8, 8)))
    y = np.arange(300) % 2
    return Part(x=x.clip(0, 255).astype(np.uint8), y=y)


def test_outputs_are_uncorrelated_and_of_variance_1() -> None:
    part = smooth_images()

    network = train.build(WHITE, part)

    outputs = network[0](as_float(part.x)).detach().double()
    assert outputs.shape == (300, 24, 7, 7)
    values = outputs.movedim(1, 0).flatten(1)
    torch.testing.assert_close(values[:12], -values[12:], rtol=1e-3, atol=1e-3)
    covariance = torch.cov(values[:12])
    off = covariance - torch.diag(covariance.diag())
    assert off.abs().max() < 1e-3
    # by the definition: variance / (variance + 0.0005) of the components
    squares = functional.unfold(as_float(part.x), 2).movedim(1, 0).flatten(1).double()
    variances = torch.linalg.eigvalsh(torch.cov(squares, correction=0))
    torch.testing.assert_close(
        covariance.diag().sort().values,
        (variances / (variances + 5e-4)).sort().values,
        rtol=1e-3,
        atol=1e-3,
    )
    assert values.mean(1).abs().max() < 1e-3


def test_it_stays_as_it_is() -> None:
    part = smooth_images()
    network = train.build(WHITE, part)

    phase = Phase(
        WHITE, network, train._untrained(WHITE, network), on_device(part, train.CPU)
    )

    learned = {id(p) for group in phase.optimizer.param_groups for p in group["params"]}
    assert learned == {id(network[1].threshold), *map(id, network[3].parameters())}
