"""What synapses of all kinds tell: whom they connect, how they add up, what is read."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
from scipy import sparse

from snn_deploy.arrays import (
    AnyArray,
    BoolArray,
    IntArray,
    Shape,
    read_only,
    row_blocks,
)
from snn_deploy.errors import PassError
from snn_deploy.ir.kinds import Axes, each_its_own

Summing = Callable[[AnyArray], AnyArray]  # spikes of a batch to their sums
Reaching = Callable[[AnyArray], BoolArray]  # spikes of a batch to where they go


def freeze(value: object) -> None:
    """Make the arrays of a dataclass read-only, integers ``int64``."""
    for field in fields(value):  # type: ignore[arg-type]
        item = getattr(value, field.name)
        if isinstance(item, np.ndarray | np.generic):
            if item.dtype == np.uint64 and item.max(initial=0) > np.iinfo(np.int64).max:
                raise PassError(f"{field.name}: {item.max()} is over 2**63")
            dtype = np.float64 if item.dtype.kind == "f" else np.int64
            object.__setattr__(value, field.name, read_only(item, dtype))


@dataclass(frozen=True, kw_only=True, eq=False)
class AnySynapses(ABC):
    """What synapses of all kinds tell; ``shape`` is that of the source.

    Values "like the weights" have the layout of ``weights``.
    """

    weights: IntArray

    kind: ClassVar[str]
    reaches_all: ClassVar[bool] = False  # a synapse from every source to every target

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def kernel(self) -> Shape:
        """Rows and columns of a kernel, empty where there is none."""
        return ()

    @property
    def n_positions(self) -> int:
        """How many positions are stored beside the weights."""
        return 0

    @property
    def largest_sum(self) -> int:
        """The largest sum of weights onto one neuron, by magnitude."""
        return int(self.sums_of(np.abs).max(initial=0))

    def sums_of(self, function: Callable[[IntArray], IntArray]) -> IntArray:
        """Return the sums of a function of each weight, by target neuron or channel."""
        blocks = [
            self.sums_onto(function(self.weights[rows]))
            for rows in row_blocks(self.weights)
        ]
        return np.concatenate([np.zeros(0, np.int64), *blocks])

    @property
    @abstractmethod
    def fan_in(self) -> int:
        """Synapses onto one neuron, at most."""

    @abstractmethod
    def output_shape(self, shape: Shape) -> Shape | None:
        """Return what a source of ``shape`` reaches; ``None`` if it does not fit."""

    @abstractmethod
    def fan_ins(self, shape: Shape) -> IntArray:
        """Return the synapses onto each neuron ``(n_targets,)``, weights of 0 too."""

    def fan_outs(self, shape: Shape) -> IntArray:
        """Return the synapses of each neuron ``(n_sources,)``, weights of 0 too.

        A convolution reads nothing outside of its input.
        """
        return self.sums_from(np.ones_like(self.weights), shape)

    def effective_fan_outs(self, shape: Shape) -> IntArray:
        """Return the synapses of each neuron ``(n_sources,)`` whose weight is not 0."""
        return self.sums_from((self.weights != 0).astype(np.int64), shape)

    @abstractmethod
    def sums_onto(self, values: IntArray) -> IntArray:
        """Return the sums of values like the weights, by target neuron or channel."""

    @abstractmethod
    def sums_from(self, values: IntArray, shape: Shape) -> IntArray:
        """Return the sums of values like the weights, by source neuron."""

    def alike(self, places: IntArray, shape: Shape) -> Axes:
        """Return labels of source neurons for which ``read_on`` gives the same."""
        return each_its_own(shape)

    def effectively_alike(self, places: IntArray, shape: Shape) -> Axes:
        """Return those for which ``effective_read_on`` gives the same."""
        if self.weights.all():
            return self.alike(places, shape)
        return self._effectively_alike(places, shape)

    def _effectively_alike(self, places: IntArray, shape: Shape) -> Axes:
        return each_its_own(shape)

    @abstractmethod
    def read_on(
        self, places: IntArray, n_places: int, shape: Shape, at: Axes | None = None
    ) -> sparse.csr_array:
        """Return how many synapses one spike reads, by source neuron and place.

        Parameters
        ----------
        places : array, (n_targets,)
            The place of each target neuron, 0 to ``n_places`` - 1.
        n_places : int
        shape : tuple of int
        at : arrays, optional
            Ascending channels, rows and columns of the source neurons that are looked
            at; all if not given.

        Returns
        -------
        sparse array, (n_sources, n_places)
            Weights of 0 count.
        """

    def effective_read_on(
        self, places: IntArray, n_places: int, shape: Shape, at: Axes | None = None
    ) -> sparse.csr_array:
        """Return what ``read_on`` does, but of synapses whose weight is not 0."""
        at = at or each_its_own(shape)
        if self.weights.all():
            return self.read_on(places, n_places, shape, at)
        return self._effective_read_on(places, n_places, shape, at)

    @abstractmethod
    def _effective_read_on(
        self, places: IntArray, n_places: int, shape: Shape, at: Axes
    ) -> sparse.csr_array: ...

    @abstractmethod
    def summing(self, weights: AnyArray, shape: Shape) -> Summing:
        """Return what gives the sums ``(n, n_targets)`` of spikes ``(n, n_sources)``.

        ``weights`` take the place of the weights; the spikes are to have their type.
        """

    @abstractmethod
    def reaching(self, shape: Shape) -> Reaching:
        """Return what says for spikes ``(n, n_sources)`` where a synapse is read.

        That is ``(n, n_targets)``; weights of 0 are read too.
        """

    @abstractmethod
    def dense(self, shape: Shape) -> IntArray:
        """Return all weights as a matrix ``(n_targets, n_sources)``."""
