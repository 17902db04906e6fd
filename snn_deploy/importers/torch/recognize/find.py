"""Find the neurons in one timestep of a forward, wherever they are written.

The state of a neuron is a circle: what a value becomes depends on what it was a
timestep before. Such circles, of arithmetic alone, are the cores of neurons; a circle
with no comparison in it whose value drives another is its synaptic current. What feeds
a core is its input, and what is computed from it alone, up to a spike, belongs to it.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import networkx as nx
import numpy as np
from torch import nn

from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.frameworks.cells import Cell
from snn_deploy.importers.torch.recognize.match import (
    N_READ,
    Recognized,
    delay_of,
    matched,
)
from snn_deploy.importers.torch.recognize.operations import UNCHANGED, Operations
from snn_deploy.importers.torch.recognize.polynomials import (
    Polynomial,
    UnreadableError,
    arriving,
    is_same,
    polynomial,
)
from snn_deploy.importers.torch.recognize.prove import neurons_of, prove
from snn_deploy.importers.torch.recognize.replay import replayed
from snn_deploy.importers.torch.recognize.tell import told
from snn_deploy.importers.torch.timestep import Before, Item
from snn_deploy.names import free_name

COMPARISONS = ("gt", "ge", "lt", "le", "eq", "ne", "heaviside", "sign")
LINEAR = ("add", "sub", "mul", "div", "neg", "to", "detach")
# what takes values apart, or together, that are not of one neuron
CUTS = ("input", "layer", "part", "linear", "matmul", "conv1d", "conv2d")
CUTTING = ("relu", "clamp", "clamp_min", "clamp_max", "hardtanh", "maximum", "minimum")
REMEDY = (
    "write it as v = v * decay + x; spike = (v > threshold).float(); v = v * (1 - "
    "spike), or v - spike * threshold"
)
DECLARE = (
    "; or say what it comes to: save(..., neurons={{{kind}: dict(decay=..., "
    "threshold=..., reset='hard', comparison='>')}})"
)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False)
class FoundNeurons:
    """Neurons that were written as arithmetic."""

    name: str
    kind: str  # what the user calls them
    reading: Recognized
    cell: Cell
    inputs: tuple[Item, ...]  # their sum is the current
    outputs: dict[Item, float]  # which multiple of the cell's output they are
    inside: frozenset[Item]  # all that needs no layer of its own

    @property
    def told(self) -> str:
        """What they were read as."""
        return f"{self.kind}: read as {told(self.reading)}"


def find_neurons(
    model: nn.Module, items: Sequence[Item], used: Collection[Item]
) -> list[FoundNeurons]:
    """Return the neurons in one timestep of ``model``, seen to do the same.

    Parameters
    ----------
    model : nn.Module
    items : sequence of Item
        All that a timestep does, in order.
    used : collection of Item
        What forward returns.

    Raises
    ------
    ModelError
        If a state changes as that of no neuron that can be deployed.
    """
    search = _Finder(model, items, used)
    found = list(search.found())
    if search.refusals:
        raise ModelError("; ".join(search.refusals))
    return found


class _Finder:
    """One timestep, and what of it is neurons."""

    def __init__(
        self, model: nn.Module, items: Sequence[Item], used: Collection[Item]
    ) -> None:
        self.model, self.items, self.used = model, items, set(used)
        self.takers: dict[Item, list[Item]] = {item: [] for item in items}
        self.refusals: list[str] = []
        self.names: set[str] = set()
        circles = nx.DiGraph()
        for item in items:
            for source in _sources(item):
                self.takers.setdefault(source, []).append(item)
                if _is_arithmetic(item) and _is_arithmetic(source):
                    circles.add_edge(source, item)
        whole = nx.condensation(circles)
        self.cores = [
            frozenset(whole.nodes[n]["members"])
            for n in nx.topological_sort(whole)
            if _is_circle(circles, whole.nodes[n]["members"])
        ]
        self.silent = {  # what neither compares nor is compared
            item: core
            for core in self.cores
            if not any(item.operation in COMPARISONS for item in core)
            for item in core
        }

    def free(self, path: str) -> str:
        """Return a name for the neurons of a module, or of forward itself."""
        name = free_name(path or "neurons", self.names)
        self.names.add(name)
        return name

    def found(self) -> Iterator[FoundNeurons]:
        """Yield all neurons; note refusals."""
        taken: set[Item] = set()
        spiking = [core for core in self.cores if not core <= self.silent.keys()]
        rest = [core for core in reversed(self.cores) if core <= self.silent.keys()]
        for core in (*spiking, *rest):
            if core <= taken:
                continue
            part = _Part(self, core)
            try:
                neurons = list(part.neurons())
            except UnreadableError as error:
                self.refusals.append(part.refusal(str(error)))
                neurons = []
            taken |= part.members
            yield from neurons


class _Part:
    """The items of one layer of neurons."""

    def __init__(self, search: _Finder, core: frozenset[Item]) -> None:
        self.search = search
        self.core = core
        self.shape = next(iter(core)).shape
        self.members = self._members()
        order = search.items
        self.inputs = _unique(
            source
            for item in order
            if item in self.members
            for source in _sources(item)
            if source not in self.members
        )
        paths = _unique(item.path for item in order if item in core)
        self.path = paths[0] if len(paths) == 1 else _common(paths)
        self.kind = type(search.model.get_submodule(self.path)).__name__

    # which items

    def _members(self) -> frozenset[Item]:
        members = set(self.core)
        while True:
            outside = {s for item in members for s in _sources(item)} - members
            new: set[Item] = set()
            for item in outside:
                if self._is_current(item, set()):
                    new |= {item, *self.search.silent.get(item, ())}
                elif self._is_scaling(item, members):
                    new.add(item)
            if not new:
                return frozenset(members)
            members |= new

    def _is_current(self, item: Item, seen: set[Item]) -> bool:
        """Return whether an item is a state that never spikes, or comes from one."""
        if item in self.search.silent:
            return True
        if item in seen or not _is_arithmetic(item) or item.operation in COMPARISONS:
            return False
        seen.add(item)
        return any(self._is_current(source, seen) for source in _sources(item))

    def _is_scaling(self, item: Item, members: set[Item]) -> bool:
        """Return whether an item scales or shifts one value for these neurons alone."""
        return (
            _is_arithmetic(item)
            and item.operation in LINEAR
            and len(list(_sources(item))) == 1
            and item not in self.search.used
            and members.issuperset(self.search.takers[item])
        )

    def _behind(self, banned: set[Item]) -> list[Item]:
        """Return what is computed from these items alone."""
        known, behind = set(self.members), []
        for item in self.search.items:
            sources = list(_sources(item))
            if (
                item not in known
                and item not in banned
                and _is_arithmetic(item)
                and sources
                and known.issuperset(sources)
            ):
                known.add(item)
                behind.append(item)
        return behind

    # what they are

    def neurons(self) -> Iterator[FoundNeurons]:
        """Yield the neurons; two layers where a voltage that nothing resets is used.

        Raises
        ------
        UnreadableError
            If they are none that can be deployed.
        """
        if not self.inputs:
            raise UnreadableError("depends on no input")
        values, operations = self._computed(self.inputs[0])
        items, readings, errors = self._read(values, operations)
        for error in errors.values():
            if any(reading.comparison for reading in readings.values()):
                raise UnreadableError("lets another value out than its spikes")
            raise error
        while readings:
            first = next(iter(readings))
            outputs = {
                item: factor
                for item in readings
                if (factor := _factor(values[item], values[first])) is not None
            }
            yield self._found(readings[first], first, outputs, items)
            readings = {i: r for i, r in readings.items() if i not in outputs}

    def _read(
        self, values: Mapping[Item, Sequence[Any]], operations: Operations
    ) -> tuple[list[Item], dict[Item, Recognized], dict[Item, UnreadableError]]:
        """Return all items, what of them is given out, and what of it is no neuron.

        What is computed from spikes and is no spike is not theirs.
        """
        banned: set[Item] = set()
        while True:
            items = self._ordered(self._behind(banned))
            readings, errors = {}, {}
            for item in items:
                if self._leaves(item, items):
                    try:
                        given = _known(values[item])
                        readings[item] = matched(given, operations.gates)
                    except UnreadableError as why:
                        errors[item] = why
            strange = errors.keys() - self.members
            if not strange:
                return items, readings, errors
            banned |= strange

    def _found(
        self,
        reading: Recognized,
        output: Item,
        outputs: dict[Item, float],
        items: Sequence[Item],
    ) -> FoundNeurons:
        for other in self.inputs[1:]:
            values, operations = self._computed(other)
            again = matched(_known(values[output]), operations.gates)
            if told(again) != told(reading):
                raise UnreadableError("weighs its inputs in different ways")
        prove(reading, items, self.inputs, output)
        name = self.search.free(self.path)
        return FoundNeurons(
            name=name,
            kind=self.kind,
            reading=reading,
            cell=Cell(neurons=neurons_of(reading, name, self.shape)),
            inputs=self.inputs,
            outputs=outputs,
            inside=frozenset(items),
        )

    def _computed(
        self, source: Item, n_timesteps: int = N_READ
    ) -> tuple[dict[Item, list[Any]], Operations]:
        """Return all values of the first timesteps, where one input is not 0."""
        operations = _Guarded(self.shape)
        inputs = {item: [polynomial(0.0)] * n_timesteps for item in self.inputs}
        inputs[source] = [arriving(n + 1) for n in range(n_timesteps)]
        items = self._ordered(self._behind(set()))
        values: dict[Item, list[Any]] = {item: [] for item in items}
        for now in replayed(items, inputs, operations):
            for item in items:
                values[item].append(now[item])
        delays = [delay_of(v) for v in values.values() if _is_known(v)]
        needed = N_READ + max((d for d in delays if d < N_READ), default=0)
        if needed > n_timesteps:  # as many, from the one on in which an input acts
            return self._computed(source, needed)
        return values, operations

    def _ordered(self, behind: Collection[Item]) -> list[Item]:
        return [i for i in self.search.items if i in self.members or i in behind]

    def _leaves(self, item: Item, items: Collection[Item]) -> bool:
        is_taken = any(taker not in items for taker in self.search.takers[item])
        return item in self.search.used or is_taken

    def refusal(self, why: str) -> str:
        """Return the message for what is no neuron."""
        used = _unique(i.operation for i in self.search.items if i in self.members)
        found = ", ".join(name for name in used if name not in UNCHANGED)
        cutting = [name for name in used if name in CUTTING]
        if cutting:
            why = f"cuts values off ({', '.join(cutting)})"
        where = self.path or "forward"
        remedy = REMEDY
        if self.path:
            remedy += DECLARE.format(kind=self.kind)
        return (
            f"{where}: {self.kind} keeps a state, but {why}, which no neuron that can "
            f"be deployed does (found: {found}); {remedy}"
        )


class _Guarded(Operations):
    """Operations that give the reason where there is no value."""

    def __call__(
        self, operation: str, operands: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        for operand in operands:
            if isinstance(operand, UnreadableError):
                return operand
        try:
            return super().__call__(operation, operands, options)
        except UnreadableError as error:
            return error


def _is_known(values: Sequence[Any]) -> bool:
    return not any(isinstance(value, UnreadableError) for value in values)


def _known(values: Sequence[Any]) -> list[Polynomial]:
    """Return values that have been read, or raise the error that says why not."""
    for value in values:
        if isinstance(value, UnreadableError):
            raise value
    return list(values)


def _factor(values: Sequence[Any], of: Sequence[Any]) -> float | None:
    """Return which multiple some values are of others, if they are one."""
    terms = next(p.terms for p in of if p.terms)
    term, coefficient = next(iter(terms.items()))
    position = next(n for n, p in enumerate(of) if p.terms)
    ratio = np.ravel(values[position].terms.get(term, 0.0) / coefficient)
    is_multiple = len(set(ratio)) == 1 and all(
        is_same(mine, other * ratio[0]) for mine, other in zip(values, of, strict=True)
    )
    return float(ratio[0]) if is_multiple and ratio[0] else None


def _sources(item: Item) -> Iterator[Item]:
    """Yield what an item is computed from, now or a timestep later."""
    for source in item.sources:
        if isinstance(source, Before):
            yield source.item
        elif isinstance(source, Item):
            yield source


def _is_arithmetic(item: Item) -> bool:
    """Return whether an item is computed for each neuron by itself."""
    if item.operation in CUTS or item.module is not None:
        return False
    return all(source.shape == item.shape for source in _sources(item))


def _is_circle(graph: nx.DiGraph, members: Collection[Item]) -> bool:
    (first, *others) = members
    return bool(others) or graph.has_edge(first, first)


def _unique(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))


def _common(paths: Sequence[str]) -> str:
    """Return the path of the module in which all of these modules lie."""
    parts = [path.split(".") for path in paths]
    shared = itertools.takewhile(lambda p: len({*p}) == 1, zip(*parts, strict=False))
    return ".".join(part[0] for part in shared)
