"""Convolution of a batch as matrix products, exact for integers in float."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray

MOST_READ = 1 << 24  # values of windows that lie in memory at once


def convolve(
    x: FloatArray,
    weight: FloatArray,
    *,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    cropped: tuple[int, int] = (0, 0),
) -> FloatArray:
    """Return the 2d convolution (as PyTorch means it: not flipped) of a batch.

    Parameters
    ----------
    x : array, (n, in_channel, height, width)
    weight : array, (out_channel, in_channel / groups, kernel_height, kernel_width)
        Of the same float type as ``x``. Integers are exact as long as every partial sum
        fits the type's mantissa (24 bits for ``float32``, 53 for ``float64``).

    cropped : tuple of int
        How many of the last rows and columns of the output are left out.

    Returns
    -------
    array, (n, out_channel, out_height, out_width)
    """
    n_out, _, height, width = weight.shape
    margins = [(0, 0), (0, 0), (padding[0], padding[0]), (padding[1], padding[1])]
    x = np.pad(x, margins) if any(padding) else x
    window = ((height - 1) * dilation[0] + 1, (width - 1) * dilation[1] + 1)
    views = np.lib.stride_tricks.sliding_window_view(x, window, axis=(2, 3))
    views = views[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    out_height, out_width = (
        views.shape[2 + axis] - left_out for axis, left_out in enumerate(cropped)
    )
    views = views[:, :, :out_height, :out_width]
    kernels = weight.reshape(groups, n_out // groups, -1).transpose(0, 2, 1)
    sums = np.empty((len(x), n_out, out_height, out_width), x.dtype)
    n_read = x.shape[1] * height * width  # values that a position reads
    for images, rows, columns in _blocks((len(x), out_height, out_width), n_read):
        sums[images, :, rows, columns] = _products(
            views[images, :, rows, columns], kernels
        )
    return sums


def _blocks(
    size: tuple[int, int, int], n_read: int
) -> Iterator[tuple[slice, slice, slice]]:
    """Yield blocks of images, rows and columns that read ``MOST_READ`` values or so."""
    _, height, width = size
    room = max(1, MOST_READ // n_read)
    steps = (room // (height * width), room // width, room)
    bands = [
        [slice(i, i + max(1, step)) for i in range(0, length, max(1, step))]
        for length, step in zip(size, steps, strict=True)
    ]
    yield from product(*bands)


def _products(views: FloatArray, kernels: FloatArray) -> FloatArray:
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


def cropping_kernel(
    weight: AnyArray,
    *,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    cropped: tuple[int, int],
) -> tuple[AnyArray, tuple[int, int]]:
    """Return a kernel and its dilation that give less output all by themselves.

    Other formats have no word for what is cropped. Each stride of zeros behind the
    kernel is one row, or column, less.
    """
    if not any(cropped):
        return weight, dilation
    *channels, height, width = weight.shape
    margins = [c * s for c, s in zip(cropped, stride, strict=True)]
    span = [(height - 1) * dilation[0] + 1, (width - 1) * dilation[1] + 1]
    size = [s + m for s, m in zip(span, margins, strict=True)]
    found = np.zeros((*channels, *size), weight.dtype)
    found[..., : span[0] : dilation[0], : span[1] : dilation[1]] = weight
    return found, (1, 1)
