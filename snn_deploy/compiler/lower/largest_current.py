"""Max pooling of currents: neurons send by how much one is larger than another.

``max(a, b) = a + max(b - a, 0)``. The second term is what a neuron without memory sends
as one graded spike, in steps. What reaches the neurons behind is the sum of one current
and such differences.
"""

import logging
from dataclasses import replace

import numpy as np

from snn_deploy.errors import PassError
from snn_deploy.ir.graph import Edge, Graph, signal_of
from snn_deploy.ir.neurons import Comparison, Lif, Qcfs, Relu, Reset, memoryless
from snn_deploy.ir.nodes import (
    Add,
    BatchNorm,
    Conv2d,
    Linear,
    MaxPool2d,
    Node,
    Signal,
    affine,
)
from snn_deploy.ir.scatter import ConvTranspose2d, SparseLinear
from snn_deploy.ir.stimuli import Encoding

logger = logging.getLogger(__name__)
MOST_POSITIONS = 9  # of a window
LEVELS = 127  # of a weight's magnitude on a chip, where weights of both signs are even
FINER = 8  # where the input is graded, and sums are finer than a weight
MOST_STEPS = (1 << 16) - 1


def takes_currents(graph: Graph, pool: MaxPool2d) -> bool:
    """Return whether a pooling takes the largest of currents, not of activations."""
    is_spiking = not graph.nodes_of(Qcfs) and not graph.nodes_of(Relu)
    return is_spiking and signal_of(graph, pool) is Signal.CURRENT


def with_differences(graph: Graph, pool: MaxPool2d) -> Graph:
    """Return the graph with neurons that send how much larger one current is.

    Its steps are those of the weights before it on the chip, so that nothing is lost
    where these are on that grid; elsewhere ``quantize`` notes a change.

    Raises
    ------
    PassError
        If windows are large or reach beyond the map, or no weights are before it.
    """
    n_positions = pool.kernel[0] * pool.kernel[1]
    if any(pool.padding) or n_positions > MOST_POSITIONS:
        raise PassError(
            f"{pool.name}: max pooling of currents over {n_positions} positions, "
            f"padding {pool.padding}; at most {MOST_POSITIONS} without padding can be "
            "deployed; put neurons before the pooling, or use AvgPool2d"
        )
    return _Tree(graph, pool, _step(graph, pool)).result()


def _step(graph: Graph, pool: MaxPool2d) -> float:
    """Return what one unit of a sum before a pooling is worth, or a part of it."""
    waiting: list[tuple[Node, float]] = [(node, 1.0) for node in graph.sources(pool)]
    found, is_graded = [], False
    while waiting:
        node, gain = waiting.pop()
        if isinstance(node, Linear | Conv2d | ConvTranspose2d | SparseLinear):
            found.append(gain * np.abs(node.weight).max(initial=0.0))
            is_graded |= graph.input in graph.sources(node)
            continue
        if isinstance(node, BatchNorm):
            gain *= float(np.abs(node.gain).max())
        waiting += [(source, gain) for source in graph.sources(node)]
    if not found or not max(found):
        raise PassError(
            f"{pool.name}: max pooling of values that no weights give; put a weight "
            "layer before it"
        )
    is_graded &= graph.training.encoding is Encoding.DIRECT
    return float(max(found) / LEVELS / (FINER if is_graded else 1))


class _Tree:
    """The largest of a window's values, two by two."""

    def __init__(self, graph: Graph, pool: MaxPool2d, step: float) -> None:
        self.graph = graph
        self.pool = pool
        self.step = step
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.senders: list[str] = []

    def result(self) -> Graph:
        """Return the graph with a sum in place of the pooling."""
        positions = np.ndindex(*self.pool.kernel)
        values = [[self._chosen(row, column)] for row, column in positions]
        while len(values) > 1:
            rest = values[len(values) // 2 * 2 :]
            pairs = zip(values[::2], values[1::2], strict=False)
            values = [self._larger(one, other) for one, other in pairs] + rest
        shape, name = self.pool.output_shape, self.pool.name
        total = Add(name=name, shape=shape)
        edges = [e for e in self.graph.edges if e.target != name]
        ends = [Edge(source=term, target=name) for term in values[0]]
        nodes = [n if n is not self.pool else total for n in self.graph.nodes]
        logger.warning(
            f"{name}: takes the largest of currents; {len(self.senders)} neurons for "
            "each window send by how much one is larger, in steps of "
            f"{self.step:.3g}"
        )
        return replace(
            self.graph,
            nodes=(*nodes, *self.nodes.values()),
            edges=(*edges, *self.edges, *ends),
        )

    def _add(self, node: Node, *sources: str) -> str:
        self.nodes[node.name] = node
        self.edges += [Edge(source=s, target=node.name) for s in sources]
        return node.name

    def _chosen(self, row: int, column: int) -> str:
        """Add what takes one position of each window."""
        pool = self.pool
        channels = pool.shape[0]
        weight = np.zeros((channels, 1, row + 1, column + 1))
        weight[:, :, row, column] = 1
        whole = Conv2d(
            name=self.graph.free_name(f"{pool.name}_{row}_{column}"),
            weight=weight,
            bias=np.zeros(channels),
            stride=pool.stride,
            padding=(0, 0),
            dilation=pool.dilation,
            groups=channels,
            shape=pool.shape,
        )
        rest = [
            mine - wanted
            for mine, wanted in zip(
                whole.output_shape[1:], pool.output_shape[1:], strict=True
            )
        ]
        node = replace(whole, cropped=(rest[0], rest[1]))
        self.nodes[node.name] = node
        before = self.graph.edges_into(pool)
        self.edges += [replace(edge, target=node.name) for edge in before]
        return node.name

    def _larger(self, one: list[str], other: list[str]) -> list[str]:
        """Return the terms of the larger of two sums."""
        shape = self.pool.output_shape
        name = self.graph.free_name(f"{other[0]}_over")
        total = self._add(Add(name=f"{name}_sum", shape=shape), *one)
        negative = affine(f"{name}_minus", shape, np.array(-1.0), np.array(0.0))
        minus = self._add(negative, total)
        self.senders.append(self._add(self._sender(name), *other, minus))
        return [*one, self.senders[-1]]

    def _sender(self, name: str) -> Lif:
        """Return neurons that send what arrives, in steps, if it is over 0."""
        step = np.array(self.step)
        return replace(
            memoryless(name, self.pool.output_shape, step, self.step),
            bias=step / 2,  # to the nearest step
            reset=Reset.SOFT,
            reset_amount=step,
            comparison=Comparison.GREATER_EQUAL,
            max_spikes=MOST_STEPS,
            rounds_to=self.step,
        )
