"""Train with sinabs on MNIST digits, write a NIR file, and put that on a chip.

    python examples/train_nir.py

Any framework that writes NIR will do. The file says neither how long a timestep is nor
what a spike does to the voltage: ``load_model`` is told, as the command line is
(``snn-deploy compile sinabs.nir --target loihi-sim --dt 1 --reset soft``).
"""

import nir
import sinabs
import sinabs.layers as sl
import torch
from digits import answers, arguments, compare, spiking_digits, train
from sinabs.activation import SingleSpike
from sinabs.nir import to_nir
from torch import Tensor, nn

import snn_deploy
from snn_deploy.ir.neurons import Reset

TIMESTEPS = 16
DT = 1.0  # sinabs counts in timesteps


def build() -> nn.Module:
    """Return the network: spikes of ten neurons, of which the busiest is the answer."""

    def spikes() -> nn.Module:
        return sl.IAFSqueeze(num_timesteps=TIMESTEPS, spike_fn=SingleSpike)

    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2),
        spikes(),
        sl.SumPool2d(2),
        nn.Flatten(),
        nn.Linear(288, 10),
        spikes(),
    )


def counts(model: nn.Module, x: Tensor) -> Tensor:
    """Return how often each output spikes, for spikes (n, timesteps, 1, 28, 28)."""
    sinabs.reset_states(model)
    return model(x.flatten(0, 1)).unflatten(0, (len(x), TIMESTEPS)).sum(dim=1)


if __name__ == "__main__":
    options = arguments()
    digits, training, test = spiking_digits(TIMESTEPS)
    model = train(build, counts, training, digits.train.y, options.epochs)
    path = options.output / "sinabs.nir"
    sinabs.reset_states(model)
    network = to_nir(model, torch.tensor(test[0]).float())
    network.infer_types()  # sinabs leaves out the shapes of convolutions and flattening
    nir.write(str(path), network)
    print(f"wrote {path}")
    graph = snn_deploy.load_model(path, dt=DT, reset=Reset.SOFT, timesteps=TIMESTEPS)
    compare(path.name, graph, test, digits.test.y, answers(model, counts, test))
