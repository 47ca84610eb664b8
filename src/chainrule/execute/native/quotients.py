"""Quotients that are whole numbers, their remainders, and shifts: where LLVM has hazards.

To divide an integer by 0, or to shift it by more bits than it has, is undefined there and a
number in NumPy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from chainrule.execute.native.elementary import (
    add,
    choose,
    copysign,
    divide,
    equal,
    greater,
    intrinsic,
    is_float,
    less,
    multiply,
    negative,
    not_equal,
    subtract,
)
from chainrule.execute.native.literals import BOOL, literal
from chainrule.execute.native.values import UFUNCS, Number

if TYPE_CHECKING:
    from collections.abc import Callable

__all__: list[str] = []


def _floored(a: Number, b: Number) -> tuple[Number, Number]:
    """Return the floored quotient and its remainder, by NumPy's way through fmod.

    The remainder is exact and has the sign of b; the quotient is (a - remainder) / b, which is
    a whole number but for its rounding.
    """
    zero = a.same(0)
    rest = fmod(a, b)
    is_off = _both(not_equal(rest, zero), not_equal(less(b, zero), less(rest, zero)))
    quotient = divide(subtract(a, rest), b)
    quotient = choose(is_off, subtract(quotient, a.same(1)), quotient)
    down = intrinsic("floor", quotient)
    nearest = choose(greater(subtract(quotient, down), a.same(0.5)), add(down, a.same(1)), down)
    nearest = choose(equal(quotient, zero), copysign(zero, divide(a, b)), nearest)
    rest = choose(is_off, add(rest, b), choose(equal(rest, zero), copysign(zero, b), rest))
    by_zero = equal(b, zero)
    return choose(by_zero, divide(a, b), nearest), choose(by_zero, a.same(math.nan), rest)


def _both(a: Number, b: Number) -> Number:
    return a.like(a.builder.and_(a.value, b.value))


def _whole(a: Number, b: Number) -> tuple[Number, Number, Number]:
    """Return quotient and remainder of integers, truncated, and the divisor that is no hazard.

    To divide by 0 is undefined in LLVM, as is the smallest integer by -1; NumPy makes these 0,
    and the smallest integer again.
    """
    builder, zero, one = a.builder, a.same(0), a.same(1)
    is_zero = equal(b, zero)
    safe = choose(is_zero, one, b)
    if a.dtype.kind == "u":
        quotient = a.like(builder.udiv(a.value, safe.value))
    else:
        is_minus_one = equal(b, a.same(-1))
        quotient = a.like(builder.sdiv(a.value, choose(is_minus_one, one, safe).value))
        quotient = choose(is_minus_one, negative(a), quotient)
    rest = subtract(a, multiply(quotient, safe))
    return choose(is_zero, zero, quotient), choose(is_zero, zero, rest), safe


def _whole_floored(a: Number, b: Number) -> tuple[Number, Number]:
    quotient, rest, safe = _whole(a, b)
    if a.dtype.kind == "u":
        return quotient, rest
    zero = a.same(0)
    is_off = _both(not_equal(rest, zero), not_equal(less(safe, zero), less(rest, zero)))
    return (
        choose(is_off, subtract(quotient, a.same(1)), quotient),
        choose(is_off, add(rest, safe), rest),
    )


def floor_divide(a: Number, b: Number) -> Number:
    """Return the quotient rounded down."""
    return (_floored if is_float(a) else _whole_floored)(a, b)[0]


def remainder(a: Number, b: Number) -> Number:
    """Return the remainder of the floored quotient, with the sign of b."""
    return (_floored if is_float(a) else _whole_floored)(a, b)[1]


def fmod(a: Number, b: Number) -> Number:
    """Return the remainder of the truncated quotient, with the sign of a; it is exact."""
    if is_float(a):
        return a.like(a.builder.frem(a.value, b.value))
    return _whole(a, b)[1]


def _shift(instruction: str) -> Callable[..., Number]:
    """Return what emits a shift; by more bits than there are, which LLVM leaves open, it is 0."""

    def emit(a: Number, b: Number) -> Number:
        builder = a.builder
        count = 8 * a.dtype.itemsize
        within = b.like(builder.icmp_unsigned("<", b.value, literal(count, b.dtype, b.width)), BOOL)
        name = "ashr" if instruction == "shr" and a.dtype.kind == "i" else instruction
        shifted = getattr(builder, "lshr" if name == "shr" else name)
        beyond = builder.ashr(a.value, literal(count - 1, a.dtype, a.width))
        outside = a.like(beyond) if name == "ashr" else a.same(0)
        by = choose(within, b, b.same(0))
        return choose(within, a.like(shifted(a.value, by.value)), outside)

    return emit


UFUNCS.update(
    {
        np.floor_divide: floor_divide,
        np.remainder: remainder,
        np.fmod: fmod,
        np.left_shift: _shift("shl"),
        np.right_shift: _shift("shr"),
    }
)
