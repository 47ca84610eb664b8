"""Functions drawn at random: a course of steps through NumPy and ops, the same at every call."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from chainrule import grad, ops

LENGTHS = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 23, 31, 33, 37)
MOST = 6000
"""Elements of an array; one that has more is not kept."""

UNARY = [
    np.sin,
    np.cos,
    np.tanh,
    np.square,
    np.negative,
    np.abs,
    np.arctan,
    ops.sigmoid,
    ops.softplus,
    ops.gelu,
    ops.relu,
    lambda x: np.exp(np.sin(x)),
    lambda x: np.sqrt(1 + x * x),
    lambda x: np.log(2 + np.cos(x)),
    lambda x: 1 / (2 + np.sin(x)),
    lambda x: np.astype(np.astype(np.tanh(x), np.float64), x.dtype),
]
BINARY = [
    np.add,
    np.subtract,
    np.multiply,
    np.maximum,
    np.minimum,
    np.logaddexp,
    np.hypot,
    lambda a, b: a / (2 + np.sin(b)),
    lambda a, b: np.where(a > b, a, 2 * b),
    lambda a, b: np.where(np.logical_and(a > 0, b <= 0), a * b, a - b),
]
FOLDS = [
    np.sum,
    np.mean,
    np.max,
    np.min,
    lambda x, axis, keepdims: np.prod(np.cos(x / 8), axis=axis, keepdims=keepdims),
    lambda x, axis, keepdims: ops.logsumexp(x, axis=axis, keepdims=keepdims),
    lambda x, axis, keepdims: np.var(x, axis=axis, keepdims=keepdims),
    lambda x, axis, keepdims: np.astype(np.sum(x > 0.1, axis=axis, keepdims=keepdims), x.dtype),
    lambda x, axis, keepdims: np.where(np.any(x > 1, axis=axis, keepdims=keepdims), 1.5, -0.5),
]


class Course(NamedTuple):
    """What a function does.

    Attributes
    ----------
    shapes
        Of its arrays.
    steps
        What is done, with which two of the values so far, and a number for the rest.
    """

    shapes: tuple[tuple[int, ...], ...]
    steps: tuple[tuple[int, int, int, int], ...]


_shape = (
    st.lists(st.sampled_from(LENGTHS), min_size=1, max_size=3)
    .map(tuple)
    .filter(lambda shape: math.prod(shape) <= MOST)
)
_step = st.tuples(st.integers(0, 15), st.integers(0, 7), st.integers(0, 7), st.integers(0, 10**6))
courses = st.builds(
    Course,
    st.lists(_shape, min_size=2, max_size=3).map(tuple),
    st.lists(_step, min_size=2, max_size=10).map(tuple),
)


def arrays_of(course: Course, dtype: Any) -> list[Any]:
    """Return what a function is called with: arrays, places in the first, and a scalar."""
    rng = np.random.default_rng(len(course.steps))
    xs = [rng.uniform(-1.5, 1.5, s).astype(np.float32).astype(dtype) for s in course.shapes]
    n = course.shapes[0][0]
    places = rng.integers(-n, n, 5)
    return [*xs, places, np.asarray(0.75, dtype)[()]]


def function_of(course: Course) -> Any:
    """Return the function: its last values, and new arrays by the gradient of what they come to."""

    def values(*given: Any) -> list[Any]:
        found = [*given[: len(course.shapes)], given[-1]]
        for kind, a, b, k in course.steps:
            x, z = found[-1 - a % len(found)], found[-1 - b % len(found)]
            y = STEPS[kind % len(STEPS)](x, z, given[-2], np.random.default_rng(k))
            if y is not None and 0 < y.size <= MOST:
                found.append(np.astype(y, given[0].dtype))
        return found[-3:]

    def total(*given: Any) -> Any:
        return sum(np.mean(np.tanh(y)) * (k + 1) for k, y in enumerate(values(*given)))

    def whole(*given: Any) -> Any:
        count = len(course.shapes)
        slopes = grad(total, tuple(range(count)))(*given)
        new = [x - 0.5 * g for x, g in zip(given, slopes, strict=False)]
        return [*new, total(*given), *values(*given)]

    return whole


def _axis(x: Any, rng: Any) -> int:
    return int(rng.integers(x.ndim))


def _axes(x: Any, rng: Any) -> Any:
    chosen = [a for a in range(x.ndim) if rng.integers(2)]
    return tuple(chosen) or None


def _unary(x: Any, z: Any, at: Any, rng: Any) -> Any:
    return UNARY[rng.integers(len(UNARY))](x)


def _binary(x: Any, z: Any, at: Any, rng: Any) -> Any:
    combine = BINARY[rng.integers(len(BINARY))]
    try:
        np.broadcast_shapes(x.shape, z.shape)
    except ValueError:
        if not z.ndim or not x.ndim:
            return None
        z = np.mean(z, axis=_axis(z, rng)) if z.ndim > 1 else z
        z = np.expand_dims(z, 0) if z.ndim == 1 and rng.integers(2) else z
        x = np.expand_dims(np.ravel(x)[: 1 + x.size % 13], 1)
        z = np.ravel(z)[: 1 + z.size % 19]
    return combine(x, z)


def _fold(x: Any, z: Any, at: Any, rng: Any) -> Any:
    if not x.ndim:
        return None
    axes, keep = _axes(x, rng), bool(rng.integers(2))
    return FOLDS[rng.integers(len(FOLDS))](x, axis=axes, keepdims=keep)


def _normalised(x: Any, z: Any, at: Any, rng: Any) -> Any:
    if not x.ndim:
        return None
    axis = _axis(x, rng)
    kind = rng.integers(4)
    if kind == 0:
        return ops.softmax(x, axis=axis)
    if kind == 1:
        return ops.log_softmax(x, axis=axis)
    if kind == 2:
        return (x - np.mean(x, axis=axis, keepdims=True)) / (
            1 + np.std(x + 0.1, axis=axis, keepdims=True)
        )
    return np.cumsum(x, axis=axis)


def _transposed(x: Any, z: Any, at: Any, rng: Any) -> Any:
    return np.transpose(x, [int(a) for a in rng.permutation(x.ndim)])


def _sliced(x: Any, z: Any, at: Any, rng: Any) -> Any:
    if not x.ndim:
        return None
    index: list[Any] = []
    for n in x.shape:
        start, step = int(rng.integers(n)), int(rng.choice([-3, -2, -1, 1, 2, 3]))
        whole = slice(None, None, step)
        index.append([whole, slice(start, None, step), slice(None)][rng.integers(3)])
    if rng.integers(3) == 0:
        index[0] = int(rng.integers(-x.shape[0], x.shape[0]))
    if rng.integers(3) == 0:
        index.insert(int(rng.integers(len(index) + 1)), None)
    return (
        x[tuple(index)]
        if sum(i is not None and not isinstance(i, int) for i in index) < 4
        else None
    )


def _reshaped(x: Any, z: Any, at: Any, rng: Any) -> Any:
    n = x.size
    factors = [f for f in range(1, n + 1) if n % f == 0]
    f = int(rng.choice(factors))
    return np.reshape(x, [(-1,), (f, n // f), (n // f, 1, f)][rng.integers(3)])


def _joined(x: Any, z: Any, at: Any, rng: Any) -> Any:
    if not x.ndim:
        return np.stack([x, x, 2 * x])
    axis = _axis(x, rng)
    if x.ndim == z.ndim and all(
        a == axis or m == n for a, (m, n) in enumerate(zip(x.shape, z.shape, strict=True))
    ):
        return np.concatenate([x, z], axis=axis)
    if rng.integers(2) and x.ndim < 3:
        return np.stack([np.sin(x), x], axis=axis)
    return np.concatenate([x, np.sin(x), x], axis=axis)


def _padded(x: Any, z: Any, at: Any, rng: Any) -> Any:
    if not x.ndim:
        return None
    widths = [tuple(int(w) for w in rng.integers(0, 4, 2)) for _ in range(x.ndim)]
    return np.pad(x, widths, mode=["constant", "edge"][rng.integers(2)])


def _taken(x: Any, z: Any, at: Any, rng: Any) -> Any:
    if not x.ndim:
        return None
    axis = _axis(x, rng)
    n = x.shape[axis]
    kind = rng.integers(4)
    if kind == 0:  # places that are computed
        return np.take(x, np.abs(at) % n, axis=axis)
    if kind == 1:
        return np.take(x, rng.integers(-n, n, int(rng.integers(1, 20))), axis=axis)
    if kind == 2 and x.ndim > 1:
        m = int(rng.integers(1, 20))
        return x[rng.integers(-x.shape[0], x.shape[0], m), rng.integers(0, x.shape[1], m)]
    return x[rng.integers(-x.shape[0], x.shape[0], (3, 1))]


def _added(x: Any, z: Any, at: Any, rng: Any) -> Any:
    if not x.ndim:
        return None
    n = int(rng.integers(1, 9))
    places = rng.integers(-n, n, x.shape[0])
    return ops.scatter_add(x, places, shape=(n, *x.shape[1:]))


def _product(x: Any, z: Any, at: Any, rng: Any) -> Any:
    if x.ndim < 2:
        x = np.reshape(x, (-1, 1)) if rng.integers(2) else np.reshape(x, (1, -1))
    if z.ndim >= 2 and x.shape[-1] == z.shape[-2] and fits(x.shape[:-2], z.shape[:-2]):
        return x @ z
    if z.ndim >= 2 and x.shape[-1] == z.shape[-1] and fits(x.shape[:-2], z.shape[:-2]):
        return x @ z.mT
    return x.mT @ x / x.shape[-2] if rng.integers(2) else x @ np.sin(x).mT / x.shape[-1]


def fits(a: Any, b: Any) -> bool:
    """Return whether shapes broadcast."""
    return all(m == n or 1 in (m, n) for m, n in zip(a[::-1], b[::-1], strict=False))


def _widened(x: Any, z: Any, at: Any, rng: Any) -> Any:
    if x.ndim < 3 and rng.integers(2):
        x = np.expand_dims(x, int(rng.integers(x.ndim + 1)))
    lengths = [int(rng.integers(1, 20)) if n == 1 else n for n in x.shape]
    if len(lengths) < 3 and rng.integers(2):
        lengths.insert(0, int(rng.integers(1, 5)))
    return (
        np.broadcast_to(x, lengths)
        if rng.integers(2)
        else np.repeat(x, 2, axis=-1)
        if x.ndim
        else x
    )


def _counted(x: Any, z: Any, at: Any, rng: Any) -> Any:
    """Whole numbers and truth values, and back."""
    kind = rng.integers(5)
    if kind == 0:
        return x * np.astype(np.sum(at * at) % 7, x.dtype)
    if kind == 1:
        return np.astype(x > 0.3, np.int32) * np.astype(x < 1, np.int32) + x
    if kind == 2:
        return np.where(np.logical_not(x > 0.2), x, 0.25)
    if kind == 3 and x.ndim:
        return x * np.astype(np.arange(x.shape[-1]) % 3 - 1, x.dtype)
    return ops.one_hot(np.abs(at) % 5, 5) * np.mean(x)


def _flipped(x: Any, z: Any, at: Any, rng: Any) -> Any:
    if not x.ndim:
        return None
    axis = _axis(x, rng)
    return np.flip(x, axis) if rng.integers(2) else np.roll(x, int(rng.integers(-5, 6)), axis)


STEPS = [
    _unary,
    _binary,
    _fold,
    _binary,
    _normalised,
    _transposed,
    _sliced,
    _reshaped,
    _joined,
    _padded,
    _taken,
    _added,
    _product,
    _widened,
    _counted,
    _flipped,
]
