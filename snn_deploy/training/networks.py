"""Build the torch network of a recipe, and run it over time."""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from snn_deploy.errors import ModelError
from snn_deploy.nn.neurons import IntegrateAndFire, Qcfs, lif
from snn_deploy.nn.tebn import Tebn
from snn_deploy.training import recipes

Shape = tuple[int, ...]
State = Sequence[Any] | None  # one for each layer; before the first timestep, none


class Chain(nn.Sequential):
    """Layers one after another, some of which carry a state: ``forward`` is a timestep.

    Takes ``(x, state)``, returns the output and the next state.
    """

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Advance all layers by one timestep."""
        states: list[Any] = []
        for index, layer in enumerate(self):
            after = None
            if is_spiking(layer):
                x, after = layer(x, None if state is None else state[index])
            else:
                x = layer(x)
            states.append(after)
        return x, states


class Residual(nn.Module):
    """The sum of two branches; what follows sees them meet in the same timestep."""

    def __init__(self, body: nn.Module, skip: nn.Module) -> None:
        super().__init__()
        self.body, self.skip = body, skip

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Advance both branches by one timestep."""
        body_state, skip_state = (None, None) if state is None else state
        body, body_state = _advance(self.body, x, body_state)
        skip, skip_state = _advance(self.skip, x, skip_state)
        return body + skip, (body_state, skip_state)


def _advance(branch: nn.Module, x: Tensor, state: State) -> tuple[Tensor, State]:
    if is_spiking(branch):
        output, state = branch(x, state)
        return output, state
    return branch(x), None


def build_network(
    layers: Sequence[recipes.Layer], input_shape: Shape, *, seed: int
) -> nn.Sequential:
    """Return the untrained network; ``seed`` decides its weights.

    Its ``forward`` is one timestep.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        network, _ = _build_chain(layers, input_shape, "layer ")
    return network


def _build_chain(
    layers: Sequence[recipes.Layer], shape: Shape, prefix: str
) -> tuple[nn.Sequential, Shape]:
    """Return layers one after another, and the shape of what they give."""
    modules: list[nn.Module] = []
    for index, layer in enumerate(layers):
        name = f"{prefix}{index}"
        modules.append(_build(layer, shape, name))
        shape = _output_shape(modules[-1], shape, name)
    kind = Chain if any(is_spiking(module) for module in modules) else nn.Sequential
    return kind(*modules), shape


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
        case recipes.Residual():
            return _residual(layer, shape, name)
    return _build_weighted(layer, shape, name)


def _build_weighted(
    layer: recipes.Conv
    | recipes.Whitening
    | recipes.Linear
    | recipes.BatchNorm
    | recipes.Tebn,
    shape: Shape,
    name: str,
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
        case recipes.Whitening():
            n_outputs = 2 * shape[0] * layer.kernel**2
            fixed = nn.Conv2d(shape[0], n_outputs, layer.kernel)
            return fixed.requires_grad_(False)
        case recipes.Linear():
            return nn.Linear(shape[0], layer.features)
        case recipes.BatchNorm():
            return _batch_norm(layer.gain, shape, name)
        case recipes.Tebn():
            return Tebn(_batch_norm(layer.gain, shape, name), layer.timesteps)


def _batch_norm(
    gain: float, shape: Shape, name: str
) -> nn.BatchNorm1d | nn.BatchNorm2d:
    if len(shape) not in (1, 3):
        raise ModelError(f"{name}: no batch normalization exists for shape {shape}")
    kind = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    norm = kind(shape[0])
    nn.init.constant_(norm.weight, gain)
    return norm


def _residual(layer: recipes.Residual, shape: Shape, name: str) -> nn.Module:
    body, body_shape = _build_chain(layer.body, shape, f"{name}, body ")
    skip, skip_shape = _build_chain(layer.skip, shape, f"{name}, skip ")
    if body_shape != skip_shape:
        raise ModelError(
            f"{name}: the body gives {body_shape} and the skip {skip_shape}, which "
            "cannot be added; give the skip a convolution with that many channels and "
            "that stride"
        )
    return Residual(body, skip)


def _output_shape(module: nn.Module, shape: Shape, name: str) -> Shape:
    try:
        output = module.eval()(torch.zeros(1, *shape))
    except RuntimeError as error:
        raise ModelError(
            f"{name}: {type(module).__name__} does not fit an input of shape {shape}"
        ) from error
    module.train()
    return tuple((output[0] if is_spiking(module) else output).shape[1:])


def is_spiking(module: nn.Module) -> bool:
    """Tell whether ``module`` carries a state from timestep to timestep."""
    return "state" in inspect.signature(module.forward).parameters


def is_neuron(module: nn.Module) -> bool:
    """Tell whether ``module`` is a layer of neurons of this package or of Norse."""
    is_cell = is_spiking(module) and hasattr(module, "p")
    return is_cell or isinstance(module, Qcfs | IntegrateAndFire)


def convert(network: nn.Module) -> nn.Module:
    """Return ``network`` with integrate-and-fire neurons for its ``Qcfs``.

    This is what the compiler makes of it, in floats, so that a recipe can be judged
    without compiling. Both networks share their parameters: training one trains the
    other. A network without ``Qcfs`` is left alone.
    """
    if not any(isinstance(module, Qcfs) for module in network.modules()):
        return network
    match network:
        case Qcfs():
            return IntegrateAndFire(network.threshold)
        case Residual():
            return Residual(convert(network.body), convert(network.skip))
        case nn.Sequential():
            layers = (convert(layer) for layer in network)
            return Chain(*layers).train(network.training)
    return network


def run_over_time(
    network: nn.Module, x: Tensor, n_timesteps: int, *, is_events: bool = False
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
    return _run(network, signal, n_timesteps)


def _run(module: nn.Module, signal: Tensor, n_timesteps: int) -> Tensor:
    match module:
        case nn.Sequential():
            for layer in module:
                signal = _run(layer, signal, n_timesteps)
            return signal
        case Residual():
            body = _run(module.body, signal, n_timesteps)
            return body + _run(module.skip, signal, n_timesteps)
        case Tebn():
            return module.over_time(signal, n_timesteps)
        case IntegrateAndFire():
            outputs: Tensor = module(signal, None, n_timesteps)[0]
            return outputs
    if is_spiking(module):
        return _run_neurons(module, signal, n_timesteps)
    output: Tensor = module(signal.flatten(0, 1))
    return output.view(*signal.shape[:2], *output.shape[1:])


def _run_neurons(module: nn.Module, signal: Tensor, n_timesteps: int) -> Tensor:
    state, outputs = None, []
    for current in signal.expand(n_timesteps, *signal.shape[1:]):
        output, state = module(current, state)
        outputs.append(output)
    joined = torch.cat(outputs)  # stacked, images would change their order of memory
    return joined.view(n_timesteps, -1, *joined.shape[1:])


def as_float(x: Tensor | npt.NDArray[np.uint8], *, is_events: bool = False) -> Tensor:
    """Return bytes as the network sees them, from 0 to 1; events are 0 or 1."""
    if not isinstance(x, Tensor):
        x = torch.from_numpy(x.copy())
    return x.float() if is_events else x.float() / 255
