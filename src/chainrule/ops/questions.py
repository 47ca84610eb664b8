"""What NumPy asks of an array and no derivative depends on: its shape, arrays like it, places."""

from __future__ import annotations

import functools

import numpy as np

from chainrule.graph import answer
from chainrule.ops.declare import called_by


def _array_like(function, create):
    """Let an array of the same shape and type stand for what NumPy makes like a traced one."""

    @called_by(function)
    def like(x, dtype=None, shape=None):
        return create(x.shape if shape is None else shape, dtype or x.dtype)


_array_like(np.zeros_like, np.zeros)
_array_like(np.ones_like, np.ones)
_array_like(np.empty_like, np.empty)


@called_by(np.full_like)
def full_like(x, fill_value, dtype=None, shape=None):
    """The same number everywhere, in an array of the same shape and type."""
    shape = x.shape if shape is None else shape
    if hasattr(fill_value, "tracer"):
        return np.broadcast_to(fill_value.astype(dtype or x.dtype), shape)
    return np.full(shape, fill_value, dtype or x.dtype)


@called_by(np.shape)
def shape(x):
    """The lengths of the axes."""
    return x.shape


@called_by(np.ndim)
def ndim(x):
    """The number of axes."""
    return x.ndim


@called_by(np.size)
def size(x, axis=None):
    """The number of entries, or of those along an axis."""
    return x.size if axis is None else x.shape[axis]


@called_by(np.result_type)
def result_type(*xs):
    """NumPy's common dtype."""
    return np.result_type(*[x if isinstance(x, type) else getattr(x, "dtype", x) for x in xs])


def _question(function):
    """Let NumPy answer a question about numbers, which has no derivative."""

    @called_by(function)
    @functools.wraps(function)  # whose parameters it has
    def asked(*args, **options):
        return answer(function, *args, **options)


for _function in (
    np.allclose,
    np.argwhere,
    np.array_equal,
    np.array_equiv,
    np.count_nonzero,
    np.flatnonzero,
    np.isclose,
    np.nonzero,
    np.searchsorted,
):
    _question(_function)


@called_by(np.real, np.conjugate)
def real(x):
    """The number itself: numbers here are real."""
    return x
