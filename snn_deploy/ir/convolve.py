"""Convolutions: what is read where; and of a batch, as products of matrices."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from snn_deploy.arrays import AnyArray, IntArray, Shape

MOST_READ = 1 << 17  # values of windows at once, so that they stay in the cache
FEWEST = 4  # positions for each output, so that its weights are not read in vain


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """What each position of a convolution's output reads of its input."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    cropped: tuple[int, int] = (0, 0)  # last rows and columns of the output left out

    def convolved_shape(self, shape: Shape, weight_shape: Shape) -> Shape:
        """Return the ``(channel, height, width)`` that an input of ``shape`` gives."""
        height, width = (
            (size + 2 * self.padding[axis] - self.dilation[axis] * (kernel - 1) - 1)
            // self.stride[axis]
            + 1
            - self.cropped[axis]
            for axis, (size, kernel) in enumerate(
                zip(shape[1:], weight_shape[2:], strict=True)
            )
        )
        return (weight_shape[0], height, width)

    def reads(
        self, axis: int, n_kernel: int, n_inputs: int, n_outputs: int
    ) -> tuple[IntArray, IntArray, IntArray]:
        """Return what is read along an axis, 0 for rows and 1 for columns.

        Returns
        -------
        kernel, inputs, outputs : arrays, (n,)
            Positions in the kernel, and what they read there for which output; the
            zeros around the input are not read.
        """
        start = np.arange(n_outputs) * self.stride[axis]
        offsets = np.arange(n_kernel) * self.dilation[axis]
        read = offsets[:, np.newaxis] + start - self.padding[axis]
        kernel, outputs = np.nonzero((read >= 0) & (read < n_inputs))
        return kernel, read[kernel, outputs], outputs

    def convolve(self, x: AnyArray, weight: AnyArray) -> AnyArray:
        """Return the convolution (as PyTorch means it: not flipped) of a batch.

        Parameters
        ----------
        x : array, (n, in_channel, height, width)
        weight : array, (out_channel, in_channel / groups, kernel_height, kernel_width)
            Of the same type as ``x``. Integers are exact in a float type as long as
            every partial sum fits its mantissa (24 bits for ``float32``, 53 for
            ``float64``).

        Returns
        -------
        array, (n, out_channel, out_height, out_width)
        """
        n_out, _, height, width = weight.shape
        _, out_height, out_width = self.convolved_shape(x.shape[1:], weight.shape)
        above, beside = self.padding
        margins = [(0, 0), (0, 0), (above, above), (beside, beside)]
        x = np.pad(x, margins) if any(self.padding) else x
        down, along = self.dilation
        window = ((height - 1) * down + 1, (width - 1) * along + 1)
        views = np.lib.stride_tricks.sliding_window_view(x, window, axis=(2, 3))
        views = views[:, :, :: self.stride[0], :: self.stride[1], ::down, ::along]
        views = views[:, :, :out_height, :out_width]
        kernels = weight.reshape(self.groups, n_out // self.groups, -1)
        kernels = kernels.transpose(0, 2, 1)
        sums = np.empty((len(x), n_out, out_height, out_width), x.dtype)
        n_read = x.shape[1] * height * width  # values that a position reads
        room = max(1, MOST_READ // n_read, FEWEST * n_out)
        for images, rows, columns in _blocks((len(x), out_height, out_width), room):
            sums[images, :, rows, columns] = _products(
                views[images, :, rows, columns], kernels
            )
        return sums

    def transposed(self, y: AnyArray, weight: AnyArray, shape: Shape) -> AnyArray:
        """Return what gives ``x`` of ``shape``: each of ``y`` adds its kernel.

        Parameters
        ----------
        y : array, (n, out_channel, out_height, out_width)
        weight : array, (out_channel, in_channel / groups, kernel_height, kernel_width)
        shape : tuple of int
            ``(in_channel, height, width)``, of which the convolution makes that of y.

        Returns
        -------
        array, (n, in_channel, height, width)
        """
        n, n_out, out_height, out_width = y.shape
        channels, height, width = shape
        above, beside = self.padding
        x = np.zeros((n, channels, height + 2 * above, width + 2 * beside), y.dtype)
        values = y.reshape(n, self.groups, n_out // self.groups, -1)
        kernels = weight.reshape(self.groups, n_out // self.groups, *weight.shape[1:])
        for row, column in np.ndindex(*weight.shape[2:]):
            top, left = row * self.dilation[0], column * self.dilation[1]
            added = kernels[..., row, column].transpose(0, 2, 1) @ values
            x[
                :,
                :,
                top : top + (out_height - 1) * self.stride[0] + 1 : self.stride[0],
                left : left + (out_width - 1) * self.stride[1] + 1 : self.stride[1],
            ] += added.reshape(n, channels, out_height, out_width)
        return x[:, :, above : above + height, beside : beside + width]

    def uncropped(self, weight: AnyArray) -> tuple[AnyArray, tuple[int, int]]:
        """Return a kernel and its dilation that give less output all by themselves.

        Other formats have no word for what is cropped. Each stride of zeros behind the
        kernel is one row, or column, less.
        """
        if not any(self.cropped):
            return weight, self.dilation
        *channels, height, width = weight.shape
        down, along = self.dilation
        span = [(height - 1) * down + 1, (width - 1) * along + 1]
        size = [
            s + cropped * stride
            for s, cropped, stride in zip(span, self.cropped, self.stride, strict=True)
        ]
        found = np.zeros((*channels, *size), weight.dtype)
        found[..., : span[0] : down, : span[1] : along] = weight
        return found, (1, 1)


def _blocks(
    size: tuple[int, int, int], room: int
) -> Iterator[tuple[slice, slice, slice]]:
    """Yield blocks of images, rows and columns: of ``room`` positions or so."""
    _, height, width = size
    steps = (room // (height * width), room // width, room)
    bands = [
        [slice(i, i + max(1, step)) for i in range(0, length, max(1, step))]
        for length, step in zip(size, steps, strict=True)
    ]
    yield from product(*bands)


def _products(views: AnyArray, kernels: AnyArray) -> AnyArray:
    """Return the sums ``(n, out_channel, out_height, out_width)`` of windows.

    Parameters
    ----------
    views : array, (n, in_channel, out_height, out_width, kernel_height, kernel_width)
    kernels : array, (groups, values of a window, out_channel / groups)
    """
    n, n_in, out_height, out_width, *kernel = views.shape
    groups, n_values, _ = kernels.shape
    columns = views.reshape(n, groups, n_in // groups, out_height, out_width, *kernel)
    columns = columns.transpose(1, 0, 3, 4, 2, 5, 6).reshape(groups, -1, n_values)
    sums = (columns @ kernels).reshape(groups, n, out_height, out_width, -1)
    return sums.transpose(1, 0, 4, 2, 3).reshape(n, -1, out_height, out_width)
