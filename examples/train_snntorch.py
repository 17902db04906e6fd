"""Train a spiking network with snnTorch on MNIST digits, and put it on a chip.

    python examples/train_snntorch.py

With ``init_hidden=True`` the neurons keep their states themselves, so that the forward
of the network is one timestep, as ``snn_deploy.save`` wants it.
"""

import snntorch as snn
import torch
from digits import TIMESTEPS, main
from snntorch import surrogate, utils
from torch import Tensor, nn


def build() -> nn.Module:
    """Return the network: spikes of ten neurons, of which the busiest is the answer."""

    def spikes() -> nn.Module:
        gradient = surrogate.fast_sigmoid(slope=10)
        return snn.Leaky(0.7, learn_beta=True, spike_grad=gradient, init_hidden=True)

    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2),
        spikes(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(288, 10),
        spikes(),
    )


def counts(model: nn.Module, x: Tensor) -> Tensor:
    """Return how often each output spikes."""
    utils.reset(model)
    return torch.stack([model(x) for _ in range(TIMESTEPS)]).sum(dim=0)


if __name__ == "__main__":
    main("snntorch", build, counts)
