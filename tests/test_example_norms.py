"""Norms of the gradients of single examples as machine code, against a loop over examples."""

from __future__ import annotations

import numpy as np
import pytest
from single_examples import (
    DENSE,
    LABELS,
    PROGRAMS,
    C,
    D,
    N,
    X,
    dense,
    numbers,
    one_at_a_time,
    parameters,
)

from chainrule import ops
from chainrule.errors import MixedExamplesError, NotScalarError
from chainrule.inspect import example_norms


@pytest.mark.parametrize(("f", "p", "data"), PROGRAMS, ids=lambda x: getattr(x, "__name__", None))
def test_compiled_norms_are_those_of_a_loop(f, p, data):
    g = one_at_a_time(f, p, data, LABELS)
    squares = sum((x.reshape(N, -1) ** 2).sum(axis=1) for x in g.values())
    norms = example_norms(f)
    for _ in range(2):  # the second call runs what the first prepared
        np.testing.assert_allclose(norms(p, data, LABELS), np.sqrt(squares), rtol=1e-9)


def test_compiled_norms_follow_new_numbers_new_shapes_and_the_closure():
    scale = np.array([1.0, 2.0, 3.0])

    def f(p, x, y):
        return np.mean(ops.softmax_cross_entropy((x @ p["W"]) * scale, y))

    norms = example_norms(f)
    for seed, rows in ((0, N), (1, N), (2, 4), (3, 1)):
        p = parameters(seed, W=(D, C))
        scale[:] = seed + 1
        g = one_at_a_time(f, p, X[:rows], LABELS[:rows])["W"]
        found = norms(p, X[:rows], LABELS[:rows])
        np.testing.assert_allclose(found, np.linalg.norm(g.reshape(rows, -1), axis=1), rtol=1e-9)


def test_compiled_norms_of_columns_and_of_named_arguments():
    p = parameters(W=(D, D))

    def f(p, x, t, rate=2.0):
        return rate * np.mean((np.tanh(p["W"] @ x) - t) ** 2)

    x, t = X.T.copy(), numbers(D, N, seed=7)
    g = one_at_a_time(f, p, x, t, axis=1)["W"]
    expected = np.linalg.norm(g.reshape(N, -1), axis=1)
    np.testing.assert_allclose(example_norms(f, axis=-1)(p, x, t), expected, rtol=1e-9)
    found = example_norms(f, data=(1, 2), axis=-1)(p, x, t, 4.0)
    np.testing.assert_allclose(found, 2 * expected, rtol=1e-9)
    np.testing.assert_allclose(example_norms(f)(p, x, t), expected, rtol=1e-9)
    with pytest.raises(MixedExamplesError, match="along the first axis of x, t"):
        example_norms(f, axis=0)(p, x, t)


def test_compiled_norms_need_one_number():
    with pytest.raises(NotScalarError, match="a function of one number"):
        example_norms(lambda p, x: x @ p)(np.ones(D), X)


def test_compiled_norms_leave_out_settings_after_the_data():
    def f(p, x, y, decay):
        return dense(p, x, y) + decay * np.sum(p["W2"] ** 2)

    g = one_at_a_time(lambda p, x, y: f(p, x, y, 0.2), DENSE, X, LABELS)
    squares = sum((x.reshape(N, -1) ** 2).sum(axis=1) for x in g.values())
    found = example_norms(f)(DENSE, X, LABELS, np.float64(0.2))
    np.testing.assert_allclose(found, np.sqrt(squares), rtol=1e-9)
