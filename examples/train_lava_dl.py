"""Train with lava-dl on MNIST digits, write a .net file, and put that on a chip.

    python examples/train_lava_dl.py

It needs ``pip install --no-deps --ignore-requires-python lava-nc lava-dl asteval``.
lava-dl computes in the chip's integers while it trains, so the chip's spikes are not
only like its own: they are its own.
"""

import sys
from types import ModuleType

import h5py
from digits import answers, arguments, compare, spiking_digits, train
from torch import Tensor, nn

import snn_deploy

# object detection, which nothing here needs, would ask for OpenCV and torchvision
sys.modules["lava.lib.dl.slayer.object_detection"] = ModuleType("object_detection")
import lava.lib.dl.slayer as slayer  # noqa: E402

TIMESTEPS = 16


class Network(nn.Module):
    """Spikes of ten neurons, of which the busiest is the answer."""

    def __init__(self) -> None:
        super().__init__()
        neurons = {"threshold": 1.0, "current_decay": 0.8, "voltage_decay": 0.2}
        settings = {"weight_norm": False, "delay_shift": False}
        self.blocks = nn.ModuleList(
            [
                slayer.block.cuba.Dense(neurons, 784, 64, weight_scale=2, **settings),
                slayer.block.cuba.Dense(neurons, 64, 10, **settings),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes (n, 10, timesteps) for spikes (n, 784, timesteps)."""
        for block in self.blocks:
            x = block(x)
        return x

    def export(self, path: str) -> None:
        """Write the network as lava-dl's own examples do."""
        with h5py.File(path, "w") as file:
            file["simulation/tSample"] = TIMESTEPS
            layers = file.create_group("layer")
            for number, block in enumerate(self.blocks):
                block.export_hdf5(layers.create_group(str(number)))


def counts(model: nn.Module, x: Tensor) -> Tensor:
    """Return how often each output spikes, for spikes (n, timesteps, 1, 28, 28)."""
    return model(x.flatten(2).transpose(1, 2)).sum(dim=-1)


if __name__ == "__main__":
    options = arguments()
    digits, training, test = spiking_digits(TIMESTEPS)
    model = train(Network, counts, training, digits.train.y, options.epochs)
    path = options.output / "lava_dl.net"
    model.export(path)
    print(f"wrote {path}")
    graph = snn_deploy.load_model(path)
    flat = test.reshape(len(test), TIMESTEPS, 784)
    compare(path.name, graph, flat, digits.test.y, answers(model, counts, test))
