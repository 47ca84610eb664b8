"""What the values of a pass are called: by arguments, variables, keys, and what was said."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.errors import SettingError
from chainrule.inspect import walk


def names(f, *args):
    """Return the names that the program gives, in the order of computation."""
    opened = chainrule.open(f, *args)
    return [
        name
        for name, given in zip(opened.names.labels, opened.names.is_given, strict=True)
        if given
    ]


def test_variables_name_what_their_lines_assign():
    def f(x):
        a = np.sin(x)
        b: object = a * 2
        d = e = 1 + (c := np.exp(b))
        return np.sum(
            d * e + c,
        )

    opened = chainrule.open(f, np.ones(2))
    assert names(f, np.ones(2)) == ["x", "a", "b", "c", "d", "f"]
    np.testing.assert_array_equal(opened.values["e"], opened.values["d"])


def test_the_rounds_of_a_loop_are_numbered():
    def f(h):
        for _ in range(3):
            h = np.tanh(h)
        return np.sum(h)

    opened = chainrule.open(f, np.ones(2))
    assert names(f, np.ones(2)) == ["h", "h_2", "h_3", "h_4", "f"]
    np.testing.assert_array_equal(opened.values["h_4"], np.tanh(np.tanh(np.tanh(np.ones(2)))))


def test_a_number_that_is_taken_is_left_out():
    def f(x):
        h_2 = np.sin(x)
        h = np.cos(h_2)
        h = np.exp(h)
        return np.sum(h)

    opened = chainrule.open(f, np.ones(2))
    assert names(f, np.ones(2)) == ["x", "h_2", "h", "h_3", "f"]
    np.testing.assert_array_equal(opened.values["h_3"], np.exp(np.cos(np.sin(np.ones(2)))))


def test_several_lines_and_several_ops_on_one():
    def f(x, W, b):
        z = (
            np.dot(
                x,
                W,
            )
            + b
        )
        a = np.maximum(0, z) / np.sum(np.exp(z))
        c = a - 1
        return np.sum(c * c)

    assert names(f, np.ones((2, 3)), np.ones((3, 2)), np.ones(2)) == [
        "x", "W", "b", "z", "a", "c", "f",
    ]  # fmt: skip


def affine(x, W, b):
    product = x @ W
    return product + b


def test_functions_that_are_called_show_their_variables_and_their_results_are_named():
    def f(x, W, b):
        z = affine(x, W, b)
        y = affine(np.tanh(z), W, b)
        return np.sum(y)

    opened = chainrule.open(f, np.ones((2, 2)), np.eye(2), np.zeros(2))
    assert {"product", "product_2", "z", "y"} <= set(opened.values)
    np.testing.assert_array_equal(opened.values["z"], opened.values["product"])
    assert "tanh_1" in opened.values


def test_keys_of_dictionaries_come_before_variables():
    def f(X):
        cache, A = {}, X
        for i in (1, 2):
            Z = 2 * A
            A = np.tanh(Z)
            cache[f"Z{i}"], cache[f"A{i}"] = Z, A
        return np.sum(cache["A2"] * A)

    assert names(f, np.ones(2)) == ["X", "Z1", "A1", "Z2", "A2", "f"]
    opened = chainrule.open(f, np.ones(2))
    np.testing.assert_array_equal(opened.values["Z_2"], opened.values["Z2"])


def test_results_of_several_values_are_named_where_they_are_unpacked():
    def halves(x):
        return np.split(x, 2)

    def f(x):
        left, right = halves(np.sin(x))
        product = left * right
        return np.sum(product)

    assert {"left", "right", "product"} <= set(names(f, np.ones(4)))


def test_attributes_name_what_is_assigned_to_them():
    class Layer:
        def __call__(self, x):
            self.hidden = np.tanh(x)
            return np.sum(self.hidden * self.hidden)

    assert names(Layer(), np.ones(3))[:2] == ["x", "hidden"]


def test_arrays_around_the_function_are_called_by_their_variables():
    scale = np.array([1.0, 2.0, 3.0])
    assert names(lambda x: np.sum(x * scale), np.ones(3)) == ["x", "scale", "f"]


def test_what_has_no_name_is_called_by_its_op_and_a_number():
    opened = chainrule.open(lambda x: np.sum(np.exp(np.exp(x) * 2)), np.zeros(2))
    assert list(opened.values) == ["x", "exp_1", "multiply_1", "exp_2", "f"]
    np.testing.assert_array_equal(opened.values["exp_2"], np.exp([2, 2]))
    np.testing.assert_array_equal(opened.values["%1"], opened.values["exp_1"])
    np.testing.assert_array_equal(opened.gradients["d%1"], opened.gradients["exp_1"])


def test_code_without_source_still_has_the_variables_that_were_seen():
    space = {"np": np}
    exec("def f(x):\n    a = np.sin(x)\n    b = np.exp(a)\n    return np.sum(b)", space)  # noqa: S102
    assert names(space["f"], np.ones(2)) == ["x", "a", "b", "f"]


def test_walks_give_ops_their_plain_names():
    run = walk(lambda x: np.sum(np.exp(x) * 2), (np.ones(2),))
    assert run.names() == ["x", "exp", "constant", "multiply", "f"]


# ------------------------------------------------------------------ what is said


def test_a_name_that_is_said_comes_first():
    def f(x):
        h = chainrule.name(np.tanh(x), "hidden")
        return np.sum(chainrule.name(h * h, "square"))

    assert names(f, np.ones(2)) == ["x", "hidden", "square", "f"]
    opened = chainrule.open(f, np.ones(2))
    np.testing.assert_array_equal(opened.values["h"], opened.values["hidden"])


def test_arguments_can_be_called_by_another_name():
    opened = chainrule.open(lambda x: np.sum(chainrule.name(x, "pixels")), np.ones(3))
    np.testing.assert_array_equal(opened.gradients["pixels"], opened.gradients["x"])


def test_names_change_nothing_under_any_transform():
    def f(x):
        return np.sum(chainrule.name(np.sin(x), "s") ** 2)

    x = np.linspace(0, 1, 4)
    assert chainrule.name(x, "x") is x
    expected = np.sin(2 * x)
    np.testing.assert_allclose(chainrule.grad(f)(x), expected, rtol=1e-14)
    np.testing.assert_allclose(chainrule.vmap(chainrule.grad(f))(x[None])[0], expected, rtol=1e-14)
    np.testing.assert_allclose(
        chainrule.hessian(f)(x), np.diag(2 * np.cos(2 * x)), rtol=1e-13, atol=1e-15
    )
    np.testing.assert_allclose(chainrule.jvp(f, (x,), (x,))[1], expected @ x, rtol=1e-14)
    np.testing.assert_allclose(chainrule.compile(chainrule.grad(f))(x), expected, rtol=1e-14)
    graph = chainrule.trace(f, chainrule.Spec((4,)))
    assert chainrule.graph.read(str(graph)).evaluate(x)[0] == f(x)


def test_a_name_inside_a_derivative_is_found_in_the_pass_around_it():
    def f(x):
        return np.sum(chainrule.grad(lambda z: np.sum(chainrule.name(np.sin(z), "s") ** 2))(x))

    opened = chainrule.open(f, np.ones(3))
    np.testing.assert_array_equal(opened.values["s"], np.sin(np.ones(3)))
    np.testing.assert_allclose(opened.gradients["x"], 2 * np.cos(2 * np.ones(3)), rtol=1e-13)


def test_names_in_modules():
    class Named(nn.Module):
        def __init__(self):
            self.inside = nn.Linear(2, 2, seed=0)

        def forward(self, x):
            return chainrule.name(self.inside(x), "logits")

    opened = chainrule.open(Named(), np.ones((3, 2)), output=(0, 0))
    for other in ("inside", "output"):
        np.testing.assert_array_equal(opened.values["logits"], opened.values[other])


@pytest.mark.parametrize("text", ["", "  ", "W[3]", None, 3])
def test_what_is_no_name_is_said(text):
    with pytest.raises(SettingError, match="called by a text"):
        chainrule.name(np.ones(2), text)
