"""Fold the scale and the offset of the input into the first layers."""

from dataclasses import replace

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.compiler.lower.compose import Weights
from snn_deploy.errors import PassError
from snn_deploy.ir.floating import weighted
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.nodes import Flatten, Node
from snn_deploy.ir.stimuli import Encoding


def fold_input(graph: Graph) -> Graph:
    """Return the same function of the integers that the chip receives.

    The trained network sees ``x * input_scale + input_offset`` with x from 0 to 1; the
    chip receives 0 to 255 (``DIRECT``) or spikes. The offset becomes part of the bias,
    at each position its own where a convolution pads the input with zeros.

    Raises
    ------
    PassError
        If the input feeds anything but a weight layer.
    """
    training = graph.training
    if training.encoding is Encoding.BIAS:  # what is scaled is the bias, by the host
        return graph
    unit = training.encoding.unit
    gain, offset = training.input_scale / unit, training.input_offset
    for layer in _first_layers(graph):
        graph = graph.replace(layer, by=_folded(layer, gain, offset))
    folded = replace(training, input_scale=float(unit), input_offset=0.0)
    return replace(graph, training=folded)


def _first_layers(graph: Graph) -> list[Weights]:
    found: list[Weights] = []
    waiting: list[Node] = list(graph.targets(graph.input))
    while waiting:
        node = waiting.pop()
        if isinstance(node, Flatten):
            waiting += graph.targets(node)
        elif isinstance(node, Weights):
            found.append(node)
        else:
            raise PassError(
                f"{node.name}: takes the input of the network as it is; put a Linear "
                "or Conv2d layer between input and neurons"
            )
    return found


def _folded(layer: Weights, gain: float, offset: float) -> Weights:
    bias = layer.bias
    if offset != 0:
        bias = _shifted(layer, offset)
    return replace(layer, weight=layer.weight * gain, bias=bias)


def _shifted(layer: Weights, offset: float) -> FloatArray:
    """Return the bias plus what a constant input of ``offset`` gives."""
    constant = np.full((1, *layer.input_shape), offset)
    found: FloatArray = weighted(layer, constant)[0]
    return found
