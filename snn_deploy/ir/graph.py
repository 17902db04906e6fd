"""The float graph: layers, edges, and what the training assumed of input and time."""

import math
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from snn_deploy.arrays import FloatArray, n_neurons, read_only
from snn_deploy.errors import ModelError
from snn_deploy.ir.heads import Head, check_heads, heads_of, part_of
from snn_deploy.ir.inputs import NamedInput, check_inputs
from snn_deploy.ir.neurons import Neuron, Qcfs, Relu
from snn_deploy.ir.nodes import Input, Node, Signal
from snn_deploy.ir.order import LoopError, in_order
from snn_deploy.ir.stimuli import GRAY_LEVELS, Encoding, of_shares
from snn_deploy.names import flaw_of, free_name, shown
from snn_deploy.showing import Table, as_html, as_text

NodeT = TypeVar("NodeT", bound=Node)
Delays = dict[tuple[str, str], int]  # timesteps, by source and target
LARGEST_LAYER = 1 << 24  # values; a chip has a million neurons in all
MOST_TIMESTEPS = 100_000  # of an input; all results of a run have that length
LARGEST_SCALE = 1e30  # of an input, and of its offset


def ends_of(told: Any) -> tuple[float, float]:
    """Return an ``input_range`` as two numbers.

    Raises
    ------
    ModelError
        If it is something else.
    """
    try:
        low, high = np.add(told, 0.0, dtype=np.float64)  # of a text it raises
        return float(low), float(high)
    except (TypeError, ValueError):
        raise ModelError(
            f"input_range is {told!r}; give two numbers, (least, most)"
        ) from None


class Functional(Enum):
    """How the read-out z(1) ... z(T) becomes the trained network's answer."""

    SUM = "sum"
    LAST = "last"
    MAX = "max"


@dataclass(frozen=True, kw_only=True)
class Edge:
    """What one layer sends to another, ``delay`` timesteps later."""

    source: str
    target: str
    delay: int = 0


@dataclass(frozen=True, kw_only=True)
class Training:
    """What the training assumed: the input and the time it was shown."""

    timesteps: int
    encoding: Encoding
    input_scale: float = 1.0  # the first layer sees x * input_scale + input_offset
    input_offset: float = 0.0
    dt: float | None = None  # length of a timestep [s]
    functional: Functional = Functional.SUM
    largest_count: int = 1  # events of one timestep and position
    heads: tuple[Head, ...] = ()  # empty: one, of all outputs
    answers: str = ""  # the head whose answer is told, and ends a run; empty: the first
    input_low: float = 0.0  # what data hold where x is 0, the least byte,
    input_high: float = 1.0  # and where it is 1, the largest
    inputs: tuple[NamedInput, ...] = ()  # several, in a row; empty: a single one

    @property
    def input_range(self) -> tuple[float, float]:
        """What the values of data reach from and to."""
        return self.input_low, self.input_high

    def ranged(self, told: object) -> "Training":
        """Return this for data that reach from the one to the other number.

        Raises
        ------
        ModelError
            If these are not two numbers, or it is for other data already.
        """
        low, high = ends_of(told)
        if (low, high) == self.input_range:
            return self
        if self.input_range != (0, 1):
            raise ModelError(
                f"input_range is {low:g} to {high:g}, and the file says "
                f"{self.input_low:g} to {self.input_high:g}; leave it out"
            )
        given = np.array(self.input_scale), np.array(self.input_offset)
        scale, offset = of_shares(*given, low, high)
        return replace(
            self,
            input_scale=float(scale),
            input_offset=float(offset),
            input_low=low,
            input_high=high,
        )

    @property
    def head(self) -> Head | None:
        """The head that answers, if heads are told."""
        return part_of(self.heads, self.answers)[0] if self.heads else None

    @property
    def largest_value(self) -> int:
        """The largest integer that one spike of the input carries."""
        return max(self.encoding.unit, self.largest_count)

    def __post_init__(self) -> None:
        if self.timesteps < 1:
            raise ModelError(f"timesteps is {self.timesteps}; at least 1 is needed")
        if self.timesteps > MOST_TIMESTEPS:
            raise ModelError(
                f"timesteps is {self.timesteps}, allowed are {MOST_TIMESTEPS}; cut "
                "inputs into shorter ones"
            )
        if not 1 <= self.largest_count <= GRAY_LEVELS:
            raise ModelError(
                f"largest_count is {self.largest_count}, allowed are 1 to "
                f"{GRAY_LEVELS}; take more timesteps, of fewer events each"
            )
        if self.largest_count > 1 and self.encoding is not Encoding.EVENTS:
            raise ModelError(
                f"largest_count is {self.largest_count}, and encoding "
                f"{self.encoding.value!r} counts no events; leave it out"
            )
        self._check_range()
        self._check_inputs()
        for name in ("input_scale", "input_offset", "dt", "input_low", "input_high"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ModelError(f"{name} is {value}; give a finite number")
            if value is not None and abs(value) > LARGEST_SCALE:
                raise ModelError(
                    f"{name} is {value}, allowed are {-LARGEST_SCALE:g} to "
                    f"{LARGEST_SCALE:g}; scale the first layer"
                )

    def _check_range(self) -> None:
        low, high = self.input_range
        if low >= high:
            raise ModelError(f"input_range is {low:g} to {high:g}; give (least, most)")
        for low, high in (self.input_range, *((g.low, g.high) for g in self.inputs)):
            if (low, high) != (0, 1) and self.encoding is not Encoding.DIRECT:
                raise ModelError(
                    f"input_range is {low:g} to {high:g}, and encoding "
                    f"{self.encoding.value!r} has none; leave it out"
                )

    def _check_inputs(self) -> None:
        if self.inputs and self.input_range != (0, 1):
            raise ModelError(
                f"input_range is {self.input_low:g} to {self.input_high:g} beside "
                f"{len(self.inputs)} inputs; ranges of their own are for modules, "
                "input_range={name: (least, most)} at save; leave it out, and scale "
                "what data hold to 0 to 1"
            )
        if self.inputs and self.encoding is Encoding.BIAS:
            raise ModelError(
                f"encoding is 'bias', which is for one input, not {len(self.inputs)}; "
                "take another"
            )
        names = {given.name for given in self.inputs}
        if both := names & {head.name for head in self.heads}:
            raise ModelError(
                f"{', '.join(sorted(both))}: is an input and a head, and data have "
                "one name for each; rename one"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """A trained network whose layers all act within one timestep."""

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    training: Training
    is_on_grid: bool = False  # parameters are chip integers already
    output_name: str = ""  # empty: the one layer that feeds no other
    used_inputs: FloatArray = field(default_factory=lambda: np.zeros(0))  # hashes

    def __repr__(self) -> str:
        """Return the layers in a line each, without their values."""
        return as_text(self._table())

    def _repr_html_(self) -> str:
        return as_html(self._table())

    def _table(self) -> Table:
        return Table(
            title=f"{self.name}: {len(self.nodes)} layers, {self.training.timesteps} "
            f"timesteps, {self.training.encoding.value} inputs",
            columns=("layer", "kind", "shape"),
            rows=[
                (node.name, type(node).__name__, "x".join(map(str, node.output_shape)))
                for node in self.order
            ],
        )

    def __post_init__(self) -> None:
        used = read_only(self.used_inputs, np.float64)
        object.__setattr__(self, "used_inputs", used)
        self._check_names()
        self._check_sizes()
        for edge in self.edges:
            for end in (edge.source, edge.target):
                if end not in self._by_name:
                    raise ModelError(
                        f"{end}: an edge names this layer, none has it; rename one"
                    )
        if len(self.nodes_of(Input)) != 1:
            raise ModelError(
                f"{self.name}: {len(self.nodes_of(Input))} inputs; give it 1"
            )
        ends = [node.name for node in self.nodes if not self.targets(node)]
        if self.output_name and self.output_name not in self._by_name:
            raise ModelError(f"{self.output_name}: is the output, but no layer")
        if not self.output_name and len(ends) != 1:
            raise ModelError(
                f"{self.name}: one layer must be the output, but {', '.join(ends)} "
                "lead nowhere; leave out what the output does not need"
            )
        for edge in self.edges:
            _check_edge(self, edge)
        n_outputs = n_neurons(self.output.output_shape)
        training = self.training
        check_heads(self.name, training.heads, n_outputs, training.answers)
        check_inputs(self.name, training.inputs, self.input.shape)
        self._check_bias()
        _ = self.order

    def _check_bias(self) -> None:
        takers = [n for n in self.nodes_of(Neuron) if n.takes_bias]
        if self.training.encoding is Encoding.BIAS and not takers:
            raise ModelError(
                f"{self.name}: encoding is 'bias', and no layer takes its bias from "
                "the data; neurons in the input layer of a .net file do"
            )

    def _check_names(self) -> None:
        names = [node.name for node in self.nodes]
        for name in (self.name, *names):
            if flaw := flaw_of(name):
                raise ModelError(f"{shown(name[:100])}: this name {flaw}")
        for name, count in Counter(names).items():
            if count > 1:
                raise ModelError(f"{name}: two layers have this name; rename one")

    def _check_sizes(self) -> None:
        for node in self.nodes:
            if n_neurons(node.output_shape) > LARGEST_LAYER:
                raise ModelError(
                    f"{node.name}: {n_neurons(node.output_shape)} values, a layer may "
                    f"have {LARGEST_LAYER}; make it smaller"
                )

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _edges_by_end(self) -> tuple[dict[str, list[Edge]], dict[str, list[Edge]]]:
        """The edges by what they leave, and by what they enter."""
        leaving: dict[str, list[Edge]] = {name: [] for name in self._by_name}
        entering: dict[str, list[Edge]] = {name: [] for name in self._by_name}
        for edge in self.edges:
            leaving[edge.source].append(edge)
            entering[edge.target].append(edge)
        return leaving, entering

    @cached_property
    def order(self) -> tuple[Node, ...]:
        """The layers, each after those it depends on within a timestep."""
        within = ((e.source, e.target) for e in self.edges if e.delay == 0)
        try:
            names = in_order(self._by_name, within)
        except LoopError as error:
            raise ModelError(
                f"{error}: these layers depend on one another within one timestep; a "
                "recurrent edge needs a delay of at least 1"
            ) from None
        return tuple(self._by_name[name] for name in names)

    @property
    def input(self) -> Input:
        """The layer where the input enters."""
        return self.nodes_of(Input)[0]

    @property
    def output(self) -> Node:
        """The layer that is read out."""
        if self.output_name:
            return self._by_name[self.output_name]
        return next(node for node in self.nodes if not self.targets(node))

    @property
    def heads(self) -> tuple[Head, ...]:
        """What the outputs stand for; a conventional network is one pass: a mean."""
        is_mean = bool(self.nodes_of(Qcfs) or self.nodes_of(Relu))
        n_outputs = n_neurons(self.output.output_shape)
        return heads_of(self.training.heads, n_outputs, is_mean=is_mean)

    @property
    def head(self) -> Head:
        """The head that answers."""
        return part_of(self.heads, self.training.answers)[0]

    def free_name(self, wanted: str) -> str:
        """Return ``wanted``, made longer until no layer has this name."""
        return free_name(wanted, self._by_name)

    def node(self, name: str) -> Node:
        """Return the layer called ``name``."""
        return self._by_name[name]

    def nodes_of(self, kind: type[NodeT]) -> tuple[NodeT, ...]:
        """Return the layers of one kind."""
        return tuple(node for node in self.nodes if isinstance(node, kind))

    def edges_into(self, node: Node) -> tuple[Edge, ...]:
        """Return the edges that end at ``node``."""
        _, entering = self._edges_by_end
        return tuple(entering[node.name])

    def sources(self, node: Node) -> tuple[Node, ...]:
        """Return the layers that feed ``node``."""
        return tuple(self._by_name[edge.source] for edge in self.edges_into(node))

    def targets(self, node: Node) -> tuple[Node, ...]:
        """Return the layers that ``node`` feeds."""
        leaving, _ = self._edges_by_end
        return tuple(self._by_name[edge.target] for edge in leaving[node.name])

    def replace(self, node: Node, by: Node) -> "Graph":
        """Return the graph with one layer exchanged."""
        nodes = tuple(by if item is node else item for item in self.nodes)
        edges = _renamed(self.edges, node.name, by.name)
        return self._with(nodes, edges, (node,), by)

    def merge(self, first: Node, second: Node, *, into: Node) -> "Graph":
        """Return the graph with two layers in a row made one."""
        nodes = tuple(
            into if item is first else item for item in self.nodes if item is not second
        )
        edges = tuple(
            edge
            for edge in self.edges
            if not (edge.source == first.name and edge.target == second.name)
        )
        edges = _renamed(edges, first.name, into.name)
        edges = _renamed(edges, second.name, into.name)
        return self._with(nodes, edges, (first, second), into)

    def _with(
        self,
        nodes: tuple[Node, ...],
        edges: tuple[Edge, ...],
        gone: tuple[Node, ...],
        by: Node,
    ) -> "Graph":
        """Return the graph with these layers, ``by`` the output if one gone was."""
        was_output = self.output_name in [node.name for node in gone]
        output = by.name if was_output else self.output_name
        return replace(self, nodes=nodes, edges=edges, output_name=output)

    def append(self, node: Node) -> "Graph":
        """Return the graph with one more layer behind the output."""
        edge = Edge(source=self.output.name, target=node.name)
        return replace(
            self,
            nodes=(*self.nodes, node),
            edges=(*self.edges, edge),
            output_name=node.name,
        )


def _renamed(edges: tuple[Edge, ...], old: str, new: str) -> tuple[Edge, ...]:
    def ends() -> Iterator[Edge]:
        for edge in edges:
            source = new if edge.source == old else edge.source
            target = new if edge.target == old else edge.target
            yield replace(edge, source=source, target=target)

    return tuple(ends())


def _check_edge(graph: Graph, edge: Edge) -> None:
    source, target = graph.node(edge.source), graph.node(edge.target)
    if source.output_shape != target.input_shape:
        raise ModelError(
            f"{target.name}: takes an input of shape {target.input_shape}, but "
            f"{source.name} gives {source.output_shape}; make the two fit"
        )
    emits = signal_of(graph, source)
    if target.accepts is not None and emits is not target.accepts:
        raise ModelError(
            f"{target.name}: {type(target).__name__} takes {target.accepts.value}, but "
            f"{source.name} gives {emits.value}; put a weight layer between the two"
        )


def signal_of(graph: Graph, node: Node) -> Signal:
    """Return what ``node`` gives; layers without a signal of their own pass it on.

    A sum of spikes and a current is a current.
    """
    waiting, seen, found = [node], {node.name}, set()
    while waiting:
        item = waiting.pop()
        if item.emits is not None:
            found.add(item.emits)
            continue
        sources = graph.sources(item)
        if not sources:
            raise ModelError(f"{item.name}: nothing feeds this layer")
        waiting += [source for source in sources if source.name not in seen]
        seen |= {source.name for source in sources}
    if not found:
        raise ModelError(f"{node.name}: a loop without a neuron")
    return Signal.CURRENT if Signal.CURRENT in found else found.pop()


def close_loops(
    delays: Delays, starts: Collection[str], weights: Collection[str]
) -> Delays:
    """Return the edges with a timestep in every loop that had none.

    It is on the edge that closes the loop, depth first from ``starts``; if that edge
    comes from one of ``weights``, what these receive is late, so that their bias is
    not.
    """
    closed = dict(delays)
    for source, target in _backward(delays, starts):
        behind = [pair for pair in closed if pair[0] == source]
        if source not in weights or behind != [(source, target)]:
            closed[source, target] = 1
            continue
        for pair in [pair for pair in closed if pair[1] == source]:
            closed[pair] += 1
    return closed


def _backward(delays: Delays, starts: Collection[str]) -> list[tuple[str, str]]:
    """Return the edges without delay that close a loop, depth first from ``starts``."""
    import networkx as nx

    root = ""  # no node is called so
    within: nx.DiGraph[str] = nx.DiGraph()
    late = [b for (_, b), delay in delays.items() if delay]
    within.add_edges_from((root, node) for node in (*starts, *late))
    within.add_edges_from(pair for pair, delay in delays.items() if delay == 0)
    found, above = [], {root}
    for source, target, step in nx.dfs_labeled_edges(within, root):
        if step == "forward":
            above.add(target)
        elif step == "reverse":
            above.discard(target)
        elif target in above:
            found.append((source, target))
    return found
