"""Layers of a float graph that bring a value to places of another output."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from snn_deploy.arrays import FloatArray, Shape, n_neurons
from snn_deploy.errors import ModelError
from snn_deploy.ir.convolve import Convolution
from snn_deploy.ir.nodes import Node, Signal


@dataclass(frozen=True, kw_only=True, eq=False)
class ConvTranspose2d(Node):
    """A transposed convolution: each value adds a kernel to the output."""

    weight: (
        FloatArray  # (in_channel, out_channel / groups, kernel_height, kernel_width)
    )
    bias: FloatArray  # (out_channel,)
    stride: tuple[int, int]
    padding: tuple[int, int]  # rows and columns that are cut off at each side
    output_padding: tuple[int, int]  # further last rows and columns of the output
    dilation: tuple[int, int]
    groups: int
    shape: Shape  # of the input: (in_channel, height, width)

    emits = Signal.CURRENT

    @property
    def input_shape(self) -> Shape:
        return self.shape

    @property
    def output_shape(self) -> Shape:
        height, width = (
            (self.shape[1 + axis] - 1) * self.stride[axis]
            - 2 * self.padding[axis]
            + self.dilation[axis] * (self.weight.shape[2 + axis] - 1)
            + self.output_padding[axis]
            + 1
            for axis in (0, 1)
        )
        return (self.weight.shape[1] * self.groups, height, width)

    @property
    def backward(self) -> Convolution:
        """The convolution, from output to input, that this one is the transpose of."""
        return Convolution(
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight.ndim != 4 or len(self.shape) != 3:
            raise ModelError(
                f"{self.name}: the weight has shape {self.weight.shape} and the input "
                f"{self.shape}; a transposed convolution needs 4 and 3 axes"
            )
        may_be_none = (*self.padding, *self.output_padding)
        if min(self.groups, *self.stride, *self.dilation) < 1 or min(may_be_none) < 0:
            raise ModelError(
                f"{self.name}: stride {self.stride}, padding {self.padding}, output "
                f"padding {self.output_padding}, dilation {self.dilation}, groups "
                f"{self.groups}; only paddings may be 0, nothing less"
            )
        if self.shape[0] != self.weight.shape[0] or self.shape[0] % self.groups:
            raise ModelError(
                f"{self.name}: the input has {self.shape[0]} channels, the weight "
                f"takes {self.weight.shape[0]} in {self.groups} groups; make them fit"
            )
        if min(self.output_shape) < 1:
            raise ModelError(
                f"{self.name}: padding {self.padding} leaves nothing of the output; "
                "make it smaller"
            )
        backward = self.backward.convolved_shape(self.output_shape, self.weight.shape)
        if backward != self.shape:
            raise ModelError(
                f"{self.name}: output padding {self.output_padding} is not under "
                f"stride {self.stride}; make it smaller"
            )
        if self.bias.shape != self.output_shape[:1]:
            raise ModelError(
                f"{self.name}: bias has shape {self.bias.shape}, but the output is "
                f"{self.output_shape}; give one for each channel"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class SparseLinear(Node):
    """A weighted sum with single weights: each from one value to one value.

    Positions count the values of a map, or a row, one after another.
    """

    weight: FloatArray  # (n_synapses,)
    targets: FloatArray  # (n_synapses,), whole numbers
    sources: FloatArray  # (n_synapses,)
    bias: FloatArray  # (out_channel,), or of the output's shape
    shape: Shape  # of the input
    onto: Shape  # of the output

    emits = Signal.CURRENT

    @property
    def input_shape(self) -> Shape:
        return self.shape

    @property
    def output_shape(self) -> Shape:
        return self.onto

    @property
    def matrix(self) -> sparse.csr_array:
        """The weights ``(n_out, n_in)``."""
        positions = (self.targets.astype(np.int64), self.sources.astype(np.int64))
        size = (n_neurons(self.onto), n_neurons(self.shape))
        return sparse.csr_array((self.weight, positions), shape=size)

    def __post_init__(self) -> None:
        super().__post_init__()
        if min((*self.shape, *self.onto), default=0) < 1 or not (
            self.shape and self.onto
        ):
            raise ModelError(
                f"{self.name}: leads from {self.shape} to {self.onto}; give sizes of 1 "
                "or more"
            )
        if {self.targets.shape, self.sources.shape} != {self.weight.shape}:
            raise ModelError(
                f"{self.name}: {self.weight.shape} weights from {self.sources.shape} "
                f"to {self.targets.shape} positions; give as many of each"
            )
        for positions, shape in ((self.targets, self.onto), (self.sources, self.shape)):
            is_inside = (positions >= 0) & (positions < n_neurons(shape))
            if not np.all(is_inside & (positions == np.rint(positions))):
                raise ModelError(
                    f"{self.name}: a weight lies outside of {shape}; give positions "
                    "from 0 on"
                )
        if self.bias.shape not in (self.onto[:1], self.onto):
            raise ModelError(
                f"{self.name}: bias has shape {self.bias.shape}, but the output is "
                f"{self.onto}; give one for each channel"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Channels(Node):
    """Some channels of a whole that is 0 elsewhere; a concatenation is a sum of parts.

    The channels are ``first`` and those behind it.
    """

    shape: Shape  # of the input: (channel, ...)
    first: int
    n_channels: int  # of the whole

    @property
    def input_shape(self) -> Shape:
        return self.shape

    @property
    def output_shape(self) -> Shape:
        return (self.n_channels, *self.shape[1:])

    def __post_init__(self) -> None:
        super().__post_init__()
        size = self.shape[0] if self.shape else 0
        if size < 1 or not 0 <= self.first <= self.n_channels - size:
            raise ModelError(
                f"{self.name}: {size} channels from {self.first} on do not lie in the "
                f"{self.n_channels} of the whole; make the two fit"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Section(Node):
    """Values of a row, from ``first`` on, in a shape of their own."""

    shape: Shape  # of the input: (n,)
    first: int
    onto: Shape  # of the output

    @property
    def input_shape(self) -> Shape:
        return self.shape

    @property
    def output_shape(self) -> Shape:
        return self.onto

    @property
    def places(self) -> slice:
        """Which values of the row they are."""
        return slice(self.first, self.first + n_neurons(self.onto))

    def __post_init__(self) -> None:
        super().__post_init__()
        is_row = len(self.shape) == 1 and min((*self.shape, *self.onto)) >= 1
        places, n_given = self.places, n_neurons(self.shape)
        if not (is_row and self.onto) or places.start < 0 or places.stop > n_given:
            raise ModelError(
                f"{self.name}: {self.onto} from value {self.first} on does not lie in "
                f"an input of {self.shape}; make the two fit"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Upsample2d(Node):
    """Each value as often as ``factor`` says, down and along: nearest neighbors."""

    shape: Shape  # (channel, height, width)
    factor: tuple[int, int]

    @property
    def input_shape(self) -> Shape:
        return self.shape

    @property
    def output_shape(self) -> Shape:
        channels, height, width = self.shape
        return (channels, height * self.factor[0], width * self.factor[1])

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.shape) != 3 or min(self.factor) < 1:
            raise ModelError(
                f"{self.name}: factors {self.factor} of an input of {self.shape}; "
                "needed are 3 axes and factors of 1 or more"
            )
