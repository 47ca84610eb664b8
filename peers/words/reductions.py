"""Sums, means, extremes, products, variances and running totals along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import ops
from peers.words.axes import at_least_one_axis, axes, count
from peers.words.table import word


@word("sum")
def sum(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return np.sum(input, axis=axes(input, dim), keepdims=keepdim)


@word("mean")
def mean(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return np.mean(input, axis=axes(input, dim), keepdims=keepdim)


@word("nansum")
def nansum(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return np.sum(np.where(np.isnan(input), 0.0, input), axis=axes(input, dim), keepdims=keepdim)


@word("nanmean")
def nanmean(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    there = np.sum(np.where(np.isnan(input), 0.0, 1.0), axis=axes(input, dim), keepdims=keepdim)
    return nansum(input, dim, keepdim) / there


@word("sum_to_size")
def sum_to_size(input: Any, *size: Any) -> Any:
    """Sum over the axes that broadcasting would have added or stretched."""
    size = tuple(size[0]) if size and isinstance(size[0], (tuple, list)) else size
    lead = input.ndim - len(size)
    short = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(size) if n == 1)
    return np.reshape(np.sum(input, axis=short, keepdims=True), size)


@word("amax")
def amax(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return np.max(input, axis=axes(input, dim), keepdims=keepdim)


@word("amin")
def amin(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return np.min(input, axis=axes(input, dim), keepdims=keepdim)


@word("max/reduction_no_dim", "max/reduction_with_dim")
def max(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return amax(input, dim, keepdim)


@word("min/reduction_no_dim", "min/reduction_with_dim")
def min(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return amin(input, dim, keepdim)


@word("aminmax")
def aminmax(input: Any, *, dim: Any = None, keepdim: bool = False) -> Any:
    return amin(input, dim, keepdim), amax(input, dim, keepdim)


@word("prod")
def prod(input: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    return np.prod(input, axis=axes(input, dim), keepdims=keepdim)


@word("cumsum")
def cumsum(input: Any, dim: int, dtype: Any = None) -> Any:
    return np.reshape(np.cumsum(at_least_one_axis(input), axis=dim), input.shape)


@word("cumprod")
def cumprod(input: Any, dim: int, dtype: Any = None) -> Any:
    return np.reshape(np.cumprod(at_least_one_axis(input), axis=dim), input.shape)


@word("logcumsumexp")
def logcumsumexp(input: Any, dim: int) -> Any:
    top = np.max(input, axis=axes(input, dim), keepdims=True)
    return top + np.log(cumsum(np.exp(input - top), dim))


@word("var", "var/unbiased")
def var(input: Any, dim: Any = None, unbiased: Any = None, **options: Any) -> Any:
    axis, ddof = degrees(input, dim, unbiased, options)
    return np.var(input, axis=axis, ddof=ddof, **options)


@word("std", "std/unbiased")
def std(input: Any, dim: Any = None, unbiased: Any = None, **options: Any) -> Any:
    axis, ddof = degrees(input, dim, unbiased, options)
    return np.std(input, axis=axis, ddof=ddof, **options)


@word("var_mean", "var_mean/unbiased")
def var_mean(input: Any, *dim: Any, **options: Any) -> Any:
    return var(input, *dim, **options), mean_as(input, *dim, **options)


@word("std_mean", "std_mean/unbiased")
def std_mean(input: Any, *dim: Any, **options: Any) -> Any:
    return std(input, *dim, **options), mean_as(input, *dim, **options)


def mean_as(input: Any, dim: Any = None, keepdim: bool = False, **options: Any) -> Any:
    """Return the mean over the axes that a variance with these options goes over."""
    return mean(input, None if isinstance(dim, bool) else dim, keepdim)


def degrees(input: Any, dim: Any, unbiased: Any, options: dict[str, Any]) -> tuple[Any, float]:
    """Read axis and degrees of freedom, and leave NumPy's keywords in ``options``.

    More degrees than elements leave none, and the variance is infinite or not a number;
    NumPy does the same.
    """
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    options["keepdims"] = options.pop("keepdim", False)
    correction = options.pop("correction", 1)
    correction = 1 if correction is None else correction
    if unbiased is not None:
        correction = int(unbiased)
    return axes(input, dim), float(np.minimum(correction, count(input, dim)))


@word("logsumexp")
def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    return ops.logsumexp(input, axis=axes(input, dim), keepdims=keepdim)


@word("cov")
def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """Covariance of the rows, with counts and weights of the observations."""
    rows = np.atleast_2d(input)
    weights = np.ones(rows.shape[1]) if aweights is None else aweights
    if fweights is not None:
        weights = fweights.astype(weights.dtype) * weights
    total = np.sum(weights)
    if aweights is None:
        freedom = total - correction
    else:
        freedom = total - correction * np.sum(weights * aweights) / total
    centred = rows - np.sum(rows * weights, axis=1, keepdims=True) / total
    return np.squeeze((centred * weights) @ centred.T / np.maximum(freedom, 0.0))


@word("corrcoef")
def corrcoef(input: Any) -> Any:
    rows = np.atleast_2d(input)
    centred = rows - np.mean(rows, axis=1, keepdims=True)
    product = centred @ centred.T
    scale = np.sqrt(np.diagonal(product))
    return np.squeeze(np.clip(product / scale[:, None] / scale[None, :], -1.0, 1.0))


@word("trace")
def trace(input: Any) -> Any:
    return np.trace(input)


@word("diff")
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    if n == 0:
        return input * 1.0
    parts = [part for part in (prepend, input, append) if part is not None]
    return np.diff(np.concatenate(parts, axis=dim), n, axis=dim)


@word("trapz", "trapezoid")
def trapezoid(y: Any, x: Any = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    return np.sum(trapezoids(y, x, dx, dim), axis=dim)


@word("cumulative_trapezoid")
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    return np.cumsum(trapezoids(y, x, dx, dim), axis=dim)


def trapezoids(y: Any, x: Any, dx: float, dim: int) -> Any:
    """Areas under a curve between neighbouring points."""
    lead = (slice(None),) * (dim % y.ndim)
    middle = (y[(*lead, slice(1, None))] + y[(*lead, slice(None, -1))]) / 2
    return middle * (dx if x is None else np.diff(x, axis=dim))


@word("all")
def all(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return np.all(input != 0, axis=axes(input, dim), keepdims=keepdim)


@word("any")
def any(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return np.any(input != 0, axis=axes(input, dim), keepdims=keepdim)


@word("count_nonzero")
def count_nonzero(input: Any, dim: Any = None) -> Any:
    return np.sum(np.where(input != 0, 1.0, 0.0), axis=axes(input, dim))


@word("argmax")
def argmax(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return np.argmax(input, axis=axes(input, dim), keepdims=keepdim)


@word("argmin")
def argmin(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return np.argmin(input, axis=axes(input, dim), keepdims=keepdim)
