"""Sine and cosine, on whole vectors.

x = k π/2 + r with a whole k and abs(r) <= π/4: two polynomials in r, of which k says which and with
what sign. π/2 stands in three parts, of which the first leaves nothing when a fused sum takes k
times it from x; r itself is kept in two parts. float32 is computed in float64, where one part of
r is enough. Where abs(x) is beyond 2^30, or no finite number, a lane of the vector is the C
library's to compute, which is a branch that no ordinary input takes. Coefficients: see
`chainrule.execute.native.exponentials`.

Largest errors that the tests hold, in units in the last place: 0.6 in float32, 0.9 in float64.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from llvmlite import ir

from chainrule.execute.native.elementary import (
    bits,
    choose,
    equal,
    fma,
    from_bits,
    invert,
    less,
    magnitude,
)
from chainrule.execute.native.functions import by_lane, inline, polynomial
from chainrule.execute.native.values import UFUNCS, Number, convert

if TYPE_CHECKING:
    from collections.abc import Callable

__all__: list[str] = []

_HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
_ROUNDER = 1.5 * 2**52
_LIMIT = 2.0**30
# of single precision, and of double
_SINE = {
    True: (
        -0.16666666641616673,
        0.008333329378055204,
        -0.0001983933110299228,
        2.7182683856418734e-06,
    ),
    False: (
        -0.16666666666666632,
        0.008333333333322462,
        -0.00019841269829820788,
        2.755731369033699e-06,
        -2.505075715343063e-08,
        1.589670702230539e-10,
    ),
}
_COSINE = {
    True: (
        0.04166664699941358,
        -0.0013887371666917027,
        2.443873661511189e-05,
    ),
    False: (
        0.04166666666666661,
        -0.0013888888888875458,
        2.4801587290191415e-05,
        -2.755731453075399e-07,
        2.087574474159712e-09,
        -1.1360643802385237e-11,
    ),
}


def _sine(r: Number, rest: Number | None, coefficients: tuple[float, ...]) -> Number:
    """Return the sine of r + rest."""
    z = r * r
    cube = r * z
    if rest is None:
        return fma(cube, polynomial(z, coefficients), r)
    return r + fma(cube, polynomial(z, coefficients), fma(z * -0.5, rest, rest))


def _cosine(r: Number, rest: Number | None, coefficients: tuple[float, ...]) -> Number:
    """Return the cosine of r + rest, the rounding error of 1 - r²/2 put back."""
    z = r * r
    half = z * 0.5
    main = 1 - half
    if rest is None:
        return fma(z * z, polynomial(z, coefficients), main)
    return main + fma(z * z, polynomial(z, coefficients), (1 - main - half) - r * rest)


def _turned(x: Number, quarters: int, *, is_single: bool) -> Number:
    """Return the sine of x, in float64, and so many quarters of a turn."""
    rounder = x.same(_ROUNDER)
    shifted = fma(x, x.same(2 / math.pi), rounder)
    k = shifted - rounder
    first, second, third = _HALF_PI
    near = fma(k, x.same(-first), x)
    if is_single:
        r, rest = fma(k, x.same(-second), near), None
    else:
        product = k * second
        lost = fma(k, x.same(third), fma(k, x.same(second), -product))
        r = near - product
        rest = (near - r) - product - lost
    quarter = bits(shifted) + quarters
    is_odd = equal(quarter & 1, quarter.same(1))
    y = choose(is_odd, _cosine(r, rest, _COSINE[is_single]), _sine(r, rest, _SINE[is_single]))
    return from_bits(bits(y) ^ ((quarter & 2) << 62))


def _circular(symbol: str, quarters: int) -> Callable[[Number], Number]:
    """Return what emits the sine or the cosine."""
    library = by_lane(symbol)

    @inline(f"circular.{symbol}")
    def emit(x: Number) -> Number:
        is_single = x.dtype.itemsize == 4
        wide = convert(x, np.dtype(np.float64))
        y = convert(_turned(wide, quarters, is_single=is_single), x.dtype)
        y = y if quarters else choose(equal(x, x.same(0)), x, y)
        return _unless_any(invert(less(magnitude(x), x.same(_LIMIT))), y, lambda: library(x))

    return emit


def _unless_any(condition: Number, y: Number, rare: Callable[[], Number]) -> Number:
    """Return y, but something rare, computed under a branch, where a condition holds."""
    builder = y.builder
    is_any = condition.value
    if y.width > 1:
        lanes = ir.IntType(y.width)
        is_any = builder.icmp_unsigned("!=", builder.bitcast(is_any, lanes), lanes(0))
    before = builder.block
    with builder.if_then(is_any, likely=False):
        other = choose(condition, rare(), y).value
        there = builder.block
    result = builder.phi(y.value.type)
    result.add_incoming(y.value, before)
    result.add_incoming(other, there)
    return y.like(result)


UFUNCS.update({np.sin: _circular("sin", 0), np.cos: _circular("cos", 1)})
