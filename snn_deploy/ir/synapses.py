"""Synapses in chip integers: from every neuron, shared over positions, or single."""

from dataclasses import dataclass, fields

import numpy as np

from snn_deploy.arrays import IntArray, Shape, n_neurons, read_only
from snn_deploy.errors import PassError
from snn_deploy.ir.nodes import convolved_shape

LARGEST_STEP = 1 << 24  # of a convolution; no input is wider


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
class DenseSynapses:
    """A weight from every source neuron to every target neuron."""

    weights: IntArray  # (n_out, n_in), each source and target in a row

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def fan_in(self) -> int:
        """Synapses onto one neuron, at most."""
        return int(self.weights.shape[1])

    def output_shape(self, shape: Shape) -> Shape | None:
        """Return what a source of ``shape`` reaches; ``None`` if it does not fit."""
        fits = self.weights.ndim == 2 and self.weights.shape[1] == n_neurons(shape)
        return self.weights.shape[:1] if fits else None


@dataclass(frozen=True, kw_only=True, eq=False)
class ConvSynapses:
    """The weights of a convolution, shared over positions."""

    weights: IntArray  # (out_channel, in_channel / groups, height, width)
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    cropped: tuple[int, int] = (0, 0)  # last rows and columns of the output left out

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def fan_in(self) -> int:
        """Synapses onto one neuron, at most."""
        return int(np.prod(self.weights.shape[1:]))

    def output_shape(self, shape: Shape) -> Shape | None:
        """Return what a source of ``shape`` reaches; ``None`` if it does not fit."""
        if self.weights.ndim != 4 or len(shape) != 3 or self.groups < 1:
            return None
        n_out, n_in = self.weights.shape[:2]
        if n_in * self.groups != shape[0] or n_out % self.groups:
            return None
        smallest = min(*self.stride, *self.dilation)
        if smallest < 1 or min(*self.padding, *self.cropped) < 0:
            return None
        if max(*self.stride, *self.dilation, *self.padding) > LARGEST_STEP:
            return None
        return convolved_shape(
            shape,
            self.weights.shape,
            self.stride,
            self.padding,
            self.dilation,
            self.cropped,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SparseSynapses:
    """Single weights, each from one source neuron to one target neuron."""

    targets: IntArray  # (n_synapses,), positions in the flattened population
    sources: IntArray  # (n_synapses,)
    weights: IntArray  # (n_synapses,)
    size: tuple[int, int]  # (n_out, n_in)

    def __post_init__(self) -> None:
        freeze(self)
        if min(self.size) < 1:
            raise PassError(f"sparse synapses of size {self.size}; give sizes over 0")
        shapes = {self.targets.shape, self.sources.shape, self.weights.shape}
        if len(shapes) != 1 or self.weights.ndim != 1:
            raise PassError("sparse synapses need as many targets, sources and weights")
        for positions, size in zip(
            (self.targets, self.sources), self.size, strict=True
        ):
            if positions.size and not 0 <= positions.min() <= positions.max() < size:
                raise PassError(f"a sparse synapse lies outside of {self.size}")

    @property
    def fan_in(self) -> int:
        """Synapses onto one neuron, at most."""
        return int(np.bincount(self.targets, minlength=1).max())

    def output_shape(self, shape: Shape) -> Shape | None:
        """Return what a source of ``shape`` reaches; ``None`` if it does not fit."""
        return self.size[:1] if self.size[1] == n_neurons(shape) else None


Synapses = DenseSynapses | ConvSynapses | SparseSynapses
