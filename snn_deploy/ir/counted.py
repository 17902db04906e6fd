"""Sparse matrices that count which pairs there are."""

from typing import Any

import numpy as np
from scipy import sparse

from snn_deploy.arrays import AnyArray, IntArray, Shape


def along_both(
    values: AnyArray, rows: sparse.csr_array, columns: sparse.csr_array
) -> AnyArray:
    """Return the products of matrices ``(n, height, width)`` with one for each axis.

    Parameters
    ----------
    rows, columns : sparse arrays, (height, n_rows), (width, n_columns)

    Returns
    -------
    array, (n, n_rows, n_columns)
    """
    n, height, width = values.shape
    along = values.reshape(n * height, width) @ columns
    along = along.reshape(n, height, -1).transpose(0, 2, 1).reshape(-1, height)
    found = (along @ rows).reshape(n, columns.shape[1], rows.shape[1])
    return np.ascontiguousarray(found.transpose(0, 2, 1))


def product(one: Any, other: Any) -> sparse.csr_array:
    """Return the product of two matrices of Kronecker; zeros are not stored."""
    found = sparse.csr_array(sparse.kron(one, other), dtype=np.int64)
    found.eliminate_zeros()
    return found


def counted(rows: IntArray, columns: IntArray, shape: Shape) -> sparse.csr_array:
    """Return how often each pair of row and column comes."""
    ones = np.ones(len(rows), np.int64)
    return sparse.csr_array((ones, (rows, columns)), shape=shape)
