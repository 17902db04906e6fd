"""Weights that the chip can hold: where its grid lies, and rounding to it.

The grid depends on all that is folded into a layer's weights: batch normalization,
pooling, thresholds, the scale of the input. So the compiler itself is asked, and its
answer divided by what was folded.
"""

import copy
import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

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
from snn_deploy.ir.stimuli import Encoding

logger = logging.getLogger(__name__)

_MOST_ROUNDINGS = 20
_NOTHING = 1e-3  # of a step: what single precision leaves


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


def settle(
    network: nn.Module, input_shape: Shape, training: Training, target: Target
) -> None:
    """Put the weights of ``network`` on the grid for good.

    Rounding the largest weights moves the grid a little, so it is done until nothing
    moves any more, as after two or three times.
    """
    for _ in range(_MOST_ROUNDINGS):
        steps = weight_steps(network, input_shape, training, target)
        moved = _round(network, steps)
        if moved < _NOTHING:
            return
    logger.warning(
        f"after {_MOST_ROUNDINGS} roundings weights are still {moved:.2g} steps beside "
        f"the grid of {target.name}; the compiler will round them once more"
    )


def _round(network: nn.Module, steps: Mapping[str, Tensor]) -> float:
    """Round all weights, and return by how many steps at most one has moved."""
    moved = 0.0
    with torch.no_grad():
        for name, step in steps.items():
            weight = weight_of(network, name)
            counts = weight / step
            moved = max(moved, float((counts - counts.round()).abs().max()))
            weight.copy_(counts.round() * step)
    return moved


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
    _round(network, steps)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, weight in own.items():
                weight.copy_(kept[name])


class OnGrid:
    """The weights of a network of one's own on a chip's grid, see ``on_grid``."""

    def __init__(
        self, model: nn.Module, input_shape: Shape, training: Training, target: Target
    ) -> None:
        self._model, self._target = model, target
        self._input_shape, self._training = input_shape, training
        self._inside: AbstractContextManager[None] | None = None
        self.update()

    def update(self) -> None:
        """Find the grid of the weights as they are now; it moves as they grow."""
        device = next(self._model.parameters()).device
        steps = weight_steps(
            self._readable(), self._input_shape, self._training, self._target
        )
        self._steps = {name: step.to(device) for name, step in steps.items()}

    def _readable(self) -> nn.Module:
        """Return a copy for the compiler: in evaluation, in the memory of the CPU."""
        return copy.deepcopy(self._model).cpu().eval()

    def __enter__(self) -> "OnGrid":
        self._inside = rounded(self._model, self._steps)
        self._inside.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        assert self._inside is not None
        self._inside.__exit__(*error)

    def settle(self) -> None:
        """Put the weights on the grid for good, when the training is over."""
        settled = self._readable()
        settle(settled, self._input_shape, self._training, self._target)
        with torch.no_grad():
            for name in self._steps:
                weight_of(self._model, name).copy_(weight_of(settled, name))


def on_grid(
    model: nn.Module,
    target: Target,
    *,
    input_shape: Shape,
    timesteps: int,
    encoding: Encoding = Encoding.DIRECT,
) -> OnGrid:
    """Return a context in which the weights of ``model`` are those of the chip.

    Let the loss and its gradients be computed inside, and the optimizer step outside:
    it changes the full weights then, by the gradients at the rounded ones. ``update``
    once an epoch, ``settle`` at the end. Batch normalizations are part of the grid, so
    keep them in evaluation meanwhile.

    Parameters
    ----------
    model : nn.Module
        What will be given to ``snn_deploy.save``.
    target : Target
        Whose grid it is.
    input_shape : tuple of int
        The shape of one input, without batch and time.
    timesteps : int
        For how many timesteps an input is shown.
    encoding : Encoding
        How it is shown.
    """
    training = Training(timesteps=timesteps, encoding=encoding)
    return OnGrid(model, input_shape, training, target)
