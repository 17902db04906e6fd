"""Read a PyTorch module whose forward is one timestep.

Conventions: the first axis of every tensor is the batch; layers are traced with
torch.fx, in evaluation mode (batch normalizations use their running statistics, dropout
does nothing). Containers are walked through; every other module is one layer, chosen by
its type, and refused by name if its type or one of its parameters has no counterpart.
A row of several channels is a map of height 1, so that 1d layers are 2d ones. Modules
of frameworks that take all timesteps at once are read as their timestep.
"""

import operator

import torch
import torch.fx
from torch import nn

from snn_deploy.arrays import AnyArray, Shape
from snn_deploy.errors import ModelError
from snn_deploy.importers.balance import measured
from snn_deploy.importers.torch.check import check_against_module
from snn_deploy.importers.torch.collected import (
    CHANGED,
    INPUT_NAME,
    OUT_OF_PLACE,
    Aliases,
    Layers,
)
from snn_deploy.importers.torch.frameworks.framework import TimeAxis
from snn_deploy.importers.torch.frameworks.registry import (
    DEPLOYABLE,
    check_answer,
    copied,
    framework_of,
    is_cell,
    is_sequence,
    time_axis,
)
from snn_deploy.importers.torch.tracing import (
    ADDITIONS,
    ADDITIONS_IN_PLACE,
    RESHAPES,
    called,
    is_flattening,
    is_idle_dropout,
    layer_of,
    output_of,
    size_of,
    traced,
)
from snn_deploy.ir.graph import Graph, Training

# what holds a module, by the name it has there
INNER = {
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "OptimizedModule": "_orig_mod",  # of torch.compile
}
STATE = "state of neurons"  # stands for values that only neurons may take


def trace(
    model: nn.Module,
    name: str,
    input_shape: Shape,
    training: Training,
    example_inputs: AnyArray | None = None,
    *,
    is_balanced: bool = True,
) -> Graph:
    """Return the graph of ``model``, which has been seen to compute the same.

    Parameters
    ----------
    model : nn.Module
        Its forward takes ``(batch, input_shape...)`` and is one timestep. A
        framework's row of layers is read child by child.
    name : str
        Becomes the graph's name.
    input_shape : tuple of int
        Without the batch; ``(channel, length)`` becomes ``(channel, 1, length)``.
    training : Training
        What the model was trained for.
    example_inputs : array, (n, input_shape...), optional
        Data on which the largest values of ReLUs are measured.
    is_balanced : bool
        Refuse ReLUs whose largest value is neither known nor measured.

    Raises
    ------
    ModelError
        If a layer cannot be deployed, forward loops over timesteps, or the model
        computes something else than its layers say.
    """
    check_answer(model, training.functional)
    axis, _ = time_axis(model)
    has_time = axis in (TimeAxis.FIRST, TimeAxis.SECOND)
    needs_maxima = is_balanced and example_inputs is None
    layers = Layers(input_shape, has_time=has_time, is_balanced=needs_maxima)
    if is_sequence(model):
        last = layers.sequence(model, "", INPUT_NAME)
    else:
        last = _Forward(model, layers).read(traced(model))
    graph = layers.graph(name, last, training)
    check_against_module(graph, model, input_shape, layers.dropped)
    if example_inputs is None:
        return graph
    return measured(graph, example_inputs, modules=layers.relus)


class _Forward:
    """Walks through the calls of a traced forward and collects the layers."""

    def __init__(self, model: nn.Module, layers: Layers) -> None:
        self.model = model
        self.layers = layers
        self.aliases: Aliases[torch.fx.Node] = Aliases(layers)
        self.ends = self.aliases.ends
        self.pairs: dict[torch.fx.Node, nn.Module] = {}  # calls that may give states
        self.voltages: dict[torch.fx.Node, str] = {}  # states that are a voltage

    def read(self, graph: torch.fx.Graph) -> str:
        """Add everything that the forward does; return its last layer."""
        *calls, output = graph.nodes
        for item in calls:
            end = self._end(item)
            first = item.args[0] if item.args else None
            self.aliases.note(
                item,
                end,
                first if isinstance(first, torch.fx.Node) else None,
                is_written=self._writes(item),
            )
        return self._last(output_of(output))

    def _writes(self, item: torch.fx.Node) -> bool:
        """Return whether a call changes its first argument in place."""
        if item.op == "call_module":
            module: nn.Module | None = self.model.get_submodule(str(item.target))
            while module is not None and is_sequence(module):
                busy = (m for m in module.children() if not self.layers.is_passed(m))
                module = next(busy, None)
        else:
            module = layer_of(item)
        is_addition = item.op != "call_module" and item.target in ADDITIONS_IN_PLACE
        return is_addition or bool(getattr(module, "inplace", False))

    def _end(self, item: torch.fx.Node) -> str:
        match item.op:
            case "placeholder":  # further ones are states
                return STATE if self.ends else INPUT_NAME
            case "call_module":
                module = self.model.get_submodule(str(item.target))
                if is_cell(module) or is_sequence(module):
                    self.pairs[item] = module
                return self._call_module(item, module)
            case "call_function" | "call_method":
                return self._call(item)
        raise ModelError(
            f"{item.name}: forward uses {item.target}, which is not a layer; only "
            "layers, sums and flatten can be deployed"
        )

    def _last(self, item: torch.fx.Node) -> str:
        """Return the layer that a forward gives; for a voltage, make it one."""
        if self.ends[item] == CHANGED:
            raise ModelError(f"forward returns a {CHANGED}; {OUT_OF_PLACE}")
        if self.ends[item] != STATE:
            return self.ends[item]
        name = self.voltages.get(item, "")
        if not self.layers.read_voltage(name):
            raise ModelError(
                "forward returns the state of neurons first; return the output, or the "
                "output and its states (a voltage can be read out where no spike "
                "resets it and nothing takes the spikes)"
            )
        return name

    def _call_module(self, item: torch.fx.Node, module: nn.Module) -> str:
        if framework_of(module).is_sum(module):
            return self._sum(item)
        return self.layers.module(module, str(item.target), self._signal(item))

    def _call(self, item: torch.fx.Node) -> str:
        first = item.args[0] if item.args else None
        of = self.ends.get(first, "") if isinstance(first, torch.fx.Node) else ""
        size = size_of(item, of)
        if size is not None or item.target is operator.getitem:
            return size or self._item(item)
        if item.target in ADDITIONS:
            return self._sum(item)
        if is_idle_dropout(item):
            return self._signal(item)
        if item.target in RESHAPES:
            return self._reshaped(item)
        layer = layer_of(item)
        if layer is not None:
            return self.layers.module(layer, item.name, self._signal(item))
        raise ModelError(
            f"{item.name}: forward calls {called(item)}, which cannot be deployed; use "
            f"one of {', '.join(DEPLOYABLE)}"
        )

    def _reshaped(self, item: torch.fx.Node) -> str:
        source = self._signal(item)
        if is_flattening(item, self.layers.shape_of(source), self.ends):
            return self.layers.module(nn.Flatten(), item.name, source)
        return source

    def _sum(self, item: torch.fx.Node) -> str:
        terms = [self.ends[a] for a in item.args if isinstance(a, torch.fx.Node)]
        known = {*self.layers.nodes, *self.layers.ends}
        if CHANGED in terms:
            raise ModelError(f"{item.name}: forward adds a {CHANGED}; {OUT_OF_PLACE}")
        if len(terms) != 2 or item.kwargs or not {*terms} <= known:
            raise ModelError(
                f"{item.name}: forward adds a constant or a state to a layer's "
                "output, only two outputs can be added; make a constant a bias"
            )
        return self.layers.sum(item.name, terms)

    def _item(self, item: torch.fx.Node) -> str:
        """Return what an item of ``(output, state)`` stands for."""
        first, index = item.args
        assert isinstance(first, torch.fx.Node)
        if self.ends[first] == STATE:
            return STATE
        module = self.pairs.get(first)
        if module is not None and index in (0, 1, 2):
            framework = framework_of(module)
            if framework.returns_state(module):
                if index == framework.voltage_index(module):
                    self.voltages[item] = self.ends[first]
                return self.ends[first] if index == 0 else STATE
        raise ModelError(
            f"{item.name}: forward takes a part of {first.name}, which cannot be "
            "deployed; use whole outputs"
        )

    def _signal(self, item: torch.fx.Node) -> str:
        """Return the layer that feeds ``item``."""
        first = item.args[0] if item.args else None
        if not isinstance(first, torch.fx.Node):
            raise ModelError(
                f"{item.name}: forward feeds this layer a constant, or names its "
                "argument; call it as layer(x)"
            )
        end = self.ends[first]
        if end not in self.layers.nodes and end not in self.layers.ends:
            remedy = OUT_OF_PLACE if end == CHANGED else "feed it an output"
            raise ModelError(
                f"{item.name}: forward feeds this layer the {end}; {remedy}"
            )
        return end


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module that was wrapped, with everything in main memory.

    The module itself where nothing is to be done, else a copy if more than the
    outermost wrapper changes.

    Raises
    ------
    ModelError
        If its tensors have no values.
    """
    model = _innermost(model)
    tensors = [t for module in model.modules() for t in _tensors(module)]
    if any(tensor.is_meta for tensor in tensors):
        raise ModelError(
            f"{type(model).__name__}: has tensors on the device 'meta', which holds no "
            "values; load the trained ones"
        )
    is_elsewhere = any(tensor.device.type != "cpu" for tensor in tensors)
    if is_elsewhere or any(_innermost(m) is not m for m in model.modules()):
        model = copied(model).cpu()
        for module in list(model.modules()):
            _simplify(module)
    return model


def _simplify(module: nn.Module) -> None:
    """Take wrappers off children, bring tensors that are not registered to memory."""
    for name, child in list(module.named_children()):
        setattr(module, name, _innermost(child))
    for name, value in list(vars(module).items()):
        if isinstance(value, torch.Tensor):
            setattr(module, name, value.cpu())


def without_wrappers(name: str) -> str:
    """Return the name of a tensor as it is without any wrapper."""
    return ".".join(p for p in name.split(".") if p not in INNER.values())


def _innermost(module: nn.Module) -> nn.Module:
    """Return what wrappers hold; any other module itself."""
    while type(module).__module__.startswith("torch."):
        name = INNER.get(type(module).__name__)
        if name is None:
            break
        module = getattr(module, name)
    return module


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    """Return the tensors that a module itself holds, registered or not."""
    held = (*module._parameters.values(), *module._buffers.values())
    return [t for t in (*held, *vars(module).values()) if isinstance(t, torch.Tensor)]
