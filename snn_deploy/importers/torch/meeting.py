"""What a forward does with the outputs of layers, beside giving them to layers.

Concatenations, factors and constants, and the logic of spikes. All are told their
operands as names of layers.
"""

from collections.abc import Sequence

import numpy as np

from snn_deploy.arrays import FloatArray, Shape, n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.collected import Layers
from snn_deploy.ir.neurons import memoryless
from snn_deploy.ir.nodes import Add, Node, affine, shifted
from snn_deploy.ir.scatter import Channels, SparseLinear
from snn_deploy.ir.spike_values import possible_values, worth

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

    def sources_of(node: Node) -> list[Node]:
        edges = [edge for edge in layers.edges if edge.target == node.name]
        return [layers.nodes[edge.source] for edge in edges]

    values = possible_values(layers.nodes[name], sources_of)
    found = worth(values) if values is not None else None
    return found[0] if found is not None and found[1] == 1 else None


def padded(
    layers: Layers,
    name: str,
    source: str,
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> str:
    """Add rows of zeros above and below a map, and columns at its left and right.

    Where a number is under 0, so many are left out.
    """
    shape = layers.shape_of(source)
    return layers.add(shifted(name, shape, rows, columns), (source,))
