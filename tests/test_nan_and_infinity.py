"""NaN and infinity flow through values and derivatives as IEEE 754 says."""

import numpy as np
import pytest
from bad_calls import VECTOR

import chainrule as cr
from chainrule import Spec, ops
from chainrule.transform import simplify

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0])


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda x: x * 2.0, [2, 2, 2, 2, 2, 2]),
        (lambda x: x * x, [np.nan, np.inf, -np.inf, 0, -0.0, 2]),
        (lambda x: 1.0 / x, [np.nan, -0.0, -0.0, -np.inf, -np.inf, -1]),
        (np.exp, [np.nan, np.inf, 0, 1, 1, np.e]),
        (np.log, [np.nan, 0, -0.0, np.inf, -np.inf, 1]),
        (np.sqrt, [np.nan, 0, np.nan, np.inf, -np.inf, 0.5]),
        (np.tanh, [np.nan, 0, 0, 1, 1, 1 - np.tanh(1.0) ** 2]),
        (np.sin, [np.nan, np.nan, np.nan, 1, 1, np.cos(1.0)]),
        (lambda x: x - x, [0, 0, 0, 0, 0, 0]),
    ],
    ids=["2x", "x²", "1/x", "exp", "log", "sqrt", "tanh", "sin", "x-x"],
)
def test_nan_and_infinity_flow_through_values_and_slopes(f, slope):
    with np.errstate(all="ignore"):
        value, pull = cr.vjp(f, SPECIAL)
        expected = f(SPECIAL)
        (by_reverse,) = pull(np.ones(6))
        _, by_forward = cr.jvp(f, (SPECIAL,), (np.ones(6),))
    np.testing.assert_array_equal(value, expected)
    np.testing.assert_allclose(by_reverse, slope, rtol=1e-15)
    np.testing.assert_allclose(by_forward, slope, rtol=1e-15)


def test_nan_reaches_all_that_depends_on_it_and_nothing_else():
    x = np.array([1.0, np.nan, 2.0])
    value, dx = cr.value_and_grad(lambda x: np.sum(np.tanh(x) * 3.0))(x)
    assert np.isnan(value)
    np.testing.assert_array_equal(np.isnan(dx), [False, True, False])
    _, dw = cr.value_and_grad(lambda w: np.sum(x @ w))(np.ones((3, 2)))
    np.testing.assert_array_equal(dw, np.repeat(x[:, None], 2, axis=1))


def test_no_zero_hides_a_nan():
    """0 · NaN is NaN, in the walk and after simplification alike."""
    assert np.isnan(cr.grad(lambda x: x * 0.0 * np.nan)(1.0))
    graph = cr.trace(lambda x: x * 0.0, Spec(()))
    assert np.isnan(graph.evaluate(np.float64(np.nan))[0])
    with np.errstate(invalid="ignore"):
        assert np.isnan(simplify(graph).evaluate(np.float64(np.inf))[0])


def test_a_nan_cotangent_flows_back():
    _, pull = cr.vjp(lambda x: x * 2.0, VECTOR)
    np.testing.assert_array_equal(pull(np.array([1.0, np.nan, np.inf]))[0], [2, np.nan, np.inf])


def test_the_largest_wins_over_infinity_and_nan_wins_over_all():
    np.testing.assert_array_equal(cr.grad(np.max)(np.array([1.0, np.inf, -np.inf])), [0, 1, 0])
    for f in (np.max, lambda x: np.sum(np.maximum(x, 0.5)), lambda x: np.sum(ops.relu(x))):
        assert np.isnan(cr.value_and_grad(f)(np.array([1.0, np.nan]))[0])


def test_losses_stay_finite_where_exponentials_would_not():
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]])
    value, dx = cr.value_and_grad(lambda x: np.sum(ops.softmax_cross_entropy(x, np.array([1, 1]))))(
        logits
    )
    assert value == 2e4
    np.testing.assert_array_equal(dx, [[1, -1], [0, 0]])
