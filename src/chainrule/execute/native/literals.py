"""LLVM's types, constants and casts for NumPy's dtypes."""

from __future__ import annotations

import functools
import struct
from typing import Any

import numpy as np
from llvmlite import ir

__all__ = ["BOOL", "TYPES", "Literal", "cast", "literal", "register_type", "vector_type"]

BOOL = np.dtype(np.bool_)

TYPES: dict[np.dtype[Any], ir.Type] = {
    BOOL: ir.IntType(1),
    **{np.dtype(f"{s}{n}"): ir.IntType(8 * n) for s in "iu" for n in (1, 2, 4, 8)},
    np.dtype(np.float32): ir.FloatType(),
    np.dtype(np.float64): ir.DoubleType(),
}
"""LLVM's type for one number of each dtype that there are kernels for."""


def register_type(dtype: np.dtype[Any], width: int = 1) -> ir.Type:
    """Return LLVM's type for lanes of a dtype in a register."""
    return TYPES[dtype] if width == 1 else vector_type(TYPES[dtype], width)


@functools.cache
def vector_type(element: ir.Type, width: int) -> ir.Type:
    """Return LLVM's type for a vector; the same object each time, because it keeps its text."""
    return ir.VectorType(element, width)


class Literal(ir.Constant):  # type: ignore[misc]
    """A constant that is the same in all lanes, said once however many there are."""

    def __init__(self, kind: ir.Type, text: str, number: Any) -> None:
        self.type = kind
        self.constant = number
        self.text = text
        self.number = number

    def _get_reference(self) -> str:
        return self.text


def literal(x: Any, dtype: np.dtype[Any], width: int = 1) -> ir.Constant:
    """Return the LLVM constant for a Python scalar, in one lane or in all of a vector."""
    element = TYPES[dtype]
    if dtype.kind == "f":
        x = float(dtype.type(x))
        text = f"0x{struct.unpack('<Q', struct.pack('<d', x))[0]:016x}"
    else:
        x = bool(x) if dtype == BOOL else int(x)
        text = str(x).lower()
        limits = None if dtype == BOOL else np.iinfo(dtype)
        if limits is not None and not limits.min <= x <= limits.max:
            raise TypeError(f"{x} is out of bounds for {dtype}")
    if width == 1:
        return Literal(element, text, x)
    return Literal(vector_type(element, width), f"splat ({element} {text})", x)


def cast(
    builder: ir.IRBuilder,
    value: ir.Value,
    dtypes: tuple[np.dtype[Any], np.dtype[Any]],
    width: int,
) -> ir.Value:
    """Return a register of one dtype in another, as NumPy's casts on this machine make it."""
    source, dtype = dtypes
    target = register_type(dtype, width)
    if dtype == BOOL:
        is_float = source.kind == "f"
        compare = builder.fcmp_unordered if is_float else builder.icmp_unsigned
        return compare("!=", value, literal(0, source, width))
    if source.kind == "f":
        if dtype.kind != "f":
            return _truncated(builder, value, dtype, width)
        return (builder.fpext if dtype.itemsize > 4 else builder.fptrunc)(value, target)
    if dtype.kind == "f":
        return (builder.sitofp if source.kind == "i" else builder.uitofp)(value, target)
    if source != BOOL and dtype.itemsize <= source.itemsize:
        return value if dtype.itemsize == source.itemsize else builder.trunc(value, target)
    return (builder.sext if source.kind == "i" else builder.zext)(value, target)


def _truncated(
    builder: ir.IRBuilder, value: ir.Value, dtype: np.dtype[Any], width: int
) -> ir.Value:
    """Return a float without its fraction.

    What does not fit is undefined in C and poison in LLVM. Frozen, it is whatever the machine
    says, as it is in NumPy; small types go through a wider one, again as in NumPy.
    """
    target = register_type(dtype, width)
    if dtype == np.uint64:
        return _frozen(builder, builder.fptoui(value, target))
    wide = np.dtype(np.int32 if dtype.itemsize < 4 or dtype == np.int32 else np.int64)
    value = _frozen(builder, builder.fptosi(value, register_type(wide, width)))
    return value if wide.itemsize == dtype.itemsize else builder.trunc(value, target)


def _frozen(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """Return a value that is not poison, by an instruction that llvmlite has no method for."""
    instruction = ir.instructions.Instruction(builder.block, value.type, "freeze", [value])
    builder._insert(instruction)  # noqa: SLF001
    return instruction
