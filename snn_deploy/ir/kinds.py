"""Neurons that are alike, so that what a spike does is looked at once for each kind.

Labels along the three axes of a population say which channels, rows and columns are
alike; neurons of one kind have equal ones along all of them. A convolution's input has
few kinds, however many positions it has.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snn_deploy.arrays import AnyArray, IntArray, Shape, n_neurons, three_axes

Axes = tuple[IntArray, IntArray, IntArray]  # an array for each: channels, rows, columns


@dataclass(frozen=True, eq=False)
class Kinds:
    """The kinds of a population's neurons, numbered along the three axes."""

    labels: Axes  # each counts from 0 in the order in which they first come

    @cached_property
    def at(self) -> Axes:
        """Where along each axis every label comes first, ascending."""
        a, b, c = (np.unique(of, return_index=True)[1] for of in self.labels)
        return a, b, c

    @cached_property
    def first(self) -> IntArray:
        """The first neuron of each kind, ``(n_kinds,)``."""
        sizes = tuple(len(labels) for labels in self.labels)
        return np.ravel_multi_index(np.ix_(*self.at), sizes).reshape(-1)

    @cached_property
    def n_neurons(self) -> IntArray:
        """How many neurons each kind has, ``(n_kinds,)``."""
        a, b, c = (np.bincount(labels) for labels in self.labels)
        return np.multiply.outer(np.multiply.outer(a, b), c).reshape(-1)

    @cached_property
    def of_neurons(self) -> IntArray:
        """The kind of each neuron, ``(n_neurons,)``."""
        sizes = tuple(len(firsts) for firsts in self.at)
        return np.ravel_multi_index(np.ix_(*self.labels), sizes).reshape(-1)


def alike_in(*labels: Axes) -> Kinds:
    """Return the kinds of neurons that are alike in everything."""
    a, b, c = (labels_of(np.stack(axis, axis=1)) for axis in zip(*labels, strict=True))
    return Kinds((a, b, c))


def labels_of(table: AnyArray) -> IntArray:
    """Return a number for each row of a table, one for all that are equal."""
    known: dict[bytes, int] = {}
    return np.array([known.setdefault(row.tobytes(), len(known)) for row in table])


def where_equal(values: IntArray, shape: Shape) -> Axes:
    """Return labels of the slices of a value for each neuron."""
    grid = values.reshape(three_axes(shape))
    a, b, c = (
        labels_of(np.moveaxis(grid, axis, 0).reshape(size, -1))
        for axis, size in enumerate(grid.shape)
    )
    return a, b, c


def each_its_own(shape: Shape) -> Axes:
    """Return labels of neurons of which no two are alike."""
    a, b, c = (np.arange(size) for size in three_axes(shape))
    return a, b, c


def all_alike(shape: Shape) -> Axes:
    """Return labels of neurons that are all alike."""
    a, b, c = (np.zeros(size, np.int64) for size in three_axes(shape))
    return a, b, c


def neurons_at(at: Axes, shape: Shape) -> IntArray:
    """Return the neurons at these channels, rows and columns, ``(n,)``."""
    numbers = np.arange(n_neurons(shape)).reshape(three_axes(shape))
    found: IntArray = numbers[np.ix_(*at)].reshape(-1)
    return found
