"""Find the neurons in one timestep of a forward, wherever they are written.

The state of a neuron is a circle: what a value becomes depends on what it was a
timestep before. Such circles, of arithmetic alone, are the cores of neurons; a circle
with no comparison in it whose value drives another is its synaptic current. What feeds
a core is its input, and what is computed from it alone, up to a spike, belongs to it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import numpy as np

from snn_deploy.importers.torch.recognize.arithmetic import (
    COMPARISONS,
    CUTTING,
    LINEAR,
    Arithmetic,
    KindOf,
    common_path,
    is_arithmetic,
    sources_of,
    unique,
)
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
from snn_deploy.importers.torch.timestep import Item
from snn_deploy.ir.neurons import Neuron

REMEDY = (
    "write it as v = v * decay + x; spike = (v > threshold).float(); v = v * (1 - "
    "spike), or v - spike * threshold"
)
DECLARE = (
    "; or say what it comes to: save(..., neurons={{{kind}: dict(decay=..., "
    "threshold=..., reset='hard', comparison='>')}})"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class FoundNeurons:
    """Neurons that were written as arithmetic."""

    kind: str  # what the user calls them
    node: Neuron
    reading: Recognized
    inputs: tuple[Item, ...]  # their sum is the current
    outputs: tuple[Item, ...]  # all that are what they give
    inside: frozenset[Item]  # all that needs no layer of its own
    # read out too; and how many timesteps later a spike takes something off
    voltages: Mapping[Item, int] = field(default_factory=dict)

    @property
    def delay(self) -> int:
        """Timesteps until an input acts."""
        return self.reading.input_delay

    @property
    def told(self) -> str:
        """What they were read as."""
        return f"{self.kind}: read as {told(self.reading)}"


@dataclass(frozen=True, kw_only=True, eq=False)
class RefusedNeurons:
    """A state that changes as that of no neuron that can be deployed."""

    inside: frozenset[Item]
    message: str


def find_neurons(
    items: Sequence[Item], used: Collection[Item], kind_of: KindOf
) -> tuple[list[FoundNeurons], list[RefusedNeurons]]:
    """Return the neurons in one timestep of a forward, seen to do the same.

    And all states that are none.

    Parameters
    ----------
    items : sequence of Item
        All that a timestep does, in order.
    used : collection of Item
        What forward returns.
    kind_of : callable
        Gives what the user calls the module at a path; the path of forward is empty.
    """
    arithmetic = Arithmetic(items, used, kind_of)
    cores = _cores(items)
    silent = {  # what neither compares nor is compared
        item: core
        for core in cores
        if not any(item.operation in COMPARISONS for item in core)
        for item in core
    }
    spiking = [core for core in cores if not core <= silent.keys()]
    rest = [core for core in reversed(cores) if core <= silent.keys()]
    found: list[FoundNeurons] = []
    refused: list[RefusedNeurons] = []
    taken: set[Item] = set()
    for core in (*spiking, *rest):
        if core <= taken:
            continue
        part = _Part(arithmetic, core, silent)
        try:
            found += part.neurons()
        except UnreadableError as error:
            message = part.refusal(str(error))
            refused.append(RefusedNeurons(inside=part.members, message=message))
        taken |= part.members
    return found, refused


def _cores(items: Sequence[Item]) -> list[frozenset[Item]]:
    """Return the circles of arithmetic, each behind those that feed it."""
    graph = nx.DiGraph()
    for item in items:
        for source in sources_of(item):
            if is_arithmetic(item) and is_arithmetic(source):
                graph.add_edge(source, item)
    parts = nx.condensation(graph)
    ordered = (parts.nodes[n]["members"] for n in nx.topological_sort(parts))
    return [frozenset(p) for p in ordered if graph.subgraph(p).number_of_edges()]


class _Part:
    """The items of one layer of neurons."""

    def __init__(
        self,
        arithmetic: Arithmetic,
        core: frozenset[Item],
        silent: Mapping[Item, frozenset[Item]],
    ) -> None:
        self.arithmetic = arithmetic
        self.core = core
        self.silent = silent
        self.shape = next(iter(core)).shape
        self.members = self._members()
        self.inputs = arithmetic.inputs(self.members)
        self.path = common_path(core)
        self.kind = arithmetic.kind_of(self.path)

    # which items

    def _members(self) -> frozenset[Item]:
        members = set(self.core)
        while True:
            new: set[Item] = set()
            for item in self.arithmetic.inputs(members):
                if self._is_current(item, set()):
                    new |= {item, *self.silent.get(item, ())}
                elif self._is_scaling(item, members):
                    new.add(item)
            if not new:
                return frozenset(members)
            members |= new

    def _is_current(self, item: Item, seen: set[Item]) -> bool:
        """Return whether an item is a state that never spikes, or comes from one."""
        if item in self.silent:
            return True
        if item in seen or not is_arithmetic(item) or item.operation in COMPARISONS:
            return False
        seen.add(item)
        return any(self._is_current(source, seen) for source in sources_of(item))

    def _is_scaling(self, item: Item, members: set[Item]) -> bool:
        """Return whether an item scales or shifts one value for these neurons alone."""
        return (
            is_arithmetic(item)
            and item.operation in LINEAR
            and len(list(sources_of(item))) == 1
            and not self.arithmetic.leaves(item, members)
        )

    # what they are

    def neurons(self) -> Iterator[FoundNeurons]:
        """Yield the neurons; two layers where a voltage that nothing resets is used.

        Raises
        ------
        UnreadableError
            If they are none that can be deployed.
        """
        whole = self.arithmetic.behind(self.members, ())
        if not any(self.arithmetic.leaves(item, whole) for item in whole):
            return  # nothing needs it
        if not self.inputs:
            raise UnreadableError("depends on no input")
        values, operations = self._computed(self.inputs[0])
        but: set[Item] = set()
        while True:
            items = self.arithmetic.behind(self.members, but)
            readings, errors = self._read(items, values, operations)
            voltages = self._voltages(items, readings, errors, values, operations)
            groups = _grouped(readings, values)
            # what is computed from spikes, and is none, is not theirs
            others = {*errors, *(i for g in groups for i, f in g.items() if f != 1)}
            if others <= self.members:
                break
            but |= others
        self._check(readings, errors, others)
        for group in groups:
            output, *_ = group
            reading = readings[output]
            known = voltages if reading.comparison else {}
            yield self._found(reading, tuple(group), items, known)

    def _read(
        self,
        items: Sequence[Item],
        values: Mapping[Item, Sequence[Any]],
        operations: Operations,
    ) -> tuple[dict[Item, Recognized], dict[Item, UnreadableError]]:
        """Return what leaves these items is, and what of it is no neuron."""
        readings, errors = {}, {}
        for item in items:
            if self.arithmetic.leaves(item, items):
                try:
                    readings[item] = matched(_known(values[item]), operations.gates)
                except UnreadableError as why:
                    errors[item] = why
        return readings, errors

    def _voltages(
        self,
        items: Sequence[Item],
        readings: dict[Item, Recognized],
        errors: dict[Item, UnreadableError],
        values: Mapping[Item, Sequence[Any]],
        operations: Operations,
    ) -> dict[Item, int]:
        """Take the voltages of spiking neurons out of what is none; return them.

        With how many timesteps after a spike they are lower.
        """
        voltages: dict[Item, int] = {}
        asked = [
            i for i in errors if i in self.arithmetic.used and _is_known(values[i])
        ]
        spikes = [i for i in items if i.operation in COMPARISONS and asked]
        for item in asked:
            for spike in spikes:
                try:
                    reading = matched(_known(values[spike]), operations.gates)
                except UnreadableError:
                    continue
                late = reading.lowered(values[spike], values[item])
                if late is not None:
                    voltages[item] = late
                    readings[spike] = reading
                    del errors[item]
                    break
        return voltages

    def _check(
        self,
        readings: Mapping[Item, Recognized],
        errors: Mapping[Item, UnreadableError],
        others: Collection[Item],
    ) -> None:
        for error in errors.values():
            if any(reading.comparison for reading in readings.values()):
                raise UnreadableError("lets another value out than its spikes")
            raise error
        if others:
            raise UnreadableError("gives its spikes in several sizes")

    def _found(
        self,
        reading: Recognized,
        outputs: tuple[Item, ...],
        items: Sequence[Item],
        voltages: Mapping[Item, int],
    ) -> FoundNeurons:
        for other in self.inputs[1:]:
            values, operations = self._computed(other)
            again = matched(_known(values[outputs[0]]), operations.gates)
            if told(again) != told(reading):
                raise UnreadableError("weighs its inputs in different ways")
        prove(reading, items, self.inputs, outputs[0])
        name = self.arithmetic.free(self.path, "neurons")
        return FoundNeurons(
            kind=self.kind,
            node=neurons_of(reading, name, self.shape),
            reading=reading,
            inputs=self.inputs,
            outputs=outputs,
            inside=frozenset(items),
            voltages=voltages,
        )

    def _computed(
        self, source: Item, n_timesteps: int = N_READ
    ) -> tuple[dict[Item, list[Any]], Operations]:
        """Return all values of the first timesteps, where one input is not 0."""
        operations = _Guarded(self.shape)
        inputs = {item: [polynomial(0.0)] * n_timesteps for item in self.inputs}
        inputs[source] = [arriving(n + 1) for n in range(n_timesteps)]
        items = self.arithmetic.behind(self.members, ())
        values: dict[Item, list[Any]] = {item: [] for item in items}
        for now in replayed(items, inputs, operations):
            for item in items:
                values[item].append(now[item])
        delays = [delay_of(v) for v in values.values() if _is_known(v)]
        needed = N_READ + max((d for d in delays if d < N_READ), default=0)
        if needed > n_timesteps:  # as many, from the one on in which an input acts
            return self._computed(source, needed)
        return values, operations

    def refusal(self, why: str) -> str:
        """Return the message for what is no neuron."""
        used = unique(i.operation for i in self.arithmetic.items if i in self.members)
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


def _grouped(
    readings: Mapping[Item, Recognized], values: Mapping[Item, Sequence[Any]]
) -> list[dict[Item, float]]:
    """Return what is the same but for a factor, and the factors."""
    groups: list[dict[Item, float]] = []
    for item in readings:
        for group in groups:
            factor = _factor(values[item], values[next(iter(group))])
            if factor is not None:
                group[item] = factor
                break
        else:
            groups.append({item: 1.0})
    return groups


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
    position = next(n for n, p in enumerate(of) if p.terms)
    term, coefficient = next(iter(of[position].terms.items()))
    ratio = np.ravel(values[position].terms.get(term, 0.0) / coefficient)
    is_multiple = len(set(ratio)) == 1 and all(
        is_same(mine, other * ratio[0]) for mine, other in zip(values, of, strict=True)
    )
    return float(ratio[0]) if is_multiple and ratio[0] else None
