"""What a forward does with the outputs of layers, beside giving them to layers.

Concatenations, factors and constants, and the logic of spikes. All are told their
operands as names of layers.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from snn_deploy.arrays import FloatArray, Shape, n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.collected import Layers
from snn_deploy.ir.graph import Edge, Graph
from snn_deploy.ir.neurons import memoryless
from snn_deploy.ir.nodes import Add, Node, affine
from snn_deploy.ir.scatter import Channels, SparseLinear
from snn_deploy.ir.spike_values import worth

# by what is called: whether both must spike, and whether spikes are 1, not what worth
LOGIC = {
    "mul": (True, False),
    "minimum": (True, False),
    "bitwise_and": (True, True),
    "logical_and": (True, True),
    "maximum": (False, False),
    "bitwise_or": (False, True),
    "logical_or": (False, True),
}


# a layer's name, or a constant; of the shape of an output, or one that broadcasts
Operand = str | float | FloatArray
ARITHMETIC = ("add", "sub", "mul", "div", "neg", "logical_not", "bitwise_not")


def arithmetic(
    layers: Layers, name: str, operation: str, operands: Sequence[Operand]
) -> str:
    """Add what an operation of ``ARITHMETIC`` or ``LOGIC`` makes of its operands.

    Raises
    ------
    ModelError
        If it is neither a weighted sum nor logic of spikes.
    """
    sources = [operand for operand in operands if isinstance(operand, str)]
    if len(sources) == 2:
        return _of_two(layers, name, operation, *sources)
    if len(sources) != 1 or len(operands) > 2:
        raise ModelError(f"{name}: {operation} of constants alone; leave it out")
    (source,) = sources
    if len(operands) == 1:
        if operation in ("logical_not", "bitwise_not"):
            _check_ones(layers, name, operation, source)
            return scaled(layers, name, source, -1.0, 1.0)
        return scaled(layers, name, source, -1.0)
    is_first = operands[0] is source
    constant = np.asarray(operands[1 if is_first else 0], np.float64)
    return scaled(layers, name, source, *_affine(name, operation, constant, is_first))


def _affine(
    name: str, operation: str, constant: FloatArray, is_first: bool
) -> tuple[FloatArray, FloatArray]:
    """Return gain and offset of an output and a constant, of which one is first."""
    none, one = np.array(0.0), np.array(1.0)
    match operation:
        case "add":
            return one, constant
        case "sub":
            return (one, -constant) if is_first else (-one, constant)
        case "mul":
            return constant, none
        case "div" if is_first and np.all(constant != 0):
            return 1 / constant, none
    raise ModelError(
        f"{name}: {operation} of an output and a constant, which is no weighted sum; "
        "only constants can be added, subtracted and multiplied, and divided by"
    )


def _of_two(layers: Layers, name: str, operation: str, one: str, other: str) -> str:
    if operation in LOGIC:
        return logic(layers, name, operation, one, other)
    shapes = layers.shape_of(one), layers.shape_of(other)
    if shapes[0] != shapes[1] or operation not in ("add", "sub"):
        raise ModelError(
            f"{name}: {operation} of {one} and {other}, outputs of {shapes[0]} and "
            f"{shapes[1]}; only sums and differences of equal shapes, and logic of "
            f"spikes ({', '.join(LOGIC)}) can be deployed"
        )
    if operation == "sub":
        other = scaled(layers, f"{name}_minus", other, -1.0)
    return layers.sum(name, [one, other])


def _check_ones(layers: Layers, name: str, operation: str, source: str) -> None:
    if _worth(layers, source) != 1:
        raise ModelError(
            f"{name}: {operation} of {source}, which gives no spikes worth 1; make it "
            "1 - x"
        )


def concatenated(layers: Layers, name: str, sources: Sequence[str]) -> str:
    """Add the outputs of layers behind one another, along their channels."""
    shapes = [layers.shape_of(source) for source in sources]
    if len({shape[1:] for shape in shapes}) > 1:
        raise ModelError(
            f"{name}: concatenates outputs of {', '.join(map(str, shapes))}; they need "
            "the same height and width"
        )
    n_channels = sum(shape[0] for shape in shapes)
    parts, first = [], 0
    for source, shape in zip(sources, shapes, strict=True):
        part = Channels(
            name=f"{name}_{source}", shape=shape, first=first, n_channels=n_channels
        )
        parts.append(layers.add(part, (source,)))
        first += shape[0]
    whole = (n_channels, *shapes[0][1:])
    return layers.add(Add(name=name, shape=whole), parts)


def reshaped(layers: Layers, name: str, source: str, shape: Shape) -> str:
    """Add what a layer gives, its values in their order in another shape."""
    given = layers.shape_of(source)
    places = np.arange(n_neurons(given), dtype=np.float64)
    node = SparseLinear(
        name=name,
        weight=np.ones(len(places)),
        targets=places,
        sources=places,
        bias=np.zeros(shape),
        shape=given,
        onto=shape,
    )
    return layers.add(node, (source,))


def scaled(
    layers: Layers,
    name: str,
    source: str,
    gain: FloatArray | float = 1.0,
    offset: FloatArray | float = 0.0,
) -> str:
    """Add ``gain * x + offset``, both constants that broadcast against ``(1, ...)``.

    The first axis is that of the batch. Neither may change from timestep to timestep.
    """
    shape = layers.shape_of(source)
    factors = _spread(name, gain, shape)
    constants = _spread(name, offset, shape)
    if np.all(factors == 1) and not constants.any():
        return source
    if not factors.any():
        raise ModelError(f"{name}: a factor of 0, nothing passes; remove it")
    each = [values.reshape(shape[0], -1) for values in (factors, constants)]
    if all(np.all(values == values[:, :1]) for values in each):
        node: Node = affine(name, shape, each[0][:, 0], each[1][:, 0])
        return layers.add(node, (source,))
    places = np.arange(n_neurons(shape), dtype=np.float64)
    node = SparseLinear(
        name=name,
        weight=factors.ravel(),
        targets=places,
        sources=places,
        bias=constants,
        shape=shape,
        onto=shape,
    )
    return layers.add(node, (source,))


def _spread(name: str, values: FloatArray | float, shape: Shape) -> FloatArray:
    found = np.asarray(values, np.float64)
    if found.ndim == len(shape) == 3 and shape[1] == 1:
        found = found[..., np.newaxis, :]  # of rows of several channels
    try:
        return np.array(np.broadcast_to(found, (1, *shape))[0])
    except ValueError:
        raise ModelError(
            f"{name}: a constant of shape {np.shape(values)} beside an output of "
            f"{shape}; give one number, or one for each channel"
        ) from None


def logic(layers: Layers, name: str, operation: str, one: str, other: str) -> str:
    """Add neurons that spike where both of two spike, or any, as ``LOGIC`` says.

    They have no memory. ``1 - b`` for spikes b counts as spikes: of where none is.
    """
    takes_both, is_boolean = LOGIC[operation]
    worths = [_worth(layers, operand) for operand in (one, other)]
    if any(value is None for value in worths):
        raise ModelError(
            f"{name}: {operation} of {one} and {other}, of which "
            f"{(one, other)[worths.index(None)]} is more than one spike of neurons; "
            "only of two spikes it is one neuron"
        )
    values = [value for value in worths if value is not None]
    is_product = operation == "mul"
    if (is_boolean and values != [1.0, 1.0]) or (
        not is_product and values[0] != values[1]
    ):
        raise ModelError(
            f"{name}: {operation} of {one} and {other}, whose spikes are worth "
            f"{values[0]:g} and {values[1]:g}; make both worth the same"
        )
    threshold = max(values) + min(values) / 2 if takes_both else values[0] / 2
    sent = values[0] * values[1] if is_product else values[0]
    shape = layers.shape_of(one)
    if layers.shape_of(other) != shape:
        raise ModelError(
            f"{name}: {operation} of outputs of {shape} and {layers.shape_of(other)}; "
            "make them equal"
        )
    neurons = memoryless(name, shape, np.array(threshold), sent)
    return layers.add(neurons, (one, other))


def _worth(layers: Layers, name: str) -> float | None:
    """Return what a single spike of a layer is worth, ``None`` if it gives others."""
    values = layers.values_of(name)
    found = worth(values) if values is not None else None
    return found[0] if found is not None and found[1] == 1 else None


def input_scaled(graph: Graph, gain: FloatArray, offset: FloatArray) -> Graph:
    """Return the network of ``gain * x + offset`` for an input x, by channel."""
    start = graph.input
    node = affine(graph.free_name("input_scale"), start.shape, gain, offset)
    edges = [
        replace(edge, source=node.name) if edge.source == start.name else edge
        for edge in graph.edges
    ]
    first = Edge(source=start.name, target=node.name)
    return replace(graph, nodes=(*graph.nodes, node), edges=(first, *edges))
