"""Functions that HIPS autograd and chainrule both differentiate, each said once.

A case takes a module ``np`` first, and a module ``special`` where it needs one, so that
the same text runs on either side: autograd's NumPy, or NumPy itself with chainrule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Case:
    """One function with the shapes and the interval its arguments are drawn from."""

    name: str
    function: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    low: float = -2.0
    high: float = 2.0


def ufunc(name: str) -> Callable[..., Any]:
    """Return the function that calls ``np.<name>``."""
    return lambda np, special, *xs: getattr(np, name)(*xs)


def scipys(name: str) -> Callable[..., Any]:
    """Return the function that calls ``special.<name>``."""
    return lambda np, special, *xs: getattr(special, name)(*xs)


EVERYWHERE = [
    "absolute",
    "arctan",
    "arcsinh",
    "cos",
    "cosh",
    "deg2rad",
    "exp",
    "exp2",
    "expm1",
    "negative",
    "rad2deg",
    "sin",
    "sinc",
    "sinh",
    "square",
    "tanh",
]
POSITIVE = ["log", "log10", "log1p", "log2", "reciprocal", "sqrt"]
INSIDE_ONE = ["arccos", "arcsin", "arctanh", "tan"]
TWO_EVERYWHERE = [
    "add",
    "arctan2",
    "fmax",
    "fmin",
    "hypot",
    "logaddexp",
    "logaddexp2",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
TWO_POSITIVE = ["divide", "power", "remainder"]

ELEMENTWISE = [
    *(Case(name, ufunc(name), ((3, 4),)) for name in EVERYWHERE),
    *(Case(name, ufunc(name), ((3, 4),), 0.5, 2.0) for name in POSITIVE),
    *(Case(name, ufunc(name), ((3, 4),), -0.9, 0.9) for name in INSIDE_ONE),
    Case("arccosh", ufunc("arccosh"), ((3, 4),), 1.1, 3.0),
    *(Case(name, ufunc(name), ((3, 4), (4,))) for name in TWO_EVERYWHERE),
    *(Case(name, ufunc(name), ((3, 4), (3, 1)), 0.5, 2.0) for name in TWO_POSITIVE),
    Case("clip", lambda np, special, x: np.clip(x, -1.0, 1.0), ((3, 4),)),
    Case("where", lambda np, special, x, y: np.where(x > y, x * y, y), ((3, 4), (3, 4))),
    Case("erf", scipys("erf"), ((3, 4),)),
    Case("expit", scipys("expit"), ((3, 4),)),
]

REDUCTIONS = [
    Case("sum", lambda np, special, x: np.sum(x**2, axis=(0, 2)), ((2, 3, 4),)),
    Case("mean", lambda np, special, x: np.mean(x**2, axis=1, keepdims=True), ((3, 4),)),
    Case("max", lambda np, special, x: np.max(x**2, axis=0), ((3, 4),)),
    Case("min", lambda np, special, x: np.min(x**2, axis=1), ((3, 4),)),
    Case("prod", lambda np, special, x: np.prod(x, axis=1), ((3, 4),), 0.5, 2.0),
    Case("var", lambda np, special, x: np.var(x**2, axis=0, ddof=1), ((3, 4),)),
    Case("std", lambda np, special, x: np.std(x, axis=1), ((3, 4),)),
    Case("cumsum", lambda np, special, x: np.cumsum(x**2, axis=1), ((3, 4),)),
    Case("trace", lambda np, special, x: np.trace(x**2), ((4, 4),)),
    Case("logsumexp", lambda np, special, x: special.logsumexp(x, axis=1), ((3, 4),)),
    Case("sort", lambda np, special, x: np.sort(x**3), ((7,),)),
    Case("norm", lambda np, special, x: np.linalg.norm(x), ((3, 4),)),
    Case("norm of rows", lambda np, special, x: np.linalg.norm(x, axis=1), ((3, 4),)),
    Case("norm of order 3", lambda np, special, x: np.linalg.norm(x, ord=3, axis=0), ((3, 4),)),
]

SHAPES = [
    Case("reshape", lambda np, special, x: np.reshape(x**2, (4, 3)), ((3, 4),)),
    Case("ravel", lambda np, special, x: np.ravel(x**2), ((3, 4),)),
    Case("transpose", lambda np, special, x: np.transpose(x**2, (2, 0, 1)), ((2, 3, 4),)),
    Case("swapaxes", lambda np, special, x: np.swapaxes(x**2, 0, 2), ((2, 3, 4),)),
    Case("moveaxis", lambda np, special, x: np.moveaxis(x**2, 0, -1), ((2, 3, 4),)),
    Case("squeeze", lambda np, special, x: np.squeeze(x**2, axis=1), ((3, 1, 4),)),
    Case("expand_dims", lambda np, special, x: np.expand_dims(x**2, 1), ((3, 4),)),
    Case("broadcast_to", lambda np, special, x: np.broadcast_to(x**2, (3, 4)), ((3, 1),)),
    Case("repeat", lambda np, special, x: np.repeat(x**2, 3, axis=1), ((3, 4),)),
    Case("tile", lambda np, special, x: np.tile(x**2, (2, 3)), ((3, 4),)),
    Case("roll", lambda np, special, x: np.roll(x**2, 2, axis=1), ((3, 4),)),
    Case("rot90", lambda np, special, x: np.rot90(x**2), ((3, 4),)),
    Case("fliplr", lambda np, special, x: np.fliplr(x**2), ((3, 4),)),
    Case("flipud", lambda np, special, x: np.flipud(x**2), ((3, 4),)),
    Case("tril", lambda np, special, x: np.tril(x**2, -1), ((3, 4),)),
    Case("triu", lambda np, special, x: np.triu(x**2), ((3, 4),)),
    Case("diag of a vector", lambda np, special, x: np.diag(x**2), ((4,),)),
    Case("diag of a matrix", lambda np, special, x: np.diag(x**2), ((4, 4),)),
    Case("diagonal", lambda np, special, x: np.diagonal(x**2, 0, -1, -2), ((2, 3, 3),)),
    Case("pad", lambda np, special, x: np.pad(x**2, ((1, 2), (0, 1)), "constant"), ((3, 4),)),
    Case(
        "concatenate", lambda np, special, x, y: np.concatenate([x**2, y], axis=1), ((3, 4), (3, 2))
    ),
    Case("stack", lambda np, special, x, y: np.stack([x**2, x * y], axis=1), ((3, 4), (3, 4))),
    Case("vstack", lambda np, special, x, y: np.vstack([x**2, y]), ((3, 4), (4,))),
    Case("split", lambda np, special, x: np.multiply(*np.split(x**2, 2, axis=1)), ((3, 4),)),
    Case("array_split", lambda np, special, x: np.array_split(x**2, 3, axis=1)[0], ((3, 4),)),
    Case("slice", lambda np, special, x: x[1:, ::-2] ** 2, ((3, 4),)),
    Case("index", lambda np, special, x: x[[0, 2, 0], [1, 1, 1]] ** 2, ((3, 4),)),
    Case("mask", lambda np, special, x: x[np.array([True, False, True])] ** 2, ((3, 4),)),
]

PRODUCTS = [
    Case("dot", ufunc("dot"), ((3, 4), (4, 2))),
    Case("dot of vectors", ufunc("dot"), ((4,), (4,))),
    Case("matmul", ufunc("matmul"), ((2, 3, 4), (4, 5))),
    Case("matmul of batches", ufunc("matmul"), ((2, 3, 4), (2, 4, 5))),
    Case("inner", ufunc("inner"), ((3, 4), (2, 4))),
    Case("outer", ufunc("outer"), ((3,), (4,))),
    Case("tensordot", lambda np, special, x, y: np.tensordot(x, y, axes=2), ((2, 3, 4), (3, 4, 5))),
    Case("einsum", lambda np, special, x, y: np.einsum("bij,jk->bik", x, y), ((2, 3, 4), (4, 5))),
    Case("einsum of one", lambda np, special, x: np.einsum("ij->j", x**2), ((3, 4),)),
]


def positive_definite(np: Any, x: Any) -> Any:
    """Return a well-conditioned symmetric matrix made of any square one."""
    return np.dot(x, x.T) + 3.0 * np.eye(3)


def determinants_logarithm(np: Any, special: Any, x: Any) -> Any:
    """Return the logarithm from ``slogdet``, the second of its two results."""
    return np.linalg.slogdet(positive_definite(np, x))[1]


SOLVING = [
    Case(
        "solve",
        lambda np, special, x, y: np.linalg.solve(positive_definite(np, x), y),
        ((3, 3), (3, 2)),
    ),
    Case("inv", lambda np, special, x: np.linalg.inv(positive_definite(np, x)), ((3, 3),)),
    Case("det", lambda np, special, x: np.linalg.det(positive_definite(np, x)), ((3, 3),)),
    Case("slogdet", determinants_logarithm, ((3, 3),)),
    Case(
        "cholesky", lambda np, special, x: np.linalg.cholesky(positive_definite(np, x)), ((3, 3),)
    ),
]


def two_layers(np: Any, special: Any, x: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
    """Return the cross-entropy of a network with one hidden layer."""
    hidden = np.tanh(np.dot(x, w1) + b1)
    scores = np.dot(hidden, w2) + b2
    label = np.array([0, 2, 1, 1, 0])
    return np.mean(special.logsumexp(scores, axis=1) - scores[np.arange(5), label])


NETWORK = [Case("two layers", two_layers, ((5, 3), (3, 4), (4,), (4, 3), (3,)))]

CASES = ELEMENTWISE + REDUCTIONS + SHAPES + PRODUCTS + SOLVING + NETWORK
