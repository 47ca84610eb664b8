"""Products of matrices and tensors: every form of a call, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from against_numpy import Row, check, table

from chainrule import Spec, grad, trace
from chainrule.errors import ChainruleError, NoOpError, ShapeError
from chainrule.graph import OPS

v, m = (3,), (2, 3)


def all_products(a, b):
    return np.multiply.outer(a, b)


@table(
    *[
        Row(f"{f.__name__} {a} {b}", f, (a, b))
        for f, pairs in [
            (np.dot, [((), m), (m, ()), (v, v), (v, (3, 4)), (m, v), (m, (3, 4)), ((2, 2, 3), v),
                      ((2, 2, 3), (3, 4)), (v, (2, 3, 4)), (m, (2, 3, 4)), ((2, 1, 3), (2, 3, 2))]),
            (np.matmul, [(v, v), (v, (3, 4)), (m, v), (v, (2, 3, 4)), ((2, 2, 3), v),
                         ((2, 1, 2, 3), (5, 3, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3))]),
            (np.inner, [((), v), (m, ()), (v, v), (m, v), (m, (4, 3)), ((2, 2, 3), (4, 3))]),
            (np.outer, [((), v), (v, (4,)), (m, (2, 2))]),
            (np.vdot, [(v, v), (m, m)]),
            (np.kron, [((), m), (v, (2,)), (m, (2, 2)), (v, m), ((2, 1, 2), (2, 3))]),
            (all_products, [((), v), (v, (4,)), (m, (2, 2)), (m, ())]),
            (np.vecdot, [(v, v), (m, m), (m, v), ((2, 1, 3), m)]),
        ]
        for a, b in pairs
    ],
    Row("vecdot axis", lambda a, b: np.vecdot(a, b, axis=0), (m, m)),
    *[
        Row(f"tensordot {axes} {a} {b}", lambda x, y, axes=axes: np.tensordot(x, y, axes), (a, b))
        for axes, a, b in [
            (0, (2, 2), (3,)),
            (1, (2, 3), (3, 2)),
            (2, (2, 3, 4), (3, 4, 2)),
            ((1, 0), (2, 3), (3, 2)),
            ((-1, -1), (2, 3), (4, 3)),
            (([0, 1], [1, 0]), (2, 3), (3, 2)),
            (([2, 0], [0, 1]), (2, 3, 4), (4, 2, 2)),
            (((), ()), (2,), (2,)),
        ]
    ],
    Row("linalg.tensordot", lambda a, b: np.linalg.tensordot(a, b, axes=1), (m, (3, 4))),
    Row("multi_dot", lambda *xs: np.linalg.multi_dot(list(xs)), ((3,), (3, 2), (2, 4))),
    Row("cross", np.cross, (m, m)),
    Row("cross of one and many", np.cross, (m, v)),
    Row("cross along another axis", lambda a, b: np.cross(a, b, axis=0), ((3, 2), (3, 2))),
    Row("cross of columns and rows", lambda a, b: np.cross(a, b, axisa=0), ((3, 2), m)),
    Row("cross, the result first", lambda a, b: np.cross(a, b, axisb=0, axisc=0), (m, (3, 2))),
    Row("cross by position", lambda a, b: np.cross(a, b, 0, 1, 0), ((3, 2), m)),
    Row("in lists", lambda a: np.dot([[1.0, 2.0]], a) + np.tensordot([1.0, 2.0], a, 1), (m,)),
)  # fmt: skip
def test_products(row):
    check(row)


@pytest.mark.skipif(not hasattr(np, "matvec"), reason="ufuncs since NumPy 2.2")
def test_matrices_and_vectors():
    check(Row("matvec", np.matvec, ((2, 4, 3), (2, 3))))
    check(Row("vecmat", np.vecmat, ((3,), (2, 3, 4))))


@table(
    *[
        Row(f"{text} {shapes}", lambda *xs, t=text: np.einsum(t, *xs), shapes)
        for text, *shapes_ in [
            ("ij,jk", m, (3, 4)),
            ("ba", m),
            ("ij,ji->", m, (3, 2)),
            ("ii", (3, 3)),
            ("iii->i", (2, 2, 2)),
            ("iij->ij", (2, 2, 3)),
            ("ij,ii->ij", (2, 3), (2, 2)),
            ("ij->", m),
            ("i,j->ij", v, (2,)),
            ("i,i,i->i", v, v, v),
            (" i j , j -> i ", m, v),
            ("...", m),
            ("...i", m),
            ("i...->...i", (2, 3, 4)),
            ("...ij->...ji", (2, 2, 3)),
            ("...ij,...jk", (4, 2, 3), (3, 2)),
            ("...i,...i->...", (2, 1, 3), (4, 3)),
            ("i...,i...->...", (3, 2), (3,)),
            ("...,...->...", m, v),
            ("bij,bjk,bk->bi", (2, 2, 3), (2, 3, 2), (2, 2)),
            ("ij,jk->ik", (2, 1), (3, 4)),
            ("i,i->", (1,), v),
            ("i,i->i", (1,), v),
            ("ij,ij->i", (2, 1), (1, 3)),
            (",ij->ij", (), m),
            ("a,a,a->", v, v, v),
        ]
        for shapes in [tuple(shapes_)]
    ],
    Row("the same array twice", lambda x: np.einsum("ij,kj->ik", x, x), (m,)),
    Row("a choice of how", lambda *xs: np.einsum("ij,jk->ik", *xs, optimize=True), (m, (3, 4))),
)
def test_einsum(row):
    check(row)


def test_einsum_with_a_number():
    assert grad(lambda x: np.sum(np.einsum(",i->i", 2.0, x)))(np.ones(3)).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("error", "f"),
    [
        (ShapeError, lambda x: x @ x),
        (ShapeError, lambda x: x @ np.ones((4, 3))),
        (ShapeError, lambda x: x @ 2.0),
        (ShapeError, lambda x: np.ones((3, 3, 2)) @ np.stack([x, x])),
        (ShapeError, lambda x: OPS["matmul"](x, np.ones(3))),
        (ShapeError, lambda x: OPS["matmul"](x[0], x.T)),
        (ShapeError, lambda x: np.dot(x, np.ones(2))),
        (ShapeError, lambda x: np.inner(x, np.ones(2))),
        (ShapeError, lambda x: np.tensordot(x, np.ones((2, 3)), 1)),
        (ShapeError, lambda x: np.cross(x[:, :2], x[:, :2])),
        (ShapeError, lambda x: np.einsum("ij,jk", x)),
        (ShapeError, lambda x: np.einsum("i", x)),
        (ShapeError, lambda x: np.einsum("ijk", x)),
        (ShapeError, lambda x: np.einsum("ij,ij->", x, x.T)),
        (ShapeError, lambda x: np.einsum("ij,kj->ik", x, np.ones((2, 2)))),
        (ChainruleError, lambda x: np.einsum("ij->ik", x)),
        (NoOpError, lambda x: np.einsum(x, [0, 1], [1, 0])),
    ],
)
def test_what_products_refuse(error, f):
    walks = [
        lambda: grad(lambda x: np.sum(f(x)))(np.ones((2, 3))),
        lambda: trace(f, Spec((2, 3))),
    ]
    for walk in walks:
        with pytest.raises(error):
            walk()
