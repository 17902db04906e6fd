"""Weights that the chip can hold: where its grid lies, and rounding to it.

The grid depends on all that is folded into a layer's weights: batch normalization,
pooling, thresholds, the scale of the input. So the compiler itself is asked, and its
answer divided by what was folded.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.chip.target import Target
from snn_deploy.compiler.lower.collect import collect
from snn_deploy.compiler.lower.quantize import quantize
from snn_deploy.compiler.pipeline import to_spiking
from snn_deploy.fixedpoint import INPUT_SHIFT
from snn_deploy.importers.torch.module import trace
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.neurons import Neuron


def weight_steps(
    network: nn.Module, input_shape: Shape, training: Training, target: Target
) -> dict[str, Tensor]:
    """Return how far apart the weights of each layer lie on the chip, by its name.

    One step for each output channel, shaped to broadcast against the weights.
    """
    graph = to_spiking(trace(network, "network", input_shape, training))
    steps: dict[str, Tensor] = {}
    for name, step in _steps_on_chip(graph, target):
        module = network.get_submodule(name) if _has(network, name) else None
        if not isinstance(module, nn.Linear | nn.Conv2d):
            continue  # a pooling, or a sum without weights
        weight = module.weight.detach()
        rows = weight.double().abs().flatten(1).amax(1).numpy()
        step = step * rows  # of a peak of 1
        found = torch.from_numpy(np.where(rows > 0, step, 1.0)).to(weight.dtype)
        found = found.reshape(-1, *(1,) * (weight.ndim - 1))
        steps[name] = torch.maximum(steps[name], found) if name in steps else found
    return steps


def _has(network: nn.Module, name: str) -> bool:
    return name in dict(network.named_modules())


def _steps_on_chip(graph: Graph, target: Target) -> Iterator[tuple[str, FloatArray]]:
    """Yield the steps of all weight layers, in units of each row's largest weight."""
    chip = quantize(graph, target)
    for node in graph.nodes_of(Neuron):
        scale = chip.population(node.name).scale.reshape(-1)
        arrivals = collect(graph, node)
        projections = chip.projections_into(chip.population(node.name))
        for arrival, projection in zip(arrivals, projections, strict=True):
            weight = arrival.layer.weight
            peak = np.abs(weight).reshape(len(weight), -1).max(axis=1)
            unit = scale * 2.0 ** (INPUT_SHIFT + projection.exponent)
            step = target.precision.weight_step * unit
            yield arrival.layer.name, step / np.where(peak > 0, peak, 1.0)


def weight_of(network: nn.Module, name: str) -> Tensor:
    """Return the weights of the layer called ``name``."""
    weight: Tensor = network.get_parameter(f"{name}.weight")
    return weight


@contextmanager
def rounded(network: nn.Module, steps: Mapping[str, Tensor]) -> Iterator[None]:
    """Let ``network`` have weights on the grid, and its own ones again afterwards.

    Gradients that are computed meanwhile are those at the rounded weights; an optimizer
    that then applies them to the network's own is the straight-through estimator [1]_.

    References
    ----------
    .. [1] Y. Bengio, N. Léonard, A. Courville, "Estimating or Propagating Gradients
       Through Stochastic Neurons for Conditional Computation", arXiv 1308.3432.
    """
    own = {name: weight_of(network, name) for name in steps}
    kept = {name: weight.detach().clone() for name, weight in own.items()}
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_((weight / steps[name]).round() * steps[name])
    try:
        yield
    finally:
        with torch.no_grad():
            for name, weight in own.items():
                weight.copy_(kept[name])
