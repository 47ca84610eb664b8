"""Functions of many instructions: one internal function of the module for each, called inline.

A transcendental is written once for each type of vector into the module that needs it, and LLVM
puts its instructions where it is called. So a rule with ten exponentials emits ten calls, and
the text of a program stays short. What has no polynomial here is a call of the C library for
each lane.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir

from chainrule.execute.native import elementary
from chainrule.execute.native.literals import register_type
from chainrule.execute.native.values import SPECIAL, UFUNCS, Exact, Number

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["by_lane", "inline", "polynomial"]


def inline(
    name: str, attribute: str = "alwaysinline"
) -> Callable[[Callable[..., Number]], Callable[..., Number]]:
    """Let what emits a function of numbers do so once a module, and emit calls of that.

    In the body numbers are `Exact`: formulas that recover rounding errors stay as written.
    """

    def decorate(body: Callable[..., Number]) -> Callable[..., Number]:
        def emit(*xs: Number) -> Number:
            x = xs[0]
            module = x.builder.module
            full = f"chainrule.{name}.{x.dtype.str[1:]}.{x.width}"
            function = module.globals.get(full)
            if function is None:
                function = _written(module, full, attribute, body, xs)
            return x.like(x.builder.call(function, [x.value for x in xs]))

        return emit

    return decorate


def _written(
    module: ir.Module,
    full: str,
    attribute: str,
    body: Callable[..., Number],
    xs: tuple[Number, ...],
) -> ir.Function:
    x = xs[0]
    kind = register_type(x.dtype, x.width)
    function = ir.Function(module, ir.FunctionType(kind, [kind] * len(xs)), full)
    function.linkage = "internal"
    function.attributes.add(attribute)
    function.attributes.add("nounwind")
    builder = ir.IRBuilder(function.append_basic_block())
    result = body(*[Exact(builder, value, x.dtype, x.width) for value in function.args])
    result.builder.ret(result.value)
    return function


def by_lane(symbol: str, *, is_double: bool = False) -> Callable[..., Number]:
    """Return what emits a call of the C library for each lane.

    Parameters
    ----------
    symbol
        The name for float64; that for float32 has an f behind it.
    is_double
        Whether float32 is computed in float64 too.
    """

    @inline(symbol, "noinline")
    def emit(*xs: Number) -> Number:
        x, builder = xs[0], xs[0].builder
        dtype = np.dtype(np.float64) if is_double else x.dtype
        function = _declared(builder.module, symbol + "f" * (dtype.itemsize == 4), dtype, len(xs))
        xs = tuple(y.astype(dtype) for y in xs)
        if x.width == 1:
            return Exact(builder, builder.call(function, [y.value for y in xs]), dtype).astype(
                x.dtype
            )
        result = ir.Constant(register_type(dtype, x.width), ir.Undefined)
        for k in range(x.width):
            place = ir.Constant(ir.IntType(32), k)
            lanes = [builder.extract_element(y.value, place) for y in xs]
            result = builder.insert_element(result, builder.call(function, lanes), place)
        return Exact(builder, result, dtype, x.width).astype(x.dtype)

    return emit


def _declared(module: ir.Module, symbol: str, dtype: np.dtype[Any], count: int) -> ir.Function:
    """Return a function of the C library, declared in the module once."""
    function = module.globals.get(symbol)
    if function is None:
        kind = register_type(dtype)
        function = ir.Function(module, ir.FunctionType(kind, [kind] * count), symbol)
        for attribute in ("readnone", "nounwind"):
            function.attributes.add(attribute)
    return function


def polynomial(x: Number, coefficients: tuple[float, ...]) -> Number:
    """Return c₀ + c₁x + c₂x² + …, in few dependent steps (Estrin's scheme)."""
    terms = [x.same(c) for c in coefficients]
    while len(terms) > 1:
        pairs = [elementary.fma(x, b, a) for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(pairs) * 2 :]
        x = x * x if len(terms) > 1 else x
    return terms[0]


_C_LIBRARY = {
    np.cbrt: "cbrt",
    np.tan: "tan",
    np.arcsin: "asin",
    np.arccos: "acos",
    np.arctan: "atan",
    np.arctan2: "atan2",
    np.arcsinh: "asinh",
    np.arccosh: "acosh",
    np.arctanh: "atanh",
    np.hypot: "hypot",
    np.nextafter: "nextafter",
}
UFUNCS.update({ufunc: by_lane(symbol) for ufunc, symbol in _C_LIBRARY.items()})
UFUNCS["libm pow"] = by_lane("pow")
SPECIAL.update(
    {
        "erfc": by_lane("erfc", is_double=True),
        "gammaln": by_lane("lgamma", is_double=True),
    }
)
