"""Compare a traced graph with the module it was traced from, timestep by timestep."""

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph
from snn_deploy.spikes import GRAY_LEVELS, Encoding, Stimulus

N_INPUTS, N_TIMESTEPS = 4, 5
TOLERANCE = 1e-5  # relative to the largest output


def check_against_module(graph: Graph, model: nn.Module) -> None:
    """Raise an error if ``graph`` does not compute what ``model`` does.

    Both run a few timesteps of random inputs, in double precision. The module is called
    as a user would: ``model(x)``, then ``model(x, states)`` with what it returned
    beside the output. That finds states that are dropped, crossed or shared, which the
    layers and their order do not show.

    Raises
    ------
    ModelError
        If an output differs, or the module cannot be called.
    """
    rng = np.random.default_rng(0)
    shape = (N_INPUTS, N_TIMESTEPS, *graph.input.shape)
    is_graded = graph.training.encoding is Encoding.DIRECT
    largest = GRAY_LEVELS if is_graded else 1
    values = rng.integers(0, largest, shape, endpoint=True)
    stimuli = [Stimulus(values=value, is_constant=False) for value in values]
    scaled = values / largest * graph.training.input_scale
    expected = _stepped(model, scaled + graph.training.input_offset)
    found = evaluate(graph, stimuli, N_TIMESTEPS)
    scale = max(float(np.abs(expected).max()), 1e-12)
    differs = np.abs(found - expected).max(axis=(0, 2)) > TOLERANCE * scale
    if differs.any():
        first = int(differs.argmax()) + 1
        raise ModelError(
            f"{graph.name}: at timestep {first} the module gives other outputs than "
            "its layers would; forward must hand every neuron layer its own state "
            "back, as in: out, state1 = lif1(x, state1); return out, states"
        )


def _stepped(model: nn.Module, x: FloatArray) -> FloatArray:
    """Return the module's outputs, ``(n, n_timesteps, n_out)``."""
    precise = _double(model)
    inputs = torch.as_tensor(x, dtype=torch.float64)
    states: Any = None
    outputs = []
    with torch.no_grad():
        for t in range(inputs.shape[1]):
            output, states = _call(precise, inputs[:, t], states)
            outputs.append(output.reshape(len(inputs), -1).double().numpy())
    return np.stack(outputs, axis=1)


def _double(model: nn.Module) -> nn.Module:
    """Return a copy in double precision, so that roundings flip no spike."""
    return copy.deepcopy(model).double().eval()


def _call(model: nn.Module, x: torch.Tensor, states: Any) -> tuple[torch.Tensor, Any]:
    try:
        result = model(x) if states is None else model(x, states)
    except Exception as error:  # the user's code may raise anything
        called = "forward(x)" if states is None else "forward(x, states)"
        raise ModelError(
            f"{type(model).__name__}: {called} fails ({error}); one timestep must take "
            "the input, and the states that the one before returned"
        ) from error
    if isinstance(result, tuple | list):
        return result[0], result[1] if len(result) > 1 else None
    return result, None
