"""Numbers in registers: what a loop over arrays loads, computes with, reduces and stores.

`Number` is what a forward rule is called on to write machine code; see
`chainrule.execute.native.values`. Importing this module also makes every ufunc known that has a
kernel. The rest is for whoever writes the loop: memory to register and back, whole vectors and
the first lanes of one, and from all lanes to one number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir

from chainrule.execute.native import (  # noqa: F401 - they fill the tables of what is known
    arrays,
    circular,
    errorfunction,
    exponentials,
    functions,
    logarithms,
    quotients,
)
from chainrule.execute.native.elementary import add, larger, multiply, smaller
from chainrule.execute.native.literals import BOOL, literal, register_type, vector_type
from chainrule.execute.native.values import Exact, Number, constant, convert, splat

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Exact",
    "Number",
    "constant",
    "convert",
    "first_lanes",
    "lane",
    "load",
    "load_masked",
    "memory_type",
    "reduce_add",
    "reduce_max",
    "reduce_min",
    "reduce_mul",
    "register_type",
    "splat",
    "store",
    "store_masked",
]

_BYTE = ir.IntType(8)
_INT32, _INT64 = ir.IntType(32), ir.IntType(64)


def memory_type(dtype: np.dtype[Any], width: int = 1) -> ir.Type:
    """Return LLVM's type for lanes of a dtype in memory, where a truth value is a byte."""
    if dtype == BOOL:
        return _BYTE if width == 1 else vector_type(_BYTE, width)
    return register_type(dtype, width)


def load(
    builder: ir.IRBuilder,
    pointer: ir.Value,
    dtype: np.dtype[Any],
    width: int = 1,
    align: int | None = None,
) -> Number:
    """Load as many numbers as there are lanes; the alignment is that of one number if not said."""
    kind = memory_type(dtype, width)
    value = builder.load(pointer, align=align or dtype.itemsize, typ=kind)
    return _from_memory(builder, value, dtype, width)


def store(number: Number, pointer: ir.Value, align: int | None = None) -> None:
    """Store all lanes of a number; the alignment is that of one number if not said."""
    number.builder.store(_to_memory(number), pointer, align=align or number.dtype.itemsize)


def load_masked(
    builder: ir.IRBuilder,
    pointer: ir.Value,
    dtype: np.dtype[Any],
    width: int,
    count: ir.Value,
    align: int | None = None,
) -> Number:
    """Load the first lanes, as many as an i64 says; the rest are 0, their memory not touched."""
    kind = memory_type(dtype, width)
    mask = first_lanes(builder, dtype, width, count).value
    function = _masked_intrinsic(builder.module, "load", kind)
    zeros = ir.Constant(kind, None)
    arguments = [pointer, ir.Constant(_INT32, align or dtype.itemsize), mask, zeros]
    return _from_memory(builder, builder.call(function, arguments), dtype, width)


def store_masked(
    number: Number, pointer: ir.Value, count: ir.Value, align: int | None = None
) -> None:
    """Store the first lanes, as many as an i64 says, and touch no memory for the rest."""
    builder, dtype = number.builder, number.dtype
    value = _to_memory(number)
    mask = first_lanes(builder, dtype, number.width, count).value
    function = _masked_intrinsic(builder.module, "store", value.type)
    builder.call(function, [value, pointer, ir.Constant(_INT32, align or dtype.itemsize), mask])


def first_lanes(builder: ir.IRBuilder, dtype: np.dtype[Any], width: int, count: ir.Value) -> Number:
    """Return which lanes are among the first, as many as an i64 says.

    The comparison is made in integers of the size of the dtype, which are in the same places
    of a vector register as the numbers.
    """
    bits = 64 if dtype.itemsize == 8 else 32
    kind = ir.IntType(bits)
    integers = np.dtype(f"i{bits // 8}")
    short = count if bits == 64 else builder.trunc(count, kind)
    places = ir.Constant(vector_type(kind, width), list(range(width)))
    limit = splat(Number(builder, short, integers), width)
    return Number(builder, builder.icmp_signed("<", places, limit.value), BOOL, width)


def lane(number: Number, k: int) -> Number:
    """Return one lane of a vector."""
    value = number.builder.extract_element(number.value, ir.Constant(_INT32, k))
    return type(number)(number.builder, value, number.dtype)


def _from_memory(
    builder: ir.IRBuilder, value: ir.Value, dtype: np.dtype[Any], width: int
) -> Number:
    if dtype == BOOL:
        byte = np.dtype(np.uint8)
        value = builder.icmp_unsigned("!=", value, literal(0, byte, width))
    return Number(builder, value, dtype, width)


def _to_memory(number: Number) -> ir.Value:
    if number.dtype == BOOL:
        return number.builder.zext(number.value, memory_type(BOOL, number.width))
    return number.value


def _masked_intrinsic(module: ir.Module, action: str, kind: ir.VectorType) -> ir.Function:
    name = f"llvm.masked.{action}.v{len(kind)}{kind.element.intrinsic_name}.p0"
    function = module.globals.get(name)
    if function is None:
        mask = vector_type(ir.IntType(1), len(kind))
        pointer = ir.PointerType()
        signature = (
            ir.FunctionType(kind, [pointer, _INT32, mask, kind])
            if action == "load"
            else ir.FunctionType(ir.VoidType(), [kind, pointer, _INT32, mask])
        )
        function = ir.Function(module, signature, name)
    return function


# -------------------------------------------------------------------------- reductions


def reduce_add(number: Number) -> Number:
    """Return the sum of all lanes, in pairs; of truth values, as NumPy, their count."""
    return _halved(_counted(number), add)


def reduce_mul(number: Number) -> Number:
    """Return the product of all lanes, in pairs."""
    return _halved(_counted(number), multiply)


def reduce_max(number: Number) -> Number:
    """Return the largest of all lanes, NaN if one is."""
    return _halved(number, larger)


def reduce_min(number: Number) -> Number:
    """Return the smallest of all lanes, NaN if one is."""
    return _halved(number, smaller)


def _counted(number: Number) -> Number:
    return convert(number, np.dtype(np.int64)) if number.dtype == BOOL else number


def _halved(number: Number, combine: Callable[[Number, Number], Number]) -> Number:
    """Combine the lower half of the lanes with the upper until one is left.

    The order is the same on every machine, so the rounding is too.
    """
    while number.width > 1:
        half = number.width // 2
        low, high = (
            Number(number.builder, _lanes(number, start, half), number.dtype, half)
            for start in (0, half)
        )
        number = combine(low, high)
    return number


def _lanes(number: Number, start: int, count: int) -> ir.Value:
    if count == 1:
        return lane(number, start).value
    places = ir.Constant(vector_type(_INT32, count), list(range(start, start + count)))
    return number.builder.shuffle_vector(number.value, number.value, places)
