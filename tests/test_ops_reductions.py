"""Reductions, running sums and order: every option, empty arrays, ties, zeros and NaN."""

from __future__ import annotations

import numpy as np
import pytest
from against_numpy import Row, check, table

from chainrule import grad, hessian, jacobian, jvp, ops, vjp
from chainrule.errors import NoOpError, ShapeError

x34, x234, empty = ((3, 4),), ((2, 3, 4),), ((0, 3),)
some = np.array([[True, False, True, True], [False, True, False, False], [True] * 4])
functions = [
    np.sum, np.mean, np.prod, np.max, np.min, np.var, np.std, np.ptp, np.median, np.nansum,
    np.nanmean,
]  # fmt: skip


@table(
    *[
        Row(f"{f.__name__} {axis=} {kept=}",
            lambda x, f=f, a=axis, k=kept: f(x, axis=a, keepdims=k), x234)
        for f in functions
        for axis in (None, 1, (0, -1))
        for kept in (False, True)
    ],
    *[
        Row(f"{f.__name__} over no axis", lambda x, f=f: f(x, axis=()), x34)
        for f in (np.sum, np.mean, np.prod, np.max, np.min)
    ],
    *[
        Row(f"{f.__name__} {where} {initial=}",
            lambda x, f=f, w=where, i=initial: f(x, axis=0, where=w, initial=i, keepdims=True), x34)
        for f in (np.sum, np.prod, np.max, np.min)
        for where in (True, some, some[:, :1])
        for initial in (0.3, 5.0, -7.0)
    ],
    *[Row(f"{f.__name__} of nothing", lambda x, f=f: f(x, axis=0) + 0 * np.sum(x), empty)
      for f in (np.sum, np.prod)],
    Row("all of nothing", lambda x: np.sum(x) + np.all(x) + np.any(x), empty, by_shape=False),
    Row("max by NumPy's order", lambda x: np.max(x, 0, None, True), x34),
    Row("sum by NumPy's order", lambda x: np.sum(x, 0, None, None, True, 2.0), x34),
    Row("std by NumPy's order", lambda x: np.std(x, 0, None, None, 1, True), x34),
    Row("median by NumPy's order", lambda x: np.median(x, 1, None, False, True), x34),
    Row("sum by NumPy's names", lambda x: np.sum(a=x, axis=1, out=None), x34),
    Row("sum in another type", lambda x: np.sum(x, dtype=np.float64), x34),
    Row("mean in another type", lambda x: np.mean(x, axis=0, dtype=np.float64), x34),
    *[Row(f"{f.__name__} {ddof=}", lambda x, f=f, d=ddof: f(x, axis=1, ddof=d), x34)
      for f in (np.var, np.std) for ddof in (0, 1, 2.5)],
    Row("var correction", lambda x: np.var(x, correction=1), x34),
    Row("std in another type", lambda x: np.std(x, dtype=np.float64, keepdims=True), x34),
    Row("average", np.average, x34),
    Row("average over two axes", lambda x: np.average(x, axis=(0, 2), keepdims=True), x234),
    Row("average, weights along", lambda x, w: np.average(x, axis=1, weights=w), ((3, 4), (4,)),
        (0.5, 2)),
    Row("average, as many weights", lambda x, w: np.average(x, weights=w), ((3, 4), (3, 4)),
        (0.5, 2)),
    Row("average, weights along two", lambda x, w: np.average(x, axis=(0, 1), weights=w),
        ((3, 3, 3), (3, 3)), (0.5, 2)),
    Row("average, weights across",
        lambda x, w: np.average(x, axis=(2, 0), weights=w, keepdims=True),
        ((2, 3, 4), (4, 2)), (0.5, 2)),
    Row("add.reduce", lambda x: np.add.reduce(x, axis=1, keepdims=True), x34),
    Row("multiply.reduce", np.multiply.reduce, x34),
    Row("maximum.reduce", lambda x: np.maximum.reduce(x, axis=None), x34),
    Row("minimum.reduce", lambda x: np.minimum.reduce(x, axis=(0, 1)), x34),
    Row("logaddexp.reduce", np.logaddexp.reduce, x34),
)  # fmt: skip
def test_reductions(row):
    check(row)


@table(
    Row("cumsum flat", np.cumsum, x34),
    Row("cumprod flat", np.cumprod, x34),
    Row("cumsum back", lambda x: np.cumsum(x, axis=-2), x234),
    Row("cumprod back", lambda x: np.cumprod(x, axis=-2), x234),
    Row("cumprod of nothing", lambda x: np.cumprod(x, axis=0), empty),
    Row("cumulative_sum", lambda x: np.cumulative_sum(x, axis=1), x34),
    Row("cumulative_prod", lambda x: np.cumulative_prod(x, axis=1), x34),
    Row("add.accumulate", np.add.accumulate, x34),
    Row("multiply.accumulate", np.multiply.accumulate, x34),
    Row("add.accumulate along", lambda x: np.add.accumulate(x, axis=1), x34),
    Row("multiply.accumulate along", lambda x: np.multiply.accumulate(x, 1), x34),
    Row("diff", np.diff, x34),
    Row("diff thrice", lambda x: np.diff(x, 3), x34),
    Row("diff of no order", lambda x: np.diff(x, 0), x34),
    Row("diff down", lambda x: np.diff(x, 2, axis=0), x34),
    Row("trapezoid", np.trapezoid, x34),
    Row("trapezoid down", lambda x: np.trapezoid(x, dx=0.5, axis=0), x34),
    Row("trapezoid between", np.trapezoid, ((3, 4), (4,))),
    Row("trapezoid between each", lambda y, x: np.trapezoid(y, x, axis=0), ((3, 4), (3, 4))),
    Row("sort", np.sort, x34),
    Row("sort flat", lambda x: np.sort(x, axis=None), x34),
    Row("sort stable", lambda x: np.sort(x, 0, kind="stable"), x34),
    Row("argsort flat", lambda x: np.ravel(x)[np.argsort(x, axis=None)], x34, by_shape=False),
    Row("argmax kept", lambda x: x * np.argmax(x, axis=1, keepdims=True), x34),
    Row("argmin flat", lambda x: x * np.argmin(x), x34),
    Row("argmax flat, kept", lambda x: x * np.argmax(x, keepdims=True), x34),
)
def test_running_sums_and_order(row):
    check(row)


@pytest.mark.parametrize("f", [np.prod, lambda x: np.cumprod(x)[-1], np.multiply.reduce])
@pytest.mark.parametrize("zeros", [(), (1,), (0, 2), (0, 1, 3)])
def test_products_are_right_with_zeros_to_third_order(f, zeros):
    x = np.array([2.0, 3.0, 5.0, 7.0])
    x[list(zeros)] = 0
    without = lambda *gone: np.prod(np.delete(x, gone))
    np.testing.assert_array_equal(grad(f)(x), [without(i) for i in range(4)])
    second = [[without(i, j) if i != j else 0 for j in range(4)] for i in range(4)]
    np.testing.assert_array_equal(hessian(f)(x), second)
    third = jacobian(hessian(f))(x)
    assert third[0, 1, 2] == x[3]
    assert third[0, 1, 1] == third[2, 2, 2] == 0


def test_running_products_with_zeros():
    x = np.array([2.0, 0.0, 3.0])
    np.testing.assert_array_equal(jacobian(np.cumprod)(x), [[1, 0, 0], [0, 2, 0], [0, 6, 0]])
    second = jacobian(jacobian(np.cumprod))(x)
    np.testing.assert_array_equal(second[2], [[0, 3, 0], [3, 0, 2], [0, 2, 0]])


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
@pytest.mark.parametrize("f", [np.max, np.min])
def test_ties_share_the_slope_of_an_extreme(f, axis):
    x = np.array([[1.0, 2.0, 2.0], [2.0, 1.0, 2.0]])
    y = f(x, axis=axis, keepdims=True)
    share = (x == y) / np.sum(x == y, axis=axis, keepdims=True)
    np.testing.assert_array_equal(grad(lambda x: np.sum(f(x, axis=axis)))(x), share)
    dx = np.random.default_rng(0).normal(size=x.shape)
    dy = jvp(lambda x: f(x, axis=axis), (x,), (dx,))[1]
    np.testing.assert_allclose(dy, np.sum(share * dx, axis=axis), atol=1e-15)


def test_nan_flows_through_reductions():
    x = np.array([[1.0, np.nan, 2.0], [3.0, 1.0, 2.0]])
    for f in (np.median, np.max, np.sum, np.sort, np.prod):
        y, pull = vjp(lambda x, f=f: f(x, axis=1), x)
        np.testing.assert_array_equal(y, f(x, axis=1))
        assert pull(np.ones_like(y))[0].shape == x.shape
    np.testing.assert_array_equal(grad(lambda x: np.median(x, axis=1)[1])(x), [[0] * 3, [0, 0, 1]])


@pytest.mark.parametrize("axis", [None, 0, (0, 1)])
def test_what_is_not_a_number_may_be_left_out(axis):
    x = np.array([[1.0, np.nan, 2.0], [3.0, 1.0, 2.0]])
    kept = ~np.isnan(x)
    for f, share in ((np.nansum, kept), (np.nanmean, kept / np.sum(kept, axis, keepdims=True))):
        y, pull = vjp(lambda x, f=f: f(x, axis=axis), x)
        np.testing.assert_allclose(y, f(x, axis=axis))
        np.testing.assert_allclose(pull(np.ones(y.shape)[()])[0], share)


def test_the_median_of_an_even_number_has_two_halves():
    np.testing.assert_array_equal(grad(np.median)(np.array([4.0, 1, 3, 2])), [0, 0, 0.5, 0.5])


def test_logsumexp_with_infinities():
    slope = grad(ops.logsumexp)
    np.testing.assert_array_equal(slope(np.array([-np.inf, 0.0])), [0, 1])
    np.testing.assert_array_equal(slope(np.array([-np.inf, -np.inf])), [0, 0])
    np.testing.assert_array_equal(slope(np.array([np.inf, 0.0])), [np.nan, 0])
    np.testing.assert_allclose(slope(np.array([1000.0, 1000.0])), [0.5, 0.5])


@pytest.mark.parametrize("f", [np.all, np.any])
@pytest.mark.parametrize("axis", [None, 0, (0, 1)])
def test_truth_along_axes(f, axis):
    for x in (np.array([[0.0, 1.0], [2.0, np.nan]]), np.ones((2, 2)), np.zeros((2, 2))):
        seen = []
        grad(lambda x, seen=seen: seen.append(f(x, axis=axis, keepdims=True)) or np.sum(x))(x)
        np.testing.assert_array_equal(seen[0], f(x, axis=axis, keepdims=True))


@pytest.mark.parametrize(
    ("error", "f"),
    [
        (NoOpError, lambda x: np.average(x, axis=1, weights=np.ones(4), returned=True)),
        (ShapeError, lambda x: np.average(x, axis=1, weights=np.ones(3))),
        (ShapeError, lambda x: np.average(x, axis=(0, 1), weights=np.ones((4, 3)))),
        (ShapeError, lambda x: np.max(x[:0])),
        (NoOpError, lambda x: np.cumsum(x, dtype=np.float32)),
    ],
)
def test_what_reductions_refuse(error, f):
    with pytest.raises(error):
        grad(lambda x: np.sum(f(x)))(np.ones((3, 4)))
