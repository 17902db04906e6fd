"""What spikes, and sums of spikes, can be worth in one timestep."""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce

import numpy as np

from snn_deploy.arrays import n_neurons
from snn_deploy.ir.neurons import Lif
from snn_deploy.ir.nodes import Add, BatchNorm, Flatten, MaxPool2d, Node
from snn_deploy.ir.scatter import Channels, Section, Upsample2d

Values = frozenset[float]
NOTHING = frozenset({0.0})
MOST_VALUES = 64
DIGITS = 12  # of a number, so that sums in another order are equal


def possible_values(
    node: Node,
    sources_of: Callable[[Node], Sequence[Node]],
    of_input: Values | None = None,
) -> tuple[Values, ...] | None:
    """Return what each channel of a layer may give; more, if sources depend.

    ``None`` for layers that give anything else than spikes of neurons that spike once
    in a timestep at most, and sums, factors, parts and maxima of them.

    Parameters
    ----------
    node : Node
    sources_of : callable
        Gives the layers that feed one.
    of_input : set of float, optional
        What the input may be; ``None``: anything.
    """
    if isinstance(node, Lif):
        is_single = node.max_spikes == 1
        return _each(node, {0.0, node.spike_value}) if is_single else None
    sources = sources_of(node)
    if not sources:
        return None if of_input is None else _each(node, of_input)
    passing = Add | BatchNorm | Flatten | MaxPool2d | Channels | Section | Upsample2d
    if not isinstance(node, passing):
        return None
    terms = [possible_values(s, sources_of, of_input) for s in sources]
    known = [term for term in terms if term is not None]
    if len(known) < len(terms):
        return None
    sums = tuple(reduce(_sum, values) for values in zip(*known, strict=True))
    if any(len(values) > MOST_VALUES for values in sums):
        return None
    return _through(node, sums)


def _through(node: Node, values: tuple[Values, ...]) -> tuple[Values, ...]:
    match node:
        case BatchNorm():
            each = zip(values, node.gain, node.offset, strict=True)
            return tuple(_rounded(v * a + b for v in vs) for vs, a, b in each)
        case Channels():
            behind = node.n_channels - node.first - len(values)
            return (NOTHING,) * node.first + values + (NOTHING,) * behind
        case Section():
            size = n_neurons(node.onto[1:])
            mine = values[node.places]
            each = zip(*(mine[place::size] for place in range(size)), strict=True)
            return tuple(frozenset().union(*of_channel) for of_channel in each)
        case Flatten():
            size = n_neurons(node.shape[1:])
            return tuple(v for v in values for _ in range(size))
    return values


def _each(node: Node, values: set[float] | Values) -> tuple[Values, ...]:
    return (frozenset(values),) * node.output_shape[0]


def _sum(one: Values, other: Values) -> Values:
    return _rounded(a + b for a in one for b in other)


def _rounded(values: Iterable[float]) -> Values:
    return frozenset(float(f"{value:.{DIGITS}g}") for value in values)


def worth(values: tuple[Values, ...]) -> tuple[float, int] | None:
    """Return what one spike is worth, and how many there are at most.

    ``None`` if values are no multiples of one, over 0.
    """
    found = sorted({value for each in values for value in each} | {0.0})
    if found[0] < 0 or len(found) == 1:
        return None
    unit = found[1]
    counts = [value / unit for value in found]
    is_multiple = np.abs(np.array(counts) - np.rint(counts)) < 10.0 ** (3 - DIGITS)
    return (unit, round(counts[-1])) if is_multiple.all() else None
