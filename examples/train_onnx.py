"""Train a conventional network on MNIST digits, write ONNX, and put that on a chip.

    python examples/train_onnx.py

ReLUs become integrate-and-fire neurons, whose thresholds are measured on training
images (``snn-deploy compile relu.onnx --target loihi-sim --balance-on x.npz``).
"""

import torch
from digits import answers, arguments, compare, train
from torch import Tensor, nn

import snn_deploy
from snn_deploy.data.datasets import load_split

TIMESTEPS = 32


def build() -> nn.Module:
    """Return the network, as anybody would write it."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(288, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def outputs(model: nn.Module, x: Tensor) -> Tensor:
    """Return the outputs, of which the largest is the answer."""
    return model(x)


if __name__ == "__main__":
    options, digits = arguments(), load_split("mnist5k")
    x, test = digits.train.x / 255, digits.test
    model = train(build, outputs, x, digits.train.y, options.epochs)
    path = options.output / "relu.onnx"
    example = torch.tensor(x[:1]).float()
    torch.onnx.export(model, (example,), path, external_data=False)
    print(f"wrote {path}")
    graph = snn_deploy.load_model(
        path, balance_on=digits.train.x[:500], timesteps=TIMESTEPS
    )
    compare(path.name, graph, test.x, test.y, answers(model, outputs, test.x / 255))
