"""Compare the spikes of an imported graph with those of the framework itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import snn_deploy
from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.importers.torch.frameworks.registry import copied
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.stimuli import Stimulus

torch.set_num_threads(1)  # the networks are tiny
N, TIMESTEPS = 4, 24
Run = Callable[[nn.Module, torch.Tensor], torch.Tensor]  # (n, timesteps, ...) of each


def bytes_of(shape: Shape, seed: int = 0) -> FloatArray:
    """Return inputs that differ from timestep to timestep."""
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (N, TIMESTEPS, *shape)).astype(np.float64)


def agree(
    module: nn.Module, run: Run, folder: Path, shape: Shape, **options: Any
) -> Graph:
    """Assert that the saved graph of ``module`` gives what ``run`` gives; return it.

    The framework runs in double precision, so that equality is no luck of rounding.
    """
    graph = snn_deploy.save(
        module, folder / "net.pt", input_shape=shape, timesteps=TIMESTEPS, **options
    )
    values = bytes_of(shape)
    expected = exact(module, run, values / 255)

    found = evaluate(graph, stimuli(graph, values))
    # spikes must be equal; Norse computes the decays of its read-outs in float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert np.ptp(expected, axis=1).max() > 0, "the network does nothing"
    return graph


def stimuli(graph: Graph, values: FloatArray) -> list[Stimulus]:
    """Return inputs in the form that a graph takes."""
    shape = (TIMESTEPS, *graph.input.shape)
    inputs = values.astype(np.int64)
    return [Stimulus(values=v.reshape(shape), is_constant=False) for v in inputs]


def exact(module: nn.Module, run: Run, x: FloatArray) -> FloatArray:
    """Return the outputs ``(n, timesteps, n_out)`` of a copy in double precision."""
    with torch.no_grad():
        output = run(in_double(module), torch.as_tensor(x, dtype=torch.float64))
    return output.double().reshape(N, TIMESTEPS, -1).numpy()


def in_double(module: nn.Module) -> nn.Module:
    """Return a copy that runs in double precision, whatever its layers are given."""
    ours = copied(module).double().eval()
    for layer in ours.modules():
        layer.register_forward_pre_hook(_doubled)
    return ours


def _doubled(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        a.double() if isinstance(a, torch.Tensor) and a.is_floating_point() else a
        for a in arguments
    )


def stepped(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Run a module that is one timestep and keeps its states itself."""
    outputs = []
    for timestep in range(x.shape[1]):
        result = module(x[:, timestep])
        outputs.append(result[0] if isinstance(result, tuple) else result)
    return torch.stack(outputs, dim=1)


def with_states(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Run a module that is one timestep and is given its states back."""
    outputs, states = [], None
    for timestep in range(x.shape[1]):
        output, states = module(x[:, timestep], states)
        outputs.append(output)
    return torch.stack(outputs, dim=1)


def time_first(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Run a module that takes (time, batch, ...)."""
    output: torch.Tensor = module(x.transpose(0, 1)).transpose(0, 1)
    return output


def time_second(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Run a module that takes (batch, time, ...)."""
    output: torch.Tensor = module(x)
    return output


def merged(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Run a module that takes (batch * time, ...)."""
    output: torch.Tensor = module(x.flatten(0, 1))
    return output


def louder(module: nn.Module, factor: float = 3.0) -> nn.Module:
    """Return ``module`` with fixed weights so large that its neurons spike."""
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
                scale = factor / np.sqrt(layer.weight[0].numel())
                layer.weight.normal_(0, scale, generator=draw)
                if layer.bias is not None:
                    layer.bias.normal_(0.1, 0.1, generator=draw)
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                assert layer.running_mean is not None
                assert layer.running_var is not None
                layer.running_mean.normal_(0, 0.5, generator=draw)
                layer.running_var.uniform_(0.5, 2, generator=draw)
                layer.weight.uniform_(0.5, 2, generator=draw)
                if layer.bias is not None:
                    layer.bias.uniform_(-0.2, 0.5, generator=draw)
    return module
