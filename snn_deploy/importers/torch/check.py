"""Compare a traced graph with the module it was traced from, timestep by timestep."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import FloatArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.frameworks.framework import Framework, TimeAxis
from snn_deploy.importers.torch.frameworks.registry import (
    copied,
    framework_of,
    time_axis,
)
from snn_deploy.ir.floating import FloatRun
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Integrator, Lif
from snn_deploy.ir.stimuli import GRAY_LEVELS, Encoding, Stimulus

N_INPUTS, N_TIMESTEPS = 6, 8
LOUDER = 8  # half of the inputs, so that layers that hardly spike do
TOLERANCE = 1e-5  # relative to the largest output
STATES = (
    "forward must hand every neuron layer its own state back, as in: out, state1 = "
    "lif1(x, state1); return out, states"
)
CALLS = (
    "forward does what its calls of layers do not show, such as keeping a value from "
    "one timestep to the next; write it as layers, sums and flattens alone"
)


def check_against_module(
    graph: Graph,
    model: nn.Module,
    input_shape: Shape,
    dropped: nn.Module | None = None,
) -> None:
    """Raise an error if ``graph`` does not compute what ``model`` does.

    Both run a few timesteps of random inputs, in double precision. The module is called
    as a user would: ``model(x)``, then ``model(x, states)`` with what it returned
    beside the output; or once with all timesteps, if that is what it takes. What it
    returns must be the graph's output, and so must what each of its layers gives: that
    finds states that are dropped, crossed or shared, and values that change in place,
    which the layers and their order do not show. Where a voltage meets its threshold
    but for rounding, as those of weights with few bits do, the module decides. Neurons
    that keep their states themselves are left at rest.

    Parameters
    ----------
    graph : Graph
        Its ReLUs are not cut off where those of the module are not.
    model : nn.Module
    input_shape : tuple of int
    dropped : nn.Module, optional
        What the module does to its output, and the graph does not.

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
    values[N_INPUTS // 2 :] *= LOUDER
    scaled = values / largest * graph.training.input_scale
    inputs = (scaled + graph.training.input_offset).reshape(*shape[:2], *input_shape)
    module = run_module(graph, model, inputs)
    stimuli = [Stimulus(values=value, is_constant=False) for value in values]
    run = _Beside(graph, stimuli)
    for timestep in range(1, N_TIMESTEPS + 1):
        returned = module.step()
        run.expected = module.layers
        run.step()
        sent = run.sent[-1]
        for node in graph.order:
            if node is not graph.input and node.name in run.expected:
                where = f"{node.name}: gives other outputs at timestep {timestep} than"
                _compare(where, sent[node.name], run.expected[node.name], module.advice)
        output = sent[graph.output.name].reshape(N_INPUTS, -1)
        if dropped is not None:
            output = dropped(torch.from_numpy(output)).numpy()
        where = f"{graph.output.name}: forward returns other values at timestep "
        _compare(f"{where}{timestep} than", output, returned, module.advice)


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


def _compare(where: str, found: FloatArray, expected: FloatArray, advice: str) -> None:
    """Raise an error if the module gives something else."""
    if found.size != expected.size:
        raise ModelError(
            f"{where} the layers before it say: {expected.size // N_INPUTS} values for "
            f"each input, not {found.size // N_INPUTS}; {advice}"
        )
    scale = max(float(np.abs(expected).max()), 1e-12)
    difference = np.abs(found.reshape(-1) - expected.reshape(-1)).max()
    if not difference <= TOLERANCE * scale:
        raise ModelError(
            f"{where} the layers before it say, by up to {difference:.3g} of "
            f"{scale:.3g}; {advice}"
        )


class ModuleRun(Protocol):
    """A module in progress."""

    layers: dict[str, FloatArray]  # what each layer gave that was called once
    advice: str  # what to do where the module gives something else than the graph

    def step(self) -> FloatArray:
        """Advance one timestep; return what the module gave."""


def run_module(graph: Graph, model: nn.Module, inputs: FloatArray) -> ModuleRun:
    """Return a copy of ``model``, ready to run ``inputs`` ``(n, timesteps, ...)``."""
    axis, framework = time_axis(model)
    if axis is TimeAxis.NONE:
        return _Stepped(graph, model, inputs)
    return _AtOnce(graph, model, inputs, axis, framework)


class _Watched:
    """A copy in double precision, so that roundings flip no spike; keeps outputs."""

    advice = CALLS
    how_to_call = (
        "one timestep must take the input, and the states that the one before returned"
    )

    def __init__(self, graph: Graph, model: nn.Module) -> None:
        self.model = copied(model).double().eval()
        self.layers: dict[str, FloatArray] = {}
        self.outputs: dict[str, FloatArray] = {}
        self.n_calls: dict[str, int] = {}
        voltages = {node.name for node in graph.nodes_of(Integrator)}
        for name, module in self.model.named_modules():
            if name:
                module.register_forward_pre_hook(_in_double_precision)
                module.register_forward_hook(self._hook(name, name in voltages))

    def once(self) -> dict[str, FloatArray]:
        """Return the outputs of the layers that were called once."""
        return {k: v for k, v in self.outputs.items() if self.n_calls[k] == 1}

    def _hook(
        self, name: str, is_voltage: bool
    ) -> Callable[[nn.Module, Any, Any], torch.Tensor | None]:
        def keep(module: nn.Module, arguments: Any, result: Any) -> torch.Tensor | None:
            framework, given = framework_of(module), result
            result = framework.whole(module, result)
            instead = None if result is given else result
            if isinstance(result, tuple):
                index = framework.voltage_index(module) if is_voltage else 0
                result = result[max(index, 0)]
            if isinstance(result, torch.Tensor):  # which may yet change in place
                self.outputs[name] = result.double().numpy().copy()
                self.n_calls[name] = self.n_calls.get(name, 0) + 1
            return instead

        return keep

    def call(self, name: str, *arguments: Any) -> Any:
        """Call the module; ``name`` says how."""
        self.outputs, self.n_calls = {}, {}
        try:
            with torch.no_grad():
                return self.model(*arguments)
        except Exception as error:  # the user's code may raise anything
            plain = _plain_tensor(self.model)
            what_to_do = self.how_to_call
            if plain:
                what_to_do = (
                    f"{plain} is a plain tensor, which keeps its type; wrap it in "
                    "torch.nn.Parameter, or register it as a buffer"
                )
            raise ModelError(
                f"{type(self.model).__name__}: {name} fails ({error}); {what_to_do}"
            ) from error


def _returned(result: Any) -> FloatArray:
    """Return what a forward gives first: the output, before its states."""
    while isinstance(result, tuple | list):
        result = result[0]
    values: FloatArray = result.double().numpy().copy()
    return values


def _plain_tensor(model: nn.Module) -> str:
    """Return the name of a tensor of single precision that is not registered.

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
        self.takes_state = any(
            framework_of(module).takes_state(module) for module in model.modules()
        )
        self.advice = STATES if self.takes_state else CALLS
        self.inputs = torch.as_tensor(inputs, dtype=torch.float64)
        self.states: Any = None
        self.timestep = 0

    def step(self) -> FloatArray:
        x = self.inputs[:, self.timestep]
        if self.states is None:
            result = self.call("forward(x)", x)
        else:
            result = self.call("forward(x, states)", x, self.states)
        is_pair = isinstance(result, tuple | list) and len(result) > 1
        self.states = result[1] if is_pair and self.takes_state else None
        self.timestep += 1
        self.layers = self.once()
        return _returned(result)


class _AtOnce(_Watched):
    """A module whose forward takes all timesteps."""

    def __init__(
        self,
        graph: Graph,
        model: nn.Module,
        inputs: FloatArray,
        axis: TimeAxis,
        framework: Framework,
    ) -> None:
        super().__init__(graph, model)
        if framework.advice:
            self.advice = self.how_to_call = framework.advice
        self.axis = axis
        self.size = inputs.shape[:2]
        self.timestep = 0
        for module in self.model.modules():
            framework_of(module).set_sizes(module, *self.size)
        x = torch.as_tensor(inputs, dtype=torch.float64)
        if axis is TimeAxis.FIRST:
            x = x.transpose(0, 1)
        elif axis is TimeAxis.MERGED:
            x = x.flatten(0, 1)
        result = self.call(f"forward(x) with x as ({axis.value}, ...)", x)
        self.returned = _returned(result)

    def step(self) -> FloatArray:
        self.layers = {name: self._now(value) for name, value in self.once().items()}
        returned = self._now(self.returned)
        self.timestep += 1
        return returned

    def _now(self, values: FloatArray) -> FloatArray:
        """Return the part of the timestep at hand."""
        n, n_timesteps = self.size
        if values.size % (n * n_timesteps):
            raise ModelError(
                f"{type(self.model).__name__}: gives {values.size} values for {n} "
                f"inputs of {n_timesteps} timesteps; {self.advice}"
            )
        if self.axis is TimeAxis.FIRST:
            return np.asarray(values.reshape(n_timesteps, n, -1)[self.timestep])
        return np.asarray(values.reshape(n, n_timesteps, -1)[:, self.timestep])


def _in_double_precision(module: nn.Module, arguments: tuple[Any, ...]) -> Any:
    """Undo that some neurons send spikes in single precision."""
    return tuple(
        a.double() if isinstance(a, torch.Tensor) and a.is_floating_point() else a
        for a in arguments
    )
