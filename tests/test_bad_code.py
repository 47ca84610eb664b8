"""NumPy code that cannot be traced: branches on shapes, missing ops, writes, lost derivatives."""

import importlib
import math
import re
from pathlib import Path

import numpy as np
import pytest
from bad_calls import MATRIX, SQUARE, VECTOR, bad, check, gradient

import chainrule as cr
from chainrule import Spec, errors, ops
from chainrule.graph import OPS

HERE = Path(__file__).name


# ------------------------------------------------------------------------- branches on shapes


BRANCHES = [
    bad(lambda v: v if v.sum() > 0 else -v, "a branch", "bool[]", "np.where"),
    bad(lambda v: v.any() and v, "a branch"),
    bad(lambda v: max(v[0, 0], v[0, 1]), "a branch"),
    bad(lambda v: sorted(v[0]), "a branch"),
    bad(lambda v: v * (3.0 in v), "a branch"),
    bad(lambda v: float(v[0, 0]), "float()", "float64[]"),
    bad(lambda v: int(v[0, 0]), "int()"),
    bad(lambda v: math.sin(v[0, 0]), "float()"),
    bad(lambda v: v[0, 0].item(), "float()"),
    bad(lambda v: list(range(np.argmax(v))), "an index", "int64[]"),
    bad(lambda v: VECTOR[np.argmax(v)], "plain array", "take(a, i)"),
    bad(lambda v: v[v > 0], "a mask as an index", "bool[2, 3]", "np.where(mask, x, 0)"),
]


@pytest.mark.parametrize(("f", "x", "says"), BRANCHES)
def test_a_branch_on_a_value_of_which_only_the_shape_is_known(f, x, says):
    check(lambda: cr.trace(f, Spec(x.shape)), errors.BranchError, *says)
    check(lambda: cr.vmap(f)(x[None]), errors.BranchError, *says)


@pytest.mark.parametrize(("f", "x", "says"), BRANCHES[:4])
def test_the_same_branch_on_a_number_is_fine(f, x, says):
    assert cr.trace(f, x).outputs


def test_a_graph_that_branched_is_not_evaluated_on_other_numbers():
    graph = cr.trace(lambda x: x if x > 0 else -x, np.float64(1.0))
    check(
        lambda: graph.evaluate(np.float64(-1.0)),
        errors.SpecialisedError,
        "branched",
        "chainrule.Spec",
    )


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ((), "got 0"),
        ((MATRIX,), "needs float64[3], got float64[2, 3]"),
        ((np.ones(3, np.float32),), "got float32[3]"),
        ((2.0,), "got float64[]"),
    ],
    ids=str,
)
def test_a_graph_is_evaluated_on_arrays_like_its_inputs(arrays, says):
    graph = cr.trace(lambda x: x * 2.0, VECTOR)
    check(lambda: graph.evaluate(*arrays), errors.StructureError, says)


# ------------------------------------------------------------------------- NumPy without an op


NO_OP = [
    bad(lambda v: np.interp(v, VECTOR, VECTOR), "np.interp", "nearest", "np.inner"),
    bad(np.fft.fft, "np.fft.fft", "nearest", "float64[2, 3]"),
    bad(np.linalg.svd, "np.linalg.svd", "nearest", "np.linalg."),
    bad(lambda v: np.add.outer(v, v), "np.add.outer", "np.outer"),
    bad(np.subtract.accumulate, "np.subtract.accumulate", "nearest"),
    bad(lambda v: np.linspace(0.0, v[0, 0], 3), "np.linspace", "stop_gradient"),
    bad(lambda v: np.add(v, 1.0, dtype="f4"), "np.add", "dtype"),
    bad(lambda v: np.add(v, 1.0, where=MATRIX > 0), "np.add", "where", "np.where"),
    bad(lambda v: np.einsum(v, [0, 1], [0]), "subscripts as text", "ij,jk->ik"),
    bad(lambda v: np.linalg.norm(v, ord="nuc"), "ord='nuc'"),
    bad(lambda v: v & v, "truth values"),
    bad(lambda v: v.byteswap(), "no byteswap", "float64[2, 3]"),
    bad(lambda v: v.flat[0], "no flat"),
    bad(lambda v: np.where(v > 0, v), "np.where", "'b'", "bool[2, 3]"),
    bad(lambda v: np.tril(v[0, 0]), "np.tril", "float64[]"),
]


@pytest.mark.parametrize(("f", "x", "says"), NO_OP)
def test_what_has_no_op_is_named_with_what_is_near(f, x, says):
    check(lambda: gradient(f, x), errors.NoOpError, *says)


def test_the_nearest_function_exists():
    with pytest.raises(errors.NoOpError) as caught:
        gradient(np.nanmedian, MATRIX)
    near = caught.value.advice.partition("np.")[2].partition(" ")[0].rstrip(".")
    module, _, name = f"numpy.{near}".rpartition(".")
    nearest = getattr(importlib.import_module(module), name)
    assert np.isfinite(gradient(nearest, MATRIX)).all()


@pytest.mark.parametrize(
    ("f", "says"),
    [
        (lambda v: ops.sin(v, 1, 2), "sin takes (x), got 3"),
        (lambda v: ops.softmax(v, axes=1), "softmax takes (x, axis=-1); it has no axes"),
        (OPS["reshape"], "reshape takes (x, shape), got 1"),
        (lambda v: len(v[0, 0]), "without axes"),
    ],
)
def test_a_wrong_call_of_an_op_is_pythons_type_error(f, says):
    with pytest.raises(TypeError, match=re.escape(says)):
        gradient(f, MATRIX)


def test_hasattr_tells_which_methods_there_are():
    def f(v):
        assert hasattr(v, "reshape")
        assert not hasattr(v, "byteswap")
        assert not hasattr(v, "nothing_of_the_kind")
        return v

    gradient(f, MATRIX)


# ------------------------------------------------------------------------- in-place writes


def set_item(v):
    v[0] = 1.0
    return v


def set_mask(v):
    v[MATRIX > 2] = v[0, 0]
    return v


def delete_item(v):
    del v[0]
    return v


def add_to_array(v):
    a = MATRIX.copy()
    a += v
    return a


def multiply_array(v):
    a = np.eye(2)
    a @= v
    return a


def add_at(v):
    a = MATRIX.copy()
    np.add.at(a, [0], v)
    return a


def copy_to(v):
    a = MATRIX.copy()
    np.copyto(a, v)
    return a


IN_PLACE = [
    bad(set_item, "written to", "np.where(mask"),
    bad(set_mask, "written to", "float64[2, 3]"),
    bad(delete_item, "written to"),
    bad(add_to_array, "np.add", "float64[2, 3]", "a = a + b"),
    bad(multiply_array, "np.matmul", "float64[2, 2]"),
    bad(add_at, "np.add.at"),
    bad(copy_to, "np.copyto"),
    bad(lambda v: np.add.at(v, [0], 1.0), "np.add.at"),
    bad(lambda v: np.put(MATRIX.copy(), [0], v[0]), "np.put"),
    bad(lambda v: np.fill_diagonal(v, 0.0), "np.fill_diagonal"),
    bad(lambda v: np.sin(MATRIX, out=v), "np.sin", "`out=`"),
    bad(lambda v: np.sin(v, out=MATRIX.copy()), "np.sin"),
    bad(lambda v: v.sum(axis=0, out=np.zeros(3)), "np.sum"),
    bad(lambda v: v.sort(), "written to"),
    bad(lambda v: v.fill(0.0), "written to"),
]


@pytest.mark.parametrize(("f", "x", "says"), IN_PLACE)
def test_in_place_writes(f, x, says):
    check(lambda: gradient(f, x), errors.InPlaceError, *says)


def test_augmented_assignment_to_a_traced_value_makes_a_new_one():
    """Python binds the name anew there, and the old value stays what it was."""

    def f(v):
        before = v
        v += 1.0
        return v * before

    np.testing.assert_array_equal(gradient(f, VECTOR), 2 * VECTOR + 1)


# ------------------------------------------------------------------------- lost derivatives


LOST = [
    bad(lambda v: np.array([v, v]), "np.stack", "float64[2, 3]"),
    bad(lambda v: np.array([v[0, 0], v[0, 1]]), "np.stack"),
    bad(np.asarray, "plain array"),
    bad(lambda v: SQUARE.dot(v.T), "np.dot(a, v)"),
    bad(lambda v: SQUARE[v], "take(a, v"),
    bad(lambda v: np.full(2, v[0, 0]), "np.where(mask, v, a)"),
    bad(lambda v: math.sin(v[0, 0]), "np.sin for math.sin"),
    bad(lambda v: float(v[0, 0]), "float()", "float64[]"),
    bad(lambda v: int(v[0, 0]), "int()"),
    bad(lambda v: v[0, 0].item(), "stop_gradient"),
    bad(lambda v: v[0, 0].tolist(), "float()"),
    bad(lambda v: v.tolist(), "float()", "np.stack"),
    bad(lambda v: [1, 2][v[0, 0]], "not an integer", "stop_gradient"),
    bad(lambda v: range(v[0, 0]), "not an integer"),
]


@pytest.mark.parametrize(("f", "x", "says"), LOST)
def test_what_would_lose_a_derivative(f, x, says):
    check(lambda: gradient(f, x), errors.ConversionError, *says)


def test_writing_one_number_into_an_array():
    """NumPy reports this in its own words; ours, with the way out, take their place."""

    def f(v):
        a = np.zeros(3)
        a[0] = v[0, 0]
        return a

    with pytest.raises(errors.ConversionError) as caught:
        gradient(f, MATRIX)
    line = f.__code__.co_firstlineno + 2
    assert f"at {HERE}:{line}" in str(caught.value)


def test_pythons_questions_to_what_has_no_derivative_are_answered():
    def f(v):
        assert [10, 20, 30][np.argmax(v[0])] == 30
        assert round(v[0, 1]) == 1.0
        assert float(cr.stop_gradient(v[0, 1])) == 1.0
        assert 1.0 in v
        return v

    gradient(f, MATRIX)


def test_a_value_can_be_printed(capsys):
    def f(v):
        print(v, f"{v[0, 0]:.2f}")  # noqa: T201 - this is what is tested
        return v

    gradient(f, MATRIX + 0.5)
    assert "float64[2, 3]" in capsys.readouterr().out
