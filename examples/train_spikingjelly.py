"""Train a spiking network with SpikingJelly on MNIST digits, and put it on a chip.

    python examples/train_spikingjelly.py

The network runs in step mode "m": it takes all timesteps at once, (time, batch, ...).
``snn_deploy.save`` reads the timestep that it repeats.
"""

from digits import TIMESTEPS, main
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn


def build() -> nn.Module:
    """Return the network: spikes of ten neurons, of which the busiest is the answer."""

    def spikes() -> nn.Module:
        return neuron.ParametricLIFNode(surrogate_function=surrogate.ATan())

    network = nn.Sequential(
        layer.Conv2d(1, 8, 5, stride=2),
        layer.BatchNorm2d(8),
        spikes(),
        layer.MaxPool2d(2),
        layer.Flatten(),
        layer.Linear(288, 10),
        neuron.IFNode(v_reset=None, surrogate_function=surrogate.ATan()),
    )
    functional.set_step_mode(network, "m")
    return network


def counts(model: nn.Module, x: Tensor) -> Tensor:
    """Return how often each output spikes."""
    functional.reset_net(model)
    return model(x.expand(TIMESTEPS, *x.shape)).sum(dim=0)


if __name__ == "__main__":
    main("spikingjelly", build, counts)
