"""Along an axis from start to end: running sums and products, differences."""

from __future__ import annotations

import numpy as np

from chainrule.graph import Case
from chainrule.ops.batching import shifted
from chainrule.ops.declare import called_by, linear
from chainrule.ops.shapes import one_axis


def running_products(x, axis):
    """Return the running products along an axis, made of products alone.

    After the step of length k each place holds the product of the 2k numbers up to it
    (Hillis and Steele, 1986). No division, so zeros are harmless in every derivative.
    """
    n, lead, k = x.shape[axis], (slice(None),) * axis, 1
    while k < n:
        earlier = x[(*lead, slice(None, n - k))]
        later = x[(*lead, slice(k, None))]
        x = np.concatenate([x[(*lead, slice(None, k))], later * earlier], axis=axis)
        k *= 2
    return x


@called_by(np.trapezoid)
def trapezoid(y, x=None, dx=1.0, axis=-1):
    """The area under points joined by lines."""
    y = np.moveaxis(y, axis, -1)
    if x is not None:
        dx = np.diff(np.moveaxis(x, axis, -1) if np.ndim(x) > 1 else x)
    return np.sum((y[..., 1:] + y[..., :-1]) * dx, axis=-1) / 2


@called_by(np.cumprod, np.cumulative_prod)
def cumprod(x, axis=None):
    """The running products along an axis; right with zeros in it, to any order."""
    if axis is None:
        x, axis = np.ravel(x), 0
    return running_products(x, one_axis(axis, x.ndim))


@called_by((np.multiply, "accumulate"))
def multiply_accumulate(x, axis=0):
    """The running products along an axis, the first if none is said."""
    return cumprod(x, axis)


@linear(
    lambda g, axis: np.flip(cumsum(np.flip(g, axis), axis=axis), axis),
    shape=lambda x, axis: x.shape,
    dtype=lambda x, axis: np.cumsum(np.zeros(1, x.dtype)).dtype,
    settle=lambda x, axis: {"axis": one_axis(axis, x.ndim)},
    batch=shifted(),
    latex=r"\mathrm{cumsum}(<x>)",
    written="np.cumsum(<x>, axis=<axis>)",
    onnx=lambda e, x, axis: e.CumSum(x, e.integer(axis)),
    cases=[Case((2, 3), axis=1), Case((4,), axis=0)],
)
def cumsum(x, *, axis):
    """The running sums along an axis."""
    return np.cumsum(x, axis)


@called_by(np.cumsum, np.cumulative_sum)
def _cumsum_of(x, axis=None):
    """The running sums along an axis, or along all numbers."""
    return cumsum(np.ravel(x), axis=0) if axis is None else cumsum(x, axis=axis)


@called_by((np.add, "accumulate"))
def add_accumulate(x, axis=0):
    """The running sums along an axis, the first if none is said."""
    return cumsum(x, axis=axis)


@called_by(np.diff)
def diff(x, n=1, axis=-1):
    """The differences of neighbours along an axis, n times."""
    lead = (slice(None),) * one_axis(axis, x.ndim)
    for _ in range(n):
        x = x[(*lead, slice(1, None))] - x[(*lead, slice(None, -1))]
    return x
