"""Holding a function written with NumPy to NumPy's own value and to central differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from every_op import difference

from chainrule import Spec, grad, jvp, trace, vjp, vmap
from chainrule.transform import simplify


@dataclass(frozen=True)
class Row:
    """A function, its arguments (a shape is filled with numbers no two of which are near)."""

    name: str
    function: Any
    arguments: tuple[Any, ...]
    interval: tuple[float, float] = (-2.0, 2.0)
    by_shape: bool = True  # whether it can be traced on shapes alone
    order: int = 2
    tolerance: float = 1e-13  # of the value; 0 asks for the same bits

    def inputs(self, seed: int = 0) -> tuple[Any, ...]:
        rng = np.random.default_rng(seed)
        return tuple(
            spaced(rng, x, self.interval) if isinstance(x, tuple) else x for x in self.arguments
        )


def spaced(rng: np.random.Generator, shape: tuple[int, ...], interval: tuple[float, float]) -> Any:
    """Return evenly spaced numbers in random order: no ties, and none at a round number."""
    count = int(np.prod(shape, dtype=int))
    low, high = interval
    places = (rng.permutation(count) + rng.uniform(0.2, 0.4)) / max(count, 1)
    return (low + (high - low) * places).reshape(shape)[()]


def table(*rows: Row) -> Any:
    """Return the parameters of a test from rows, which must have names of their own."""
    assert len({row.name for row in rows}) == len(rows)
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.name)


def same(a: Any, b: Any, tolerance: float) -> None:
    """Require the same type, shape and dtype, and numbers that agree.

    A result without axes is a number here, also where NumPy says it as an array.
    """
    assert type(a) is type(b) or np.shape(b) == ()
    assert (np.shape(a), a.dtype) == (np.shape(b), b.dtype)
    if tolerance == 0:
        np.testing.assert_array_equal(a, b)
    else:
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def check(row: Row) -> None:
    """Hold a function to everything that is known of it without looking inside.

    Its value is NumPy's, walked or evaluated from a graph; both modes agree with each other
    and with differences, as do the second derivatives; batches of both are loops; float32
    stays what it is.
    """
    f, xs = row.function, row.inputs()
    expected = f(*xs)
    y, pull = vjp(f, *xs)
    same(y, expected, row.tolerance)
    rng = np.random.default_rng(1)
    weights = rng.normal(size=np.shape(expected))
    dxs = tuple(rng.uniform(-1, 1, size=x.shape) for x in xs)
    if row.by_shape:
        graph = trace(f, *[Spec(x.shape, x.dtype) for x in xs]).check()
        for program in (graph, simplify(graph)):
            np.testing.assert_allclose(
                program.evaluate(*xs)[0], expected, rtol=1e-13, atol=row.tolerance
            )
        _check_batch(row, f)
        _check_batch(row, grad(lambda *xs: np.sum(weights * np.sin(f(*xs)))))
    slope = sum(np.sum(g * dx) for g, dx in zip(pull(weights), dxs, strict=True))
    along = lambda *xs: np.sum(weights * f(*xs))
    np.testing.assert_allclose(slope, difference(along, xs, dxs), rtol=1e-8, atol=1e-8)
    dy = jvp(f, xs, dxs)[1]
    np.testing.assert_allclose(np.sum(weights * dy), slope, rtol=1e-12, atol=1e-12)
    if row.order > 1:
        _check_second_order(along, xs, dxs)
    _check_single_precision(f, xs)


def _check_single_precision(f: Any, xs: tuple[Any, ...]) -> None:
    """Values have the dtype that NumPy gives them, and gradients that of their argument."""
    single = tuple(np.asarray(x, np.float32)[()] for x in xs)
    expected = f(*single)
    y, pull = vjp(f, *single)
    assert y.dtype == expected.dtype
    assert {g.dtype for g in pull(np.ones_like(y))} == {np.dtype(np.float32)}


def _check_batch(row: Row, f: Any) -> None:
    examples = [row.inputs(seed) for seed in range(3)]
    stacked = [np.stack(parts) for parts in zip(*examples, strict=True)]
    rows = np.stack([f(*example) for example in examples])
    np.testing.assert_allclose(vmap(f)(*stacked), rows, rtol=1e-12, atol=1e-12)


def _check_second_order(along: Any, xs: tuple[Any, ...], dxs: tuple[Any, ...]) -> None:
    places = tuple(range(len(xs)))

    def slope(*xs: Any) -> Any:
        return sum(np.sum(g * dx) for g, dx in zip(grad(along, places)(*xs), dxs, strict=True))

    expected = difference(slope, xs, dxs)
    np.testing.assert_allclose(jvp(slope, xs, dxs)[1], expected, rtol=1e-7, atol=1e-7)
    found = sum(np.sum(g * dx) for g, dx in zip(grad(slope, places)(*xs), dxs, strict=True))
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)
