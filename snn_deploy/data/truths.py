"""What the outputs should be: labels of classes, or values."""

from pathlib import Path

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray
from snn_deploy.errors import DataError
from snn_deploy.ir.heads import Head, HeadKind


def labels_of(path: Path, y: AnyArray, n: int, n_outputs: int | None) -> IntArray:
    """Return the labels of ``n`` inputs, from integers or rows with a single 1."""
    y = _classes(y)
    if y.shape != (n,) or y.dtype.kind not in "iu":
        values = "" if n_outputs is None else f"; values are floats ({n}, {n_outputs})"
        raise DataError(
            f"{path}: y is {y.dtype} of shape {y.shape}; store integers of shape "
            f"({n},), one label for each input{values}"
        )
    if n_outputs is not None and (y.min() < 0 or y.max() >= n_outputs):
        raise DataError(
            f"{path}: y reaches from {y.min()} to {y.max()}, the network has "
            f"{n_outputs} outputs; count labels from 0"
        )
    labels: IntArray = y.astype(np.int64)
    return labels


def are_values(y: AnyArray, n_outputs: int | None, head: Head | None) -> bool:
    """Return whether ``y`` holds values, and no labels.

    Where the network does not say, floats are values, be they whole numbers or not;
    but rows of 0 and 1 are meant as labels.
    """
    if head is not None and head.name:
        return head.kind is HeadKind.VALUES
    if y.dtype.kind != "f" or (y.ndim < 2 and n_outputs != 1):
        return False
    return n_outputs == 1 or not np.isin(y, (0, 1)).all()


def values_of(
    path: Path, y: AnyArray, n: int, n_outputs: int | None, head: Head | None
) -> FloatArray:
    """Return the values that ``n`` inputs should give, ``(n, n_outputs)``."""
    if y.shape == (n,):
        y = y[:, np.newaxis]
    width = y.shape[-1] if n_outputs is None else n_outputs
    if y.shape != (n, width) or y.dtype.kind not in "iuf":
        raise DataError(
            f"{path}: y is {y.dtype} of shape {y.shape}; store values as floats of "
            f"shape ({n}, {width}), one for each output"
        )
    if not np.isfinite(y).all():
        raise DataError(
            f"{path}: {int((~np.isfinite(y)).sum())} values of y are NaN or infinite; "
            "leave these inputs out"
        )
    if head is not None and head.dropped:
        raise DataError(
            f"{path}: y holds values, but the network is without the {head.dropped} "
            "behind its outputs; train without it, and store y as it is before that"
        )
    return y.astype(np.float64)


def _classes(y: AnyArray) -> AnyArray:
    """Return labels as numbers, if each is a row with a single 1."""
    is_one_hot = (
        y.ndim == 2
        and y.shape[1] > 1
        and y.dtype.kind in "biuf"
        and np.isin(y, (0, 1)).all()
        and (y.sum(axis=1) == 1).all()
    )
    return y.argmax(axis=1) if is_one_hot else y
