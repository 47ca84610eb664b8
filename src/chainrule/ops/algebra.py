"""Linear algebra: systems of equations, inverses, determinants, factors, norms."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import NoOpError, ShapeError
from chainrule.graph import Case
from chainrule.ops.batching import aligned
from chainrule.ops.declare import called_by, flat, floating, rules
from chainrule.ops.reductions import root_of_sum
from chainrule.ops.shapes import axes_of


def _well_posed(r, *lead):
    """Return matrices far from singular."""
    return r.normal(size=(*lead, 3, 3)) * 0.3 + 2 * np.eye(3)


def _positive_definite(r, *lead):
    factor = r.normal(size=(*lead, 3, 3)) * 0.5
    return factor @ factor.mT + np.eye(3)


_SQUARE_CASES = [Case(_well_posed), Case(lambda r: _well_posed(r, 2))]


def _square(a):
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(f"linear algebra needs square matrices, got {list(a.shape)}.")
    return a.shape


def _spread_over(g, a):
    """Return numbers, one a matrix, with two axes of length 1 behind."""
    return np.reshape(g, (*a.shape[:-2], 1, 1))


def _solve_shape(a, b):
    _square(a)
    if b.ndim < 2 or b.shape[-2] != a.shape[-1]:
        raise ShapeError(
            f"solve needs as many rows in b as a has, got {list(a.shape)} and {list(b.shape)}."
        )
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return (*lead, *b.shape[-2:])


@rules(
    jvp=(lambda da, a, y: -solve(a, da @ y), lambda db, a: solve(a, db)),
    vjp=(lambda g, a, y: -solve(a.mT, g) @ y.mT, lambda g, a: solve(a.mT, g)),
    note="from a y = b: da y + a dy = db",
    shape=_solve_shape,
    dtype=floating,
    batch=aligned(2),
    latex="<a>^{-1} <b>",
    written="np.linalg.solve(<a>, <b>)",
    onnx=None,
    cases=[Case(_well_posed, (3, 2)), Case(lambda r: _well_posed(r, 2), (3, 2))],
)
def solve(a, b):
    """The solution y of a y = b, for matrices b."""
    if np.ndim(b) < 2:
        raise ValueError("b is a vector")  # which NumPy would take, and the rules would not
    return np.linalg.solve(a, b)


@called_by(np.linalg.solve)
def _solve_of(a, b):
    """The solution of a system of equations for a vector or a matrix."""
    if np.ndim(b) == 1:
        return np.squeeze(solve(a, np.expand_dims(b, -1)), -1)
    return solve(a, b)


@rules(
    jvp=lambda da, y: -y @ da @ y,
    vjp=lambda g, y: -y.mT @ g @ y.mT,
    note="from a y = I: da y + a dy = 0",
    shape=_square,
    dtype=floating,
    batch=aligned(2),
    latex="<a>^{-1}",
    onnx=None,
    numpy=np.linalg.inv,
    cases=_SQUARE_CASES,
)
def inv(a):
    """The inverse of each matrix."""
    return np.linalg.inv(a)


_LARGEST_EXPANDED = 8
"""Rows; n² minors of larger matrices cost much more than the inverse."""


def _cofactors(a):
    """Return the derivative of the determinant: a cofactor for each entry.

    Expanded by minors, which serves singular matrices too; for large ones det(a) a⁻ᵀ.
    """
    n = a.shape[-1]
    if n > _LARGEST_EXPANDED:
        return np.expand_dims(det(a), (-1, -2)) * inv(a).mT
    if n < 2:
        return np.ones(a.shape, a.dtype)
    others = np.array([[k for k in range(n) if k != i] for i in range(n)])
    minors = a[..., others[:, None, :, None], others[:, None, :]]
    signs = 1 - 2 * (np.add.outer(np.arange(n), np.arange(n)) % 2)
    return signs.astype(a.dtype) * det(minors)


@rules(
    jvp=lambda da, a: np.sum(_cofactors(a) * da, axis=(-1, -2)),
    vjp=lambda g, a: _spread_over(g, a) * _cofactors(a),
    note="its slope at an entry is the cofactor (Jacobi's formula)",
    shape=lambda a: _square(a)[:-2],
    dtype=floating,
    batch=aligned(2),
    latex=r"\det <a>",
    onnx="Det",
    numpy=np.linalg.det,
    cases=[*_SQUARE_CASES, Case(lambda r: np.diag(r.uniform(1, 2, 5)) + 0.1)],
)
def det(a):
    """The determinant of each matrix."""
    return np.linalg.det(a)


@flat(
    "a sign does not change but at singular matrices",
    shape=lambda a: _square(a)[:-2],
    dtype=floating,
    batch=aligned(2),
    latex=r"\mathrm{sign}\det <a>",
    onnx=lambda e, a: e.Sign(e.Det(a)),
    cases=_SQUARE_CASES,
)
def sign_of_det(a):
    """The sign of the determinant of each matrix."""
    return np.linalg.slogdet(a)[0]


@rules(
    jvp=lambda da, a: np.sum(inv(a).mT * da, axis=(-1, -2)),
    vjp=lambda g, a: _spread_over(g, a) * inv(a).mT,
    note="its slope is the transposed inverse",
    shape=lambda a: _square(a)[:-2],
    dtype=floating,
    batch=aligned(2),
    latex=r"\log \lvert \det <a> \rvert",
    onnx=lambda e, a: e.Log(e.Abs(e.Det(a))),
    cases=_SQUARE_CASES,
)
def log_abs_det(a):
    """The logarithm of the size of the determinant of each matrix, without overflow."""
    return np.linalg.slogdet(a)[1]


class SignAndLog(NamedTuple):
    """What NumPy's slogdet returns."""

    sign: Any
    logabsdet: Any


@called_by(np.linalg.slogdet)
def slogdet(a):
    """The sign of the determinant and the logarithm of its size."""
    return SignAndLog(sign_of_det(a), log_abs_det(a))


def _lower_half(a):
    """Return the lower triangle with half the diagonal."""
    n = a.shape[-1]
    return a * (np.tri(n, dtype=a.dtype) - 0.5 * np.eye(n, dtype=a.dtype))


def _symmetric(a):
    return 0.5 * (a + a.mT)


def _cholesky_jvp(da, y):
    half = solve(y, solve(y, _symmetric(da)).mT)
    return y @ _lower_half(half.mT)


def _cholesky_vjp(g, y):
    half = _lower_half(y.mT @ g)
    return _symmetric(solve(y.mT, solve(y.mT, half.mT).mT))


@rules(
    jvp=_cholesky_jvp,
    vjp=_cholesky_vjp,
    note="y Φ(y⁻¹ da y⁻ᵀ), Φ the lower half (Murray, 2016); a is taken as symmetric",
    shape=_square,
    dtype=floating,
    batch=aligned(2),
    latex=r"\mathrm{chol}(<a>)",
    onnx=None,
    cases=[Case(_positive_definite), Case(lambda r: _positive_definite(r, 2))],
)
def cholesky(a):
    """The lower triangle y with y yᵀ = a, for symmetric positive definite matrices."""
    return np.linalg.cholesky(_symmetric(a))


@called_by(np.linalg.cholesky)
def _cholesky_of(a, *, upper=False):
    """The triangular factor of symmetric positive definite matrices."""
    y = cholesky(a)
    return y.mT if upper else y


@called_by(np.linalg.matrix_power)
def matrix_power(a, n):
    """The product of a matrix with itself, n times; of its inverse if n is negative."""
    if n < 0:
        a, n = inv(a), -n
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    y = None
    while n:
        if n & 1:
            y = a if y is None else y @ a
        a, n = (a @ a if n > 1 else a), n >> 1
    return y


@called_by(np.linalg.norm)
def norm(x, ord=None, axis=None, keepdims=False):
    """A norm over one axis (of vectors) or two (of matrices); its slope at 0 is taken as 0."""
    if axis is None and ord is not None and x.ndim not in {1, 2}:
        raise ShapeError(f"norm with ord={ord} needs 1 or 2 axes, got {x.ndim}; say axis=.")
    axes = axes_of(axis, x.ndim)
    if ord is None or (len(axes) == 2 and ord == "fro"):
        return root_of_sum(np.sum(x * x, axis=axes, keepdims=keepdims))
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    rows, columns = axes if not isinstance(axis, tuple) else [a % x.ndim for a in axis]
    return _matrix_norm(x, ord, rows, columns, keepdims)


def _vector_norm(x, order, axes, keepdims):
    size = np.abs(x)
    if order == np.inf:
        return np.max(size, axis=axes, keepdims=keepdims)
    if order == -np.inf:
        return np.min(size, axis=axes, keepdims=keepdims)
    if order == 0:
        return np.sum((x != 0).astype(x.dtype), axis=axes, keepdims=keepdims)
    if order == 1:
        return np.sum(size, axis=axes, keepdims=keepdims)
    if order == 2:
        return root_of_sum(np.sum(x * x, axis=axes, keepdims=keepdims))
    is_zero = size == 0
    powers = np.where(is_zero, 0 if order > 0 else np.inf, np.where(is_zero, 1, size) ** order)
    total = np.sum(powers, axis=axes, keepdims=keepdims)
    vanishes = np.logical_or(total == 0, np.logical_and(total == np.inf, order < 0))
    return np.where(vanishes, 0, np.where(vanishes, 1, total) ** (1 / order))


def _matrix_norm(x, order, rows, columns, keepdims):
    along = {1: (rows, columns), np.inf: (columns, rows)}.get(abs(order) if order != "nuc" else 0)
    if along is None:
        raise NoOpError(f"np.linalg.norm with ord={order!r} of matrices needs singular values.")
    sums = np.sum(np.abs(x), axis=along[0], keepdims=True)
    y = (np.max if order > 0 else np.min)(sums, axis=along[1], keepdims=True)
    return y if keepdims else np.squeeze(y, (rows, columns))


@called_by(np.linalg.vector_norm)
def vector_norm(x, *, axis=None, ord=2, keepdims=False):
    """The norm of vectors along axes, or of all numbers."""
    axes = axes_of(axis, x.ndim)
    return _vector_norm(x, ord, axes, keepdims)


@called_by(np.linalg.matrix_norm)
def matrix_norm(x, *, ord="fro", keepdims=False):
    """The norm of each matrix."""
    return norm(x, ord, (-2, -1), keepdims)
