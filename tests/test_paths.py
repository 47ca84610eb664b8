"""The routes of the chain rule, term by term, against closed forms and vjp."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule
from chainrule import grad, ops, vjp
from chainrule.errors import (
    AxisError,
    InputTypeError,
    NotScalarError,
    StructureError,
    UnknownNameError,
)


def network(seed=0, n=6, d=5, hidden=4, classes=3, dtype=np.float64):
    """Return the two-layer softmax network's parameters and a batch."""
    rng = np.random.default_rng(seed)
    parameters = {
        "W1": rng.normal(size=(d, hidden)).astype(dtype),
        "b1": rng.normal(size=hidden).astype(dtype),
        "W2": rng.normal(size=(hidden, classes)).astype(dtype),
        "b2": rng.normal(size=classes).astype(dtype),
    }
    return parameters, rng.normal(size=(n, d)).astype(dtype), rng.integers(0, classes, n)


def loss(parameters, X, y):
    z1 = X @ parameters["W1"] + parameters["b1"]
    h = np.maximum(0, z1)
    z2 = h @ parameters["W2"] + parameters["b2"]
    losses = ops.softmax_cross_entropy(z2, y)
    return np.mean(losses)


def routes(f, *args, of="W1[0, 0]", **options):
    """Return the routes from what f returns to an entry of an argument."""
    return chainrule.open(f, *args).paths("loss", of, **options)


def by_hand(parameters, X, y):
    """Return the hidden layer, p - 1[y] and 1[z1 > 0]."""
    z1 = X @ parameters["W1"] + parameters["b1"]
    h = np.maximum(0, z1)
    z2 = h @ parameters["W2"] + parameters["b2"]
    p = np.exp(z2) / np.exp(z2).sum(axis=1, keepdims=True)
    return h, p - np.eye(z2.shape[1])[y], z1 > 0


def test_a_weight_of_the_last_layer_is_h_times_p_minus_1_over_n():
    parameters, X, y = network()
    h, excess, _ = by_hand(parameters, X, y)
    for n in range(len(y)):
        found = routes(loss, parameters, X, y, of="W2[2, 1]", example=n)
        assert found.total == pytest.approx(h[n, 2] * excess[n, 1] / len(y), rel=1e-12, abs=0)
        if h[n, 2] > 0:
            (term,) = found.terms
            factors = [step.derivative for step in term.steps]
            np.testing.assert_allclose(factors, [h[n, 2], 1, excess[n, 1], 1 / len(y)])
            assert term.contribution == pytest.approx(math.prod(factors))


def test_a_weight_of_the_first_layer_has_a_route_for_each_class():
    parameters, X, y = network()
    _, excess, is_open = by_hand(parameters, X, y)
    n = int(np.argmax(is_open[:, 3]))
    found = routes(loss, parameters, X, y, of="W1[4, 3]", example=n)
    expected = X[n, 4] * parameters["W2"][3] * excess[n] / len(y)
    assert len(found.terms) == 3
    assert found.rest == 0
    contributions = [term.contribution for term in found.terms]
    np.testing.assert_allclose(sorted(contributions), sorted(expected), rtol=1e-12)
    assert sorted(contributions, key=abs, reverse=True) == contributions


@pytest.mark.parametrize(("key", "index"), [("W1", (0, 0)), ("b1", 2), ("W2", (3, 0)), ("b2", 1)])
def test_the_examples_add_up_to_the_gradient(key, index):
    name = f"{key}{list(index) if isinstance(index, tuple) else [index]}"
    parameters, X, y = network(seed=3)
    gradient = grad(loss)(parameters, X, y)[key][index]
    whole = routes(loss, parameters, X, y, of=name, limit=200)
    assert whole.gradient == gradient
    assert whole.rest == 0
    assert math.fsum(t.contribution for t in whole.terms) == pytest.approx(gradient, rel=1e-12)
    parts = [routes(loss, parameters, X, y, of=name, example=n) for n in range(len(y))]
    assert {part.gradient for part in parts} == {gradient}
    assert math.fsum(part.total for part in parts) == pytest.approx(gradient, rel=1e-12)


def test_examples_are_found_where_sizes_coincide_and_weights_are_transposed():
    W, X, y = np.eye(3) + 0.1, np.arange(9.0).reshape(3, 3), np.array([0, 2, 1])

    def layer(W, X, y):
        return np.mean(ops.softmax_cross_entropy(X @ W.T, y))

    gradient = grad(layer)(W, X, y)[1, 2]
    parts = [routes(layer, W, X, y, of="W[1, 2]", example=n).total for n in range(3)]
    assert math.fsum(parts) == pytest.approx(gradient)
    p = ops.softmax(X @ W.T)
    np.testing.assert_allclose(parts, (p[:, 1] - (y == 1)) * X[:, 2] / 3)


def test_what_does_not_come_from_examples_is_in_no_example():
    w, X = np.array([2.0, 3.0]), np.ones((4, 2))

    def regularised(w, X):
        return np.mean(X @ w) + np.sum(w * w)

    parts = [routes(regularised, w, X, of="w[0]", example=n).total for n in range(4)]
    np.testing.assert_allclose(parts, 0.25)
    assert routes(regularised, w, X, of="w[0]").gradient == 1 + 4


def test_a_value_used_twice_has_two_routes():
    found = routes(lambda x: x * x, 3.0, of="x[]")
    assert [term.contribution for term in found.terms] == [3.0, 3.0]
    found = routes(lambda x: np.sin(x) * np.exp(x), 0.5, of="x[]")
    expected = [np.cos(0.5) * np.exp(0.5), np.exp(0.5) * np.sin(0.5)]
    np.testing.assert_allclose([term.contribution for term in found.terms], expected)


def test_routes_that_cancel_are_both_shown():
    found = routes(lambda x: np.sum(np.tanh(x) - np.tanh(x) * 1.0), np.array([0.3]), of="x[0]")
    first, second = (term.contribution for term in found.terms)
    assert first == -second != 0
    assert found.total == found.gradient == 0


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(np.tanh(x @ x.T) / (1 + x[0, 0] ** 2)),
        lambda x: np.sum(ops.softmax(x, axis=1)[:, 0] * np.exp(x[:, 1])),
        lambda x: np.linalg.norm(np.concatenate([x[::-1], x * x]), axis=1).sum(),
        lambda x: np.prod(x[0]) + np.log(np.sum(np.exp(x))),
        lambda x: np.sum(x[[0, 0, 1]] * np.array([[1.0], [2.0], [3.0]])),
    ],
)
def test_terms_and_rest_are_the_entry_that_vjp_gives(f):
    x = np.random.default_rng(5).normal(size=(3, 2))
    y, pull = vjp(f, x)
    (gradient,) = pull(y.dtype.type(1))
    for index in [(0, 0), (2, 1)]:
        for limit in (2, 500):
            found = routes(f, x, of=f"x{list(index)}", limit=limit)
            assert found.gradient == pytest.approx(gradient[index], rel=1e-12)
            sum_of_all = math.fsum([found.rest, *(t.contribution for t in found.terms)])
            assert sum_of_all == pytest.approx(gradient[index], rel=1e-12)
            for term in found.terms:
                product = math.prod(step.derivative for step in term.steps)
                assert term.contribution == pytest.approx(product, rel=1e-12)
        assert found.rest == 0


def test_the_largest_come_first_and_the_rest_is_one_number():
    weights = np.arange(1.0, 51.0)
    found = routes(lambda x: np.sum(np.sin(x) * weights), 0.0, of="x[]", limit=3)
    assert [term.contribution for term in found.terms] == [50.0, 49.0, 48.0]
    assert found.rest == pytest.approx(np.sum(weights) - 147)
    assert "all other routes together = 1128" in str(found)


def test_float32_keeps_no_rest_of_rounding():
    parameters, X, y = network(dtype=np.float32)
    found = routes(loss, parameters, X, y, of="W2[2, 1]", limit=50)
    assert found.rest == 0


def test_the_table_reads_as_a_derivation():
    parameters = {"W1": np.eye(2), "b1": np.zeros(2), "W2": np.eye(2), "b2": np.zeros(2)}
    X, y = np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([0, 1])
    text = str(routes(loss, parameters, X, y, of="W2[0, 1]", example=1))
    expected = """\
∂loss/∂W2[0, 1] through example 1 of 2, where W2[0, 1] = 0

  ∂matmul_2[1, 1]/∂W2[0, 1]  =  3          the other factor, h[1, 0]          test_paths.py:@2
  ∂z2[1, 1]/∂matmul_2[1, 1]  =  1          slope of add, everywhere           test_paths.py:@2
  ∂losses[1]/∂z2[1, 1]       = -0.9526     its slope is softmax less one-hot  test_paths.py:@3
  ∂loss/∂losses[1]           =  0.5 (1/2)  mean is linear                     test_paths.py:@4
  product                    = -1.429

  sum of the routes    = -1.429
  all 2 examples       = -1.063"""
    first = loss.__code__.co_firstlineno + 1
    for k in (2, 3, 4):
        expected = expected.replace(f"@{k}", str(first + k))
    assert text == expected


def test_further_routes_take_a_line_each_without_the_steps_that_only_pass_on():
    parameters, X, y = network()
    n = int(np.argmax(by_hand(parameters, X, y)[2][:, 3]))
    found = routes(loss, parameters, X, y, of="W1[4, 3]", example=n)
    line = str(found).splitlines()[-4]
    product, factors = line.split("W1")[0].split("=")
    assert np.prod([float(x) for x in factors.split("×")]) == pytest.approx(
        float(product), rel=3e-3
    )
    assert line.endswith(
        f"W1[4, 3] → h[{n}, 3] → {found.terms[-1].steps[4].result} → losses[{n}] → loss"
    )


def test_an_entry_that_leads_nowhere_has_no_terms():
    found = routes(lambda x: np.sum(x[1:]), np.ones(3), of="x[0]")
    assert (found.terms, found.total, found.gradient) == ((), 0.0, 0.0)
    assert "every route from x[0] to f has a factor of 0: why(…, 'x[0]') tells which" in str(found)
    unused = routes(lambda x, y: np.sum(y), np.ones(3), np.ones(2), of="x[0]")
    assert unused.gradient == 0


def test_steps_tell_op_number_and_line():
    found = routes(lambda x: np.exp(-x[1]), np.array([0.0, 2.0]), of="x[1]")
    (term,) = found.terms
    assert [step.op for step in term.steps][-2:] == ["negative", "exp"]
    assert term.steps[-1].number == pytest.approx(np.exp(-2))
    assert term.steps[-1].why == "slope of exp at -2"
    assert term.steps[-1].where.file == __file__
    assert found.number == 2.0


@pytest.mark.parametrize(
    ("error", "name", "options"),
    [
        (UnknownNameError, "W3[0, 0]", {}),
        (AxisError, "W2[9, 0]", {}),
        (AxisError, "W2[0]", {}),
        (AxisError, "W2[0, 0]", {"example": 6}),
        (StructureError, "W2", {"example": 0}),
        (InputTypeError, "y", {}),
        (InputTypeError, "y[0]", {}),
    ],
)
def test_bad_questions_are_told_apart(error, name, options):
    with pytest.raises(error):
        routes(loss, *network(), of=name, **options)


def test_a_function_without_examples_or_of_many_numbers_is_said():
    parameters, X, y = network()
    with pytest.raises(StructureError, match="no argument holds examples"):
        routes(lambda p: loss(p, X, y), parameters, of="b1[0]", example=0)
    with pytest.raises(NotScalarError):
        routes(np.tanh, np.ones(3))
    with pytest.raises(NotScalarError):
        routes(lambda x: (x, x), 1.0)
    with pytest.raises(NotScalarError, match="none of the arguments"):
        routes(lambda x: 1.0, 1.0)
    with pytest.raises(InputTypeError, match="being traced"):
        grad(lambda x: routes(np.sin, x).total)(1.0)


# ------------------------------------------------------------------ routes over whole values


def test_the_contributions_of_whole_values_are_the_product_rule():
    W = np.random.default_rng(0).normal(size=(3, 4))

    def twice(W):
        a = np.sin(W)
        b = np.exp(W)
        return np.sum(a * b)

    found = chainrule.open(twice, W).paths("loss", "W")
    by_way = {path.shown: path.contribution for path in found.terms}
    assert by_way.keys() == {("twice", "a", "W"), ("twice", "b", "W")}
    np.testing.assert_allclose(by_way["twice", "a", "W"], np.cos(W) * np.exp(W), rtol=1e-14)
    np.testing.assert_allclose(by_way["twice", "b", "W"], np.sin(W) * np.exp(W), rtol=1e-14)
    assert not np.any(found.rest)
    np.testing.assert_allclose(found.total, grad(twice)(W), rtol=1e-15)


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_many_routes_are_bounded_and_the_rest_is_one_contribution(limit):
    x = np.random.default_rng(1).uniform(0.5, 1, 3)

    def ladder(x):
        for _ in range(7):
            x = np.sin(x) + np.cos(x)
        return np.sum(x)

    found = chainrule.open(ladder, x).paths("loss", "x", limit=limit)
    assert len(found.terms) == min(limit, 2**7)
    parts = np.sum([path.contribution for path in found.terms], axis=0) + found.rest
    np.testing.assert_allclose(parts, grad(ladder)(x), rtol=1e-12)
    assert np.any(found.rest) == (limit < 2**7)
    assert str(found).endswith("their sum, the gradient")


def test_an_operand_used_twice_by_one_op_has_a_route_for_each():
    found = chainrule.open(lambda x: np.sum(x * x), np.array([3.0, 5.0])).paths("loss", "x")
    assert [path.contribution.tolist() for path in found.terms] == [[3, 5], [3, 5]]


def test_routes_from_a_value_in_between_are_those_of_its_own_gradient():
    parameters, X, y = network()
    opened = chainrule.open(loss, parameters, X, y)
    found = opened.paths("z2[1, 2]", "W1")
    h = np.maximum(0, X @ parameters["W1"] + parameters["b1"])
    expected = np.outer(X[1], parameters["W2"][:, 2] * (h[1] > 0))
    np.testing.assert_allclose(found.total, expected, rtol=1e-13)
    entry = opened.paths("z2[1, 2]", "W1[0, 3]")
    assert entry.gradient == pytest.approx(expected[0, 3], rel=1e-13)
    with pytest.raises(NotScalarError, match="Name an entry"):
        opened.paths("z2", "W1")
