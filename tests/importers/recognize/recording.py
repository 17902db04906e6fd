"""Record one timestep of a function ``f(x, *states) -> (output, *states)``."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from snn_deploy.arrays import FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.recognize.find import FoundNeurons, find_neurons
from snn_deploy.importers.torch.timestep import Before, Item
from snn_deploy.ir.floating import FloatRun
from snn_deploy.ir.graph import Edge, Graph, Training
from snn_deploy.ir.nodes import Input
from snn_deploy.ir.stimuli import Encoding, Stimulus

NAMES = {
    "true_divide": "div",
    "__invert__": "bitwise_not",
    "__eq__": "eq",
    "bool": "to",
    "clone": "detach",
}


class _Recorder(TorchFunctionMode):
    def __init__(self, values: dict[int, Any]) -> None:
        super().__init__()
        self.values = values
        self.kept: list[Any] = []
        self.items: list[Item] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = str(getattr(func, "__name__", func))
        sources, options = self.filled(args), self.filled(kwargs or {})
        before = args[0].clone() if name == "__setitem__" else None
        result = func(*args, **kwargs or {})
        if name == "__get__" or not any(_is_traced(s) for s in sources):
            return result
        if before is not None:
            result = args[0]
        name = NAMES.get(name, name.strip("_"))
        if name.startswith("r") and name[1:] in ("sub", "div", "mul", "add"):
            name, sources = name[1:], sources[::-1]
        if name in ("float", "double"):
            name = "to"
        shape = tuple(result.shape[1:])
        item = Item(operation=name, sources=sources, options=options, shape=shape)
        self.values[id(result)] = item
        self.kept.append(result)
        self.items.append(item)
        return result

    def filled(self, given: Any) -> Any:
        if isinstance(given, torch.Tensor):
            return self.values.get(id(given), given)
        if isinstance(given, tuple | list):
            return type(given)(map(self.filled, given))
        if isinstance(given, dict):
            return {key: self.filled(value) for key, value in given.items()}
        return given


def _is_traced(value: Any) -> bool:
    return isinstance(value, Item | Before)


def found(
    function: Callable[..., Any], shape: tuple[int, ...], *initial: Any
) -> list[FoundNeurons]:
    """Return the neurons of a function that gives spikes, or a voltage, and states."""
    return _found(function, shape, initial, is_output=True)


def found_all(
    function: Callable[..., Any], shape: tuple[int, ...], *initial: Any
) -> list[FoundNeurons]:
    """Return all neurons in what a function does."""
    return _found(function, shape, initial, is_output=False)


def _found(
    function: Callable[..., Any],
    shape: tuple[int, ...],
    initial: tuple[Any, ...],
    *,
    is_output: bool,
) -> list[FoundNeurons]:
    items, used = recorded(function, shape, *initial)
    neurons, refused = find_neurons(items, used, kind)
    if refused:
        raise ModelError(refused[0].message)
    if is_output:
        assert all(layer.outputs == tuple(used) for layer in neurons)
    return neurons


def recorded(
    function: Callable[..., Any], shape: tuple[int, ...], *initial: Any
) -> tuple[list[Item], set[Item]]:
    """Return what a function does in a timestep, and what of it is its output."""
    x = torch.rand(3, *shape, dtype=torch.float64)
    into = Item(operation="input", shape=shape)
    states = [torch.rand_like(x) for _ in initial]
    carried = [Before(item=into, initial=value) for value in initial]
    values: dict[int, Any] = {id(x): into}
    values |= {id(state): before for state, before in zip(states, carried, strict=True)}
    recorder = _Recorder(values)
    with torch.no_grad(), recorder:
        returned = function(x, *states)
    output, *after = returned if isinstance(returned, tuple) else (returned,)
    for before, state in zip(carried, after, strict=True):
        before.item = values[id(state)]
    return [into, *recorder.items], {values[id(output)]}


def kind(path: str) -> str:
    """Return what all modules are called here."""
    return "Own"


def outputs_of_function(
    function: Callable[..., Any], inputs: FloatArray, *initial: float
) -> FloatArray:
    """Return what a function gives for ``inputs`` ``(timestep, n, ...)``."""
    states = [torch.full(inputs[0].shape, s, dtype=torch.float64) for s in initial]
    given = []
    for x in torch.from_numpy(inputs):
        output, *states = function(x, *states)
        given.append(output.double().numpy())
    return np.stack(given)


def outputs_of_cell(neurons: FoundNeurons, inputs: FloatArray) -> FloatArray:
    """Return what a graph of one layer of neurons gives."""
    node = neurons.node
    n = inputs.shape[1]
    graph = Graph(
        name="network",
        nodes=(Input(name="input", shape=node.shape), node),
        edges=(
            Edge(source="input", target=node.name, delay=neurons.reading.input_delay),
        ),
        training=Training(timesteps=len(inputs), encoding=Encoding.EVENTS),
    )
    silence = np.zeros((1, *node.shape), np.int64)
    run = FloatRun(graph, [Stimulus(values=silence, is_constant=True)] * n)
    given = []
    for x in inputs:
        run._input = lambda x=x: x  # type: ignore[method-assign,misc]
        run.step()
        given.append(run.sent[-1][node.name])
    return np.stack(given)
