"""Local derivatives of a pass, against closed forms and central differences."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.errors import AxisError, SettingError, ShapeError, StructureError, UnknownNameError

COUNT = 4


def layers(x, W1, b1, W2, b2):
    h1 = np.tanh(x @ W1.T + b1)
    a2 = h1 @ W2.T + b2
    h2 = np.tanh(a2)
    return np.sum(h2 * h2)


def opened_layers():
    rng = np.random.default_rng(0)
    shapes = (COUNT, 3), (5, 3), (5,), (2, 5), (2,)
    return chainrule.open(layers, *(rng.normal(size=shape) for shape in shapes))


def differences(f, x, eps=1e-6):
    """Return the Jacobian of f by central differences."""
    columns = []
    for k in range(x.size):
        step = np.zeros(x.shape)
        step.flat[k] = eps
        columns.append(np.ravel(f(x + step) - f(x - step)) / (2 * eps))
    return np.stack(columns, axis=1)


def test_the_jacobian_of_a_layer_is_the_slope_times_its_weights():
    X = np.random.default_rng(0).normal(size=(3, COUNT))
    opened = chainrule.open(nn.DNN([3, 5, 2], layout="columns", output="linear", seed=0), X, X[:2])
    for example in range(COUNT):
        A1 = opened.values["A1"][:, example]
        expected = np.diag(A1 * (1 - A1)) @ opened.values["W1"]
        found = opened.local["A1", "A0"].of_example(example)
        np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_reverse_mode_from_stored_pieces_is_the_gradient():
    opened = opened_layers()
    W2, h2 = opened.values["W2"], opened.values["h2"]
    for k in range(COUNT):
        piece = opened.local["h2", "h1"].of_example(k)
        np.testing.assert_allclose(piece, (1 - h2[k] ** 2)[:, None] * W2, rtol=1e-13)
        np.testing.assert_allclose(
            opened.gradients["h2"][k] @ piece, opened.gradients["h1"][k], rtol=1e-12, atol=1e-15
        )


@pytest.mark.parametrize(
    ("of", "by"), [("h2", "x"), ("h1", "W1"), ("a2", "b1"), ("layers", "W2"), ("h2", "h2")]
)
def test_matrix_push_and_pull_are_one_map(of, by):
    opened = opened_layers()
    local = opened.local[of, by]
    rng = np.random.default_rng(1)
    dx, g = rng.normal(size=local.by_shape), rng.normal(size=local.of_shape)
    J = local.matrix()
    assert J.shape == local.shape
    np.testing.assert_allclose(np.ravel(local.push(dx)), J @ np.ravel(dx), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(np.ravel(local.pull(g)), np.ravel(g) @ J, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(local @ dx, local.push(dx))
    np.testing.assert_array_equal(local @ np.ravel(dx), local.push(dx))
    np.testing.assert_array_equal(g @ local, local.pull(g))


def test_the_matrix_is_that_of_differences():
    opened = opened_layers()
    W1, b1, W2, b2 = (opened.values[name] for name in ("W1", "b1", "W2", "b2"))

    def h2(x):
        return np.tanh(np.tanh(x @ W1.T + b1) @ W2.T + b2)

    found = opened.local["h2", "x"].matrix()
    np.testing.assert_allclose(found, differences(h2, opened.values["x"]), rtol=1e-6, atol=1e-9)


def test_it_is_the_total_derivative_over_all_ways_around():
    def f(x):
        a = np.sin(x)
        b = a * x
        c = a + b * b
        return np.sum(c)

    x = np.array([0.3, -0.7])
    opened = chainrule.open(f, x)
    s = np.sin(x)
    np.testing.assert_allclose(
        np.diag(opened.local["c", "x"].matrix()),
        np.cos(x) + 2 * s * x * (np.cos(x) * x + s),
        rtol=1e-14,
    )
    np.testing.assert_allclose(np.diag(opened.local["c", "a"].matrix()), 1 + 2 * s * x * x)


def test_one_after_the_other_is_the_chain_rule():
    opened = opened_layers()
    chained = opened.local["h2", "a2"] @ opened.local["a2", "h1"] @ opened.local["h1", "W1"]
    np.testing.assert_allclose(
        chained.matrix(), opened.local["h2", "W1"].matrix(), rtol=1e-13, atol=1e-16
    )
    np.testing.assert_allclose(opened.gradients["h2"] @ chained, opened.gradients["W1"], rtol=1e-12)
    assert repr(chained) == "∂h2/∂W1: from [5, 3] to [4, 2], a matrix of 8 × 15"
    with pytest.raises(ShapeError, match="after"):
        opened.local["a2", "h1"] @ opened.local["h2", "h1"]


def test_an_example_by_weights_has_a_column_for_each():
    opened = opened_layers()
    whole = opened.local["h1", "W1"].matrix().reshape(COUNT, 5, 15)
    for k in range(COUNT):
        np.testing.assert_allclose(
            opened.local["h1", "W1"].of_example(k, axis=(0, None)), whole[k], rtol=1e-13
        )


def test_examples_that_mix_have_no_matrix_of_their_own():
    def f(X):
        centred = X - np.mean(X, axis=0)
        return np.sum(centred**3)

    opened = chainrule.open(f, np.arange(6.0).reshape(3, 2))
    with pytest.raises(StructureError, match="examples mix"):
        opened.local["centred", "X"].of_example(0)
    with pytest.raises(StructureError, match="no axis"):
        opened.local["f", "X"].of_example(0)
    with pytest.raises(AxisError, match="no example 5"):
        opened.local["X", "X"].of_example(5)
    np.testing.assert_array_equal(opened.local["X", "X"].of_example(1, axis=0), np.eye(2))


def test_a_constant_can_be_differentiated_by_too():
    scale = np.array([1.0, 2.0])
    opened = chainrule.open(lambda x: np.sum(chainrule.name(x * scale, "y")), np.array([3.0, 5.0]))
    np.testing.assert_array_equal(opened.local["y", "scale"].matrix(), np.diag([3.0, 5.0]))


def test_what_is_no_ancestor_is_said_and_the_other_way_round_is_offered():
    opened = opened_layers()
    with pytest.raises(StructureError, match="h1 is not computed from h2"):
        opened.local["h1", "h2"]
    with pytest.raises(StructureError) as raised:
        opened.local["h1", "h2"]
    assert "local['h2', 'h1']" in str(raised.value)
    with pytest.raises(StructureError, match="W2 is not computed from x"):
        opened.local["W2", "x"]
    with pytest.raises(UnknownNameError):
        opened.local["h3", "x"]
    with pytest.raises(StructureError, match="names of two values"):
        opened.local["h1"]


def test_a_matrix_of_absurd_size_is_refused_with_its_size():
    opened = chainrule.open(lambda W: np.sum(np.tanh(W)), np.zeros((100, 100)))
    local = opened.local["tanh_1", "W"]
    with pytest.raises(SettingError, match=r"10,000 × 10,000 entries, 800 MB"):
        local.matrix()
    small = chainrule.open(lambda W: np.sum(np.tanh(W)), np.zeros((2, 3))).local["tanh_1", "W"]
    with pytest.raises(SettingError):
        small.matrix(limit=35)
    np.testing.assert_array_equal(small.matrix(limit=None), np.eye(6))


def test_wrong_shapes_are_refused():
    local = opened_layers().local["h2", "h1"]
    with pytest.raises(ShapeError, match="a change of h1"):
        local.push(np.ones((5, COUNT)))
    with pytest.raises(ShapeError, match="a gradient at h2"):
        local.pull(np.ones(3))
