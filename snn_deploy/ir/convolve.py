"""Convolution of a batch as one matrix product, exact for integers in float."""

import numpy as np

from snn_deploy.arrays import FloatArray


def convolve(
    x: FloatArray,
    weight: FloatArray,
    *,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> FloatArray:
    """Return the 2d convolution (as PyTorch means it: not flipped) of a batch.

    Parameters
    ----------
    x : array, (n, in_channel, height, width)
    weight : array, (out_channel, in_channel / groups, kernel_height, kernel_width)
        Of the same float type as ``x``. Integers are exact as long as every partial sum
        fits the type's mantissa (24 bits for ``float32``, 53 for ``float64``).

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
    n, _, out_height, out_width = views.shape[:4]
    columns = views.reshape(n, groups, n_in, out_height, out_width, height, width)
    columns = columns.transpose(1, 0, 3, 4, 2, 5, 6).reshape(
        groups, n * out_height * out_width, n_in * height * width
    )
    kernels = weight.reshape(groups, n_out // groups, -1).transpose(0, 2, 1)
    sums = (columns @ kernels).reshape(groups, n, out_height, out_width, -1)
    return np.ascontiguousarray(sums.transpose(1, 0, 4, 2, 3)).reshape(
        n, n_out, out_height, out_width
    )
