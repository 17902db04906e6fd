"""Turn the items of one timestep into layers."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn

from snn_deploy.arrays import n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.collected import Layers, as_map
from snn_deploy.importers.torch.delays import OneTimestep
from snn_deploy.importers.torch.frameworks.registry import (
    DEPLOYABLE,
    framework_of,
    is_cell,
)
from snn_deploy.importers.torch.functions import layer_of
from snn_deploy.importers.torch.layers import array
from snn_deploy.importers.torch.meeting import (
    ARITHMETIC,
    LOGIC,
    Operand,
    arithmetic,
    concatenated,
    reshaped,
)
from snn_deploy.importers.torch.recognize.arithmetic import sources_of
from snn_deploy.importers.torch.recognize.find import FoundNeurons, find_neurons
from snn_deploy.importers.torch.recognize.staircase import (
    FoundStaircase,
    find_staircases,
)
from snn_deploy.importers.torch.record import LAYER
from snn_deploy.importers.torch.timestep import LATE, Before, Item, Source
from snn_deploy.ir.graph import Edge
from snn_deploy.ir.neurons import Lif
from snn_deploy.ir.nodes import Add, Input
from snn_deploy.names import free_name

logger = logging.getLogger(__name__)

STATE = "state of neurons"  # stands for values that only neurons may take
MET = (*ARITHMETIC, *LOGIC, "cat")
WEIGHTED = ("linear", "conv1d", "conv2d", "conv_transpose2d", "batch_norm")
READ_OUT = (
    "forward returns the state of neurons first; return the output, or the output and "
    "its states (a voltage alone can be read out, where spikes subtract from it)"
)


class Assembly:
    """The layers of one timestep.

    Parameters
    ----------
    layers : Layers
        Which get them.
    module_at : callable
        The module that a path leads to, as the user gave it.
    paths : iterable of str
        The names of modules, which no other layer may have.
    """

    def __init__(
        self,
        layers: Layers,
        module_at: Callable[[str], nn.Module],
        paths: Iterable[str] = (),
    ) -> None:
        self.layers = layers
        self.names: dict[Item, str] = {}  # of the layers that give what items are
        self._module_at = module_at
        self._paths = {*paths}
        self._counts: Counter[str] = Counter()
        self._late: dict[Item, str] = {}  # what gives outputs a timestep later
        self._inside: set[Item] = set()  # of neurons that are written as arithmetic
        self._refusals: list[tuple[Item | None, str]] = []
        self._left_out: set[Item] = set()  # of which nothing was made

    def add(self, timestep: OneTimestep) -> str:
        """Add the layers of a timestep; return the last one.

        Raises
        ------
        ModelError
            If an item has no counterpart.
        """
        output = timestep.output
        found = self._begun(timestep)
        for item in timestep.items:
            if item not in self._inside:
                self._add_item(item)
        if self._refusals:
            raise self._refusal()
        for part in found:
            self._feed(part)
        self._add_late()
        for told, n in Counter(part.told for part in found).items():
            logger.warning(told if n == 1 else f"{told} ({n} layers)")
        for part in found:
            if isinstance(part, FoundNeurons) and output in part.voltages:
                late, name = part.voltages[output], part.node.name
                self.names[output] = self.layers.read_voltage(name, late)
        return self._voltage(output) if output.operation == "part" else self.of(output)

    def _begun(self, timestep: OneTimestep) -> list[FoundNeurons | FoundStaircase]:
        """Return what is written as arithmetic, added but for what feeds it."""
        known = (timestep.items, {timestep.output}, self._kind)
        neurons, refused = find_neurons(*known)
        found: list[FoundNeurons | FoundStaircase] = [
            *neurons,
            *find_staircases(*known),
        ]
        for part in found:
            self.names |= dict.fromkeys(part.outputs, self.layers.add(part.node, ()))
            self._inside |= part.inside
        for other in refused:
            self._refusals.append((None, other.message))
            self._inside |= other.inside
            for item in other.inside:
                self._leave_out(item)
        return found

    def _add_item(self, item: Item) -> None:
        """Add what an item is; note why not, if it has no counterpart."""
        try:
            self.names[item] = self._end(item)
        except ModelError as error:
            if self._left_out.isdisjoint(sources_of(item)):
                self._refusals.append((item, str(error)))
            self._leave_out(item)

    def _leave_out(self, item: Item) -> None:
        """Let what follows a refused item be looked at as well."""
        self._left_out.add(item)
        name = self._free(f"refused_{len(self._left_out)}")
        stand_in = Add(name=name, shape=as_map(item.shape))
        self.names[item] = self.layers.add(stand_in, ())

    def _refusal(self) -> ModelError:
        """Return the error that tells all refusals, one below the other."""
        refusals = {message: item for item, message in self._refusals}
        lines = [_as_known(item, message) for message, item in refusals.items()]
        if len(lines) == 1:
            return ModelError(lines[0])
        head = f"{len(lines)} layers cannot be deployed:"
        return ModelError("\n  ".join([head, *lines]))

    def _feed(self, part: FoundNeurons | FoundStaircase) -> None:
        """Add what feeds neurons, which may come behind them: they have a memory."""
        name = part.node.name
        source, *others = (self.of(item) for item in part.inputs)
        for other in others:
            source = self.layers.sum(self._free(f"{name}_input"), [source, other])
        self.layers.edges.append(Edge(source=source, target=name, delay=part.delay))

    def _kind(self, path: str) -> str:
        """Return what the user calls the module at a path."""
        return type(self._module_at(path)).__name__ if self._paths else "forward"

    def of(self, item: Item) -> str:
        """Return the layer that gives what an item is."""
        name = self.names[item]
        if name == STATE:
            raise ModelError(
                f"{_called(item)}: forward feeds this layer the {STATE}; feed it an "
                "output"
            )
        return name

    def _end(self, item: Item) -> str:
        if item.operation == "input":
            number: int = item.options.get("number", 0)
            return self.layers.inputs[number]
        if item.operation == "part":
            return STATE
        if isinstance(item.sources[0], Before) and item.operation == LATE:
            return self._before(item, item.sources[0])
        if item.operation == LAYER:
            return self._layer(item)
        if item.operation in MET:
            return self._meeting(item)
        if item.operation == "to":
            return self._converted(item)
        return self._function(item)

    def _meeting(self, item: Item) -> str:
        """Add what outputs, and constants, give together."""
        operands = [self._operand(item, source) for source in item.sources]
        name = self._name(item)
        if item.operation != "cat":
            return arithmetic(self.layers, name, item.operation, operands)
        sources = [operand for operand in operands if isinstance(operand, str)]
        if item.options["dim"] or len(sources) < len(operands):
            raise self._refused(item, "joins constants, or other axes than channels")
        return concatenated(self.layers, name, sources)

    def _converted(self, item: Item) -> str:
        """Return spikes that another type holds as well."""
        source = self._signal(item)
        values = {v for each in self.layers.values_of(source) or () for v in each}
        is_bool = item.options["dtype"] is torch.bool
        held = {0.0, 1.0} if is_bool else {v for v in values if v == int(v)}
        if not values or not values <= held:
            raise self._refused(
                item, f"makes {item.options['dtype']} of what does not fit"
            )
        return source

    def _operand(self, item: Item, source: Source) -> Operand:
        if isinstance(source, Item | Before):
            return self._output(item, source)
        return array(source) if isinstance(source, torch.Tensor) else source

    def _output(self, item: Item, source: Item | Before) -> str:
        """Return the layer that gives what an item takes."""
        if isinstance(source, Before):
            return self._before(item, source)
        if self.names[source] == STATE:
            raise ModelError(
                f"{self._told(item)}: forward feeds this layer the {STATE}; feed it an "
                "output"
            )
        return self.names[source]

    def _before(self, item: Item, source: Before) -> str:
        """Return what gives the spikes of the timestep before, and at first none."""
        if np.any(np.asarray(source.initial)):
            raise self._refused(item, "carries a value to the next timestep")
        if source.item not in self._late:
            name = self._free(f"{_called(source.item)}_before")
            shape = source.item.shape
            self._late[source.item] = self.layers.add(Add(name=name, shape=shape), ())
        return self._late[source.item]

    def _add_late(self) -> None:
        """Lead spikes to what takes them a timestep later."""
        for item, late in self._late.items():
            source = self.of(item)
            is_late = source in self._late.values()
            if not isinstance(self.layers.nodes[source], Lif | Input) and not is_late:
                raise self._refused(item, "carries a value to the next timestep")
            edge = Edge(source=source, target=late, delay=1)
            self.layers.edges.append(edge)

    def _layer(self, item: Item) -> str:
        module = item.module
        assert module is not None
        if "is_of_timestep" not in item.options:
            module = self._module_at(item.path)
        if framework_of(module).is_sum(module):
            return self._sum(item)
        return self.layers.module(module, item.path, self._signal(item))

    def _signal(self, item: Item) -> str:
        """Return the layer that feeds an item."""
        (source, *_) = item.sources
        if not isinstance(source, Item | Before):
            raise self._refused(item, "is fed a constant")
        return self._output(item, source)

    def _sum(self, item: Item) -> str:
        terms = [s for s in item.sources if isinstance(s, Item)]
        ends = [self.names[term] for term in terms]
        name = self._name(item)
        if len(terms) != len(item.sources) or len(terms) != 2 or STATE in ends:
            raise ModelError(
                f"{name}: forward adds a constant or a state to a layer's output, only "
                "two outputs can be added; make a constant a bias"
            )
        return self.layers.sum(name, ends)

    def _function(self, item: Item) -> str:
        source, name = self._signal(item), self._name(item)
        if item.operation == "view":
            return reshaped(self.layers, name, source, as_map(item.shape))
        try:
            layer = layer_of(item)
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{name}: forward calls {item.operation} with arguments that cannot be "
                f"deployed ({error}); give it plain numbers"
            ) from error
        if layer is None:
            raise self._refused(item, "cannot be deployed")
        end = self.layers.module(layer, name, source)
        if item.operation == "mean" and len(item.shape) == 1:
            return self.layers.module(nn.Flatten(), self._free(f"{name}_flat"), end)
        return end

    def _voltage(self, item: Item) -> str:
        """Return neurons of which a forward gives the voltage, made a read-out."""
        (cell,) = item.sources
        assert isinstance(cell, Item)
        assert cell.module is not None
        index = framework_of(cell.module).voltage_index(cell.module)
        if item.options["index"] != index:
            raise ModelError(READ_OUT)
        name = self.layers.read_voltage(self.names[cell])
        if name == self.names[cell]:  # their spikes are left out
            del self.names[cell]
        self.names[item] = name
        return name

    # names

    def _name(self, item: Item) -> str:
        """Return the name of an item: that of its module, if it has one to itself."""
        is_layer = item.operation in (LAYER, *WEIGHTED) and item.path
        if is_layer and item.path not in self.names.values():
            return item.path
        base = item.operation
        n = self._counts[base]
        self._counts[base] += 1
        return self._free(f"{base}_{n}" if n else base)

    def _free(self, name: str) -> str:
        return free_name(name, self._paths)

    def _told(self, item: Item) -> str:
        return item.path if item.operation == LAYER else item.operation

    def _refused(self, item: Item, what: str) -> ModelError:
        return ModelError(
            f"{self._told(item)}: forward calls {item.operation}, which {what}; use "
            f"one of {', '.join(DEPLOYABLE)}"
        )


def _called(item: Item) -> str:
    return item.path or item.operation


def is_number(path: str) -> bool:
    """Return whether a path begins with no name, but with the number of a layer."""
    return path.partition(".")[0].isdigit()


def _as_known(item: Item | None, message: str) -> str:
    """Return a refusal that names its layer as a reader knows it."""
    if item is None or item.module is None or not message.startswith(f"{item.path}: "):
        return f"layer {message}" if is_number(message.partition(":")[0]) else message
    where = f"layer {item.path}" if is_number(item.path) else item.path
    parts = [where, type(item.module).__name__]
    if is_cell(item.module):
        parts.append(f"{n_neurons(item.shape)} neurons")
    return ", ".join(parts) + message[len(item.path) :]
