"""Compare a traced graph with the module it was traced from, timestep by timestep."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.ir.floating import FloatRun
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Relu
from snn_deploy.spikes import GRAY_LEVELS, Encoding, Stimulus

N_INPUTS, N_TIMESTEPS = 6, 8
LOUDER = 8  # half of the inputs, so that layers that hardly spike do
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
    if graph.nodes_of(Relu):  # the graph cuts them off, on purpose
        return
    rng = np.random.default_rng(0)
    shape = (N_INPUTS, N_TIMESTEPS, *graph.input.shape)
    is_graded = graph.training.encoding is Encoding.DIRECT
    largest = GRAY_LEVELS if is_graded else 1
    values = rng.integers(0, largest, shape, endpoint=True)
    values[N_INPUTS // 2 :] *= LOUDER
    scaled = values / largest * graph.training.input_scale
    module = _Stepped(model, scaled + graph.training.input_offset)
    stimuli = [Stimulus(values=value, is_constant=False) for value in values]
    run = FloatRun(graph, stimuli)
    for timestep in range(1, N_TIMESTEPS + 1):
        expected = module.step()
        run.step()
        for node in graph.order:
            _compare(graph, node.name, timestep, run.sent[-1], expected)


def _compare(
    graph: Graph,
    name: str,
    timestep: int,
    found: dict[str, FloatArray],
    expected: dict[str, FloatArray],
) -> None:
    """Raise an error if a layer of the module gave something else."""
    if name not in expected:
        return
    scale = max(float(np.abs(expected[name]).max()), 1e-12)
    difference = np.abs(found[name].reshape(-1) - expected[name].reshape(-1)).max()
    if difference > TOLERANCE * scale:
        raise ModelError(
            f"{name}: gives other outputs at timestep {timestep} than the layers "
            "before it say; forward must hand every neuron layer its own state back, "
            "as in: out, state1 = lif1(x, state1); return out, states"
        )


class _Stepped:
    """The module, in double precision so that roundings flip no spike."""

    def __init__(self, model: nn.Module, x: FloatArray) -> None:
        self.model = copy.deepcopy(model).double().eval()
        self.inputs = torch.as_tensor(x, dtype=torch.float64)
        self.states: Any = None
        self.timestep = 0
        self.outputs: dict[str, FloatArray] = {}
        self.n_calls: dict[str, int] = {}
        for name, module in self.model.named_modules():
            if name:
                module.register_forward_hook(self._hook(name))

    def step(self) -> dict[str, FloatArray]:
        """Advance one timestep; return what each layer gave that was called once."""
        self.outputs, self.n_calls = {}, {}
        with torch.no_grad():
            self._call(self.inputs[:, self.timestep])
        self.timestep += 1
        return {k: v for k, v in self.outputs.items() if self.n_calls[k] == 1}

    def _hook(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def keep(module: nn.Module, arguments: Any, result: Any) -> None:
            output = result[0] if isinstance(result, tuple) else result
            if isinstance(output, torch.Tensor):
                self.outputs[name] = output.double().numpy()
                self.n_calls[name] = self.n_calls.get(name, 0) + 1

        return keep

    def _call(self, x: torch.Tensor) -> None:
        name = "forward(x)" if self.states is None else "forward(x, states)"
        try:
            result = (
                self.model(x) if self.states is None else self.model(x, self.states)
            )
        except Exception as error:  # the user's code may raise anything
            raise ModelError(
                f"{type(self.model).__name__}: {name} fails ({error}); one timestep "
                "must take the input, and the states that the one before returned"
            ) from error
        is_pair = isinstance(result, tuple | list) and len(result) > 1
        self.states = result[1] if is_pair else None
