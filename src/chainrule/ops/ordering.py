"""Order: the places of extremes, sorting, the middle."""

from __future__ import annotations

import numpy as np

from chainrule.graph import Case
from chainrule.ops.batching import shifted
from chainrule.ops.declare import called_by, flat
from chainrule.ops.reductions import count_along, reduced_shape
from chainrule.ops.shapes import axes_of, one_axis


def _position(function, onnx):
    """Declare the position of an extreme along an axis."""

    def position(x, *, axis=None, keepdims=False):
        return function(x, axis=axis, keepdims=keepdims)

    def shape(x, axis, keepdims):
        return reduced_shape(x, tuple(range(x.ndim)) if axis is None else (axis,), keepdims)

    position.__name__ = function.__name__
    position.__doc__ = f"The position of the {function.__name__[3:]}imum along an axis."
    return flat(
        "a position does not change but at jumps",
        shape=shape,
        dtype=lambda *_, **__: np.intp,
        settle=lambda x, axis, keepdims: {
            "axis": None if axis is None else one_axis(axis, x.ndim),
            "keepdims": bool(keepdims),
        },
        batch=_position_batch,
        latex=rf"\mathrm{{{function.__name__}}}\, <x>",
        onnx=lambda e, x, axis, keepdims: (
            e.emit(onnx, x, axis=axis, keepdims=int(keepdims))
            if axis is not None
            else e.reshape(
                e.emit(onnx, e.reshape(x, [-1]), axis=0), [1] * len(x.shape) if keepdims else []
            )
        ),
        numpy=function,
        cases=[Case((2, 3), axis=1), Case((2, 3)), Case((2, 3), axis=0, keepdims=True)],
    )(position)


def _position_batch(op, n, xs, batched, attributes):
    (x,), axis = xs, attributes["axis"]
    if axis is not None:
        return op(x, axis=axis + 1, keepdims=attributes["keepdims"])
    found = op(np.reshape(x, (n, -1)), axis=1)
    return np.reshape(found, (n, *[1] * (x.ndim - 1))) if attributes["keepdims"] else found


argmax = _position(np.argmax, "ArgMax")


argmin = _position(np.argmin, "ArgMin")


@flat(
    "an order does not change but at jumps",
    shape=lambda x, axis: x.shape,
    dtype=lambda x, axis: np.intp,
    settle=lambda x, axis: {"axis": one_axis(axis, x.ndim)},
    batch=shifted(),
    latex=r"\mathrm{argsort}(<x>)",
    kink=lambda x, axis: np.diff(np.sort(x, axis=axis), axis=axis),
    onnx=lambda e, x, axis: e.TopK(x, e.integers([x.shape[axis]]), axis=axis, largest=0, output=1),
    cases=[Case((2, 3), axis=1), Case((4,), axis=0)],
)
def argsort(x, *, axis):
    """The positions that put an axis in order; equal numbers stay as they stand."""
    return np.argsort(x, axis=axis, kind="stable")


@called_by(np.argsort)
def _argsort_of(x, axis=-1, kind=None, *, stable=None):
    """The positions that put an axis in order."""
    return argsort(np.ravel(x), axis=0) if axis is None else argsort(x, axis=axis)


@called_by(np.sort)
def sort(x, axis=-1, kind=None, *, stable=None):
    """An axis in order: each slope goes back to where its number stood."""
    if axis is None:
        x, axis = np.ravel(x), 0
    return np.take_along_axis(x, _argsort_of(x, axis), axis=axis)


@called_by(np.median)
def median(x, axis=None, keepdims=False):
    """The middle number, or the mean of the two in the middle; NaN where there is one."""
    axes = axes_of(axis, x.ndim)
    n = count_along(x, axes)
    kept = [a for a in range(x.ndim) if a not in axes]
    rows = np.reshape(np.transpose(x, (*kept, *axes)), (*[x.shape[a] for a in kept], n))
    ordered = np.sort(rows, axis=-1)
    middle = np.mean(ordered[..., (n - 1) // 2 : n // 2 + 1], axis=-1)
    last = ordered[..., -1]  # where NaN is sorted to
    middle = np.where(np.isnan(last), last, middle)
    return np.reshape(middle, reduced_shape(x, axes, keepdims))
