"""Transforms alone, inside each other, and over containers."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from chainrule import (
    Spec,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    ops,
    stop_gradient,
    trace,
    value_and_grad,
    vjp,
    vmap,
)
from chainrule.transform import reverse

RNG = np.random.default_rng(0)
W, X = RNG.normal(size=(3, 2)), RNG.normal(size=(5, 3))


def net(w, x):
    return np.sum(np.tanh(x @ w) ** 2)


def test_any_order():
    f = np.sin
    for order in range(1, 7):
        f = grad(f)
        assert f(0.7) == pytest.approx(np.sin(0.7 + order * np.pi / 2), abs=1e-12)


def test_no_perturbation_confusion():
    """Siskind and Pearlmutter, 2005: d/dx (x · d/dy (x + y) at 1) at 1 is 1, not 2."""
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0) == 1
    assert jvp(lambda x: x * jvp(lambda y: x + y, (1.0,), (1.0,))[1], (1.0,), (1.0,))[1] == 1
    assert grad(lambda x: x * jvp(lambda y: x * y, (2.0,), (1.0,))[1])(3.0) == 6


def test_inner_variables_shadow_outer_ones_only_where_they_are_meant():
    def f(x):
        return grad(lambda y: x * y * y)(x)  # 2x², so its slope is 4x

    assert f(3.0) == 18
    assert grad(f)(3.0) == 12


@pytest.mark.parametrize("outer", [grad, lambda f: lambda x: jvp(f, (x,), (1.0,))[1]])
@pytest.mark.parametrize("inner", [grad, lambda f: lambda x: jvp(f, (x,), (1.0,))[1]])
def test_every_mode_over_every_mode(outer, inner):
    assert outer(inner(lambda x: x * np.sin(x)))(0.3) == pytest.approx(
        2 * np.cos(0.3) - 0.3 * np.sin(0.3), abs=1e-14
    )


def test_argnums_and_extra_results():
    def f(a, b, c):
        return np.sum(a * b) * c, {"a": a, "label": "kept"}

    a, b = np.arange(3.0), np.ones(3)
    (value, extra), (db, da) = value_and_grad(f, (1, 0), has_aux=True)(a, b, 2.0)
    assert value == 6
    np.testing.assert_array_equal(da, 2 * b)
    np.testing.assert_array_equal(db, 2 * a)
    np.testing.assert_array_equal(extra["a"], a)
    assert extra["label"] == "kept"
    gradient, extra = grad(f, -1, has_aux=True)(a, b, 2.0)
    assert gradient == 3
    assert isinstance(extra["a"], np.ndarray)


def test_containers_keep_their_structure():
    parameters = {"W": W, "b": (np.zeros(2), np.float64(1.0)), "scale": 2.0, "none": None}

    def loss(p, x):
        return np.sum((x @ p["W"] + p["b"][0]) * p["b"][1]) * p["scale"]

    gradient = grad(loss)(parameters, X)
    assert gradient.keys() == parameters.keys()
    assert gradient["none"] is None
    np.testing.assert_allclose(gradient["W"], 2 * X.T @ np.ones((5, 2)))
    np.testing.assert_allclose(gradient["b"][0], [10, 10])
    np.testing.assert_allclose(gradient["scale"], np.sum(X @ W))


def test_a_result_that_does_not_depend_has_gradient_zero():
    np.testing.assert_array_equal(grad(lambda x: 3.0)(np.ones(2)), [0, 0])
    np.testing.assert_array_equal(grad(lambda x, y: np.sum(y))(np.ones(2), np.ones(3)), [0, 0])
    _, dy = jvp(lambda x: (x, np.ones(2)), (1.0,), (2.0,))
    assert dy[0] == 2
    np.testing.assert_array_equal(dy[1], [0, 0])
    np.testing.assert_array_equal(jacobian(lambda x: np.ones(3))(np.ones(2)), np.zeros((3, 2)))


def test_keyword_arguments_are_traced_and_not_differentiated():
    g = grad(lambda w, *, x, power=2: np.sum(x.dot(w) ** power))(W, x=X, power=2)
    np.testing.assert_allclose(g, 2 * X.T @ (X @ W))


def test_python_may_branch_and_loop_on_numbers():
    def f(x):
        while x < 100:
            x = x * x if x > 2 else x + 1
        return x

    assert f(1.5) == 2.5**8
    numeric = (f(1.5 + 1e-6) - f(1.5 - 1e-6)) / 2e-6
    assert grad(f)(1.5) == pytest.approx(numeric, rel=1e-6)


def test_vjp_pulls_twice_alike_and_constants_get_nothing():
    labels = np.array([0, 1, 1, 0, 1])
    y, pull = vjp(lambda w, x, k: ops.softmax_cross_entropy(x @ w, k), W, X, labels)
    g = RNG.normal(size=y.shape)
    first, second = pull(g), pull(g)
    assert first[2] is None
    for a, b in zip(first[:2], second[:2], strict=True):
        assert a.tobytes() == b.tobytes()


def test_vjp_and_jvp_of_containers():
    def f(p):
        return {"s": p["a"] * p["b"], "t": (np.sum(p["a"]),)}

    p = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}
    _, pull = vjp(f, p)
    (g,) = pull({"s": np.ones(2), "t": (10.0,)})
    np.testing.assert_array_equal(g["a"], [13, 14])
    np.testing.assert_array_equal(g["b"], [1, 2])
    _, dy = jvp(f, (p,), ({"a": np.ones(2), "b": np.zeros(2)},))
    np.testing.assert_array_equal(dy["s"], [3, 4])
    assert dy["t"][0] == 2


@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3)])
def test_jacobian_backwards_and_forwards(shape):
    a = RNG.normal(size=(*shape, 2))
    tall = jacobian(lambda x: np.sum(np.tanh(a * x), axis=-1))(np.ones(2))  # forwards if R > 2
    wide = jacobian(lambda x: np.sum(np.sin(a * x)))(np.ones(2))
    np.testing.assert_allclose(tall, a * (1 - np.tanh(a) ** 2), atol=1e-14)
    np.testing.assert_allclose(wide, (a * np.cos(a)).reshape(-1, 2).sum(0), atol=1e-13)


def test_jacobian_of_containers_and_several_arguments():
    rows = jacobian(lambda a, b: {"p": a * b, "q": np.sum(a)}, (0, 1))(np.ones(2), np.full(2, 3.0))
    np.testing.assert_array_equal(rows["p"][0], 3 * np.eye(2))
    np.testing.assert_array_equal(rows["p"][1], np.eye(2))
    np.testing.assert_array_equal(rows["q"][0], [1, 1])
    np.testing.assert_array_equal(rows["q"][1], [0, 0])
    inside = jacobian(lambda p: p["a"] * p["b"])({"a": np.ones(2), "b": 2.0})
    np.testing.assert_array_equal(inside["b"], [1, 1])


def test_hessian_and_its_products():
    x = RNG.normal(size=4)

    def f(x):
        return np.sum(np.sin(x) * x[::-1] ** 2)

    full = hessian(f)(x)
    v = RNG.normal(size=4)
    np.testing.assert_allclose(full, full.T, atol=1e-14)
    np.testing.assert_allclose(hvp(f, (x,), (v,))[0], full @ v, atol=1e-13)
    numeric = [(grad(f)(x + d) - grad(f)(x - d)) / 2e-6 for d in 1e-6 * np.eye(4)]
    np.testing.assert_allclose(full, numeric, atol=1e-8)


def test_vmap_is_a_loop_in_every_place():
    one = lambda w, x: np.tanh(x @ w)
    np.testing.assert_allclose(vmap(one, (None, 0))(W, X), [one(W, x) for x in X])
    np.testing.assert_allclose(vmap(one, (None, 1))(W, X.T), [one(W, x) for x in X])
    np.testing.assert_allclose(vmap(lambda x: 3.0)(X), np.full(5, 3.0))
    pairs = vmap(lambda p: {"s": p[0] + p[1]})((X, 2 * X))["s"]
    np.testing.assert_allclose(pairs, 3 * X)


def test_vmap_of_grad_and_grad_of_vmap():
    per_example = vmap(grad(net), (None, 0))(W, X)
    np.testing.assert_allclose(per_example, [grad(net)(W, x) for x in X], atol=1e-14)
    np.testing.assert_allclose(per_example.sum(0), grad(net)(W, X), atol=1e-14)
    total = grad(lambda w: np.sum(vmap(net, (None, 0))(w, X)))(W)
    np.testing.assert_allclose(total, grad(net)(W, X), atol=1e-14)


def test_vmap_sees_the_variables_around_it():
    def f(s):
        return np.sum(vmap(lambda x: s * np.sum(x * x))(X))

    assert grad(f)(2.0) == pytest.approx(np.sum(X * X))
    nested = vmap(lambda a: vmap(lambda b: a * b)(np.arange(3.0)))(np.arange(2.0))
    np.testing.assert_array_equal(nested, np.outer(np.arange(2), np.arange(3)))


def test_jacobian_under_grad_and_vmap():
    f = lambda x: np.sum(jacobian(np.sin)(x) ** 2)
    x = np.array([0.3, 0.7])
    np.testing.assert_allclose(grad(f)(x), -2 * np.cos(x) * np.sin(x), atol=1e-14)
    rows = vmap(jacobian(lambda x: x * x))(X)
    np.testing.assert_allclose(rows, [np.diag(2 * x) for x in X])


def test_stop_gradient_stops_every_mode():
    f = lambda x: x * stop_gradient(np.sin(x))
    assert grad(f)(0.4) == np.sin(0.4)
    assert jvp(f, (0.4,), (1.0,))[1] == np.sin(0.4)
    assert vmap(grad(f))(np.array([0.4]))[0] == np.sin(0.4)
    assert grad(grad(f))(0.4) == 0


def test_derivatives_are_recorded_whole_in_an_outer_trace():
    graph = trace(grad(net), Spec((3, 2)), Spec((5, 3))).check()
    np.testing.assert_allclose(graph.evaluate(W, X)[0], grad(net)(W, X), rtol=1e-15)
    assert not graph.specialised
    backward = [node for node in graph.nodes if node.origin]
    rules = {node.origin.rule for node in backward}
    assert {"matmul backward", "tanh backward", "sum backward"} <= rules
    for node in backward:
        name = node.origin.rule.removesuffix(" backward")
        forward = graph.nodes[node.origin.node]
        assert forward.op.name == name
        assert forward.where == node.where
        assert node.where.file == __file__


def test_the_backward_graph_needs_no_more_than_it_says():
    graph = trace(net, Spec((3, 2)), Spec((5, 3)))
    both, one = reverse(graph), reverse(graph, [0])
    assert len(one) < len(both)
    g = np.float64(1)
    for a, b in zip(one.evaluate(W, X, g), both.evaluate(W, X, g), strict=False):
        np.testing.assert_array_equal(a, b)


def test_weak_scalars_keep_float32_through_values_and_gradients():
    w = W.astype(np.float32)
    value, gradient = value_and_grad(lambda w: np.mean(2.5 * np.tanh(w) ** 2 / 3 + 1))(w)
    assert value.dtype == gradient.dtype == np.float32


def test_a_gradient_has_the_dtype_of_its_argument():
    w = W.astype(np.float32)
    assert grad(lambda w: np.sum(X @ w))(w).dtype == np.float32


def test_threads_do_not_mix_their_traces():
    results = {}

    def work(k):
        results[k] = [grad(lambda x: np.sum(x**k))(np.full(3, 2.0)) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, gradients in results.items():
        for gradient in gradients:
            np.testing.assert_allclose(gradient, k * 2.0 ** (k - 1))
