"""What a user may do wrong around a function: its inputs, its outputs, what goes with them."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from bad_calls import MATRIX, VECTOR, check, gradient

import chainrule as cr
from chainrule import Spec, errors

HERE = Path(__file__).name


# ------------------------------------------------------------------------- inputs of grad


@pytest.mark.parametrize(
    ("x", "shown"),
    [
        (2, "2 (int)"),
        (True, "True (bool)"),
        (np.arange(3), "int64[3]"),
        (np.array([True, False]), "bool[2]"),
        (np.int32(1), "int32[]"),
        ("two", "'two' (str)"),
        (None, "None (NoneType)"),
        ([1, 2], "1 (int)"),
        ({"w": 1.0, "b": np.arange(2)}, "int64[2]"),
        (np.array([1.0, None]), "object[2]"),
    ],
    ids=str,
)
@pytest.mark.parametrize("transform", [cr.grad, cr.value_and_grad, cr.jacobian, cr.hessian])
def test_an_input_that_is_not_floating_point_has_no_derivative(transform, x, shown):
    def loss(w):
        return np.sum(w * 2.0)

    check(
        lambda: transform(loss)(x),
        errors.InputTypeError,
        "argument w",
        shown,
        "floating-point",
        "Pass w as float64",
        "argnums",
    )


@pytest.mark.parametrize("x", [1j, np.ones(2, complex)], ids=str)
def test_complex_inputs_have_no_derivative(x):
    error = check(lambda: gradient(np.sin, x), errors.InputTypeError, "complex", "real")
    assert "two arguments" in error.advice


def test_complex_constants_are_refused():
    check(lambda: gradient(lambda x: x * 1j, VECTOR), errors.InputTypeError, "1j (complex)")
    z = np.ones(3, complex)
    check(lambda: gradient(lambda x: x * z, VECTOR), errors.InputTypeError, "complex128[3]")


def test_tangents_of_integers_are_refused():
    check(lambda: cr.jvp(np.sin, (1,), (1.0,)), errors.InputTypeError, "1 (int)")


def test_integers_beside_the_differentiated_argument_stay_as_they_are():
    labels = np.array([0, 1])
    dx = cr.grad(lambda x, y: np.sum(x[np.arange(2), y]))(MATRIX, labels)
    np.testing.assert_array_equal(dx, [[1, 0, 0], [0, 1, 0]])


# ------------------------------------------------------------------------- outputs


@pytest.mark.parametrize("shape", [(3,), (1,), (1, 1), (0,)], ids=str)
def test_an_output_that_is_not_one_number_has_no_gradient(shape):
    x = np.ones(shape)
    for transform in (cr.grad, cr.value_and_grad, cr.hessian):
        error = check(
            lambda transform=transform: transform(lambda x: x * 2.0)(x),
            errors.NotScalarError,
            f"float64{list(shape)}",
            "one number",
            "np.sum(y)",
            "chainrule.jacobian",
        )
        assert isinstance(error, errors.ShapeError)


def test_the_line_of_an_output_that_is_not_one_number_is_where_it_was_made():
    def loss(x):
        y = np.sin(x)
        return y  # noqa: RET504 - the line of the sine is what is looked for

    with pytest.raises(errors.NotScalarError) as caught:
        cr.grad(loss)(VECTOR)
    first = loss.__code__.co_firstlineno
    assert f"at {HERE}:{first + 1}" in str(caught.value)
    assert f"returned by loss, defined at {HERE}:{first}" in str(caught.value)


@pytest.mark.parametrize(
    ("returned", "shown"),
    [
        (None, "None (NoneType)"),
        ("loss", "'loss' (str)"),
        ([1.0, 2.0], "a list of 1.0 (float), 2.0 (float)"),
        ((VECTOR, 1.0), "a tuple of float64[3], 1.0 (float)"),
        (1j, "1j (complex)"),
        ({"loss": 1.0}, "{'loss': 1.0} (dict)"),
    ],
    ids=str,
)
def test_grad_of_what_returns_no_number(returned, shown):
    check(
        lambda: cr.grad(lambda x: returned)(VECTOR),
        errors.OutputError,
        shown,
        "one number",
        "has_aux=True",
        "defined at",
    )


@pytest.mark.parametrize("returned", [None, "loss", [VECTOR, "loss"], np.array(["a"]), {}], ids=str)
@pytest.mark.parametrize(
    "transform",
    [
        lambda f: cr.vjp(f, VECTOR),
        lambda f: cr.jvp(f, (VECTOR,), (VECTOR,)),
        lambda f: cr.jacobian(f)(VECTOR),
        lambda f: cr.vmap(f)(VECTOR),
        lambda f: cr.trace(f, VECTOR),
        lambda f: cr.trace(f, Spec((3,))),
    ],
    ids=["vjp", "jvp", "jacobian", "vmap", "trace", "trace on shapes"],
)
def test_other_transforms_of_what_returns_no_arrays(transform, returned):
    check(lambda: transform(lambda x: returned), errors.OutputError, "returned by", "arrays")


def test_a_missing_extra_output():
    check(
        lambda: cr.grad(np.sum, has_aux=True)(VECTOR),
        errors.OutputError,
        "(number, extra)",
        "got float64[]",
        "has_aux",
    )


# ------------------------------------------------------------------------- leaked values


@pytest.fixture(params=["grad", "vmap", "trace"])
def leaked(request):
    kept = []

    def f(x):
        kept.append(x)
        return np.sum(x)

    xs = np.ones(())
    if request.param == "grad":
        cr.grad(f)(xs)
    elif request.param == "vmap":
        cr.vmap(f)(xs[None])
    else:
        cr.trace(f, xs)
    return kept[0]


@pytest.mark.parametrize(
    "use",
    [
        lambda v: v + 1.0,
        lambda v: 2.0 * v,
        np.sin,
        lambda v: VECTOR * v,
        lambda v: v.reshape(1),
        lambda v: v[None],
        float,
        bool,
        np.asarray,
        cr.grad(np.sin),
        lambda v: cr.grad(lambda x: x * v)(1.0),
        lambda v: cr.vjp(lambda x: v, 1.0),
        lambda v: cr.trace(lambda x: x * v, VECTOR),
    ],
)
def test_a_value_used_after_its_trace(leaked, use):
    check(lambda: use(leaked), errors.LeakError, "float64[]", "trace", "has_aux=True")


def test_a_leaked_value_can_still_be_shown(leaked):
    assert "float64[]" in repr(leaked)


# ------------------------------------------------------------------------- structure


@pytest.mark.parametrize("transform", [cr.grad, cr.value_and_grad, cr.jacobian, cr.hessian])
@pytest.mark.parametrize("argnums", [1, -2, (0, 1), "x", 1.0, None], ids=repr)
def test_argnums_out_of_range(transform, argnums):
    check(
        lambda: transform(np.sum, argnums)(VECTOR),
        errors.StructureError,
        repr(argnums),
        "has 1",
        "from 0",
    )


def test_an_argument_by_name_has_no_position():
    def loss(w):
        return np.sum(w)

    check(lambda: cr.grad(loss)(w=VECTOR), errors.StructureError, "has 0", "by position")


@pytest.mark.parametrize(
    ("f", "g", "says"),
    [
        (np.sin, np.ones(4), "shape [3], got float64[4]"),
        (np.sin, 1.0, "shape [3], got float64[]"),
        (np.sin, np.ones(3, complex), "complex128[3]"),
        (np.sin, "g", "shape [3]"),
        (np.sin, None, "got None"),
        (np.sin, (VECTOR,), "got (*,)"),
        (lambda x: (x, x), VECTOR, "structure (*, *)"),
        (lambda x: (x, x), (VECTOR,), "got (*,)"),
        (lambda x: {"a": x}, {"b": VECTOR}, "{'a': *}"),
        (lambda x: {"a": x}, {"a": np.ones(2)}, "float64[2]"),
    ],
)
def test_pull_needs_a_cotangent_like_the_result(f, g, says):
    _, pull = cr.vjp(f, VECTOR)
    check(lambda: pull(g), errors.StructureError, "pull", says, "structure")


@pytest.mark.parametrize(
    ("xs", "dxs", "says"),
    [
        ((VECTOR,), (np.ones(4),), "shape [3], got float64[4]"),
        ((VECTOR,), (VECTOR, VECTOR), "1 and 2"),
        ((VECTOR,), (), "1 and 0"),
        (VECTOR, VECTOR, "ndarray"),
        ((VECTOR,), (VECTOR * 1j,), "complex128[3]"),
        (({"a": VECTOR},), ({"b": VECTOR},), "{'a': *}"),
    ],
)
@pytest.mark.parametrize("name", ["jvp", "hvp"])
def test_tangents_are_like_the_arguments(name, xs, dxs, says):
    def f(x):
        return np.sum(x["a"] if isinstance(x, dict) else x)

    check(lambda: getattr(cr, name)(f, xs, dxs), errors.StructureError, name, says)


@pytest.mark.parametrize(
    ("xs", "axes", "kind", "says"),
    [
        ((VECTOR, np.ones(4)), 0, errors.ShapeError, ["[3, 4]", "float64[4]", "in_axes=None"]),
        ((VECTOR, MATRIX), (0, 1), None, []),
        ((VECTOR, MATRIX), 0, errors.ShapeError, ["float64[2, 3]"]),
        ((VECTOR, VECTOR), (0,), errors.StructureError, ["has 2", "(0,)"]),
        ((VECTOR, VECTOR), (0, "a"), errors.StructureError, ["'a'"]),
        ((VECTOR, VECTOR), None, errors.ShapeError, ["no mapped argument"]),
        ((VECTOR, 1.0), 0, errors.ShapeError, ["argument y", "float64[]", "in_axes=None"]),
        ((VECTOR, VECTOR), 1, errors.ShapeError, ["axis 1", "argument x", "float64[3]"]),
    ],
)
def test_vmap_needs_one_number_of_examples(xs, axes, kind, says):
    def f(x, y):
        return np.sum(x) * np.sum(y)

    if kind is None:
        assert cr.vmap(f, axes)(*xs).shape == (3,)
    else:
        check(lambda: cr.vmap(f, axes)(*xs), kind, *says)


# ------------------------------------------------------------------------- optional packages


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "chainrule.interop.onnx", raising=False)
    error = check(
        lambda: importlib.import_module("chainrule.interop.onnx"),
        errors.MissingExtraError,
        "onnx",
        'pip install "chainrule[onnx]"',
    )
    assert isinstance(error, ImportError)
