"""From an axis to a number: sums, extremes, products, and what is composed of them.

Axes are settled before any rule sees them: a tuple, in order, counted from the front.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.graph import Case, Composite, Fold, Written
from chainrule.ops.batching import shifted
from chainrule.ops.declare import called_by, floating, linear, rules
from chainrule.ops.readable import as_signed_sum
from chainrule.ops.running import running_products
from chainrule.ops.shapes import axes_of, one_axis

_CASES = [
    Case((2, 3)),
    Case((2, 3), axis=(1,), keepdims=True),
    Case((2, 3, 4), axis=(0, 2)),
]


def _settled(x, axis, keepdims):
    if x.ndim == 0 and axis in {0, -1}:  # as NumPy takes it
        axis = None
    return {"axis": axes_of(axis, x.ndim), "keepdims": bool(keepdims)}


def reduced_shape(x, axis, keepdims):
    """Return the shape that is left of x after a reduction over the axes."""
    if keepdims:
        return tuple(1 if a in axis else n for a, n in enumerate(x.shape))
    return tuple(n for a, n in enumerate(x.shape) if a not in axis)


def _written(method, sign, simpler=None):
    """Return how formulas write a reduction: as a method, and with a letter for each axis.

    The letters i, j, k … stand for the axes in order; over all of them there is none.
    """

    def source(x, axis, keepdims):
        options = [] if len(axis) == x.ndim else [f"axis={axis[0] if len(axis) == 1 else axis}"]
        options += ["keepdims=True"] if keepdims else []
        return f"<x>.{method}({', '.join(options)})"

    def latex(x, axis, keepdims):
        letters = "" if len(axis) == x.ndim else ", ".join("ijklmnpq"[a] for a in axis)
        return sign.replace("_", f"_{{{letters}}}" if letters else "")

    return Written(source, latex=latex, simpler=simpler)


_REDUCTION: dict[str, Any] = {
    "shape": reduced_shape,
    "settle": _settled,
    "batch": shifted(),
    "cases": _CASES,
}


def restore(g, x, axis, keepdims):
    """Return a reduced array with its axes back, of length 1."""
    if keepdims:
        return g
    return np.reshape(g, tuple(1 if a in axis else n for a, n in enumerate(x.shape)))


def count_along(x, axis):
    """Return how many numbers of x a reduction over the axes takes together."""
    return math.prod(x.shape[a] for a in axis)


def _reduction_rules(slope):
    """Return both modes of a reduction whose slope has the shape of its operand.

    ``slope(x, y, axis)`` is given the output with its axes back.
    """

    def jvp(dx, x, y, axis, keepdims):
        return np.sum(slope(x, restore(y, x, axis, keepdims), axis) * dx, axis, keepdims=keepdims)

    def vjp(g, x, y, axis, keepdims):
        return restore(g, x, axis, keepdims) * slope(x, restore(y, x, axis, keepdims), axis)

    return {"jvp": jvp, "vjp": vjp}


@linear(
    lambda g, x, axis, keepdims: np.broadcast_to(restore(g, x, axis, keepdims), x.shape),
    dtype=lambda x, axis, keepdims: np.sum(np.zeros(1, x.dtype)).dtype,
    rewrite=lambda x, axis, keepdims: x if not axis else None,
    form=Fold(np.add),
    latex=r"\sum <x>",
    written=_written("sum", r"\sum_ <x>", simpler=as_signed_sum),
    onnx=lambda e, x, axis, keepdims: e.reduce("ReduceSum", x, axis, keepdims),
    **_REDUCTION,
)
def sum_(x, *, axis=None, keepdims=False):
    """The sum over axes."""
    return np.sum(x, axis=axis, keepdims=keepdims)


def _with_options(function, x, axis, dtype, keepdims, where=None, neutral=None):
    """Apply a reduction with the options that NumPy's have besides the axis."""
    if dtype is not None:
        x = x.astype(dtype)
    if where is not None and where is not True:
        x = np.where(where, x, neutral)
    return function(x, axis=axis, keepdims=keepdims)


@called_by(np.sum)
def _sum_with_options(x, axis=None, dtype=None, keepdims=False, initial=None, where=None):
    """The sum over axes."""
    total = _with_options(sum_, x, axis, dtype, keepdims, where=where, neutral=0)
    return total if initial is None else total + initial


@called_by((np.add, "reduce"))
def _add_reduce(x, axis=0, dtype=None, keepdims=False):
    """The sum over an axis, the first if none is said."""
    return _sum_with_options(x, axis, dtype, keepdims)


@linear(
    lambda g, x, axis, keepdims: np.broadcast_to(
        restore(g, x, axis, keepdims) / count_along(x, axis), x.shape
    ),
    form=Composite(lambda x, axis, keepdims: _sum_over_count(x, axis, keepdims)),
    latex=r"\overline{<x>}",
    written=_written("mean", r"\mathrm{mean}_(<x>)"),
    onnx=lambda e, x, axis, keepdims: e.reduce("ReduceMean", x, axis, keepdims),
    dtype=lambda x, axis, keepdims: floating(x),
    **_REDUCTION,
)
def mean(x, *, axis=None, keepdims=False):
    """The arithmetic mean over axes."""
    return np.mean(x, axis=axis, keepdims=keepdims)


def _sum_over_count(x, axis, keepdims):
    if x.dtype == np.float16:  # whose sums NumPy takes in single precision
        return None
    return sum_(np.astype(x, floating(x)), axis=axis, keepdims=keepdims) / count_along(x, axis)


@called_by(np.mean)
def _mean_with_options(x, axis=None, dtype=None, keepdims=False):
    """The arithmetic mean over axes."""
    return _with_options(mean, x, axis, dtype, keepdims)


@called_by(np.average)
def average(x, axis=None, weights=None, keepdims=False):
    """The mean over axes, weighted if weights are given."""
    if weights is None:
        return mean(x, axis=axis, keepdims=keepdims)
    if np.shape(weights) != x.shape:
        given = axis if isinstance(axis, tuple) else (axis,)
        along = [one_axis(a, x.ndim) for a in given]
        if np.shape(weights) != tuple(x.shape[a] for a in along):
            raise ShapeError(
                f"average needs weights of the shape of x or of the axes {along}, got "
                f"{list(np.shape(weights))} and {list(x.shape)}."
            )
        weights = np.transpose(weights, np.argsort(along))
        weights = np.reshape(weights, [n if a in along else 1 for a, n in enumerate(x.shape)])
    total = np.sum(np.broadcast_to(weights, x.shape), axis=axis, keepdims=keepdims)
    return np.sum(x * weights, axis=axis, keepdims=keepdims) / total


def _shared_extreme(x, y, axis):
    """Return 1 over the number of ties where x is the extreme, else 0."""
    is_extreme = (x == y).astype(x.dtype)
    return is_extreme / np.sum(is_extreme, axis=axis, keepdims=True)


def _gap(largest):
    """Return the distance of the extreme from the next, the kink of max and min."""

    def kink(x, axis=None, keepdims=False):
        axes = axes_of(axis, x.ndim)
        rows = np.moveaxis(x if largest else -x, axes, range(len(axes)))
        rows = np.sort(rows.reshape(math.prod(x.shape[a] for a in axes), -1), axis=0)
        return rows[-1] - rows[-2] if len(rows) > 1 else np.ones(1)

    return kink


@rules(
    **_reduction_rules(_shared_extreme),
    note="the slope goes to the largest; ties share it equally",
    form=Fold(np.maximum),
    latex=r"\max <x>",
    written=_written("max", r"\max_ <x>"),
    onnx=lambda e, x, axis, keepdims: e.reduce("ReduceMax", x, axis, keepdims),
    kink=_gap(largest=True),
    **_REDUCTION,
)
def max_(x, *, axis=None, keepdims=False):
    """The largest over axes; ties share its slope."""
    return np.max(x, axis=axis, keepdims=keepdims)


@rules(
    **_reduction_rules(_shared_extreme),
    note="the slope goes to the smallest; ties share it equally",
    form=Fold(np.minimum),
    latex=r"\min <x>",
    written=_written("min", r"\min_ <x>"),
    onnx=lambda e, x, axis, keepdims: e.reduce("ReduceMin", x, axis, keepdims),
    kink=_gap(largest=False),
    **_REDUCTION,
)
def min_(x, *, axis=None, keepdims=False):
    """The smallest over axes; ties share its slope."""
    return np.min(x, axis=axis, keepdims=keepdims)


@called_by(np.max, np.amax)
def _max_with_options(x, axis=None, keepdims=False, initial=None, where=None):
    """The largest over axes."""
    largest = _with_options(max_, x, axis, None, keepdims, where=where, neutral=-np.inf)
    return largest if initial is None else np.maximum(largest, initial)


@called_by(np.min, np.amin)
def _min_with_options(x, axis=None, keepdims=False, initial=None, where=None):
    """The smallest over axes."""
    smallest = _with_options(min_, x, axis, None, keepdims, where=where, neutral=np.inf)
    return smallest if initial is None else np.minimum(smallest, initial)


@called_by((np.maximum, "reduce"))
def _maximum_reduce(x, axis=0, keepdims=False):
    """The largest over an axis, the first if none is said."""
    return max_(x, axis=axis, keepdims=keepdims)


@called_by((np.minimum, "reduce"))
def _minimum_reduce(x, axis=0, keepdims=False):
    """The smallest over an axis, the first if none is said."""
    return min_(x, axis=axis, keepdims=keepdims)


@called_by(np.ptp)
def ptp(x, axis=None, keepdims=False):
    """The distance of the largest from the smallest."""
    return max_(x, axis=axis, keepdims=keepdims) - min_(x, axis=axis, keepdims=keepdims)


def _product_of_others(x, y, axis):
    """Return for each number the product of all others along the axes, zeros or not."""
    kept = [a for a in range(x.ndim) if a not in axis]
    order = (*kept, *axis)
    n = count_along(x, axis)
    rows = np.reshape(np.transpose(x, order), (*[x.shape[a] for a in kept], n))
    if n == 0:
        return x
    one = np.ones((*rows.shape[:-1], 1), x.dtype)
    last = rows.ndim - 1
    before = running_products(np.concatenate([one, rows[..., : n - 1]], axis=-1), last)
    after = np.flip(
        running_products(np.concatenate([one, np.flip(rows[..., 1:], -1)], axis=-1), last), -1
    )
    others = np.reshape(before * after, tuple(x.shape[a] for a in order))
    return np.transpose(others, tuple(order.index(a) for a in range(x.ndim)))


@rules(
    **_reduction_rules(_product_of_others),
    note="the slope at a number is the product of all others, so zeros are harmless",
    dtype=lambda x, axis, keepdims: np.prod(np.ones(1, x.dtype)).dtype,
    form=Fold(np.multiply),
    latex=r"\prod <x>",
    written=_written("prod", r"\prod_ <x>"),
    onnx=lambda e, x, axis, keepdims: e.reduce("ReduceProd", x, axis, keepdims),
    **_REDUCTION,
)
def prod(x, *, axis=None, keepdims=False):
    """The product over axes; right with zeros in it, to any order."""
    return np.prod(x, axis=axis, keepdims=keepdims)


@called_by(np.nansum)
def nansum(x, axis=None, dtype=None, keepdims=False):
    """The sum of the numbers that are numbers."""
    return _sum_with_options(np.where(np.isnan(x), 0, x), axis, dtype, keepdims)


@called_by(np.nanmean)
def nanmean(x, axis=None, dtype=None, keepdims=False):
    """The mean of the numbers that are numbers."""
    count = np.sum(
        np.logical_not(np.isnan(x)).astype(dtype or x.dtype), axis=axis, keepdims=keepdims
    )
    return nansum(x, axis, dtype, keepdims) / count


@called_by(np.prod)
def _prod_with_options(x, axis=None, dtype=None, keepdims=False, initial=None, where=None):
    """The product over axes."""
    product = _with_options(prod, x, axis, dtype, keepdims, where=where, neutral=1)
    return product if initial is None else product * initial


@called_by((np.multiply, "reduce"))
def _multiply_reduce(x, axis=0, dtype=None, keepdims=False):
    """The product over an axis, the first if none is said."""
    return _prod_with_options(x, axis, dtype, keepdims)


def _log_of_sum(x, axis, keepdims):
    x = np.astype(x, floating(x))
    top = max_(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    y = np.log(sum_(np.exp(x - top), axis=axis, keepdims=True)) + top
    return y if keepdims else np.squeeze(y, axis)


def _shares(x, y, axis):
    """Return e^(x - y), the share of each number in the sum; 0 in a sum of nothing."""
    return np.exp(x - np.where(y == -np.inf, 0, y))


@rules(
    **_reduction_rules(_shares),
    note="its slope is the softmax",
    dtype=lambda x, axis, keepdims: floating(x),
    form=Composite(lambda x, axis, keepdims: _log_of_sum(x, axis, keepdims)),
    latex=r"\log \sum e^{<x>}",
    onnx=lambda e, x, axis, keepdims: e.reduce("ReduceLogSumExp", x, axis, keepdims),
    **_REDUCTION,
)
def logsumexp(x, *, axis=None, keepdims=False):
    """The logarithm of the sum of exponentials; the largest is taken out, so nothing overflows."""
    x = np.asarray(x, floating(np.asarray(x)))
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, top.dtype.type(0))
    with np.errstate(divide="ignore"):
        y = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    axes = axes_of(axis, np.ndim(x))
    return y if keepdims else np.squeeze(y, axes)[()]


@called_by((np.logaddexp, "reduce"))
def _logaddexp_reduce(x, axis=0, keepdims=False):
    """The logarithm of the sum of exponentials over an axis, the first if none is said."""
    return logsumexp(x, axis=axis, keepdims=keepdims)


@called_by(np.var)
def var(x, axis=None, dtype=None, ddof=0, keepdims=False, *, correction=None):
    """The mean squared distance from the mean over axes; divided by n - ddof."""
    if dtype is not None:
        x = x.astype(dtype)
    axes = axes_of(axis, np.ndim(x))
    distance = x - mean(x, axis=axes, keepdims=True)
    divisor = count_along(x, axes) - (ddof if correction is None else correction)
    return sum_(distance * distance, axis=axes, keepdims=keepdims) / max(divisor, 0)


@called_by(np.std)
def std(x, axis=None, dtype=None, ddof=0, keepdims=False, *, correction=None):
    """The root of the variance; its slope at 0 is taken as 0."""
    return root_of_sum(var(x, axis, dtype, ddof, keepdims, correction=correction))


def root_of_sum(x):
    """Return the square root with slope 0 at 0, where a sum of squares has its least value."""
    is_zero = x == 0
    return np.where(is_zero, 0, np.sqrt(np.where(is_zero, 1, x)))


@called_by(np.all)
def all_(x, axis=None, keepdims=False):
    """Whether all of the numbers along the axes are true, as they are where there are none."""
    return np.sum(x == 0, axis=axis, keepdims=keepdims) == 0


@called_by(np.any)
def any_(x, axis=None, keepdims=False):
    """Whether any of the numbers along the axes is true."""
    return np.sum(x != 0, axis=axis, keepdims=keepdims) > 0
