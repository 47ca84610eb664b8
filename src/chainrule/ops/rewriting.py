"""What a rewrite may ask of the values it is given while a graph is simplified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from chainrule.graph import Value

__all__ = ["is_number", "made_by", "other_unless_one", "same_unless_one"]


def is_number(x: Value, number: float) -> bool:
    """Return whether a value is a constant without axes that is this number."""
    constant = x.tracer.graph.constants.get(x.index)
    return constant is not None and np.ndim(constant) == 0 and bool(constant == number)


def same_unless_one(a: Value, b: Value) -> Value | None:
    """Return a where b is the constant 1 and the dtype stays: a·1, a/1, a to the power of 1."""
    return a if is_number(b, 1) and np.result_type(a.dtype, b.dtype) == a.dtype else None


def other_unless_one(a: Value, b: Value) -> Value | None:
    """Return the factor beside the constant 1."""
    kept = same_unless_one(a, b)
    return same_unless_one(b, a) if kept is None else kept


def made_by(x: Value, name: str) -> tuple[Value, dict[str, Any]] | None:
    """Return the operand and attributes of the unary op that made a value, if it was this one."""
    node = x.tracer.graph.nodes[x.index]
    if node.op is None or node.op.name != name:
        return None
    return x.tracer.value(node.inputs[0]), dict(node.attributes)
