"""Read NIR files: the exchange format of many frameworks and chips.

Shapes have no batch; (channel, length), of a 1d convolution, becomes (channel, 1,
length). What the file leaves out (the length of a timestep, what a spike does to the
voltage) is asked for. An edge that closes a loop takes one timestep. ``file``,
``timing`` and ``layers`` say more.
"""

from dataclasses import replace
from itertools import chain
from pathlib import Path

import networkx as nx

from snn_deploy.arrays import FloatArray, Shape, n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.importers.joining import joined, named_heads, with_one_input
from snn_deploy.importers.nir.file import (
    Primitive,
    Primitives,
    fold_scales,
    read_primitives,
)
from snn_deploy.importers.nir.layers import LAYERS, NEURONS, read_linear
from snn_deploy.importers.nir.silence import note_silence
from snn_deploy.importers.nir.timing import Timing, Wiring, ask, read_training, wire
from snn_deploy.importers.options import NO_OPTIONS, ReadOptions
from snn_deploy.ir.graph import Edge, Graph
from snn_deploy.ir.neurons import Lif
from snn_deploy.ir.nodes import Flatten, Input, Node
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.names import free_name, shown

DEFAULT_TIMESTEPS = 100  # where the file records none


def read_nir(path: Path, options: ReadOptions = NO_OPTIONS) -> Graph:
    """Return the network in the NIR file at ``path``.

    Of the options, ``dt``, ``reset``, ``timesteps``, ``encoding`` and ``written_by``
    say what the file does not; the input's encoding is ``EVENTS`` by default.

    Raises
    ------
    ModelError
        If the file is missing or damaged, a primitive or a parameter has no
        counterpart, ``dt`` or ``reset`` is needed, or an option contradicts it.
    """
    network = fold_scales(read_primitives(path))
    timing = ask(path, network, options)
    wiring = wire(network, timing.dt)
    builder = _NirLayers(network, wiring, timing)
    encoding = None if options.encoding is None else Encoding(options.encoding)
    timesteps = options.timesteps or DEFAULT_TIMESTEPS
    training, is_on_grid = read_training(
        path, network.metadata, timing.dt, timesteps, encoding
    )
    nodes, edges = [*builder.nodes.values()], [*builder.edges]
    if len(network.inputs) > 1:
        nodes, edges, inputs = with_one_input(nodes, edges, training.inputs)
        training = replace(training, inputs=inputs)
    ends = [*network.outputs.values()]
    output = ends[0]
    if len(ends) > 1:
        sizes = {
            shown(end): n_neurons(builder.nodes[node].output_shape)
            for end, node in network.outputs.items()
        }
        nodes, edges, output = joined(nodes, edges, ends)
        training = replace(training, heads=named_heads(sizes))
    graph = Graph(
        name=shown(path.stem),
        nodes=tuple(nodes),
        edges=tuple(edges),
        training=training,
        is_on_grid=is_on_grid,
        output_name=output,
    )
    note_silence(path, network, graph)
    return graph


class _NirLayers:
    """Converts the nodes, each with the shape of what it receives."""

    def __init__(self, network: Primitives, wiring: Wiring, timing: Timing) -> None:
        self.timing = timing
        self.nodes: dict[str, Node] = {}
        self.edges = wiring.edges
        sources: nx.DiGraph[str] = nx.DiGraph()
        sources.add_edges_from((e.source, e.target) for e in wiring.edges)
        each = (nx.dfs_preorder_nodes(sources, start) for start in network.inputs)
        for name in dict.fromkeys(chain.from_iterable(each)):
            known = [s for s in sources.predecessors(name) if s in self.nodes]
            shape = self.nodes[known[0]].output_shape if known else ()
            node = self._convert(network.nodes[name], shape)
            if name in wiring.axon_delays:
                node = _delayed(node, wiring.axon_delays[name])
            self.nodes[name] = node

    def _convert(self, primitive: Primitive, shape: Shape) -> Node:
        name, kind = primitive.name, primitive.kind
        if kind in NEURONS:
            return NEURONS[kind](primitive, shape, self.timing)
        if kind in ("Affine", "Linear"):
            return self._linear(primitive, shape)
        if kind in LAYERS:
            return LAYERS[kind](primitive, shape)
        supported = ", ".join(["Input", "Affine", "Linear", "Delay", *LAYERS, *NEURONS])
        raise ModelError(f"{name}: NIR's {kind} cannot be deployed; use {supported}")

    def _linear(self, primitive: Primitive, shape: Shape) -> Node:
        layer = read_linear(primitive)
        if shape != layer.input_shape and n_neurons(shape) == layer.input_shape[0]:
            taken = {*self.nodes, *(edge.source for edge in self.edges)}
            name = free_name(f"{primitive.name}_flatten", taken)
            flat = Flatten(name=name, shape=shape)
            self.nodes[flat.name] = flat
            self._insert(flat.name, primitive.name)
        return layer

    def _insert(self, new: str, before: str) -> None:
        """Lead the edges that end at a node through a new one."""
        self.edges = (
            *(replace(e, target=new) if e.target == before else e for e in self.edges),
            Edge(source=new, target=before),
        )


def _delayed(node: Node, delays: FloatArray) -> Node:
    assert isinstance(node, Lif | Input)
    if delays.size != n_neurons(node.shape):
        raise ModelError(
            f"{node.name}: {delays.size} delays for {n_neurons(node.shape)} values; "
            "give one each"
        )
    return replace(node, axon_delay=delays.reshape(node.shape))
