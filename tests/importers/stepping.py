"""Compare a graph with the module it was read from, timestep by timestep."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import snn_deploy
from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.importers.torch.file import read_model
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph
from tests.build import images

TIMESTEPS = 6
N_INPUTS = 5


def settle(module: nn.Module, seed: int = 0) -> nn.Module:
    """Return ``module`` with statistics and parameters that are not the initial ones.

    Weights are large enough that neurons spike.
    """
    draw = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.normal_(0, 0.5, generator=draw)
            layer.running_var.uniform_(0.5, 2, generator=draw)
        for parameter in layer.parameters(recurse=False):
            if parameter.ndim > 0:
                scale = 2 / np.sqrt(max(1, parameter[0].numel()))
                nn.init.normal_(parameter, 0.1, float(scale), generator=draw)
    return module


def saved(module: nn.Module, folder: Path, shape: Shape, **options: Any) -> Graph:
    """Return the graph of ``module`` as it comes out of its file."""
    path = folder / "net.pt"
    snn_deploy.save(module, path, input_shape=shape, timesteps=TIMESTEPS, **options)
    return read_model(path)


def stepped(module: nn.Module, x: FloatArray) -> FloatArray:
    """Return what ``module`` gives at each timestep, ``(n, n_timesteps, n_out)``."""
    module.double().eval()
    state, outputs = None, []
    with torch.no_grad():
        for _ in range(TIMESTEPS):
            inputs = torch.from_numpy(x)
            result = module(inputs, state) if takes_state(module) else module(inputs)
            output, state = result if isinstance(result, tuple) else (result, None)
            outputs.append(output.reshape(len(x), -1))
    return np.stack([output.numpy() for output in outputs], axis=1)


def takes_state(module: nn.Module) -> bool:
    return "state" in module.forward.__code__.co_varnames


def check(module: nn.Module, folder: Path, shape: Shape) -> Graph:
    """Assert that the graph of ``module`` computes what ``module`` computes."""
    graph = saved(module, folder, shape)
    stimuli = images(N_INPUTS, shape)
    x = np.stack([stimulus.values[0] for stimulus in stimuli]) / 255

    found = evaluate(graph, stimuli)

    expected = stepped(module, x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.ptp(expected, axis=(0, 1)).max() > 0.1  # not the biases alone
    return graph
