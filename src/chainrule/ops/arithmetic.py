"""Arithmetic, powers, roots, exponentials and logarithms, element by element."""

from __future__ import annotations

import math

import numpy as np

from chainrule.graph import Case, Written
from chainrule.ops.declare import called_by, elementwise
from chainrule.ops.readable import (
    as_difference,
    as_product,
    as_quotient,
    as_reversed_difference,
    as_root_undone,
    as_softmax,
    as_sum,
)
from chainrule.ops.rewriting import made_by, other_unless_one, same_unless_one

_POSITIVE = (0.3, 2.0)
_LN2 = math.log(2.0)
_LN10 = math.log(10.0)


@elementwise(
    1,
    1,
    latex="<a> + <b>",
    written=Written("<a> + <b>", simpler=as_sum),
    onnx="Add",
    numpy=np.add,
)
def add(a, b):
    """Sum, element by element."""
    return np.add(a, b)


@elementwise(
    1,
    -1,
    latex="<a> - <b>",
    written=Written("<a> - <b>", simpler=as_difference),
    onnx="Sub",
    numpy=np.subtract,
)
def subtract(a, b):
    """Difference, element by element."""
    return np.subtract(a, b)


@elementwise(
    lambda b: b,
    lambda a: a,
    latex=r"<a> \cdot <b>",
    written=Written(
        "<a> * <b>",
        latex=lambda a, b: r"<a> \odot <b>" if a.ndim and b.ndim else r"<a> \, <b>",
        simpler=as_product,
    ),
    onnx="Mul",
    numpy=np.multiply,
    rewrite=other_unless_one,
)
def multiply(a, b):
    """Product, element by element."""
    return np.multiply(a, b)


@elementwise(
    lambda b: 1 / b,
    lambda b, y: -y / b,
    latex=r"\frac{<a>}{<b>}",
    written=Written("<a> / <b>", simpler=as_quotient, folded=False),
    onnx="Div",
    numpy=np.true_divide,
    domain=(0.5, 2.0),
    rewrite=same_unless_one,
)
def divide(a, b):
    """Quotient, element by element."""
    return np.true_divide(a, b)


def _remainder_in_onnx(e, a, b):
    if a.dtype.kind in "iu":
        return e.Mod(a, b)
    return e.Sub(a, e.Mul(b, e.Floor(e.Div(a, b))))


def _floor_divide_in_onnx(e, a, b):
    if a.dtype.kind in "iu":  # ONNX truncates a quotient of integers, so it has to come out even
        return e.Div(e.Sub(a, e.Mod(a, b)), b)
    return e.Floor(e.Div(a, b))


@elementwise(
    1,
    lambda a, b: -np.floor_divide(a, b),
    latex=r"<a> \bmod <b>",
    written="<a> % <b>",
    onnx=_remainder_in_onnx,
    numpy=(np.remainder, np.mod),
    domain=((-3.0, 3.0), (0.6, 1.4)),
    kink=lambda a, b: np.abs(a / b - np.round(a / b)),
)
def remainder(a, b):
    """Remainder of the floored quotient; it has the sign of b."""
    return np.remainder(a, b)


@elementwise(
    1,
    lambda a, b: -np.trunc(a / b),
    latex=r"\mathrm{fmod}(<a>, <b>)",
    onnx=lambda e, a, b: e.Mod(a, b, fmod=1),
    numpy=np.fmod,
    domain=((-3.0, 3.0), (0.6, 1.4)),
    kink=lambda a, b: np.abs(a / b - np.round(a / b)),
)
def fmod(a, b):
    """Remainder of the truncated quotient; it has the sign of a."""
    return np.fmod(a, b)


@elementwise(
    why="a step function is flat but at its steps",
    latex=r"\left\lfloor \frac{<a>}{<b>} \right\rfloor",
    written="<a> // <b>",
    onnx=_floor_divide_in_onnx,
    numpy=np.floor_divide,
    domain=(0.6, 1.9),
    kink=lambda a, b: np.abs(a / b - np.round(a / b)),
)
def floor_divide(a, b):
    """Quotient rounded down."""
    return np.floor_divide(a, b)


@elementwise(
    -1,
    latex="-<x>",
    written=Written("-<x>", simpler=as_reversed_difference),
    onnx="Neg",
    numpy=np.negative,
    rewrite=lambda x: (made_by(x, "negative") or [None])[0],
)
def negative(x):
    """The number with its sign flipped."""
    return np.negative(x)


@elementwise(
    1,
    latex="<x>",
    written="<x>",
    onnx="Identity",
    numpy=(np.positive, np.copy),
    rewrite=lambda x: x,
)
def positive(x):
    """The number itself."""
    return np.positive(x)


@elementwise(
    lambda y: -y * y,
    latex=r"\frac{1}{<x>}",
    onnx="Reciprocal",
    numpy=np.reciprocal,
    domain=(0.5, 2.0),
)
def reciprocal(x):
    """One over x."""
    return np.reciprocal(x)


@elementwise(
    lambda x: 2 * x,
    latex="<x>^2",
    written=Written("<x> ** 2", simpler=as_root_undone),
    onnx=lambda e, x: e.Mul(x, x),
    numpy=np.square,
)
def square(x):
    """The second power."""
    return np.square(x)


@elementwise(lambda y: 0.5 / y, latex=r"\sqrt{<x>}", onnx="Sqrt", numpy=np.sqrt, domain=_POSITIVE)
def sqrt(x):
    """The square root; its slope at 0 is infinite."""
    return np.sqrt(x)


@elementwise(
    lambda y: 1 / (3 * y * y),
    latex=r"\sqrt[3]{<x>}",
    onnx=lambda e, x: e.Mul(e.Sign(x), e.Pow(e.Abs(x), e.number(1 / 3, x))),
    numpy=np.cbrt,
    domain=_POSITIVE,
)
def cbrt(x):
    """The cube root, of negative numbers too."""
    return np.cbrt(x)


def _slope_of_base(a, b):
    """Return b a^(b-1), which is 0 where b is 0, whatever a is."""
    return np.where(b == 0, 0, b * power(a, np.where(b == 0, 1, b - 1)))


def _slope_of_exponent(a, b, y):
    """Return a^b log a, which is 0 where a is 0 and b is not negative: the limit from above."""
    at_zero = np.logical_and(a == 0, b >= 0)
    return np.where(at_zero, 0, y * log(np.where(at_zero, 1, a)))


@elementwise(
    _slope_of_base,
    _slope_of_exponent,
    latex="{<a>}^{<b>}",
    written="<a> ** <b>",
    onnx="Pow",
    numpy=(np.power, np.pow),
    domain=((0.5, 2.0), (-2.0, 2.0)),
    rewrite=same_unless_one,
)
def power(a, b):
    """The power a^b."""
    return np.power(a, b)


@called_by(np.float_power)
def float_power(a, b):
    """The power a^b, in float64 at least."""
    return power(a * np.float64(1), b)


@elementwise(
    lambda y: y,
    latex="e^{<x>}",
    written=Written(simpler=as_softmax),
    onnx="Exp",
    numpy=np.exp,
)
def exp(x):
    """The exponential."""
    return np.exp(x)


@elementwise(
    lambda y: _LN2 * y,
    latex="2^{<x>}",
    onnx=lambda e, x: e.Exp(e.Mul(x, e.number(_LN2, x))),
    numpy=np.exp2,
)
def exp2(x):
    """The power of two."""
    return np.exp2(x)


@elementwise(
    lambda y: y + 1,
    latex="e^{<x>} - 1",
    onnx=lambda e, x: e.Sub(e.Exp(x), e.number(1, x)),
    numpy=np.expm1,
)
def expm1(x):
    """The exponential less one, exact near 0."""
    return np.expm1(x)


@elementwise(lambda x: 1 / x, latex=r"\log <x>", onnx="Log", numpy=np.log, domain=_POSITIVE)
def log(x):
    """The natural logarithm."""
    return np.log(x)


@elementwise(
    lambda x: 1 / (_LN2 * x),
    latex=r"\log_2 <x>",
    onnx=lambda e, x: e.Div(e.Log(x), e.number(_LN2, x)),
    numpy=np.log2,
    domain=_POSITIVE,
)
def log2(x):
    """The logarithm to base 2."""
    return np.log2(x)


@elementwise(
    lambda x: 1 / (_LN10 * x),
    latex=r"\log_{10} <x>",
    onnx=lambda e, x: e.Div(e.Log(x), e.number(_LN10, x)),
    numpy=np.log10,
    domain=_POSITIVE,
)
def log10(x):
    """The logarithm to base 10."""
    return np.log10(x)


@elementwise(
    lambda x: 1 / (1 + x),
    latex=r"\log(1 + <x>)",
    onnx=lambda e, x: e.Log(e.Add(x, e.number(1, x))),
    numpy=(np.log1p, "log1p"),
    domain=(-0.5, 2.0),
)
def log1p(x):
    """The natural logarithm of 1 + x, exact near 0."""
    return np.log1p(x)


@elementwise(
    lambda a, y: exp(np.where(y == -np.inf, -np.inf, a - y)),
    lambda b, y: exp(np.where(y == -np.inf, -np.inf, b - y)),
    latex=r"\log(e^{<a>} + e^{<b>})",
    onnx=lambda e, a, b: e.Add(
        e.Max(a, b), e.Log(e.Add(e.number(1, a), e.Exp(e.Neg(e.Abs(e.Sub(a, b))))))
    ),
    numpy=np.logaddexp,
)
def logaddexp(a, b):
    """The logarithm of the sum of two exponentials, without overflow."""
    return np.logaddexp(a, b)


@elementwise(
    lambda a, y: exp2(np.where(y == -np.inf, -np.inf, a - y)),
    lambda b, y: exp2(np.where(y == -np.inf, -np.inf, b - y)),
    latex=r"\log_2(2^{<a>} + 2^{<b>})",
    onnx=lambda e, a, b: e.Add(
        e.Max(a, b),
        e.Div(
            e.Log(
                e.Add(
                    e.number(1, a),
                    e.Exp(e.Mul(e.number(-_LN2, a), e.Abs(e.Sub(a, b)))),
                )
            ),
            e.number(_LN2, a),
        ),
    ),
    numpy=np.logaddexp2,
)
def logaddexp2(a, b):
    """The logarithm to base 2 of the sum of two powers of two, without overflow."""
    return np.logaddexp2(a, b)


def _share_of_hypot(x, y):
    """Return x / y, which is 0 where both sides of the triangle are."""
    return np.where(y == 0, 0, x / np.where(y == 0, 1, y))


@elementwise(
    lambda a, y: _share_of_hypot(a, y),
    lambda b, y: _share_of_hypot(b, y),
    latex=r"\sqrt{<a>^2 + <b>^2}",
    onnx=lambda e, a, b: e.Sqrt(e.Add(e.Mul(a, a), e.Mul(b, b))),
    numpy=np.hypot,
    domain=(0.3, 2.0),
    cases=(Case((2, 3), (2, 3)), Case((2, 1), (3,))),
)
def hypot(a, b):
    """The length of the hypotenuse, without overflow; its slope at 0 is taken as 0."""
    return np.hypot(a, b)
