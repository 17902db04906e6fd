"""Move each flatten behind the neurons that follow it: they keep the shape of a map."""

from dataclasses import fields, replace
from typing import Any

import numpy as np

from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Neuron
from snn_deploy.ir.nodes import Flatten


def move_flatten(graph: Graph) -> Graph:
    """Return the same function, in which no flatten leads to neurons.

    Neurons behind a convolution or a pooling have its shape, and share its weights. A
    flatten behind everything else is left out, since the output is a row anyway. Where
    something else reaches the neurons as well, it stays.
    """
    for flat in graph.nodes_of(Flatten):
        neurons, *others = graph.targets(flat) or (None,)
        if not isinstance(neurons, Neuron) or others:
            continue
        if len(graph.edges_into(neurons)) == 1:
            graph = _swapped(graph, flat, neurons)
    last = graph.output
    if isinstance(last, Flatten) and not graph.targets(last):
        graph = _without_last(graph, last)
    return graph


def _swapped(graph: Graph, flat: Flatten, neurons: Neuron) -> Graph:
    parameters: dict[str, Any] = {
        item.name: np.reshape(value, flat.shape)
        for item in fields(neurons)
        if isinstance(value := getattr(neurons, item.name), np.ndarray)
        and value.size > 1
    }
    mapped = replace(neurons, shape=flat.shape, **parameters)
    swap = {flat.name: neurons.name, neurons.name: flat.name}
    return replace(
        graph,
        nodes=tuple(mapped if node is neurons else node for node in graph.nodes),
        edges=tuple(
            replace(
                edge,
                source=swap.get(edge.source, edge.source),
                target=swap.get(edge.target, edge.target),
            )
            for edge in graph.edges
        ),
    )


def _without_last(graph: Graph, last: Flatten) -> Graph:
    (source,) = graph.sources(last)
    return replace(
        graph,
        nodes=tuple(node for node in graph.nodes if node is not last),
        edges=tuple(edge for edge in graph.edges if edge.target != last.name),
        output_name=source.name if len(graph.targets(source)) > 1 else "",
    )
