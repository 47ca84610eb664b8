"""Logarithms, as straight lines of instructions on whole vectors.

x = 2^e (1 + f) with a whole e and 1 + f between √½ and √2, so that log x = e ln 2 + log(1 + f).
The last is f + t, where f is exact and t is small beside it: in float32 t = f² P(f), in float64
by s = f / (2 + f), whose series is short. Other bases multiply f + t in two parts, so that they
lose nothing to the factor. Coefficients: see `chainrule.execute.native.exponentials`.

Largest errors that the tests hold, in units in the last place (float32 | float64):
log 1.0 | 1.0, log2 1.4 | 1.1, log10 1.4 | 1.1, log1p 1.2 | 1.0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from chainrule.execute.native.elementary import (
    bits,
    choose,
    equal,
    fma,
    from_bits,
    greater,
    less,
    less_equal,
    magnitude,
    subtract,
)
from chainrule.execute.native.exponentials import FORMATS, exp, exp2, power_of_two
from chainrule.execute.native.functions import inline, polynomial
from chainrule.execute.native.values import UFUNCS, Number

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["log1p"]

_LOG = {
    4: (
        -0.5,
        0.33333316445350647,
        -0.25000786781311035,
        0.20002305507659912,
        -0.16625294089317322,
        0.14181095361709595,
        -0.1312204897403717,
        0.12880253791809082,
        -0.0787501409649849,
    ),
    8: (
        0.6666666666666698,
        0.39999999999614916,
        0.28571428703161483,
        0.22222202215227443,
        0.18183390048327305,
        0.15318206669597134,
        0.1475683413396158,
    ),
}

# Constants in two parts, for each size of numbers, from their 40 digits.
_LN2 = {size: FORMATS[np.dtype(f"f{size}")].ln2 for size in (4, 8)}
_PER_LN2 = {
    4: (1.4426950216293335, 1.9259629911266175e-08),
    8: (1.4426950408889634, 2.0355273740931033e-17),
}
_PER_LN10 = {
    4: (0.4342944920063019, -1.0103050052231683e-08),
    8: (0.4342944819032518, 1.098319650216765e-17),
}
# Here the first part is so short that its product with an exponent is exact.
_LOG10_2 = {
    4: (0.301025390625, 4.605038981195214e-06),
    8: (0.3010299956640665, -8.532344317057107e-14),
}


def _parts(x: Number) -> tuple[Number, Number]:
    """Return e and the bits of 1 + f, for x that is positive and normal."""
    form = FORMATS[x.dtype]
    whole = bits(x)
    root = whole.same(int(np.asarray(math.sqrt(0.5), x.dtype).view(whole.dtype)))
    above = whole - root
    rest = above & ((1 << form.mantissa) - 1)
    return above >> form.mantissa, from_bits(rest + root)


def _as_float(e: Number, x: Number) -> Number:
    """Return a small whole number, made a float by the bits of a large one."""
    rounder = x.same(FORMATS[x.dtype].rounder)
    return from_bits(e + bits(rounder)) - rounder


def _split(x: Number) -> tuple[Number, Number]:
    """Return e and f of x, which may be subnormal."""
    form = FORMATS[x.dtype]
    is_tiny = less(x, x.same(2.0 ** (1 - form.bias)))
    lift = form.mantissa + 1
    e, m = _parts(choose(is_tiny, x * 2.0**lift, x))
    exponent = _as_float(e, x) - choose(is_tiny, x.same(lift), x.same(0))
    return exponent, m - 1


def _rest(f: Number) -> Number:
    """Return log(1 + f) - f."""
    coefficients = _LOG[f.dtype.itemsize]
    if f.dtype.itemsize == 4:
        return f * f * polynomial(f, coefficients)
    s = f / (f + 2)
    z = s * s
    half = f * f * 0.5
    return fma(s, fma(z, polynomial(z, coefficients), half), -half)


def _natural(e: Number, f: Number, rest: Number) -> Number:
    """Return e ln 2 + f + rest."""
    high, low = _LN2[f.dtype.itemsize]
    return fma(e, f.same(high), f + fma(e, f.same(low), rest))


def _in_base(
    e: Number, f: Number, unit: tuple[float, float], factor: tuple[float, float]
) -> Number:
    """Return e times the unit, a power of two's logarithm, plus log(1 + f) times a factor."""
    high, low = (f.same(part) for part in factor)
    product = f * high
    lost = fma(f, high, -product) + fma(_rest(f), high, f * low)
    main = e * unit[0]
    total = main + product
    return total + (subtract(product, total - main) + fma(e, f.same(unit[1]), lost))


def _with_edges(x: Number, y: Number) -> Number:
    """Return a logarithm y of x, also where x has none: 0, negative, infinite, NaN."""
    edge = choose(equal(x, x.same(0)), x.same(-math.inf), x.same(math.nan))
    y = choose(less(x, x.same(math.inf)), y, x)
    return choose(less_equal(x, x.same(0)), edge, y)


@inline("log")
def log(x: Number) -> Number:
    """Return the natural logarithm."""
    e, f = _split(x)
    return _with_edges(x, _natural(e, f, _rest(f)))


@inline("log2")
def log2(x: Number) -> Number:
    """Return the logarithm to base 2."""
    return _with_edges(x, _in_base(*_split(x), (1.0, 0.0), _PER_LN2[x.dtype.itemsize]))


@inline("log10")
def log10(x: Number) -> Number:
    """Return the logarithm to base 10."""
    size = x.dtype.itemsize
    return _with_edges(x, _in_base(*_split(x), _LOG10_2[size], _PER_LN10[size]))


@inline("log1p")
def log1p(x: Number) -> Number:
    """Return log(1 + x), exact near 0.

    With what 1 + x loses of x, brought to the size of f, as c: log(1 + f + c) is
    log(1 + f) + c / (1 + f), of which the first terms in c count.
    """
    form = FORMATS[x.dtype]
    u = x + 1
    kept = u - 1
    lost = (1 - (u - kept)) + (x - kept)
    e, m = _parts(u)
    top = e.same(form.bias - 1)  # beyond it 2^-e is no normal number, and nothing lost counts
    c = lost * power_of_two(-choose(less(e, top), e, top), x)
    f = m - 1
    rest = _rest(f) + fma(-c, fma(c, x.same(0.5), f), c)
    y = _with_edges(u, _natural(_as_float(e, x), f, rest))
    return choose(equal(x, x.same(0)), x, y)


@inline("logaddexp")
def logaddexp(a: Number, b: Number) -> Number:
    """Return log(e^a + e^b), without overflow."""
    return _joined(a, b, math.log(2), lambda x: log1p(exp(x)))


@inline("logaddexp2")
def logaddexp2(a: Number, b: Number) -> Number:
    """Return log2(2^a + 2^b), without overflow."""
    return _joined(a, b, 1.0, lambda x: log1p(exp2(x)) * (1 / math.log(2)))


def _joined(a: Number, b: Number, in_tie: float, rest: Callable[[Number], Number]) -> Number:
    """Return the larger of two plus the rest, a function of minus their distance."""
    distance = a - b
    top = choose(greater(distance, a.same(0)), a, b)
    y = top + rest(-magnitude(distance))
    return choose(equal(a, b), a + in_tie, y)


UFUNCS.update(
    {
        np.log: log,
        np.log2: log2,
        np.log10: log10,
        np.log1p: log1p,
        np.logaddexp: logaddexp,
        np.logaddexp2: logaddexp2,
    }
)
