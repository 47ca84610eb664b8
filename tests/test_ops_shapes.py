"""Shapes, orders, repetitions and joints: every form of a call, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from against_numpy import Row, check, table

from chainrule import Spec, grad, trace
from chainrule.errors import AxisError, NoOpError, ShapeError

x34, x234, two = ((3, 4),), ((2, 3, 4),), ((2, 3), (2, 3))


@table(
    Row("reshape F", lambda x: np.reshape(x, (4, -1), order="F"), x34),
    Row("reshape to one", lambda x: np.reshape(x, -1), x34),
    Row("reshape to nothing", lambda x: np.reshape(x, ()), ((1, 1),)),
    Row("reshape of nothing", lambda x: np.reshape(x, (-1, 3)), ((0, 3),)),
    Row("reshape to an array of lengths", lambda x: np.reshape(x, np.array([2, -1])), x34),
    Row("broadcast_to lengths", lambda x: np.broadcast_to(x, np.array([2, 3, 4])), x34),
    Row("ravel F", lambda x: np.ravel(x, "F"), x34),
    Row("flatten F", lambda x: x.flatten("F"), x34),
    Row("reshape method F", lambda x: x.reshape(2, 6, order="F"), x34),
    Row("rollaxis", lambda x: np.rollaxis(x, 2), x234),
    Row("rollaxis to the end", lambda x: np.rollaxis(x, 0, 3), x234),
    Row("rollaxis from behind", lambda x: np.rollaxis(x, -1, -2), x234),
    Row("moveaxis of two", lambda x: np.moveaxis(x, (0, -1), (-1, 0)), x234),
    Row("permute_dims", lambda x: np.permute_dims(x, (1, -1, 0)), x234),
    Row("matrix_transpose", np.matrix_transpose, x234),
    Row("expand_dims of two", lambda x: np.expand_dims(x, (-1, 0)), x34),
    Row("squeeze nothing", lambda x: np.squeeze(x, axis=()), ((1, 3),)),
    Row("squeeze two", lambda x: np.squeeze(x, axis=(0, -1)), ((1, 3, 1),)),
    Row("atleast_1d of a number", np.atleast_1d, ((),)),
    Row("atleast_1d", np.atleast_1d, ((3,),)),
    Row("atleast_2d of a number", np.atleast_2d, ((),)),
    Row("atleast_2d", np.atleast_2d, x234),
    *[Row(f"atleast_3d {n}", np.atleast_3d, ((2, 3, 4, 1)[:n],)) for n in range(5)],
    Row("broadcast_to one", lambda x: np.broadcast_to(x, 3), ((),)),
    Row("broadcast_arrays", lambda x, y: np.multiply(*np.broadcast_arrays(x, y)), ((3, 1), (4,))),
    Row("flip all", np.flip, x234),
    Row("flip two", lambda x: np.flip(x, (0, -1)), x234),
    Row("fliplr", np.fliplr, x34),
    Row("flipud", np.flipud, x34),
    *[Row(f"rot90 {k}", lambda x, k=k: np.rot90(x, k), x34) for k in (-1, 0, 1, 2, 3, 5)],
    Row("rot90 axes", lambda x: np.rot90(x, 1, axes=(2, 0)), x234),
    Row("roll flat", lambda x: np.roll(x, 5), x34),
    Row("roll back", lambda x: np.roll(x, -1, axis=-1), x34),
    Row("roll by more than there is", lambda x: np.roll(x, 11, axis=0), x34),
    Row("roll two axes", lambda x: np.roll(x, (1, -2), axis=(0, 2)), x234),
    Row("roll one axis twice", lambda x: np.roll(x, (1, 1), axis=(1, 1)), x34),
    Row("roll several alike", lambda x: np.roll(x, 1, axis=(0, 1)), x34),
    Row("roll flat by several", lambda x: np.roll(x, (1, 2)), x34),
    Row("roll by nothing", lambda x: np.roll(x, 4, axis=1), x34),
    Row("roll of nothing", lambda x: np.roll(x, 1, axis=0), ((0, 2),)),
    Row("tile a number of times", lambda x: np.tile(x, 2), x34),
    Row("tile to more axes", lambda x: np.tile(x, (2, 1, 3)), ((2,),)),
    Row("tile fewer axes", lambda x: np.tile(x, (2,)), x234),
    Row("tile an array of times", lambda x: np.tile(x, np.array([2, 1])), x34),
    Row("tile of a number", lambda x: np.tile(x, 3), ((),)),
    Row("repeat flat", lambda x: np.repeat(x, 2), x34),
    Row("repeat as said", lambda x: np.repeat(x, [2, 0, 1], axis=0), x34),
    Row("repeat as said once", lambda x: np.repeat(x, [2], axis=-1), x34),
    *[
        Row(f"pad {mode}", lambda x, mode=mode: np.pad(x, ((2, 1), (0, 3)), mode=mode), x34)
        for mode in ("constant", "edge", "reflect", "symmetric", "wrap")
    ],
    Row("pad alike", lambda x: np.pad(x, 1), x34),
    Row("pad with a number", lambda x: np.pad(x, (1, 2), constant_values=3.5), x34),
    Row("pad with two", lambda x: np.pad(x, 2, constant_values=(1.5, -1)), x34),
    Row("pad with four", lambda x: np.pad(x, 2, constant_values=((1, 2), (3, 4))), x34),
    Row("pad further than there is", lambda x: np.pad(x, 7, mode="reflect"), ((3,),)),
)
def test_places_and_repetitions(row):
    check(row)


@table(
    *[
        Row(
            f"meshgrid {indexing=} {sparse=}",
            lambda *xs, i=indexing, s=sparse: np.prod(
                np.stack(np.broadcast_arrays(*np.meshgrid(*xs, indexing=i, sparse=s))), axis=0
            ),
            ((2,), (3,), (4,)),
        )
        for indexing in ("xy", "ij")
        for sparse in (False, True)
    ],
    Row("meshgrid of one", lambda x: np.meshgrid(x)[0], ((3,),)),
    Row("concatenate flat", lambda x, y: np.concatenate([x, y], axis=None), ((2, 3), (2,))),
    Row("concatenate rows of an array", np.concatenate, x234),
    Row("append flat", np.append, ((2, 3), (2,))),
    Row("append rows", lambda x, y: np.append(x, y, axis=0), ((2, 3), (1, 3))),
    Row("stack last", lambda x, y: np.stack([x, y], axis=-1), two),
    Row("stack numbers", lambda x, y: np.stack([x, y, 2.0]), ((), ())),
    Row("hstack vectors", lambda x, y: np.hstack([x, y]), ((2,), (3,))),
    Row("hstack matrices", lambda x, y: np.hstack([x, y]), ((2, 3), (2, 1))),
    Row("hstack numbers", lambda x: np.hstack([1.0, x]), ((),)),
    Row("vstack", lambda x, y: np.vstack([x, y]), ((3,), (2, 3))),
    Row("vstack with a list", lambda x: np.vstack([[1.0, 2], x]), ((2,),)),
    Row("dstack vectors", lambda x, y: np.dstack([x, y]), ((3,), (3,))),
    Row("dstack matrices", lambda x, y: np.dstack([x, y]), two),
    Row("dstack deep", lambda x, y: np.dstack([x, y]), ((2, 3, 2), (2, 3, 1))),
    Row("dstack numbers", lambda x: np.dstack([x, 1.0]), ((),)),
    Row("column_stack", lambda x, y: np.column_stack([x, y]), ((3,), (3, 2))),
    Row("column_stack with a list", lambda x: np.column_stack([[1, 2, 3], x]), ((3,),)),
    Row("unstack", lambda x: np.unstack(x, axis=1)[2], x234),
    Row("block flat", lambda x, y: np.block([x, y, 1.0]), ((2,), (3,))),
    Row("block of rows", lambda x, y: np.block([[x], [y]]), ((2,), (2,))),
    Row(
        "block of blocks",
        lambda a, b, c: np.block([[a, np.zeros((2, 1))], [b, c]]),
        ((2, 2), (1, 2), (1, 1)),
    ),
    Row("block of numbers", lambda x: np.block([[x, 1.0], [2.0, 3.0]]), ((),)),
    Row("block of cubes", lambda x: np.block([[x, x], [x, x]]), x234),
    Row("block three deep", lambda x: np.block([[[x, x]], [[x, x]]]), ((2,),)),
    Row("array_split", lambda x: np.array_split(x, 3, axis=1)[0], x34),
    Row("array_split, the rest", lambda x: np.array_split(x, 3, axis=1)[2], x34),
    Row("array_split at places", lambda x: np.array_split(x, [1, 9], axis=1)[1], x34),
    Row("array_split back", lambda x: np.array_split(x, [-2], axis=1)[0], x34),
    Row("split by name", lambda x: np.split(x, indices_or_sections=2, axis=1)[1], x34),
    Row("hsplit", lambda x: np.hsplit(x, 2)[1], x34),
    Row("hsplit of a vector", lambda x: np.hsplit(x, [1])[1], ((4,),)),
    Row("vsplit", lambda x: np.vsplit(x, [2])[0], x34),
    Row("dsplit", lambda x: np.dsplit(x, 2)[1], x234),
)
def test_joints(row):
    check(row)


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 5, [], [2], [0, 2, 2, 9], [3, 1], np.array([1, 3])])
def test_all_parts_of_a_split_are_numpys(parts):
    x = np.arange(8.0).reshape(2, 4)

    def f(x):
        ours = np.array_split(x, parts, 1)
        theirs = np.array_split(np.arange(8.0).reshape(2, 4), parts, 1)
        assert [a.shape for a in ours] == [b.shape for b in theirs]
        return sum(np.sum(a * b) for a, b in zip(ours, theirs, strict=True))

    whole = np.concatenate(np.array_split(x, parts, 1), axis=1)
    if whole.shape == x.shape:
        np.testing.assert_array_equal(grad(f)(x), x)
    assert f(x) == np.sum(whole * whole)


def test_a_traced_number_may_be_padded_with():
    x = np.ones((2, 2))
    g = grad(lambda c: np.sum(np.pad(x * c, 1, constant_values=c)))(2.0)
    assert g == 16


@pytest.mark.parametrize(
    ("error", "f"),
    [
        (ShapeError, lambda x: np.reshape(x, (5, 3))),
        (ShapeError, lambda x: np.reshape(x, (5, -1))),
        (ShapeError, lambda x: np.reshape(x, (-1, -1, 12))),
        (ShapeError, lambda x: np.reshape(x[:0], (0, -1))),
        (NoOpError, lambda x: np.reshape(x, (4, 3), order="A")),
        (NoOpError, lambda x: np.ravel(x, order="K")),
        (AxisError, lambda x: np.transpose(x, (0, 0))),
        (AxisError, lambda x: np.swapaxes(x, 0, 2)),
        (AxisError, lambda x: np.flip(x, 2)),
        (AxisError, lambda x: np.sum(x, axis=(0, -2))),
        (AxisError, lambda x: np.roll(x, 1, axis=2)),
        (ShapeError, lambda x: np.squeeze(x, 0)),
        (ShapeError, lambda x: np.broadcast_to(x, (4, 3))),
        (ShapeError, lambda x: np.broadcast_to(x, (4,))),
        (ShapeError, lambda x: np.concatenate([x, x[:, :2]])),
        (ShapeError, lambda x: np.stack([x, x[:2]])),
        (ShapeError, lambda x: np.split(x, 5, axis=1)[0]),
        (NoOpError, lambda x: np.pad(x, 1, mode="mean")),
        (NoOpError, lambda x: np.pad(x, 1, mode="linear_ramp")),
    ],
)
def test_what_shapes_refuse(error, f):
    for walk in (
        lambda: grad(lambda x: np.sum(f(x)))(np.ones((3, 4))),
        lambda: trace(f, Spec((3, 4))),
    ):
        with pytest.raises(error):
            walk()


def test_many_arrays_are_joined_in_groups():
    xs = list(np.random.default_rng(0).normal(size=(300, 2)))
    weights = np.random.default_rng(1).normal(size=(300, 2))
    gradient = grad(lambda xs: np.sum(np.stack(xs) * weights))(xs)
    np.testing.assert_array_equal(gradient, weights)
    np.testing.assert_array_equal(
        grad(lambda xs: np.sum(np.concatenate(xs) * weights.ravel()))(xs), weights
    )
