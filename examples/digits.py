"""What the examples share: train on MNIST digits, save, compile, compare answers."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import snn_deploy
from snn_deploy.inputs.datasets import load_split

TIMESTEPS = 8
Counts = Callable[[nn.Module, Tensor], Tensor]


def main(framework: str, build: Callable[[], nn.Module], counts: Counts) -> None:
    """Train what ``build`` returns and put it on a simulated chip.

    ``counts`` returns how often each of the ten outputs spikes in all timesteps, for a
    batch of images that stay as they are.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--output", type=Path, default=Path())
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args()
    torch.manual_seed(0)
    model, digits = build(), load_split("mnist5k")
    x, y = torch.tensor(digits.train.x / 255).float(), torch.tensor(digits.train.y)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(options.epochs):
        for batch in torch.randperm(len(x)).split(64):
            loss = nn.functional.cross_entropy(counts(model, x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")
    deploy(framework, model.eval(), counts, options.output / f"{framework}.pt")


def deploy(framework: str, model: nn.Module, counts: Counts, path: Path) -> None:
    """Save, compile, and compare the answers of the framework and of the chip."""
    test = load_split("mnist5k").test
    with torch.no_grad():
        in_float = counts(model, torch.tensor(test.x / 255).float()).argmax(1).numpy()

    graph = snn_deploy.save(model, path, input_shape=(1, 28, 28), timesteps=TIMESTEPS)
    network = snn_deploy.compile_model(graph, snn_deploy.read_target("loihi-sim"))
    program = snn_deploy.open_backend("cpu").load(network)
    data = snn_deploy.Data(x=test.x, y=test.y, training=graph.training)
    results = snn_deploy.run_inputs(
        program, network, data.stimuli(), snn_deploy.fixed(TIMESTEPS)
    )
    on_chip = np.array([result.prediction for result in results])

    print(f"wrote {path}")
    print(f"{framework}, float: {np.mean(in_float == test.y):.1%} of {len(test.y)}")
    print(f"loihi-sim, integers: {np.mean(on_chip == test.y):.1%}")
    print(f"same answers: {np.mean(on_chip == in_float):.1%}")
