"""Arrays that are written to after the forward walk cannot corrupt the backward one."""

import numpy as np
import optree
import pytest
from bad_calls import MATRIX, VECTOR

import chainrule as cr
from chainrule import ops


def network(w, x):
    """A function whose backward pass needs the arguments, and results on the way."""
    hidden = np.tanh(x @ w)
    return hidden * x[:, :1], np.sum(hidden**2)


def numbers():
    r = np.random.default_rng(0)
    return r.normal(size=(3, 2)), r.normal(size=(4, 3))


def cotangent():
    r = np.random.default_rng(1)
    return r.normal(size=(4, 2)), np.float64(0.5)


def spoil(x):
    """Overwrite an array."""
    x[...] = np.nan


def test_changing_arguments_and_results_cannot_corrupt_the_backward_pass():
    expected = cr.vjp(network, *numbers())[1](cotangent())
    w, x = numbers()
    y, pull = cr.vjp(network, w, x)
    for array in (w, x, y[0]):
        spoil(array)
    g = cotangent()
    first = pull(g)
    for array in (g[0], *first):
        spoil(array)
    second = pull(cotangent())
    for a, b in zip(second, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_changing_a_captured_array_cannot_corrupt_the_backward_pass():
    captured = np.array([1.0, 2.0, 3.0])
    places = np.array([0, 2])
    mask = np.array([True, False, True])

    def f(x):
        return np.where(mask, (x * captured)[places].sum() * x, captured)

    expected = cr.vjp(f, VECTOR)[1](VECTOR)[0]
    _, pull = cr.vjp(f, VECTOR)
    spoil(captured)
    places[:] = 1
    mask[:] = False
    np.testing.assert_array_equal(pull(VECTOR)[0], expected)


def test_changing_an_integer_argument_cannot_corrupt_the_backward_pass():
    labels = np.array([0, 1])
    _, pull = cr.vjp(ops.softmax_cross_entropy, MATRIX, labels)
    expected = pull(np.ones(2))[0]
    labels[:] = 2
    np.testing.assert_array_equal(pull(np.ones(2))[0], expected)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x,
        lambda x: x.T,
        lambda x: x.reshape(3, 2),
        lambda x: x[::-1],
        lambda x: np.broadcast_to(x, (2, 2, 3)),
        lambda x: x + 0.0,
        lambda x: x * 1.0,
        lambda x: MATRIX,
    ],
)
def test_a_result_does_not_alias_what_the_pull_needs(f):
    x = MATRIX.copy()
    y, pull = cr.vjp(lambda x: (f(x), np.sum(x * x)), x)
    (expected,) = pull((np.ones(y[0].shape), 1.0))
    expected = expected.copy()
    spoil(y[0])
    assert np.isfinite(x).all()
    np.testing.assert_array_equal(pull((np.ones(y[0].shape), 1.0))[0], expected)
    assert np.isfinite(MATRIX).all()


@pytest.mark.parametrize(
    "f",
    [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: np.concatenate([a, b]),
        lambda a, b: (a, b),
        lambda a, b: a.T,
        lambda a, b: a.reshape(3, 2) + b.reshape(3, 2),
        lambda a, b: np.sum(a) + np.sum(b),
        lambda a, b: np.stack([a, b])[:, ::-1],
        lambda a, b: a @ b.T,
    ],
)
def test_gradients_own_their_memory(f):
    a, b = MATRIX.copy(), MATRIX.copy()
    y, pull = cr.vjp(f, a, b)
    g = optree.tree_map(lambda y: np.ones(np.shape(y)), y)
    found = pull(g)
    others = [a, b, *optree.tree_leaves(g)]
    for k, dx in enumerate(found):
        assert dx.flags.writeable
        assert dx.flags.owndata
        assert not any(np.shares_memory(dx, x) for x in (*others, *found[:k]))


def test_the_same_gradient_for_two_arguments_is_two_arrays():
    x = VECTOR.copy()
    da, db = cr.grad(lambda a, b: np.sum(a + b), argnums=(0, 1))(x, x)
    assert not np.shares_memory(da, db)
    da, db = cr.grad(lambda p: np.sum(p[0] + p[1]))([x, x])
    assert not np.shares_memory(da, db)


def test_tangents_own_their_memory():
    x, dx = VECTOR.copy(), VECTOR.copy()
    y, dy = cr.jvp(lambda x: (x, x.reshape(3, 1)), (x,), (dx,))
    for k, array in enumerate(dy):
        assert array.flags.owndata
        assert not any(np.shares_memory(array, z) for z in (x, dx, *y, *dy[:k]))
