"""What is made of pieces: absolute values, steps, comparisons, choices, casts."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.graph import Case, Each, answer
from chainrule.ops.arithmetic import floor_divide, remainder
from chainrule.ops.batching import aligned
from chainrule.ops.declare import broadcast_shape, called_by, elementwise, linear
from chainrule.ops.rewriting import is_number

_STEP = "a step function is flat but at its steps"
_OFF_INTEGER: dict[str, Any] = {"kink": lambda x: np.abs(x - np.round(x))}
_OFF_HALF: dict[str, Any] = {"kink": lambda x: np.abs(x - np.floor(x) - 0.5)}


@elementwise(
    lambda x: np.sign(x),
    latex=r"\lvert <x> \rvert",
    onnx="Abs",
    numpy=(np.absolute, np.fabs),
    kink=np.abs,
)
def absolute(x):
    """The absolute value; its slope at 0 is taken as 0."""
    return np.absolute(x)


@elementwise(why=_STEP, latex=r"\mathrm{sign}(<x>)", onnx="Sign", numpy=np.sign, kink=np.abs)
def sign(x):
    """-1, 0 or 1."""
    return np.sign(x)


def _signbit_in_onnx(e, x):
    """Say whether a number is negative; one over -0 is too."""
    zero = e.number(0, x)
    return e.Or(e.Less(x, zero), e.Less(e.Reciprocal(x), zero))


@elementwise(
    lambda a, b: np.sign(a) * (1 - 2 * np.signbit(b).astype(a.dtype)),
    0.0,
    latex=r"\mathrm{copysign}(<a>, <b>)",
    onnx=lambda e, a, b: e.Where(_signbit_in_onnx(e, b), e.Neg(e.Abs(a)), e.Abs(a)),
    numpy=np.copysign,
    kink=lambda a, b: np.minimum(np.abs(a), np.abs(b)),
)
def copysign(a, b):
    """The size of a with the sign of b."""
    return np.copysign(a, b)


@elementwise(why=_STEP, onnx=_signbit_in_onnx, numpy=np.signbit, kink=np.abs)
def signbit(x):
    """Whether the sign is negative, also that of -0."""
    return np.signbit(x)


@elementwise(why=_STEP, latex=r"\lfloor <x> \rfloor", onnx="Floor", numpy=np.floor, **_OFF_INTEGER)
def floor(x):
    """The next lower integer."""
    return np.floor(x)


@elementwise(why=_STEP, latex=r"\lceil <x> \rceil", onnx="Ceil", numpy=np.ceil, **_OFF_INTEGER)
def ceil(x):
    """The next higher integer."""
    return np.ceil(x)


@elementwise(
    why=_STEP,
    onnx=lambda e, x: e.Mul(e.Sign(x), e.Floor(e.Abs(x))),
    numpy=(np.trunc, getattr(np, "fix", np.trunc)),  # fix is deprecated since NumPy 2.5
    **_OFF_INTEGER,
)
def trunc(x):
    """The integer part."""
    return np.trunc(x)


@elementwise(why=_STEP, onnx="Round", numpy=np.rint, **_OFF_HALF)
def rint(x):
    """The nearest integer, the even one between two."""
    return np.rint(x)


@called_by(np.round, np.around)
def round_(x, decimals=0):
    """The nearest decimal number with so many places; it has no slope."""
    return rint(x) if decimals == 0 else rint(x * 10.0**decimals) / 10.0**decimals


@elementwise(
    lambda a, b: _share(a > b, a == b, a),
    lambda a, b: _share(b > a, a == b, b),
    latex=r"\max(<a>, <b>)",
    onnx="Max",
    numpy=np.maximum,
    kink=lambda a, b: np.abs(a - b),
)
def maximum(a, b):
    """The larger of two; a tie gives each half of the slope."""
    return np.maximum(a, b)


@elementwise(
    lambda a, b: _share(a < b, a == b, a),
    lambda a, b: _share(b < a, a == b, b),
    latex=r"\min(<a>, <b>)",
    onnx="Min",
    numpy=np.minimum,
    kink=lambda a, b: np.abs(a - b),
)
def minimum(a, b):
    """The smaller of two; a tie gives each half of the slope."""
    return np.minimum(a, b)


def _share(wins, ties, like):
    """Return 1 where an operand wins, ½ where it ties, in the dtype of the operand."""
    one = like.dtype.type(1)
    return np.where(wins, one, np.where(ties, one / 2, one * 0))


def _is_literal_zero(x):
    return type(x) in (int, float) and x == 0


@called_by(np.maximum)
def _maximum_or_relu(a, b):
    """The larger of two, or the rectifier where one is the literal zero."""
    if _is_literal_zero(a):
        return relu(b)
    return relu(a) if _is_literal_zero(b) else maximum(a, b)


@called_by(np.fmax)
def fmax(a, b):
    """The larger of two, the number where one is not one."""
    return np.where(np.isnan(a), b, np.where(np.isnan(b), a, np.maximum(a, b)))


@called_by(np.fmin)
def fmin(a, b):
    """The smaller of two, the number where one is not one."""
    return np.where(np.isnan(a), b, np.where(np.isnan(b), a, np.minimum(a, b)))


@elementwise(
    lambda y: (y > 0).astype(y.dtype),
    latex=r"\max(0, <x>)",
    written="np.maximum(0, <x>)",
    onnx="Relu",
    kink=np.abs,
)
def relu(x):
    """The rectifier max(0, x); its slope at 0 is taken as 0."""
    return np.maximum(x, x.dtype.type(0) if hasattr(x, "dtype") else 0)


@linear(
    lambda g, c: np.where(c, g, g.dtype.type(0)),
    lambda g, c: np.where(c, g.dtype.type(0), g),
    flat=("c",),
    form=Each(),
    shape=lambda c, a, b: broadcast_shape("where", c, a, b),
    batch=aligned(0),
    rewrite=lambda c, a, b: _known_branch(c, a, b),
    written="np.where(<c>, <a>, <b>)",
    latex=r"\begin{cases} <a> & <c> \\ <b> & \text{otherwise} \end{cases}",
    onnx=lambda e, c, a, b: e.Where(e.Cast(c, to=e.type("bool")), a, b),
    cases=[
        Case(lambda r: r.random((2, 3)) < 0.5, (2, 3), (2, 3)),
        Case(lambda r: r.random((4, 1)) < 0.5, (3,), (2, 1, 1)),
        Case(lambda r: r.random(()) < 0.5, (), ()),
    ],
)
def where_(c, a, b):
    """Take a where c holds, else b."""
    return np.where(c, a, b)[()]


def _known_branch(c, a, b):
    """Return the branch that is taken everywhere, as far as that is known."""
    if c.shape == () and a.index == b.index:
        return a
    if is_number(c, 1):
        return a
    return b if is_number(c, 0) else None


@called_by(np.where)
def _where_or_nonzero(condition, *branches):
    """Take one of two branches; without branches, the places where the condition holds."""
    return where_(condition, *branches) if branches else answer(np.nonzero, condition)


@elementwise(
    lambda x, low, high: np.logical_and(x > low, np.maximum(x, low) < high).astype(x.dtype),
    lambda x, low, high: np.logical_and(x < low, low < high).astype(x.dtype),
    lambda x, low, high: (np.maximum(x, low) > high).astype(x.dtype),
    latex=r"\mathrm{clip}(<x>, <low>, <high>)",
    written="np.clip(<x>, <low>, <high>)",
    onnx=lambda e, x, low, high: e.Min(e.Max(x, low), high),
    domain=((-2.0, 2.0), (-1.0, -0.5), (0.5, 1.0)),
    kink=lambda x, low, high: np.minimum(np.abs(x - low), np.abs(x - high)),
)
def clamp(x, low, high):
    """The number kept between two bounds; its slope at and beyond them is taken as 0."""
    return np.minimum(np.maximum(x, low), high)


@called_by(np.clip)
def clip(x, low=None, high=None, *, min=None, max=None):
    """The number kept between bounds, either of which may be missing."""
    low, high = (min if low is None else low), (max if high is None else high)
    if np.issubdtype(np.result_type(x), np.inexact):
        return clamp(x, -np.inf if low is None else low, np.inf if high is None else high)
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


@linear(
    lambda g, x: g.astype(x.dtype),
    shape=lambda x, dtype: x.shape,
    dtype=lambda x, dtype: dtype,
    settle=lambda x, dtype: {"dtype": np.dtype(dtype)},
    batch=aligned(0),
    form=Each(),
    rewrite=lambda x, dtype: x if x.dtype == dtype else None,
    latex="<x>",
    written="<x>.astype(<dtype>)",
    onnx=lambda e, x, dtype: e.Cast(x, to=e.type(dtype)),
    cases=[Case((2, 3), dtype="float64"), Case((), dtype="float64")],
)
def cast(x, *, dtype):
    """The same numbers in another floating-point type."""
    return (x if hasattr(x, "dtype") else np.asarray(x)).astype(dtype)[()]


@elementwise(
    why="whole numbers and truth values do not change but at jumps",
    written="<x>.astype(<dtype>)",
    onnx=lambda e, x, dtype: e.Cast(x, to=e.type(dtype)),
    cases=[Case((2, 3), dtype="int64"), Case((), dtype="bool")],
    settle=lambda x, dtype: {"dtype": np.dtype(dtype)},
    kink=lambda x, **_: np.abs(x - np.round(x)),
)
def discretise(x, *, dtype):
    """The numbers as whole numbers or truth values."""
    return (x if hasattr(x, "dtype") else np.asarray(x)).astype(dtype)[()]


@called_by(np.astype)
def astype(x, dtype):
    """The numbers in another type."""
    dtype = np.dtype(dtype)
    if dtype == x.dtype:
        return x
    return (cast if np.issubdtype(dtype, np.inexact) else discretise)(x, dtype=dtype)


@elementwise(why="declared constant by whoever wrote it", latex="<x>", onnx="Identity")
def stop_gradient(x):
    """The number itself, as a constant: no derivative passes through.

    Examples
    --------
    >>> import chainrule
    >>> chainrule.grad(lambda x: x * stop_gradient(x))(3.0)
    np.float64(3.0)
    """
    return np.positive(x)


@called_by(np.heaviside)
def heaviside(x, at_zero):
    """The step from 0 to 1, with the value given at 0; it has no slope in x."""
    one = np.result_type(x, at_zero).type(1)
    step = np.where(np.greater(x, 0), one, np.where(np.isnan(x), one * np.nan, one * 0))
    return np.where(np.equal(x, 0), at_zero, step)


@called_by(np.nan_to_num)
def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    """The numbers with NaN and infinities replaced; replaced ones have no slope."""
    limits = np.finfo(x.dtype)
    x = np.where(np.isnan(x), nan, x)
    x = np.where(x == np.inf, limits.max if posinf is None else posinf, x)
    return np.where(x == -np.inf, limits.min if neginf is None else neginf, x)


@called_by(np.divmod)
def divmod_(a, b):
    """The quotient rounded down, and the remainder."""
    return floor_divide(a, b), remainder(a, b)


@called_by(np.select)
def select(conditions, choices, default=0):
    """The first choice whose condition holds, else the default."""
    dtype = np.result_type(*choices, default)
    y, *typed = [dtype.type(x) if type(x) in {int, float} else x for x in (default, *choices)]
    for condition, choice in zip(reversed(conditions), reversed(typed), strict=True):
        y = np.where(condition, choice, y)
    return y
