"""What machine code can be written for; the rest is NumPy's."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir

from chainrule.execute.native.numbers import Number, memory_type, register_type
from chainrule.graph import Counted, Each, Product

if TYPE_CHECKING:
    from chainrule.graph import Graph, Op

__all__ = ["able"]

_MOST_KEYS = 64
"""Elements of the small operands of a counted node, which are all in registers at once."""


def able(graph: Graph, index: int) -> bool:
    """Return whether a node can be computed by machine code."""
    node = graph.nodes[index]
    operands = [graph.nodes[i] for i in node.inputs]
    dtypes = tuple(x.dtype for x in operands)
    if not all(_is_known(dtype) for dtype in (node.dtype, *dtypes)):
        return False
    op = node.op
    if op is None:
        return True
    form = op.form
    if isinstance(form, Product):
        return node.dtype.kind == "f" and set(dtypes) == {node.dtype}
    if isinstance(form, Counted):
        return all(len(x.shape) <= 1 and sum(x.shape) <= _MOST_KEYS for x in operands)
    if isinstance(form, Each):
        return _is_written(op, dtypes, node.dtype, tuple(node.attributes.items()))
    return True


@functools.cache
def _is_known(dtype: np.dtype[Any]) -> bool:
    try:
        memory_type(dtype)
    except KeyError:
        return False
    return True


@functools.lru_cache(maxsize=4096)
def _is_written(
    op: Op, dtypes: tuple[Any, ...], dtype: np.dtype[Any], attributes: tuple[tuple[str, Any], ...]
) -> bool:
    """Return whether the forward rule of an op can be written, which is tried."""
    kinds = [register_type(x) for x in dtypes]
    function = ir.Function(ir.Module(), ir.FunctionType(ir.VoidType(), kinds), "tried")
    builder = ir.IRBuilder(function.append_basic_block())
    xs = [Number(builder, x, d) for x, d in zip(function.args, dtypes, strict=True)]
    try:
        y = op.forward(*xs, **dict(attributes))
    except (TypeError, ValueError, AttributeError, NotImplementedError):
        return False
    return isinstance(y, np.generic) or (isinstance(y, Number) and y.dtype == dtype)
