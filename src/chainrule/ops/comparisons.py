"""Truth values: comparisons, what joins them, and whether a number is one."""

from __future__ import annotations

import numpy as np

from chainrule.errors import NoOpError
from chainrule.graph import Written
from chainrule.ops.declare import called_by, elementwise
from chainrule.ops.readable import as_false, as_sign_of_operand

_TRUTH = "a truth value does not change but at jumps"


def _comparison(numpy, symbol, sign, onnx, simpler=None):
    """Declare a comparison of two numbers."""

    def compare(a, b):
        return numpy(a, b)

    compare.__name__ = numpy.__name__
    compare.__doc__ = f"Whether <a> {symbol} <b>, element by element."
    return elementwise(
        why=_TRUTH,
        latex=f"[<a> {symbol} <b>]",
        written=Written(f"<a> {sign} <b>", simpler=simpler),
        onnx=onnx,
        numpy=numpy,
        kink=lambda a, b: np.abs(a - b),
    )(compare)


greater = _comparison(np.greater, ">", ">", "Greater", simpler=as_sign_of_operand)


greater_equal = _comparison(np.greater_equal, r"\ge", ">=", "GreaterOrEqual")


less = _comparison(np.less, "<", "<", "Less")


less_equal = _comparison(np.less_equal, r"\le", "<=", "LessOrEqual")


equal = _comparison(np.equal, "=", "==", "Equal")


not_equal = _comparison(np.not_equal, r"\ne", "!=", lambda e, a, b: e.Not(e.Equal(a, b)))


def _logical(numpy, symbol, onnx, simpler=None):
    """Declare a combination of two truth values."""

    def combine(a, b):
        return numpy(a, b)

    combine.__name__ = numpy.__name__
    combine.__doc__ = f"Whether <a> {symbol} <b>, element by element."
    return elementwise(
        why=_TRUTH,
        latex=rf"<a> {symbol} <b>",
        written=Written(simpler=simpler),
        numpy=numpy,
        onnx=lambda e, a, b: e.emit(
            onnx, e.Cast(a, to=e.type("bool")), e.Cast(b, to=e.type("bool"))
        ),
    )(combine)


logical_and = _logical(np.logical_and, r"\wedge", "And", simpler=as_false)


logical_or = _logical(np.logical_or, r"\vee", "Or")


logical_xor = _logical(np.logical_xor, r"\oplus", "Xor")


@elementwise(
    why=_TRUTH,
    latex=r"\neg <x>",
    onnx=lambda e, x: e.Not(e.Cast(x, to=e.type("bool"))),
    numpy=np.logical_not,
)
def logical_not(x):
    """Whether x is zero."""
    return np.logical_not(x)


@elementwise(why=_TRUTH, onnx="IsNaN", numpy=np.isnan)
def isnan(x):
    """Whether x is not a number."""
    return np.isnan(x)


@elementwise(why=_TRUTH, onnx="IsInf", numpy=np.isinf)
def isinf(x):
    """Whether x is infinite."""
    return np.isinf(x)


@called_by(np.isfinite)
def isfinite(x):
    """Whether x is a number and finite."""
    return logical_not(logical_or(isnan(x), isinf(x)))


def _on_truth_values(bitwise, logical):
    """Let an operator such as & act on truth values, and refuse it on numbers."""

    @called_by(bitwise)
    def act(*xs):
        if any(np.result_type(x) != np.bool_ for x in xs):
            raise NoOpError(f"np.{bitwise.__name__} is traced on truth values alone.")
        return logical(*xs)


_on_truth_values(np.bitwise_and, logical_and)


_on_truth_values(np.bitwise_or, logical_or)


_on_truth_values(np.bitwise_xor, logical_xor)


_on_truth_values(np.invert, logical_not)
