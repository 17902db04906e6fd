"""Train a spiking network with sinabs on MNIST digits, and put it on a chip.

    python examples/train_sinabs.py

Squeeze layers take (batch * time, ...), so that convolutions stand between them.
Neurons may spike twice in a timestep: the chip sends that as one graded spike.
"""

import sinabs
import sinabs.layers as sl
from digits import TIMESTEPS, main
from sinabs.activation import MaxSpike, SingleSpike
from torch import Tensor, nn


def build() -> nn.Module:
    """Return the network: spikes of ten neurons, of which the busiest is the answer."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2),
        sl.IAFSqueeze(num_timesteps=TIMESTEPS, spike_fn=MaxSpike(2)),
        sl.SumPool2d(2),
        nn.Flatten(),
        nn.Linear(288, 10),
        sl.LIFSqueeze(
            tau_mem=5.0,
            num_timesteps=TIMESTEPS,
            spike_fn=SingleSpike,
            norm_input=False,
        ),
    )


def counts(model: nn.Module, x: Tensor) -> Tensor:
    """Return how often each output spikes."""
    sinabs.reset_states(model)
    repeated = x.repeat_interleave(TIMESTEPS, dim=0)  # (batch * time, ...)
    return model(repeated).unflatten(0, (len(x), TIMESTEPS)).sum(dim=1)


if __name__ == "__main__":
    main("sinabs", build, counts)
