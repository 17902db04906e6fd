"""Weights on a grid as bytes: an integer each, and a scale for each output.

Only weights that come back exactly are stored so: those of a network that was trained
on a chip's grid are, others are not.
"""

import numpy as np
import numpy.typing as npt

from snn_deploy.arrays import AnyArray, FloatArray

SCALES = " scales"  # behind the name of a tensor of integers, that of its scales
_LARGEST = 127
_SAMPLE = 32  # weights of an output that are looked at before all are


def integers_and_scales(
    weights: AnyArray,
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]] | None:
    """Return ``weights`` ``(n_outputs, ...)`` as integers and scales, ``(n_outputs,)``.

    Nothing if ``from_integers`` of no such numbers is equal to them.
    """
    rows = weights.reshape(len(weights), -1).astype(np.float32)
    if not np.array_equal(rows, weights.reshape(rows.shape)):
        return None
    scales = np.ones(len(rows), np.float32)
    for index, row in enumerate(rows):
        scale = _scale(row)
        if scale is None:
            return None
        scales[index] = scale
    integers = np.rint(rows / scales[:, np.newaxis]).astype(np.int8)
    return integers.reshape(weights.shape), scales


def from_integers(integers: AnyArray, scales: AnyArray) -> FloatArray:
    """Return the weights: products in single precision, as training computes them.

    Raises
    ------
    ValueError
        If they are not integers with a scale for each output.
    """
    if integers.dtype != np.int8 or scales.dtype != np.float32:
        raise ValueError(f"integers of {integers.dtype}, scales of {scales.dtype}")
    if integers.ndim < 2 or scales.shape != integers.shape[:1]:
        raise ValueError(f"{scales.shape} scales of {integers.shape} integers")
    by_output = scales.reshape(-1, *(1,) * (integers.ndim - 1))
    return (integers.astype(np.float32) * by_output).astype(np.float64)


def _scale(row: npt.NDArray[np.float32]) -> np.float32 | None:
    """Return a scale of which all weights of an output are multiples, up to 127."""
    peak = np.abs(row).max()
    if peak == 0 or not np.isfinite(peak):
        return np.float32(1) if peak == 0 else None
    for count in range(1, _LARGEST + 1):
        near = np.float32(peak / np.float32(count))
        # the peak is rounded too, so that its quotient may be the scale's neighbour
        for scale in (near, np.nextafter(near, peak), np.nextafter(near, -peak)):
            if _holds(row[:_SAMPLE], scale) and _holds(row, scale):
                return np.float32(scale)
    return None


def _holds(row: npt.NDArray[np.float32], scale: np.float32) -> bool:
    return bool(scale > 0) and np.array_equal(np.rint(row / scale) * scale, row)
