"""The layers of a float graph but its neurons: parameters, shapes, signals."""

from dataclasses import dataclass, field, fields
from enum import Enum
from typing import ClassVar

import numpy as np

from snn_deploy.arrays import FloatArray, Shape, n_neurons, read_only
from snn_deploy.errors import ModelError
from snn_deploy.ir.convolve import Convolution

MOST_PADDING = 256  # rows or columns at one side of a map


class Signal(Enum):
    """What an edge carries."""

    SPIKES = "spikes"
    CURRENT = "current"


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One layer. ``accepts`` and ``emits`` are ``None`` where any signal passes."""

    name: str

    accepts: ClassVar[Signal | None] = None
    emits: ClassVar[Signal | None] = None
    may_be_infinite: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray | np.generic):
                is_open = item.name in self.may_be_infinite
                is_good = ~np.isnan(value) if is_open else np.isfinite(value)
                if not is_good.all():
                    n_bad = int(is_good.size - np.count_nonzero(is_good))
                    raise ModelError(
                        f"{self.name}: {item.name} holds {n_bad} values that are no "
                        "finite number; the training has diverged, export another "
                        "checkpoint"
                    )
                copy = read_only(value, np.float64)
                object.__setattr__(self, item.name, copy)

    @property
    def input_shape(self) -> Shape:
        """The shape of one timestep's input."""
        raise AssertionError(f"{type(self).__name__} has no input shape")

    @property
    def output_shape(self) -> Shape:
        """The shape of one timestep's output; that of the input unless it differs."""
        return self.input_shape


@dataclass(frozen=True, kw_only=True, eq=False)
class SameShape(Node):
    """A layer whose output has the shape of its input."""

    shape: Shape

    @property
    def input_shape(self) -> Shape:
        return self.shape


@dataclass(frozen=True, kw_only=True, eq=False)
class Input(SameShape):
    """Where the network's input enters."""

    axon_delay: FloatArray = field(default_factory=lambda: np.array(0.0))  # timesteps

    emits = Signal.SPIKES

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.shape or min(self.shape) < 1:
            raise ModelError(
                f"{self.name}: input_shape is {self.shape}; give the sizes of one "
                "input, each at least 1"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear(Node):
    """A weighted sum of the input, ``y = W x + b``, at every timestep."""

    weight: FloatArray  # (n_out, n_in)
    bias: FloatArray  # (n_out,)

    emits = Signal.CURRENT

    @property
    def input_shape(self) -> Shape:
        return (self.weight.shape[1],)

    @property
    def output_shape(self) -> Shape:
        return (self.weight.shape[0],)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight.ndim != 2 or self.bias.shape != self.output_shape:
            raise ModelError(
                f"{self.name}: bias has shape {self.bias.shape}, but the weight has "
                f"shape {self.weight.shape}; they need (n_out,) and (n_out, n_in)"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv2d(Convolution, Node):
    """A convolution at every timestep, with zeros around the input."""

    weight: (
        FloatArray  # (out_channel, in_channel / groups, kernel_height, kernel_width)
    )
    bias: FloatArray  # (out_channel,), or (out_channel, height, width)
    shape: Shape  # of the input: (in_channel, height, width)

    emits = Signal.CURRENT

    @property
    def input_shape(self) -> Shape:
        return self.shape

    @property
    def output_shape(self) -> Shape:
        return self.convolved_shape(self.shape, self.weight.shape)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight.ndim != 4 or len(self.shape) != 3:
            raise ModelError(
                f"{self.name}: the weight has shape {self.weight.shape} and the input "
                f"{self.shape}; a 2d convolution needs 4 and 3 axes"
            )
        may_be_none = (*self.padding, *self.cropped)
        if min(self.groups, *self.stride, *self.dilation) < 1 or min(may_be_none) < 0:
            raise ModelError(
                f"{self.name}: stride {self.stride}, padding {self.padding}, dilation "
                f"{self.dilation}, groups {self.groups}, cropped {self.cropped}; only "
                "the padding and what is cropped may be 0, nothing less"
            )
        n_in = self.weight.shape[1] * self.groups
        if self.shape[0] != n_in or self.weight.shape[0] % self.groups:
            raise ModelError(
                f"{self.name}: the input has {self.shape[0]} channels, the weight "
                f"takes {n_in} in {self.groups} groups; make the two fit"
            )
        if min(self.output_shape) < 1:
            raise ModelError(
                f"{self.name}: a kernel of {self.weight.shape[2:]} leaves nothing of "
                f"an input of {self.shape}; make it smaller"
            )
        if self.bias.shape not in (self.output_shape[:1], self.output_shape):
            raise ModelError(
                f"{self.name}: bias has shape {self.bias.shape}, but the output is "
                f"{self.output_shape}; give one for each channel"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchNorm(SameShape):
    """A scale and a shift per channel, with the statistics of the training."""

    mean: FloatArray  # (channel,)
    variance: FloatArray  # (channel,)
    scale: FloatArray  # (channel,)
    shift: FloatArray  # (channel,)
    epsilon: float

    emits = Signal.CURRENT

    def __post_init__(self) -> None:
        super().__post_init__()
        for parameter in (self.mean, self.variance, self.scale, self.shift):
            if parameter.shape != self.shape[:1]:
                raise ModelError(
                    f"{self.name}: {parameter.shape} parameters for "
                    f"{self.shape[0]} channels; make the two fit"
                )

    @property
    def gain(self) -> FloatArray:
        """What each channel is multiplied by, ``(channel,)``."""
        return np.asarray(self.scale / np.sqrt(self.variance + self.epsilon))

    @property
    def offset(self) -> FloatArray:
        """What is added to each channel then, ``(channel,)``."""
        return np.asarray(self.shift - self.mean * self.gain)


def affine(name: str, shape: Shape, gain: FloatArray, offset: FloatArray) -> BatchNorm:
    """Return ``y = gain x + offset``, one number of each for all or for a channel."""
    none, one = np.zeros(shape[0]), np.ones(shape[0])
    return BatchNorm(
        name=name,
        shape=shape,
        mean=none,
        variance=one,
        scale=gain * one,
        shift=offset + none,
        epsilon=0.0,
    )


def shifted(
    name: str, shape: Shape, rows: tuple[int, int], columns: tuple[int, int]
) -> Conv2d:
    """Return what puts zeros around maps, so many above and below, left and right.

    It is a convolution of each channel with a single 1. Numbers under 0 cut off.
    """
    ends = (rows, columns)
    if len(shape) != 3:
        raise ModelError(f"{name}: pads an output of {shape}; only maps can be padded")
    if max(abs(n) for pair in ends for n in pair) > MOST_PADDING:
        raise ModelError(
            f"{name}: pads {rows} rows and {columns} columns, allowed are "
            f"{MOST_PADDING} at each side; pad less"
        )
    above, beside = (max(0, *pair) for pair in ends)
    weight = np.zeros((shape[0], 1, above - rows[0] + 1, beside - columns[0] + 1))
    weight[:, :, -1, -1] = 1
    return Conv2d(
        name=name,
        weight=weight,
        bias=np.zeros(shape[0]),
        stride=(1, 1),
        padding=(above, beside),
        dilation=(1, 1),
        groups=shape[0],
        shape=shape,
        cropped=(above - rows[1], beside - columns[1]),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Tebn(SameShape):
    """Temporal effective batch normalization: ``factors[t] * norm(x)`` at timestep t.

    Statistics are those of all timesteps together; the last factor stays after the
    last timestep [1]_.

    References
    ----------
    .. [1] C. Duan et al., "Temporal Effective Batch Normalization in Spiking Neural
       Networks", NeurIPS 2022.
    """

    norm: BatchNorm
    factors: FloatArray  # (n_timesteps,)

    accepts = Signal.CURRENT
    emits = Signal.CURRENT

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.factors.ndim != 1 or self.factors.size == 0:
            raise ModelError(
                f"{self.name}: factors of shape {self.factors.shape}; give one for "
                "each timestep"
            )
        if self.norm.shape != self.shape:
            raise ModelError(
                f"{self.name}: normalizes {self.norm.shape}, but the input is "
                f"{self.shape}; make the two fit"
            )

    def factor(self, timestep: int) -> float:
        """Return the factor of ``timestep``, counted from 1."""
        last = len(self.factors)
        return float(self.factors[min(timestep, last) - 1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool2d(Node):
    """One value for each window."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    shape: Shape  # of the input: (channel, height, width)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def input_shape(self) -> Shape:
        return self.shape

    @property
    def output_shape(self) -> Shape:
        windows = Convolution(
            stride=self.stride, padding=self.padding, dilation=self.dilation, groups=1
        )
        return windows.convolved_shape(self.shape, (self.shape[0], 1, *self.kernel))

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.shape) != 3 or min(self.padding) < 0:
            raise ModelError(
                f"{self.name}: the input has shape {self.shape}, the padding is "
                f"{self.padding}; a 2d pooling needs 3 axes, and 0 or more"
            )
        smallest = min(*self.kernel, *self.stride, *self.dilation)
        if smallest < 1 or min(self.output_shape) < 1:
            raise ModelError(
                f"{self.name}: windows of {self.kernel} every {self.stride} leave "
                f"nothing of an input of {self.shape}; make them smaller"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class AvgPool2d(Pool2d):
    """The mean, or the sum, of each window; zeros around the input are values."""

    is_sum: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dilation != (1, 1):
            raise ModelError(f"{self.name}: dilation is {self.dilation}; needed is 1")

    @property
    def weight(self) -> float:
        """What each value of a window counts."""
        return 1.0 if self.is_sum else 1 / (self.kernel[0] * self.kernel[1])


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool2d(Pool2d):
    """The largest value of each window; what is around the input is no value.

    Of spikes that are all worth the same: a spike where any input spikes.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for kernel, padding, step in zip(
            self.kernel, self.padding, self.dilation, strict=True
        ):
            if padding > ((kernel - 1) * step + 1) // 2:
                raise ModelError(
                    f"{self.name}: padding {self.padding} around windows of "
                    f"{self.kernel}; half a window is the most, so that each holds a "
                    "value"
                )


@dataclass(frozen=True, kw_only=True, eq=False)
class Flatten(Node):
    """The same values in a row, channel first."""

    shape: Shape  # of the input

    @property
    def input_shape(self) -> Shape:
        return self.shape

    @property
    def output_shape(self) -> Shape:
        return (n_neurons(self.shape),)


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(SameShape):
    """The sum of everything that arrives."""
