"""Convolution of a batch as one matrix product, exact for integers in float."""

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray


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
    n_out, n_in, height, width = weight.shape
    margins = [(0, 0), (0, 0), (padding[0], padding[0]), (padding[1], padding[1])]
    x = np.pad(x, margins) if any(padding) else x
    window = ((height - 1) * dilation[0] + 1, (width - 1) * dilation[1] + 1)
    views = np.lib.stride_tricks.sliding_window_view(x, window, axis=(2, 3))
    views = views[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    out_height, out_width = (
        views.shape[2 + axis] - left_out for axis, left_out in enumerate(cropped)
    )
    views = views[:, :, :out_height, :out_width]
    n = len(views)
    columns = views.reshape(n, groups, n_in, out_height, out_width, height, width)
    columns = columns.transpose(1, 0, 3, 4, 2, 5, 6).reshape(
        groups, n * out_height * out_width, n_in * height * width
    )
    kernels = weight.reshape(groups, n_out // groups, -1).transpose(0, 2, 1)
    sums = (columns @ kernels).reshape(groups, n, out_height, out_width, -1)
    return np.ascontiguousarray(sums.transpose(1, 0, 4, 2, 3)).reshape(
        n, n_out, out_height, out_width
    )


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
