"""Diagonals and triangles of matrices: taken, summed, put on zeros; all of them by places."""

from __future__ import annotations

import numpy as np

from chainrule.ops.declare import called_by
from chainrule.ops.indexing import gather, scatter_add
from chainrule.ops.shapes import one_axis


@called_by(np.diagonal)
def diagonal(x, offset=0, axis1=0, axis2=1):
    """A diagonal of two axes, along a new last axis."""
    a, b = one_axis(axis1, x.ndim), one_axis(axis2, x.ndim)
    rows = np.arange(max(min(x.shape[a] + min(offset, 0), x.shape[b] - max(offset, 0)), 0))
    y = gather(np.moveaxis(x, (a, b), (0, 1)), rows - min(offset, 0), rows + max(offset, 0))
    return np.moveaxis(y, 0, -1)


@called_by(np.diag)
def diag(x, k=0):
    """A diagonal of a matrix, or the matrix with a vector as its diagonal."""
    if x.ndim == 2:
        return diagonal(x, k)
    n = x.shape[0] + abs(k)
    rows = np.arange(x.shape[0])
    return scatter_add(x, rows - min(k, 0), rows + max(k, 0), shape=(n, n))


@called_by(np.diagflat)
def diagflat(x, k=0):
    """The matrix with all numbers as its diagonal."""
    return diag(np.ravel(x), k)


@called_by(np.linalg.diagonal)
def matrix_diagonal(x, offset=0):
    """A diagonal of each matrix."""
    return diagonal(x, offset, -2, -1)


@called_by(np.trace)
def trace(x, offset=0, axis1=0, axis2=1):
    """The sum of a diagonal."""
    return np.sum(diagonal(x, offset, axis1, axis2), axis=-1)


@called_by(np.linalg.trace)
def matrix_trace(x, offset=0):
    """The sum of a diagonal of each matrix."""
    return trace(x, offset, -2, -1)


@called_by(np.tril)
def tril(x, k=0):
    """The lower triangle, zeros above it."""
    return np.where(np.tri(*x.shape[-2:], k=k, dtype=bool), x, 0)


@called_by(np.triu)
def triu(x, k=0):
    """The upper triangle, zeros below it."""
    return np.where(np.tri(*x.shape[-2:], k=k - 1, dtype=bool), 0, x)
