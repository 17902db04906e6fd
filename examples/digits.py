"""What the examples share: train on MNIST digits, compile, compare answers."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import snn_deploy
from snn_deploy.data.datasets import Split, load_split
from snn_deploy.ir.graph import Graph

TIMESTEPS = 8
Counts = Callable[[nn.Module, Tensor], Tensor]


def main(framework: str, build: Callable[[], nn.Module], counts: Counts) -> None:
    """Train what ``build`` returns, save it, and put it on a simulated chip.

    ``counts`` returns how often each of the ten outputs spikes in all timesteps, for a
    batch of images that stay as they are.
    """
    options, digits = arguments(), load_split("mnist5k")
    model = train(build, counts, digits.train.x / 255, digits.train.y, options.epochs)
    path = options.output / f"{framework}.pt"
    graph = snn_deploy.save(model, path, input_shape=(1, 28, 28), timesteps=TIMESTEPS)
    print(f"wrote {path}")
    in_float = answers(model, counts, digits.test.x / 255)
    compare(framework, graph, digits.test.x, digits.test.y, in_float)


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--output", type=Path, default=Path())
    parser.add_argument("--epochs", type=int, default=4)
    return parser.parse_args()


def spiking_digits(timesteps: int) -> tuple[Split, np.ndarray, np.ndarray]:
    """Return the digits, and spikes (n, timesteps, 1, 28, 28) of training and test.

    A pixel spikes as often as it is bright, on average.
    """
    digits, rng = load_split("mnist5k"), np.random.default_rng(0)
    trains = [
        (rng.random((len(part), timesteps, 1, 28, 28)) < part.x[:, None] / 255)
        for part in (digits.train, digits.test)
    ]
    return digits, trains[0].astype(np.uint8), trains[1].astype(np.uint8)


def train(
    build: Callable[[], nn.Module],
    counts: Counts,
    x: np.ndarray,
    y: np.ndarray,
    epochs: int,
) -> nn.Module:
    """Return what ``build`` returns, trained so that the right output counts most."""
    torch.manual_seed(0)
    model, labels = build(), torch.tensor(y)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(epochs):
        for batch in torch.randperm(len(x)).split(64):
            inputs = torch.tensor(x[batch.numpy()]).float()
            loss = nn.functional.cross_entropy(counts(model, inputs), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")
    return model.eval()


def answers(model: nn.Module, counts: Counts, x: np.ndarray) -> np.ndarray:
    """Return what the framework itself answers."""
    with torch.no_grad():
        return counts(model, torch.tensor(x).float()).argmax(1).numpy()


def compare(
    name: str,
    graph: Graph,
    x: np.ndarray,
    y: np.ndarray,
    in_float: np.ndarray,
) -> None:
    """Compile a graph and compare the chip's answers with those of its framework."""
    network = snn_deploy.compile_model(graph, snn_deploy.read_target("loihi-sim"))
    program = snn_deploy.open_backend("cpu").load(network)
    data = snn_deploy.Data(x=x, y=y, training=graph.training)
    results = snn_deploy.run_inputs(
        program, network, data.stimuli(), snn_deploy.fixed(graph.training.timesteps)
    )
    on_chip = np.array([result.prediction for result in results])

    print(f"{name}, float: {np.mean(in_float == y):.1%} of {len(y)}")
    print(f"loihi-sim, integers: {np.mean(on_chip == y):.1%}")
    print(f"same answers: {np.mean(on_chip == in_float):.1%}")
