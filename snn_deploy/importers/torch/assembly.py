"""Turn the items of one timestep into layers."""

from collections import Counter
from collections.abc import Callable, Iterable

from torch import nn

from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.collected import INPUT_NAME, Layers
from snn_deploy.importers.torch.delays import OneTimestep
from snn_deploy.importers.torch.frameworks.registry import DEPLOYABLE, framework_of
from snn_deploy.importers.torch.functions import layer_of
from snn_deploy.importers.torch.record import LAYER
from snn_deploy.importers.torch.timestep import Before, Item
from snn_deploy.names import free_name

STATE = "state of neurons"  # stands for values that only neurons may take
WEIGHTED = ("linear", "conv1d", "conv2d", "conv_transpose2d", "batch_norm")
READ_OUT = (
    "forward returns the state of neurons first; return the output, or the output and "
    "its states (a voltage can be read out where no spike resets it and nothing takes "
    "the spikes)"
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

    def add(self, timestep: OneTimestep) -> str:
        """Add the layers of a timestep; return the last one.

        Raises
        ------
        ModelError
            If an item has no counterpart.
        """
        for item in timestep.items:
            self.names[item] = self._end(item)
        output = timestep.output
        return self._voltage(output) if output.operation == "part" else self.of(output)

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
            return INPUT_NAME
        if item.operation == "part":
            return STATE
        if item.operation == LAYER:
            return self._layer(item)
        if any(isinstance(source, Before) for source in item.sources):
            raise self._refused(item, "carries a value to the next timestep")
        if item.operation == "add":
            return self._sum(item)
        return self._function(item)

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
        if isinstance(source, Before):
            raise self._refused(item, "is fed a value of the timestep before")
        if not isinstance(source, Item):
            raise self._refused(item, "is fed a constant")
        if self.names[source] == STATE:
            raise ModelError(
                f"{self._told(item)}: forward feeds this layer the {STATE}; feed it an "
                "output"
            )
        return self.names[source]

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
            raise ModelError(
                f"{name}: forward reshapes {self.layers.shape_of(source)} to "
                f"{item.shape}, which is not a flatten; write x.flatten(1), or "
                "x.view(x.size(0), -1)"
            )
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
        name = self.names[cell]
        if item.options["index"] != index or not self.layers.read_voltage(name):
            raise ModelError(READ_OUT)
        self.names[item] = self.names.pop(cell)
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
