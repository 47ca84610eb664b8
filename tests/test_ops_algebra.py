"""Linear algebra: every form of a call against NumPy, and every derivative against differences."""

from __future__ import annotations

import numpy as np
import pytest
from against_numpy import Row, check, table

from chainrule import grad, jacobian, jvp, ops, vjp
from chainrule.errors import NoOpError, ShapeError


def spd(x):
    """Return a symmetric positive definite matrix for any square one."""
    return x @ x.mT + 2 * np.eye(x.shape[-1])


def posed(x):
    """Return a matrix far from singular."""
    return x + 5 * np.eye(x.shape[-1])


norms = [
    Row(f"norm of {shape} {order=} {axis=} keepdims={kept}", f, (shape,))
    for order, axis, shape in [
        *[(order, None, (5,)) for order in (None, 0, 1, 2, 3, 1.5, -1, -2.5, np.inf, -np.inf)],
        *[(order, 1, (3, 4)) for order in (None, 0, 1, 2, 3, np.inf, -np.inf)],
        *[(order, -1, (2, 3, 4)) for order in (None, 4, np.inf)],
        *[(order, None, (3, 4)) for order in (None, "fro", 1, -1, np.inf, -np.inf)],
        *[(order, (0, 2), (2, 3, 4)) for order in ("fro", None, 1, -1, np.inf, -np.inf)],
        *[(order, (2, 0), (2, 3, 4)) for order in (1, -1, np.inf, -np.inf)],
        *[(order, (-1, -3), (2, 3, 4)) for order in ("fro", 1)],
        (None, None, (2, 3, 2)),
    ]
    for kept in (False, True)
    for f in [lambda x, o=order, a=axis, k=kept: np.linalg.norm(x, ord=o, axis=a, keepdims=k)]
]


@table(
    *norms,
    Row("vector_norm", np.linalg.vector_norm, ((3, 4),)),
    Row("vector_norm axis", lambda x: np.linalg.vector_norm(x, axis=0, ord=3), ((3, 4),)),
    Row(
        "vector_norm axes",
        lambda x: np.linalg.vector_norm(x, axis=(0, 2), keepdims=True),
        ((2, 3, 2),),
    ),
    Row("matrix_norm", np.linalg.matrix_norm, ((2, 3, 4),)),
    Row("matrix_norm ord", lambda x: np.linalg.matrix_norm(x, ord=1, keepdims=True), ((2, 3, 4),)),
)
def test_norms(row):
    check(row)


@table(
    *[
        Row(f"matrix_power {n}", lambda x, n=n: np.linalg.matrix_power(posed(x), n), ((3, 3),))
        for n in (-3, -1, 1, 2, 3, 5, 6, 7)
    ],
    Row("matrix_power 0", lambda x: np.linalg.matrix_power(x, 0) * x, ((2, 3, 3),)),
    Row("matrix_power of a stack", lambda x: np.linalg.matrix_power(x, 3), ((2, 2, 2),)),
    Row("inv of a stack", lambda x: np.linalg.inv(posed(x)), ((2, 2, 2),)),
    Row("cholesky", lambda x: np.linalg.cholesky(spd(x)), ((4, 4),)),
    Row("cholesky upper", lambda x: np.linalg.cholesky(spd(x), upper=True), ((3, 3),)),
    Row("cholesky of a stack", lambda x: np.linalg.cholesky(spd(x)), ((2, 3, 3),)),
    *[Row(f"det {n}", np.linalg.det, ((n, n),)) for n in (1, 2, 3, 4, 9)],
    Row("det of a stack", np.linalg.det, ((2, 2, 3, 3),)),
    Row("log of slogdet", lambda x: np.linalg.slogdet(x)[1], ((2, 3, 3),)),
    Row("both of slogdet", lambda x: np.multiply(*np.linalg.slogdet(x)), ((3, 3),)),
    Row("sign of slogdet", lambda x: np.linalg.slogdet(x).sign * x[..., 0, 0], ((2, 3, 3),)),
    Row("solve, vector", lambda a, b: np.linalg.solve(posed(a), b), ((3, 3), (3,))),
    Row("solve, stack and vector", lambda a, b: np.linalg.solve(posed(a), b), ((2, 3, 3), (3,))),
    Row("solve, stack and matrix", lambda a, b: np.linalg.solve(posed(a), b), ((2, 3, 3), (3, 2))),
    Row("solve, matrix and stack", lambda a, b: np.linalg.solve(posed(a), b), ((3, 3), (4, 3, 1))),
    Row("linalg.diagonal", np.linalg.diagonal, ((2, 3, 4),)),
    Row("linalg.diagonal offset", lambda x: np.linalg.diagonal(x, offset=-1), ((2, 3, 4),)),
    Row("linalg.trace", np.linalg.trace, ((2, 3, 3),)),
    Row("linalg.trace offset", lambda x: np.linalg.trace(x, offset=1), ((2, 3, 4),)),
    Row("linalg.outer", np.linalg.outer, ((3,), (4,))),
    Row("linalg.matmul", np.linalg.matmul, ((2, 3), (3, 4))),
    Row("linalg.vecdot", lambda a, b: np.linalg.vecdot(a, b, axis=0), ((3, 2), (3, 2))),
    Row("linalg.multi_dot", lambda *xs: np.linalg.multi_dot(xs), ((2, 3), (3, 4), (4,))),
    Row("linalg.matrix_transpose", np.linalg.matrix_transpose, ((2, 3, 4),)),
    Row("linalg.cross", lambda a, b: np.linalg.cross(a, b, axis=0), ((3, 2), (3, 2))),
)
def test_matrices(row):
    check(row)


@pytest.mark.parametrize("order", [None, 2, 3, np.inf, 1])
def test_a_norm_has_slope_zero_at_zero(order):
    g = grad(lambda x: np.linalg.norm(x, ord=order))(np.zeros(3))
    np.testing.assert_array_equal(g, np.zeros(3))


def test_a_determinant_has_its_slope_at_singular_matrices():
    """The cofactors do not need the inverse: d det / da at rank n - 1, and 0 at rank n - 2."""
    np.testing.assert_allclose(
        grad(np.linalg.det)(np.array([[1.0, 2], [2, 4]])), [[4, -2], [-2, 1]]
    )
    np.testing.assert_array_equal(grad(np.linalg.det)(np.zeros((3, 3))), np.zeros((3, 3)))
    np.testing.assert_array_equal(grad(np.linalg.det)(np.diag([0.0, 2, 3])), np.diag([6.0, 0, 0]))
    rng = np.random.default_rng(0)
    for n in (2, 4, 5, 8):
        a = rng.normal(size=(n, n))
        a[-1] = a[0]
        minor = lambda i, j, a=a: np.linalg.det(np.delete(np.delete(a, i, 0), j, 1))
        cofactors = [[(-1) ** (i + j) * minor(i, j) for j in range(n)] for i in range(n)]
        np.testing.assert_allclose(grad(np.linalg.det)(a), cofactors, rtol=1e-10, atol=1e-13)
    assert grad(lambda a: np.linalg.det(a) + np.sum(a))(np.zeros((0, 0))).shape == (0, 0)


def test_the_derivatives_of_cholesky_are_those_of_the_symmetric_part():
    a = np.array([[4.0, 1.0], [1.0, 3.0]])
    _, pull = vjp(np.linalg.cholesky, a)
    (g,) = pull(np.array([[1.0, 0.0], [2.0, 3.0]]))
    np.testing.assert_array_equal(g, g.T)
    tilt = np.array([[0.0, 1.0], [-1.0, 0.0]])
    np.testing.assert_array_equal(jvp(np.linalg.cholesky, (a,), (tilt,))[1], np.zeros((2, 2)))


def test_the_jacobian_of_the_inverse_in_closed_form():
    a = np.random.default_rng(0).normal(size=(3, 3)) + 3 * np.eye(3)
    y = np.linalg.inv(a)
    np.testing.assert_allclose(
        jacobian(np.linalg.inv)(a), -np.einsum("ik,lj->ijkl", y, y), atol=1e-14
    )


@pytest.mark.parametrize(
    ("error", "f"),
    [
        (NoOpError, lambda x: np.linalg.norm(x, 2)),
        (NoOpError, lambda x: np.linalg.norm(x, "nuc")),
        (NoOpError, lambda x: np.linalg.norm(x, 3, axis=(0, 1))),
        (ShapeError, lambda x: np.linalg.norm(np.stack([x, x]), 1)),
        (ShapeError, lambda x: np.linalg.det(x[:2])),
        (ShapeError, lambda x: np.linalg.inv(x[0])),
        (ShapeError, lambda x: np.linalg.solve(x, np.ones((2, 1)))),
        (ShapeError, lambda x: ops.solve(x, x[0])),
    ],
)
def test_what_algebra_refuses(error, f):
    with pytest.raises(error):
        grad(lambda x: np.sum(f(x)))(np.eye(3))
