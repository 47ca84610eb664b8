"""Shapes, axes and places that do not fit, by every way to say them."""

from pathlib import Path

import numpy as np
import pytest
from bad_calls import MATRIX, OTHER, SQUARE, VECTOR, bad, check, gradient

import chainrule as cr
from chainrule import Spec, errors, ops

HERE = Path(__file__).name


# ------------------------------------------------------------------------- shapes


SHAPES = [
    bad(lambda v: v @ OTHER, "float64[2, 3]", "float64[4, 5]", "3 and 4"),
    bad(lambda v: OTHER @ v, "float64[4, 5]", "5 and 2"),
    bad(lambda v: v @ MATRIX, "a @ b.T"),
    bad(lambda v: v @ 2.0, "Write a * b"),
    bad(lambda v: np.ones((3, 5, 2)) @ (v * np.ones((4, 1, 1))), "[3]", "[4]"),
    bad(lambda v: v.dot(OTHER), "3 and 4"),
    bad(lambda v: np.tensordot(OTHER, v, 1), "float64[4, 5]"),
    bad(lambda v: np.inner(OTHER, v), "float64[4, 5]"),
    bad(lambda v: v + OTHER, "a: float64[2, 3]", "broadcast", "x[:, None]"),
    bad(lambda v: OTHER - v, "b: float64[2, 3]", "broadcast"),
    bad(lambda v: v * [1.0, 2.0], "float64[2]", "broadcast"),
    bad(lambda v: v > OTHER, "broadcast"),
    bad(lambda v: np.maximum(v, OTHER), "broadcast"),
    bad(lambda v: np.where(np.ones(4) > 0, v, 0.0), "broadcast", "bool[4]"),
    bad(lambda v: np.clip(v, np.zeros(4), 1.0), "broadcast", "float64[4]"),
    bad(lambda v: np.concatenate([v, OTHER]), "xs[1]: float64[4, 5]", "axis 0"),
    bad(lambda v: np.concatenate([v, VECTOR]), "xs[1]: float64[3]"),
    bad(lambda v: np.stack([v, OTHER]), "[4, 5]", "equal shapes"),
    bad(lambda v: np.vstack([v, OTHER]), "axis 0"),
    bad(lambda v: np.hstack([v, OTHER]), "axis 1"),
    bad(lambda v: v.reshape(4, 2), "(6)", "[4, 2] (8)"),
    bad(lambda v: v.reshape(4, -1), "-1", "6 numbers"),
    bad(lambda v: v.reshape(-1, -1), "one alone"),
    bad(lambda v: np.broadcast_to(v, (4, 5)), "[2, 3] to [4, 5]"),
    bad(lambda v: np.squeeze(v, axis=0), "length 1", "float64[2, 3]"),
    bad(lambda v: np.split(v, 4)[0], "4 equal parts"),
    bad(lambda v: np.einsum("ij,jk->ik", v, OTHER), "'j'", "3 and 4"),
    bad(lambda v: np.einsum("ij,jk->ik", v), "2 terms"),
    bad(lambda v: np.einsum("ijk->ik", v), "'ijk->ik'", "[2, 3]"),
    bad(lambda v: np.einsum("ij->iz", v), "'ij->iz'"),
    bad(np.linalg.inv, "square", "[2, 3]"),
    bad(np.linalg.det, "square", "[2, 3]"),
    bad(np.linalg.cholesky, "square"),
    bad(lambda v: np.linalg.solve(v, VECTOR), "square"),
    bad(lambda v: np.linalg.solve(SQUARE, v), "[3, 3]", "rows"),
    bad(lambda v: np.repeat(v, -1), "negative"),
    bad(lambda v: np.pad(v, [(1, 1)] * 3), "(3,2)"),
    bad(lambda v: ops.softmax_cross_entropy(v, np.arange(3)), "labels: int64[3]", "argmax"),
    bad(lambda v: ops.binary_cross_entropy(v, np.ones(4)), "targets: float64[4]"),
    bad(lambda v: ops.layer_norm(v, OTHER), "float64[4, 5]"),
    bad(lambda v: ops.batch_norm(v, OTHER), "[4, 5]", "[3]"),
    bad(lambda v: ops.unfold(v, 3), "(N, C, H, W)", "[2, 3]"),
    bad(lambda v: ops.unfold(v[None, None], 5), "(5, 5)"),
]


@pytest.mark.parametrize(("f", "x", "says"), SHAPES)
def test_shapes_that_do_not_fit(f, x, says):
    check(lambda: gradient(f, x), errors.ShapeError, *says)


@pytest.mark.parametrize(("f", "x", "says"), SHAPES)
def test_shapes_that_do_not_fit_are_found_without_numbers(f, x, says):
    check(lambda: cr.trace(f, Spec(x.shape)), errors.ShapeError, *says[:1])


def test_an_operand_is_named_with_the_line_that_made_it():
    def network(w, x):
        hidden = np.tanh(x @ w)
        return np.sum(hidden @ OTHER)

    line = network.__code__.co_firstlineno
    with pytest.raises(errors.ShapeError) as caught:
        cr.grad(network)(np.ones((3, 2)), MATRIX)
    assert f"a: float64[2, 2]   tanh at {HERE}:{line + 1}" in str(caught.value)
    assert f"at {HERE}:{line + 2}" in str(caught.value)


def test_the_line_is_the_users_where_the_shapes_clash_in_a_derivative():
    def outer(x):
        slope = cr.grad(lambda u: np.sum(u * u))(x)
        return np.sum(slope @ OTHER)

    with pytest.raises(errors.ShapeError) as caught:
        cr.grad(outer)(MATRIX)
    assert f"at {HERE}:{outer.__code__.co_firstlineno + 2}" in str(caught.value)


def test_a_singular_matrix_is_numpys_error():
    """Nothing is wrong with the program there, and code that expects the error keeps working."""
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        gradient(np.linalg.inv, np.zeros((2, 2)))
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        gradient(np.linalg.cholesky, -np.eye(2))


# ------------------------------------------------------------------------- axes and places


AXES = [
    bad(lambda v: np.sum(v, axis=2), "axis 2", "ndim 2", "x: float64[2, 3]"),
    bad(lambda v: v.max(axis=-3), "axis -3"),
    bad(lambda v: np.sum(v, axis=(0, -2)), "twice", "(0, -2)"),
    bad(lambda v: np.mean(v, axis=1.5), "integer", "1.5"),
    bad(lambda v: np.cumsum(v, axis=3), "axis 3"),
    bad(lambda v: np.sort(v, axis=3), "axis 3"),
    bad(lambda v: ops.softmax(v, axis=3), "axis 3"),
    bad(lambda v: np.take(v, [0], axis=3), "axis 3", "float64[2, 3]"),
    bad(lambda v: np.concatenate([v, v], axis=2), "axis 2"),
    bad(lambda v: np.swapaxes(v, 0, 2), "axis 2", "float64[2, 3]"),
    bad(lambda v: np.moveaxis(v, 0, 2), "axis 2"),
    bad(lambda v: np.transpose(v, (0, 2)), "axis 2"),
    bad(lambda v: np.transpose(v, (0, 0)), "[0, 0]"),
    bad(lambda v: np.expand_dims(v, 5), "axis 5"),
    bad(lambda v: np.flip(v, axis=4), "axis 4"),
    bad(lambda v: np.roll(v, 1, axis=4), "axis 4"),
    bad(lambda v: np.linalg.norm(v, axis=3), "axis 3"),
    bad(np.trace, "axis 1", x=VECTOR),
    bad(lambda v: v.mT, "axis -2", x=VECTOR),
    bad(lambda v: v[2], "place 2", "length 2", "n - 1"),
    bad(lambda v: v[-3], "place -3"),
    bad(lambda v: v[0, 3], "place 3", "index=(0, 3)"),
    bad(lambda v: v[0, 0, 0], "3 entries", "ndim 2"),
    bad(lambda v: v[[0, 5]], "index 5", "size 2"),
    bad(lambda v: v[np.arange(2), np.arange(3)], "(2,) (3,)"),
    bad(lambda v: v[np.ones(3, bool)], "mask", "[3]", "[2]"),
    bad(lambda v: np.delete(v, 9), "np.delete", "index 9"),
    bad(lambda v: v[v], "float64"),
    bad(lambda v: v[1.0], "integers", "1.0"),
    bad(lambda v: v["x"], "integers", "'x'"),
    bad(lambda v: v[0], "1 entries", "float64[]", x=np.float64(1.0)),
    bad(lambda v: np.take(v, [7], axis=1), "index 7"),
    bad(lambda v: np.take_along_axis(v, np.array([[7]]), axis=1), "index 7"),
    bad(lambda v: ops.embedding(v, np.array([5])), "index 5"),
    bad(lambda v: ops.softmax_cross_entropy(v, np.array([0, 3])), "index 3", "labels: int64[2]"),
]


@pytest.mark.parametrize(("f", "x", "says"), AXES)
def test_axes_and_places_out_of_range(f, x, says):
    error = check(lambda: gradient(f, x), errors.AxisError, *says)
    assert isinstance(error, IndexError)


def test_labels_that_are_not_integers():
    check(
        lambda: gradient(lambda x: ops.softmax_cross_entropy(x, np.array([0.0, 1.0])), MATRIX),
        errors.InputTypeError,
        "labels: float64[2]",
        "astype(int)",
    )


@pytest.mark.parametrize(
    ("f", "x", "says"),
    [
        bad(lambda v: v + None, "None", "add"),
        bad(lambda v: v + "x", "'x' (str)", "real numbers"),
        bad(lambda v: v * np.array([1, None, 2]), "object[3]"),
    ],
)
def test_operands_that_are_not_numbers(f, x, says):
    check(lambda: gradient(f, x), errors.InputTypeError, *says)
    check(lambda: cr.trace(f, Spec(x.shape)), errors.InputTypeError, *says)
