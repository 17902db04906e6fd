"""Train a spiking network with Norse on MNIST digits, and put it on a chip.

    python examples/train_norse.py

``SequentialState`` hands every layer of neurons its own state back.
"""

import norse.torch as norse
import torch
from digits import TIMESTEPS, main
from torch import Tensor, nn


def build() -> nn.Module:
    """Return the network: spikes of ten neurons, of which the busiest is the answer."""

    def spikes() -> nn.Module:
        halved = norse.LIFBoxParameters(tau_mem_inv=torch.tensor(500.0))
        return norse.LIFBoxCell(halved)  # half of the voltage is lost per timestep

    return norse.SequentialState(
        nn.Conv2d(1, 8, 5, stride=2),
        nn.BatchNorm2d(8),
        spikes(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(288, 10),
        nn.BatchNorm1d(10),
        spikes(),
    )


def counts(model: nn.Module, x: Tensor) -> Tensor:
    """Return how often each output spikes."""
    outputs, state = [], None
    for _ in range(TIMESTEPS):
        output, state = model(x, state)
        outputs.append(output)
    return torch.stack(outputs).sum(dim=0)


if __name__ == "__main__":
    main("norse", build, counts)
