"""Build the torch network of a recipe, and run it over time."""

import inspect
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from snn_deploy.errors import ModelError
from snn_deploy.training import recipes
from snn_deploy.training.neurons import IntegrateAndFire, Qcfs, lif

Shape = tuple[int, ...]


def build_network(
    layers: Sequence[recipes.Layer], input_shape: Shape, *, seed: int
) -> nn.Sequential:
    """Return the untrained network; ``seed`` decides its weights.

    With spiking neurons it is an ordinary ``norse.torch.SequentialState``, whose
    ``forward`` is one timestep; without, an ``nn.Sequential``.
    """
    modules: list[nn.Module] = []
    shape = input_shape
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for index, layer in enumerate(layers):
            modules.append(_build(layer, shape, f"layer {index}"))
            shape = _output_shape(modules[-1], shape, f"layer {index}")
    if not any(is_spiking(module) for module in modules):
        return nn.Sequential(*modules)
    from norse.torch import SequentialState

    network: nn.Sequential = SequentialState(*modules)
    return network


def _build(layer: recipes.Layer, shape: Shape, name: str) -> nn.Module:
    match layer:
        case recipes.Lif():
            reset, surrogate = layer.reset.value, layer.surrogate.value
            return lif(layer.decay, reset=reset, surrogate=surrogate)
        case recipes.QcfsActivation():
            return Qcfs(layer.levels, layer.threshold)
        case recipes.AvgPool():
            return nn.AvgPool2d(layer.kernel)
        case recipes.Flatten():
            return nn.Flatten()
        case recipes.Dropout():
            return nn.Dropout(layer.probability)
    return _build_weighted(layer, shape, name)


def _build_weighted(
    layer: recipes.Conv | recipes.Linear | recipes.BatchNorm, shape: Shape, name: str
) -> nn.Module:
    match layer:
        case recipes.Conv():
            return nn.Conv2d(
                shape[0],
                layer.channels,
                layer.kernel,
                stride=layer.stride,
                padding=layer.padding,
                bias=layer.bias,
            )
        case recipes.Linear():
            return nn.Linear(shape[0], layer.features)
        case recipes.BatchNorm():
            return _batch_norm(layer, shape, name)


def _batch_norm(layer: recipes.BatchNorm, shape: Shape, name: str) -> nn.Module:
    if len(shape) not in (1, 3):
        raise ModelError(f"{name}: no batch normalization exists for shape {shape}")
    kind = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    norm = kind(shape[0])
    nn.init.constant_(norm.weight, layer.gain)
    return norm


def _output_shape(module: nn.Module, shape: Shape, name: str) -> Shape:
    if is_spiking(module):
        return shape
    try:
        output = module.eval()(torch.zeros(1, *shape))
    except RuntimeError as error:
        raise ModelError(
            f"{name}: {type(module).__name__} does not fit an input of shape {shape}"
        ) from error
    module.train()
    return tuple(output.shape[1:])


def is_spiking(module: nn.Module) -> bool:
    """Tell whether ``module`` carries a state from timestep to timestep."""
    return "state" in inspect.signature(module.forward).parameters


def convert(network: nn.Sequential) -> nn.Sequential:
    """Return ``network`` with integrate-and-fire neurons for its ``Qcfs``.

    This is what the compiler makes of it, in floats, so that a recipe can be judged
    without compiling. A network without ``Qcfs`` is left alone.
    """
    if not any(isinstance(module, Qcfs) for module in network):
        return network
    return nn.Sequential(
        *(
            IntegrateAndFire(module.threshold.item())
            if isinstance(module, Qcfs)
            else module
            for module in network
        )
    )


def run_over_time(
    network: nn.Sequential, x: Tensor, n_timesteps: int, *, is_events: bool = False
) -> Tensor:
    """Return the outputs for ``x`` shown again at every timestep.

    Events, ``(n, n_timesteps, ...)``, are shown one timestep after the other.

    Layer after layer instead of timestep after timestep: the same values, but a layer
    whose input is constant is computed once, and a batch normalization in training
    sees all timesteps together.

    Returns
    -------
    Tensor
        ``(n_timesteps, n, n_outputs)``; one timestep if no layer is spiking.
    """
    signal = x[:, :n_timesteps].swapaxes(0, 1) if is_events else x.unsqueeze(0)
    for module in network:
        if is_spiking(module):
            signal = _run_neurons(module, signal, n_timesteps)
        else:
            signal = module(signal.flatten(0, 1)).unflatten(0, signal.shape[:2])
    return signal


def _run_neurons(module: nn.Module, signal: Tensor, n_timesteps: int) -> Tensor:
    state, outputs = None, []
    for current in signal.expand(n_timesteps, *signal.shape[1:]):
        output, state = module(current, state)
        outputs.append(output)
    return torch.stack(outputs)


def as_float(x: npt.NDArray[np.uint8], *, is_events: bool = False) -> Tensor:
    """Return pixels as the network sees them, from 0 to 1; events are 0 or 1."""
    return torch.from_numpy(x.astype(np.float32) / (1 if is_events else 255))
