"""Exponentials and what is made of them, as straight lines of instructions on whole vectors.

x = k ln 2 + r with a whole k and abs(r) <= ln(2) / 2, so that e^x = 2^k (1 + p), p = e^r - 1. k is
made by adding 1.5 · 2^m, where m is the number of stored bits of the mantissa: the sum has no
room for a fraction, and its last bits are k, ready to become an exponent. p = r + r² q(r) has
its error measured against p itself, so that it serves near 0 too. The coefficients are our own:
Remez exchange at 200 bits, each coefficient rounded and the rest fitted anew.

Largest errors that the tests hold, in units in the last place (float32 | float64):
exp 1.1 | 1.1, exp2 1.3 | 1.4, expm1 1.5 | 2.0, tanh 1.4 | 1.4, sinh 1.7 | 1.7, cosh 1.6 | 1.6,
the logistic function 2.6 | 2.6.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from chainrule.execute.native.elementary import (
    at_least,
    at_most,
    bits,
    choose,
    copysign,
    fma,
    from_bits,
    less,
    magnitude,
)
from chainrule.execute.native.functions import inline, polynomial
from chainrule.execute.native.values import SPECIAL, UFUNCS, Number

__all__ = ["exp"]


class Format(NamedTuple):
    """What a type of numbers is made of, and what its exponentials need.

    Attributes
    ----------
    mantissa
        Its stored bits.
    bias
        What is added to an exponent.
    rounder
        1.5 · 2^mantissa: a sum with it is a whole number.
    ln2
        ln 2 in two parts; a product of the first with k loses nothing in a fused sum.
    lowest, highest
        Below and above, e^x is 0 and infinite.
    flat
        Where tanh is 1.
    """

    mantissa: int
    bias: int
    rounder: float
    ln2: tuple[float, float]
    lowest: float
    highest: float
    flat: float


def _split_ln2(dtype: type[np.floating]) -> tuple[float, float]:
    """Return ln 2 rounded, and what is missing of it (from its 40 digits)."""
    high = float(dtype(math.log(2)))
    return high, _LN2_REST if dtype is np.float64 else math.log(2) - high


_LN2_REST = 2.3190468138462996e-17  # ln 2 less the float64 next to it

FORMATS = {
    np.dtype(np.float32): Format(23, 127, 1.5 * 2**23, _split_ln2(np.float32), -104.0, 89.0, 10.0),
    np.dtype(np.float64): Format(
        52, 1023, 1.5 * 2**52, _split_ln2(np.float64), -746.0, 710.0, 22.0
    ),
}

_EXP_TAIL = {
    4: (
        0.5,
        0.1666651964187622,
        0.04166645556688309,
        0.008368821814656258,
        0.0013935767346993089,
    ),
    8: (
        0.5,
        0.16666666666666685,
        0.04166666666660341,
        0.008333333333314631,
        0.0013888888927054738,
        0.00019841269903518021,
        2.4801508326161334e-05,
        2.755722723831613e-06,
        2.7625337721879784e-07,
        2.511474746826249e-08,
    ),
}
_EXPM1_TAIL = {
    4: (
        0.5,
        0.1666666716337204,
        0.04166649281978607,
        0.008333207108080387,
        0.0013932327274233103,
        0.00019945084932260215,
    ),
    8: (
        0.5,
        0.16666666666666677,
        0.04166666666666666,
        0.008333333333321216,
        0.001388888888889469,
        0.00019841269887502358,
        2.4801587295410243e-05,
        2.7557242586971884e-06,
        2.755730626067711e-07,
        2.5109666370115884e-08,
        2.090257485141269e-09,
    ),
}
_EXP2 = {
    4: (
        0.6931471824645996,
        0.24022650718688965,
        0.05550359562039375,
        0.009618069976568222,
        0.0013390991371124983,
        0.00015459647693205625,
    ),
    8: (
        0.6931471805599453,
        0.24022650695910114,
        0.055504108664822624,
        0.009618129107599528,
        0.0013333558146252217,
        0.00015403530451494005,
        1.525273395141798e-05,
        1.3215437678768439e-06,
        1.0178020389932783e-07,
        7.0734219001261495e-09,
        4.4604767836488497e-10,
    ),
}
_TANH = {
    4: (
        -0.33333316445350647,
        0.13332518935203552,
        -0.0538431815803051,
        0.02102765627205372,
        -0.0062047261744737625,
    ),
    8: (
        -0.33333333333333287,
        0.13333333333324307,
        -0.053968253962277224,
        0.021869488340633847,
        -0.008863231826672488,
        0.003592083936119792,
        -0.001455489325924733,
        0.0005882195239426052,
        -0.0002327990133040164,
        8.246919600546814e-05,
        -1.896523192491381e-05,
    ),
}
_SINH = {
    4: (
        0.1666666716337204,
        0.008333311416208744,
        0.00019842635083477944,
        2.783925083349459e-06,
    ),
    8: (
        0.16666666666666666,
        0.008333333333333571,
        0.00019841269841064125,
        2.755731930835447e-06,
        2.505208988906232e-08,
        1.6061272251717708e-10,
        7.507931693098785e-13,
        6.347264760692185e-15,
    ),
}


def _reduced(x: Number) -> tuple[Number, Number]:
    """Return r of x = k ln 2 + r, and a number whose last bits are k."""
    form = FORMATS[x.dtype]
    rounder = x.same(form.rounder)
    shifted = fma(x, x.same(1 / math.log(2)), rounder)
    k = shifted - rounder
    high, low = form.ln2
    return fma(k, x.same(-low), fma(k, x.same(-high), x)), bits(shifted)


def power_of_two(k: Number, like: Number, less_by: int = 0) -> Number:
    """Return 2^(k - less_by), where k are the last bits of an integer and the result is normal."""
    form = FORMATS[like.dtype]
    exponent = k << form.mantissa
    return from_bits(exponent + k.same(form.bias - less_by << form.mantissa))


def _scaled(x: Number, k: Number, less_by: int = 0) -> Number:
    """Return x · 2^(k - less_by), rounded once, where that may be subnormal or infinite.

    2^k need not be a number, the powers of its halves are.
    """
    half = k >> 1
    return x * power_of_two(half, x) * power_of_two(k - half, x, less_by)


def _exponential(x: Number, less_by: int = 0) -> Number:
    """Return e^x / 2^less_by."""
    r, k = _reduced(x)
    tail = polynomial(r, _EXP_TAIL[x.dtype.itemsize])
    return _scaled(fma(r * r, tail, r) + 1, k, less_by)


@inline("exp")
def exp(x: Number) -> Number:
    """Return e^x."""
    form = FORMATS[x.dtype]
    return _exponential(at_most(at_least(x, x.same(form.lowest)), x.same(form.highest)))


@inline("exp2")
def exp2(x: Number) -> Number:
    """Return 2^x."""
    form = FORMATS[x.dtype]
    x = at_least(x, x.same(-form.bias - form.mantissa - 2))
    x = at_most(x, x.same(form.bias + 2))
    rounder = x.same(form.rounder)
    shifted = x + rounder
    r = x - (shifted - rounder)
    return _scaled(fma(r, polynomial(r, _EXP2[x.dtype.itemsize]), r.same(1)), bits(shifted))


def _less_one(x: Number) -> tuple[Number, Number]:
    """Return p and k, where e^x = 2^k (1 + p) and p is exact near 0."""
    r, k = _reduced(x)
    return fma(r * r, polynomial(r, _EXPM1_TAIL[x.dtype.itemsize]), r), k


@inline("expm1")
def expm1(x: Number) -> Number:
    """Return e^x - 1, exact near 0."""
    form = FORMATS[x.dtype]
    p, k = _less_one(at_most(at_least(x, x.same(-2 * form.flat)), x.same(form.highest)))
    half = power_of_two(k, x, 1)  # 2^k itself may be too large
    y = fma(p, half, half - 0.5) * 2
    return choose(less(magnitude(x), x.same(2.0 ** -(form.mantissa + 2))), x, y)


@inline("tanh")
def tanh(x: Number) -> Number:
    """Return 1 - 2 / (e^2x + 1), near 0 a series."""
    form, size = FORMATS[x.dtype], x.dtype.itemsize
    square = x * x
    near = fma(square * x, polynomial(square, _TANH[size]), x)
    away = at_most(magnitude(x), x.same(form.flat))
    r, k = _reduced(away + away)
    p = fma(r * r, polynomial(r, _EXP_TAIL[size]), r)
    scale = power_of_two(k, x)
    far = 1 - 2 / fma(p, scale, scale + 1)
    return copysign(choose(less(away, x.same(0.5625)), near, far), x)


@inline("sinh")
def sinh(x: Number) -> Number:
    """Return half of e^x - e^-x."""
    size = magnitude(x)
    half = _exponential(at_most(size, x.same(FORMATS[x.dtype].highest + 1)), 1)
    square = x * x
    series = fma(square * size, polynomial(square, _SINH[x.dtype.itemsize]), size)
    return copysign(choose(less(size, x.same(1)), series, half - 0.25 / half), x)


@inline("cosh")
def cosh(x: Number) -> Number:
    """Return half of e^x + e^-x."""
    half = _exponential(at_most(magnitude(x), x.same(FORMATS[x.dtype].highest + 1)), 1)
    return half + 0.25 / half


@inline("expit")
def expit(x: Number) -> Number:
    """Return 1 / (1 + e^-x)."""
    decay = exp(-magnitude(x))
    return choose(less(x, x.same(0)), decay, x.same(1)) / (1 + decay)


UFUNCS.update(
    {
        np.exp: exp,
        np.exp2: exp2,
        np.expm1: expm1,
        np.tanh: tanh,
        np.sinh: sinh,
        np.cosh: cosh,
    }
)
SPECIAL["expit"] = expit
