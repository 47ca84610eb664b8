"""Arithmetic, comparisons, pieces and bits: the ufuncs that are a few instructions each.

Each function here takes numbers of the dtype of NumPy's loop and of one width. NaN, infinities
and signed zeros are NumPy's: ``maximum`` passes NaN on and returns its second operand in a tie.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir

from chainrule.execute.native.literals import BOOL, literal, register_type
from chainrule.execute.native.values import UFUNCS, Number, convert

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["choose", "fma", "intrinsic", "is_float", "larger", "magnitude"]

_INT32 = np.dtype(np.int32)


def is_float(x: Number) -> bool:
    """Return whether a number is a floating-point one."""
    return x.dtype.kind == "f"


def intrinsic(name: str, *xs: Number) -> Number:
    """Emit LLVM's intrinsic of a name, on one or more numbers of one type."""
    x = xs[0]
    kind = register_type(x.dtype, x.width)
    lane = kind if x.width == 1 else kind.element
    full = f"llvm.{name}.{f'v{x.width}' if x.width > 1 else ''}{lane.intrinsic_name}"
    module = x.builder.module
    function = module.globals.get(full)
    if function is None:
        function = ir.Function(module, ir.FunctionType(kind, [kind] * len(xs)), full)
    return x.like(x.builder.call(function, [x.value for x in xs]))


def fma(a: Number, b: Number, c: Number) -> Number:
    """Return a·b + c, rounded once."""
    return intrinsic("fma", a, b, c)


def choose(condition: Number, a: Number, b: Number) -> Number:
    """Return a where a condition holds, else b, which are of one type."""
    return a.like(a.builder.select(condition.value, a.value, b.value))


def magnitude(x: Number) -> Number:
    """Return a floating-point number without its sign."""
    return intrinsic("fabs", x)


def bits(x: Number) -> Number:
    """Return a floating-point number's representation, as a signed integer."""
    dtype = np.dtype(f"i{x.dtype.itemsize}")
    return x.like(x.builder.bitcast(x.value, register_type(dtype, x.width)), dtype)


def from_bits(x: Number) -> Number:
    """Return the floating-point number with a representation."""
    dtype = np.dtype(f"f{x.dtype.itemsize}")
    return x.like(x.builder.bitcast(x.value, register_type(dtype, x.width)), dtype)


def _refused(what: str) -> TypeError:
    return TypeError(f"no kernel computes {what}")


# ---------------------------------------------------------------------------- arithmetic


def _arithmetic(floats: Any, integers: Any, truths: Any = None) -> Callable[..., Number]:
    """Return what emits an operation by one instruction for each kind of number."""

    def emit(a: Number, b: Number) -> Number:
        if a.dtype.kind == "f":
            return a.like(floats(a.builder, a.value, b.value, "", a.flags))
        instruction = truths if a.dtype == BOOL else integers
        return a.like(instruction(a.builder, a.value, b.value))

    return emit


_BUILDER = ir.IRBuilder
add = _arithmetic(_BUILDER.fadd, _BUILDER.add, _BUILDER.or_)
subtract = _arithmetic(_BUILDER.fsub, _BUILDER.sub)
multiply = _arithmetic(_BUILDER.fmul, _BUILDER.mul, _BUILDER.and_)
divide = _arithmetic(_BUILDER.fdiv, None)


def negative(x: Number) -> Number:
    """Return the number with its sign flipped."""
    if is_float(x):
        return x.like(x.builder.fneg(x.value))
    return x.like(x.builder.sub(literal(0, x.dtype, x.width), x.value))


def _itself(x: Number) -> Number:
    return x


def reciprocal(x: Number) -> Number:
    """Return 1/x; of integers, NumPy's is a quotient that is seldom meant."""
    if not is_float(x):
        raise _refused("the reciprocal of integers")
    return divide(x.same(1), x)


def _whole_power(x: Number, exponent: int) -> Number:
    """Return a power by products, with the bits of the exponent from its end."""
    result = None
    while exponent:
        if exponent & 1:
            result = x if result is None else multiply(result, x)
        exponent >>= 1
        x = multiply(x, x) if exponent else x
    return x.same(1) if result is None else result


def square_root(x: Number) -> Number:
    """Return √x, which the machine rounds correctly."""
    return intrinsic("sqrt", x)


def power(a: Number, b: Number) -> Number:
    """Return a to the b: products and roots where b is a constant that they serve, else libm's."""
    exponent = b.known
    if not is_float(a):
        if exponent is None or exponent < 0:
            raise _refused("powers of integers with an exponent that is not a constant >= 0")
        return _whole_power(a, exponent)
    if exponent in {0, 1, 2, 3, 4}:
        return _whole_power(a, int(exponent))
    if exponent == -1:
        return divide(a.same(1), a)
    if exponent == 0.5:
        return square_root(a)
    if exponent == -0.5:
        # the power of -0 is inf and that of -inf is 0, which a square root does not say
        root = choose(a == -math.inf, a.same(math.inf), square_root(add(a, a.same(0))))
        return divide(a.same(1), root)
    return UFUNCS["libm pow"](a, b)


# ---------------------------------------------------------------------------- comparisons


def _comparison(sign: str) -> Callable[..., Number]:
    def emit(a: Number, b: Number) -> Number:
        builder = a.builder
        if a.dtype.kind == "f":
            compare = builder.fcmp_unordered if sign == "!=" else builder.fcmp_ordered
        elif a.dtype != b.dtype:
            return _compared_by_sign(sign, a, b)
        else:
            compare = builder.icmp_signed if a.dtype.kind == "i" else builder.icmp_unsigned
        return a.like(compare(sign, a.value, b.value), BOOL)

    return emit


def _compared_by_sign(sign: str, a: Number, b: Number) -> Number:
    """Compare int64 with uint64, which have no common type: a negative one is the smaller."""
    is_first = a.dtype.kind == "i"
    signed = a if is_first else b
    verdict = sign in ({"<", "<=", "!="} if is_first else {">", ">=", "!="})
    by_size = a.like(a.builder.icmp_unsigned(sign, a.value, b.value), BOOL)
    return choose(less(signed, signed.same(0)), by_size.same(verdict), by_size)


less = _comparison("<")
less_equal = _comparison("<=")
greater = _comparison(">")
greater_equal = _comparison(">=")
equal = _comparison("==")
not_equal = _comparison("!=")


def isnan(x: Number) -> Number:
    """Return whether x is not a number."""
    return not_equal(x, x) if is_float(x) else x.like(literal(False, BOOL, x.width), BOOL)


def isinf(x: Number) -> Number:
    """Return whether x is infinite."""
    if not is_float(x):
        return isnan(x)
    return equal(magnitude(x), x.same(math.inf))


def isfinite(x: Number) -> Number:
    """Return whether x is a number and finite."""
    if not is_float(x):
        return x.like(literal(True, BOOL, x.width), BOOL)
    return less(magnitude(x), x.same(math.inf))


def signbit(x: Number) -> Number:
    """Return whether the sign is negative, also that of -0."""
    return less(bits(x), bits(x).same(0))


def _logical(truths: Any) -> Callable[..., Number]:
    def emit(a: Number, b: Number) -> Number:
        a, b = convert(a, BOOL), convert(b, BOOL)
        return a.like(truths(a.builder, a.value, b.value))

    return emit


def _bitwise(instruction: Any) -> Callable[..., Number]:
    return lambda a, b: a.like(instruction(a.builder, a.value, b.value))


def invert(x: Number) -> Number:
    """Return all bits flipped; of a truth value, the other."""
    return x.like(x.builder.not_(x.value)) if x.width == 1 else _all_flipped(x)


def _all_flipped(x: Number) -> Number:
    ones = literal(
        x.dtype == BOOL or (-1 if x.dtype.kind == "i" else _largest(x)), x.dtype, x.width
    )
    return x.like(x.builder.xor(x.value, ones))


def _largest(x: Number) -> int:
    return int(np.iinfo(x.dtype).max)


# ---------------------------------------------------------------------------- pieces


def absolute(x: Number) -> Number:
    """Return x without its sign."""
    if is_float(x):
        return magnitude(x)
    return choose(less(x, x.same(0)), negative(x), x) if x.dtype.kind == "i" else x


def sign(x: Number) -> Number:
    """Return -1, 0 or 1, of NaN NaN."""
    zero, one = x.same(0), x.same(1)
    if x.dtype.kind == "u":
        return choose(greater(x, zero), one, zero)
    below = choose(less(x, zero), x.same(-1), zero)
    signed = choose(greater(x, zero), one, below)
    return choose(isnan(x), x, signed) if is_float(x) else signed


def _is_number(x: Number) -> bool:
    """Return whether x is a constant other than NaN."""
    return x.known is not None and x.known == x.known


def larger(a: Number, b: Number) -> Number:
    """Return the larger of two; NaN if one is, the second in a tie."""
    return _extreme(a, b, "<=", "or_")


def smaller(a: Number, b: Number) -> Number:
    """Return the smaller of two; NaN if one is, the second in a tie."""
    return _extreme(a, b, ">=", "and_")


def _extreme(a: Number, b: Number, sign: str, truths: str) -> Number:
    """Return b where ``a sign b`` or b is NaN, else a, but a where that is NaN."""
    builder = a.builder
    if a.dtype == BOOL:
        return a.like(getattr(builder, truths)(a.value, b.value))
    if not is_float(a):
        return choose((less_equal if sign == "<=" else greater_equal)(a, b), b, a)
    if _is_number(b):  # the comparison is false for NaN in a, which is then passed on
        return choose(a.like(builder.fcmp_ordered(sign, a.value, b.value), BOOL), b, a)
    chosen = choose(a.like(builder.fcmp_unordered(sign, a.value, b.value), BOOL), b, a)
    return chosen if _is_number(a) else choose(isnan(a), a, chosen)


def at_least(x: Number, bound: Number) -> Number:
    """Return x or, where it is smaller, a bound; NaN if one of them is, and x in a tie."""
    return _bounded(x, bound, less, greater_equal)


def at_most(x: Number, bound: Number) -> Number:
    """Return x or, where it is larger, a bound; NaN if one of them is, and x in a tie."""
    return _bounded(x, bound, greater, less_equal)


def _bounded(x: Number, bound: Number, beyond: Any, within: Any) -> Number:
    if not is_float(x) or _is_number(bound):
        return choose(beyond(x, bound), bound, x)
    return choose(isnan(x), x, choose(within(x, bound), x, bound))


def fmax(a: Number, b: Number) -> Number:
    """Return the larger of two, the number where one is not one."""
    return larger(a, b) if not is_float(a) else _preferred(a, b, greater_equal)


def fmin(a: Number, b: Number) -> Number:
    """Return the smaller of two, the number where one is not one."""
    return smaller(a, b) if not is_float(a) else _preferred(a, b, less_equal)


def _preferred(a: Number, b: Number, compare: Any) -> Number:
    """Return a where it wins or b is no number, else b."""
    builder = a.builder
    wins = builder.or_(compare(a, b).value, isnan(b).value)
    return choose(a.like(wins, BOOL), a, b)


def _rounding(name: str) -> Callable[[Number], Number]:
    return lambda x: intrinsic(name, x) if is_float(x) else x


def copysign(a: Number, b: Number) -> Number:
    """Return the size of a with the sign of b."""
    return intrinsic("copysign", a, b)


def heaviside(x: Number, at_zero: Number) -> Number:
    """Return the step from 0 to 1, with the value given at 0."""
    step = choose(greater(x, x.same(0)), x.same(1), x.same(0))
    return choose(isnan(x), x, choose(equal(x, x.same(0)), at_zero, step))


UFUNCS.update(
    {
        np.add: add,
        np.subtract: subtract,
        np.multiply: multiply,
        np.divide: divide,
        np.negative: negative,
        np.positive: _itself,
        np.conjugate: _itself,
        np.reciprocal: reciprocal,
        np.square: lambda x: multiply(x, x),
        np.sqrt: square_root,
        np.power: power,
        np.float_power: power,
        np.less: less,
        np.less_equal: less_equal,
        np.greater: greater,
        np.greater_equal: greater_equal,
        np.equal: equal,
        np.not_equal: not_equal,
        np.isnan: isnan,
        np.isinf: isinf,
        np.isfinite: isfinite,
        np.signbit: signbit,
        np.logical_and: _logical(_BUILDER.and_),
        np.logical_or: _logical(_BUILDER.or_),
        np.logical_xor: _logical(_BUILDER.xor),
        np.logical_not: lambda x: invert(convert(x, BOOL)),
        np.bitwise_and: _bitwise(_BUILDER.and_),
        np.bitwise_or: _bitwise(_BUILDER.or_),
        np.bitwise_xor: _bitwise(_BUILDER.xor),
        np.invert: invert,
        np.absolute: absolute,
        np.fabs: absolute,
        np.sign: sign,
        np.maximum: larger,
        np.minimum: smaller,
        np.fmax: fmax,
        np.fmin: fmin,
        np.floor: _rounding("floor"),
        np.ceil: _rounding("ceil"),
        np.trunc: _rounding("trunc"),
        np.rint: _rounding("rint"),
        np.copysign: copysign,
        np.heaviside: heaviside,
        np.deg2rad: lambda x: multiply(x, x.same(x.dtype.type(math.pi) / x.dtype.type(180))),
        np.radians: lambda x: multiply(x, x.same(x.dtype.type(math.pi) / x.dtype.type(180))),
        np.rad2deg: lambda x: multiply(x, x.same(x.dtype.type(180) / x.dtype.type(math.pi))),
        np.degrees: lambda x: multiply(x, x.same(x.dtype.type(180) / x.dtype.type(math.pi))),
    }
)
