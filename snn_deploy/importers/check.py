"""Compare a traced graph with the module it was traced from, timestep by timestep."""

import copy
import pickle
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.frameworks import (
    TimeAxis,
    rest,
    takes_state,
    time_axis,
    voltage_index,
)
from snn_deploy.ir.floating import FloatRun
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Integrator, Lif, Relu
from snn_deploy.spikes import GRAY_LEVELS, Encoding, Stimulus

N_INPUTS, N_TIMESTEPS = 6, 8
LOUDER = 8  # half of the inputs, so that layers that hardly spike do
TOLERANCE = 1e-5  # relative to the largest output


def check_against_module(graph: Graph, model: nn.Module, input_shape: Shape) -> None:
    """Raise an error if ``graph`` does not compute what ``model`` does.

    Both run a few timesteps of random inputs, in double precision. The module is called
    as a user would: ``model(x)``, then ``model(x, states)`` with what it returned
    beside the output; or once with all timesteps, if that is what it takes. That finds
    states that are dropped, crossed or shared, which the layers and their order do not
    show. Where a voltage meets its threshold but for rounding, as those of weights with
    few bits do, the module decides. Neurons that keep their states themselves are left
    at rest.

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
    inputs = (scaled + graph.training.input_offset).reshape(*shape[:2], *input_shape)
    module = run_module(graph, model, inputs)
    stimuli = [Stimulus(values=value, is_constant=False) for value in values]
    run = _Beside(graph, stimuli)
    for timestep in range(1, N_TIMESTEPS + 1):
        run.expected = module.step()
        run.step()
        for node in graph.order:
            _compare(node.name, timestep, run.sent[-1], run.expected)


class _Beside(FloatRun):
    """A run in which ties are decided as in the module."""

    expected: dict[str, FloatArray]  # what each layer of the module gives now

    def _spikes(self, node: Lif, voltage: FloatArray) -> FloatArray:
        mine = super()._spikes(node, voltage)
        if node.name not in self.expected:
            return mine
        given = self.expected[node.name].reshape(voltage.shape) / node.spike_value
        # the voltage at which the larger of the two numbers of spikes begins
        edge = node.threshold + (np.maximum(mine, given) - 1) * node.reset_amount
        is_tie = np.abs(voltage - edge) <= TOLERANCE * node.threshold
        return np.where(is_tie, given, mine)


def _compare(
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


def copied(model: nn.Module) -> nn.Module:
    """Return a copy of ``model``, its neurons at rest."""
    rest(model)  # states with a history cannot be copied
    try:
        return copy.deepcopy(model)
    except AttributeError:  # sinabs' layers with rec_connect
        found: nn.Module = pickle.loads(pickle.dumps(model))
        return found


class ModuleRun(Protocol):
    """A module in progress."""

    def step(self) -> dict[str, FloatArray]:
        """Advance one timestep; return what each layer gave that was called once."""


def run_module(graph: Graph, model: nn.Module, inputs: FloatArray) -> ModuleRun:
    """Return a copy of ``model``, ready to run ``inputs`` ``(n, timesteps, ...)``."""
    axis = time_axis(model)
    if axis is TimeAxis.NONE:
        return _Stepped(graph, model, inputs)
    return _AtOnce(graph, model, inputs, axis)


class _Watched:
    """A copy in double precision, so that roundings flip no spike; keeps outputs."""

    def __init__(self, graph: Graph, model: nn.Module) -> None:
        self.model = copied(model).double().eval()
        self.outputs: dict[str, FloatArray] = {}
        self.n_calls: dict[str, int] = {}
        readouts = {node.name for node in graph.nodes_of(Integrator)}
        for name, module in self.model.named_modules():
            if name:
                module.register_forward_pre_hook(_in_double_precision)
                module.register_forward_hook(self._hook(name, name in readouts))

    def once(self) -> dict[str, FloatArray]:
        """Return the outputs of the layers that were called once."""
        return {k: v for k, v in self.outputs.items() if self.n_calls[k] == 1}

    def _hook(
        self, name: str, is_readout: bool
    ) -> Callable[[nn.Module, Any, Any], None]:
        def keep(module: nn.Module, arguments: Any, result: Any) -> None:
            if isinstance(result, tuple):
                index = voltage_index(module) if is_readout else 0
                result = result[max(index, 0)]
            if isinstance(result, torch.Tensor):
                self.outputs[name] = result.double().numpy()
                self.n_calls[name] = self.n_calls.get(name, 0) + 1

        return keep

    def call(self, name: str, *arguments: Any) -> Any:
        """Call the module; ``name`` says how."""
        self.outputs, self.n_calls = {}, {}
        try:
            with torch.no_grad():
                return self.model(*arguments)
        except Exception as error:  # the user's code may raise anything
            plain = _plain_tensor(self.model)
            what_to_do = (
                f"{plain} is a plain tensor, which keeps its type; wrap it in "
                "torch.nn.Parameter, or register it as a buffer"
                if plain
                else "one timestep must take the input, and the states that the one "
                "before returned"
            )
            raise ModelError(
                f"{type(self.model).__name__}: {name} fails ({error}); {what_to_do}"
            ) from error


def _plain_tensor(model: nn.Module) -> str:
    """Return the name of a tensor of single precision that is no parameter or buffer.

    The model was made double, and such tensors stay behind. Empty: there is none.
    """
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, torch.Tensor) and value.dtype is torch.float32:
                return f"{path}.{name}" if path else name
    return ""


class _Stepped(_Watched):
    """A module whose forward is one timestep."""

    def __init__(self, graph: Graph, model: nn.Module, inputs: FloatArray) -> None:
        super().__init__(graph, model)
        self.takes_state = any(takes_state(module) for module in model.modules())
        self.inputs = torch.as_tensor(inputs, dtype=torch.float64)
        self.states: Any = None
        self.timestep = 0

    def step(self) -> dict[str, FloatArray]:
        x = self.inputs[:, self.timestep]
        if self.states is None:
            result = self.call("forward(x)", x)
        else:
            result = self.call("forward(x, states)", x, self.states)
        is_pair = isinstance(result, tuple | list) and len(result) > 1
        self.states = result[1] if is_pair and self.takes_state else None
        self.timestep += 1
        return self.once()


class _AtOnce(_Watched):
    """A module whose forward takes all timesteps."""

    def __init__(
        self, graph: Graph, model: nn.Module, inputs: FloatArray, axis: TimeAxis
    ) -> None:
        super().__init__(graph, model)
        self.axis = axis
        self.size = inputs.shape[:2]
        self.timestep = 0
        for module in self.model.modules():
            _set_sizes(module, *self.size)
        x = torch.as_tensor(inputs, dtype=torch.float64)
        if axis is TimeAxis.FIRST:
            x = x.transpose(0, 1)
        elif axis is TimeAxis.MERGED:
            x = x.flatten(0, 1)
        self.call(f"forward(x) with x as ({axis.value}, ...)", x)

    def step(self) -> dict[str, FloatArray]:
        timestep = self.timestep
        self.timestep += 1
        n, n_timesteps = self.size
        if self.axis is TimeAxis.FIRST:
            return {
                name: output.reshape(n_timesteps, n, -1)[timestep]
                for name, output in self.once().items()
            }
        return {
            name: output.reshape(n, n_timesteps, -1)[:, timestep]
            for name, output in self.once().items()
        }


def _set_sizes(module: nn.Module, n: int, n_timesteps: int) -> None:
    """Tell layers that part batch and time how many there are of each."""
    sizes: Any = module
    if type(module).__module__.startswith("sinabs"):
        if hasattr(module, "batch_size"):
            sizes.batch_size = n
        if hasattr(module, "num_timesteps"):
            sizes.num_timesteps = n_timesteps


def _in_double_precision(module: nn.Module, arguments: tuple[Any, ...]) -> Any:
    """Undo that some neurons send spikes in single precision."""
    return tuple(
        a.double() if isinstance(a, torch.Tensor) and a.is_floating_point() else a
        for a in arguments
    )
