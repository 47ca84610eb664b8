"""Transforms at their edges: empty arrays, odd structures, errors, and every nesting of three."""

from __future__ import annotations

import itertools

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
    trace,
    value_and_grad,
    vjp,
    vmap,
)
from chainrule.errors import (
    BranchError,
    InputTypeError,
    NotScalarError,
    OutputError,
    ShapeError,
    StructureError,
)
from chainrule.transform import batch, forward, reverse, simplify

RNG = np.random.default_rng(0)
TRANSFORMS = {
    "grad": lambda f: grad(lambda x: np.sum(f(x))),
    "jvp": lambda f: lambda x: jvp(f, (x,), (np.ones_like(x),))[1],
    "vjp": lambda f: lambda x: vjp(f, x)[1](np.ones_like(x))[0],
    "vmap": vmap,
    "jacobian": lambda f: lambda x: np.sum(jacobian(f)(x), axis=tuple(range(x.ndim))),
    "trace": lambda f: lambda x: trace(f, Spec(x.shape)).evaluate(x)[0],
}


@pytest.mark.parametrize("names", list(itertools.product(TRANSFORMS, repeat=3)), ids="-".join)
def test_any_three_transforms_nest(names):
    """On an elementwise function each derivative is the next derivative of the formula."""
    f = lambda x: np.sin(2 * x) + x**3
    order, x = 0, np.array([0.3, -1.2]).reshape(2, 1, 1)
    for name in names:
        f = TRANSFORMS[name](f)
        order += name not in {"vmap", "trace"}
    expected = 2.0**order * np.sin(2 * x + order * np.pi / 2)
    expected = expected + [x**3, 3 * x**2, 6 * x, 6 + 0 * x][order]
    np.testing.assert_allclose(f(x), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(0,), (0, 2), (2, 0)])
def test_arrays_of_nothing(shape):
    x = np.zeros(shape)
    f = lambda x: np.sum(np.exp(x) @ np.ones(shape[-1]))
    assert grad(f)(x).shape == shape
    assert hvp(f, (x,), (x,))[0].shape == shape
    assert jacobian(np.sin)(x).shape == shape + shape
    assert jacobian(np.sum)(x).shape == shape
    assert hessian(f)(x).shape == shape + shape
    assert vmap(np.sin)(np.zeros((3, *shape))).shape == (3, *shape)
    assert vmap(grad(f))(np.zeros((3, *shape))).shape == (3, *shape)


def test_no_examples():
    assert vmap(lambda x: np.sum(x * x))(np.zeros((0, 3))).shape == (0,)
    assert vmap(grad(lambda x: np.sum(x * x)))(np.zeros((0, 3))).shape == (0, 3)


def test_arguments_given_twice_and_results_that_are_arguments():
    x = np.array([1.0, 2.0])
    a, b = grad(lambda x, y: np.sum(x * y), (0, 0))(x, x)
    a[:] = 0
    np.testing.assert_array_equal(b, x)
    y, pull = vjp(lambda x: x, x)
    (g,) = pull(np.ones(2))
    y[:], g[:] = 7, 7
    np.testing.assert_array_equal(x, [1, 2])
    y, dy = jvp(lambda x: (x, x), (x,), (x,))
    dy[0][:] = 7
    np.testing.assert_array_equal(dy[1], [1, 2])


def test_a_cotangent_may_be_a_traced_value():
    f = lambda x: np.sin(x) * x
    x = np.array([0.5, 1.5])
    total = lambda g: np.sum(vjp(f, x)[1](g)[0] ** 2)
    slope = grad(f)
    by_hand = 2 * np.array([slope(v) for v in x]) ** 2
    np.testing.assert_allclose(grad(total)(np.ones(2)), by_hand)
    direction = grad(lambda d: np.sum(jvp(f, (x,), (d,))[1]))(np.ones(2))
    np.testing.assert_allclose(direction, [slope(v) for v in x])


def test_jacobians_of_containers_forwards_and_backwards():
    def f(p):
        return {"tall": np.outer(p["a"], np.ones(4)), "fixed": np.ones(2), "twice": (p["b"] * 2,)}

    rows = jacobian(f)({"a": np.array([1.0, 2.0]), "b": 3.0})
    assert rows["tall"]["a"].shape == (2, 4, 2)
    np.testing.assert_array_equal(rows["tall"]["a"][:, 0], np.eye(2))
    np.testing.assert_array_equal(rows["fixed"]["b"], [0, 0])
    assert rows["twice"][0]["b"] == 2
    wide = jacobian(lambda a, b: (np.sum(a) * b, 3.0), (1, 0))(np.ones(5), 2.0)
    assert wide[0][0] == 5
    np.testing.assert_array_equal(wide[0][1], np.full(5, 2.0))
    np.testing.assert_array_equal(wide[1][1], np.zeros(5))


def test_hessians_of_several_arguments():
    (aa, ab), (ba, bb) = hessian(lambda a, b: np.sum(a**2 * b), (0, 1))(np.array([1.0, 2]), 3.0)
    np.testing.assert_array_equal(aa, np.diag([6.0, 6]))
    np.testing.assert_array_equal(ab, [2, 4])
    np.testing.assert_array_equal(ba, [2, 4])
    assert bb == 0


def test_mapped_axes_containers_and_functions_without_a_name():
    x = RNG.normal(size=(2, 3, 4))
    for axis in range(-3, 3):
        np.testing.assert_allclose(
            vmap(lambda x: np.sum(x * x, axis=0), axis)(x),
            np.moveaxis(np.stack([np.sum(s * s, axis=0) for s in np.moveaxis(x, axis, 0)]), 0, 0),
        )
    np.testing.assert_allclose(vmap(np.add, (0, None))(x, x[0]), x + x[0])
    both = vmap(lambda p, c: {"y": p["a"] @ p["b"], "c": c}, (0, None))({"a": x, "b": x.mT}, 5.0)
    np.testing.assert_allclose(both["y"], x @ x.mT)
    np.testing.assert_array_equal(both["c"], [5, 5])
    np.testing.assert_array_equal(vmap(lambda x: (1, True, 2.5))(x[:, 0])[1], [True, True])


def test_every_output_of_a_batch_has_examples():
    graph = trace(lambda x, w: (x @ w, np.sum(w), x), Spec((3,)), Spec((3,)))
    many = batch(graph, 2, [True, False]).check()
    x, w = RNG.normal(size=(2, 3)), RNG.normal(size=3)
    y, total, same = many.evaluate(x, w)
    np.testing.assert_allclose(y, x @ w)
    np.testing.assert_allclose(total, [w.sum()] * 2)
    np.testing.assert_array_equal(same, x)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (StructureError, lambda x: grad(np.sin, 1)(x[0])),
        (StructureError, lambda x: grad(np.sin, (0, -2))(x[0])),
        (NotScalarError, grad(np.sin)),
        (NotScalarError, grad(lambda x: np.ones(2))),
        (OutputError, grad(lambda x: None)),
        (OutputError, grad(lambda x: (x[0], x))),
        (OutputError, grad(lambda x: x[0], has_aux=True)),
        (InputTypeError, lambda x: grad(np.sum)(x.astype(int))),
        (InputTypeError, lambda x: grad(np.sum)(x > 0)),
        (InputTypeError, lambda x: grad(np.sum)({"a": x, "b": 1})),
        (InputTypeError, lambda x: jvp(np.sin, (1,), (1.0,))),
        (InputTypeError, lambda x: grad(lambda s: 1.0)("text")),
        (StructureError, lambda x: jvp(np.sin, x, x)),
        (StructureError, lambda x: jvp(np.sin, (x,), (x, x))),
        (StructureError, lambda x: jvp(np.sin, (x,), (x[0],))),
        (StructureError, lambda x: jvp(np.sin, (x,), ([x],))),
        (StructureError, lambda x: hvp(np.sum, x, x)),
        (StructureError, lambda x: vjp(np.sin, x)[1](x[0])),
        (StructureError, lambda x: vjp(np.sin, x)[1]((x,))),
        (StructureError, lambda x: vmap(np.add, (0,))(x, x)),
        (ShapeError, lambda x: vmap(np.add)(x, np.ones(3))),
        (ShapeError, lambda x: vmap(np.add, (None, None))(x, x)),
        (ShapeError, lambda x: vmap(np.sin)(1.0)),
        (ShapeError, vmap(np.sin, 1)),
        (BranchError, vmap(lambda x: x if x > 0 else -x)),
        (OutputError, vmap(lambda x: "text")),
        (OutputError, lambda x: trace(lambda x: "text", x)),
    ],
)
def test_what_transforms_refuse(error, call):
    with pytest.raises(error):
        call(np.array([1.0, 2.0]))


def test_whole_numbers_pass_through_every_transform():
    places = np.array([2, 0])
    f = lambda x, i: np.sum(x[i] ** 2)
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(grad(f)(x, places), [2, 0, 6])
    assert vjp(f, x, places)[1](1.0)[1] is None
    np.testing.assert_array_equal(jacobian(lambda x, i: x[i])(x, places), np.eye(3)[places])
    np.testing.assert_array_equal(hessian(f)(x, places), np.diag([2.0, 0, 2]))
    graph = trace(f, x, places)
    np.testing.assert_array_equal(reverse(graph, [0]).evaluate(x, places, 1.0 * x[0])[1], [2, 0, 6])
    ahead = forward(graph)
    assert len(ahead.inputs) == 3
    assert ahead.evaluate(x, places, np.ones(3))[1] == 8


def test_a_tangent_that_meets_no_slope_is_zero():
    f = lambda x: np.sum(np.round(x)) + np.sign(x[0])
    graph = trace(f, Spec((2,)))
    assert forward(graph).evaluate(np.ones(2), np.ones(2))[1] == 0
    np.testing.assert_array_equal(reverse(graph).evaluate(np.ones(2), np.float64(1))[1], [0, 0])
    assert jvp(f, (np.ones(2),), (np.ones(2),))[1] == 0
    y, dy = jvp(lambda x: np.clip(2.0, 1.0, 3.0) * x, (2.0,), (1.0,))
    assert (y, dy) == (4, 2)


def test_extra_results_keep_what_they_are():
    f = lambda x: (np.sum(x), {"x": x, "n": 3, "name": "text", "none": None, "list": [x[0]]})
    (value, extra), g = value_and_grad(f, has_aux=True)(np.array([1.0, 2.0]))
    assert (value, extra["n"], extra["name"], extra["none"]) == (3, 3, "text", None)
    assert type(extra["x"]) is np.ndarray
    assert extra["list"] == [1]
    np.testing.assert_array_equal(g, [1, 1])


def test_simplifying_a_derivative_keeps_its_numbers():
    def f(w, x):
        return np.mean(ops.softmax_cross_entropy(np.tanh(x @ w), np.array([0, 1, 1, 0, 2])))

    specs = [Spec((4, 3)), Spec((5, 4))]
    w, x = RNG.normal(size=(4, 3)), RNG.normal(size=(5, 4))
    for g in (grad(f), grad(lambda w, x: np.sum(grad(f)(w, x) ** 2))):
        graph = trace(g, *specs)
        small = simplify(graph).check()
        assert len(small) < len(graph)
        assert str(simplify(small)) == str(small)
        np.testing.assert_allclose(small.evaluate(w, x)[0], g(w, x), rtol=1e-13, atol=1e-15)
