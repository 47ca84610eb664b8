"""A node of a graph as a NumPy expression, with as few brackets as Python needs.

Each op says its expression (`chainrule.graph.Written`), or has that of the NumPy function that it
stands for. Expressions are put together as syntax trees, so brackets follow from Python's own
precedence.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import ops
from chainrule.explain.syntax import mark_truth, parsed, readable, vector_product
from chainrule.graph import literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainrule.explain.reader import Formula, Reader
    from chainrule.graph import Node, Op

__all__ = ["attribute", "is_short", "source"]


def source(reader: Reader, index: int) -> str:
    """Return the NumPy expression of a node."""
    tree = _Divisors(reader.lengths).visit(_expression(reader, index))
    text = ast.unparse(ast.fix_missing_locations(tree))
    return re.sub(r"(?<![\w.)\]] )([\w.]+|\)|\]) \*\* (\w+|\(-\w+\))", r"\1**\2", text)


def _expression(reader: Reader, index: int) -> ast.expr:
    if index in reader.texts:
        tree = parsed(reader.texts[index].numpy)
    elif index in reader.graph.constants:
        tree = parsed(_number(reader.graph.constants[index]))
    else:
        tree = _call(reader, reader.graph.nodes[index])
    return mark_truth(tree) if reader.graph.nodes[index].dtype == np.bool_ else tree


def _call(reader: Reader, node: Node) -> ast.expr:
    """Return a call of an op: its template, filled."""
    template = _template(reader, node)
    words: dict[str, int] = {}
    for name, places in reader.places(node).items():
        slots = [f"_{name}_{place}" for place in range(len(places))]
        template = template.replace(f"<{name}>", ", ".join(slots))
        words.update(zip(slots, places, strict=True))
    for name, x in node.attributes.items():
        is_one = name == "axis" and isinstance(x, tuple) and len(x) == 1
        template = template.replace(f"<{name}>", attribute(x[0] if is_one else x))
    is_ours = template.startswith("ops.")  # and takes arrays: a literal has no dtype
    parts = {slot: _expression(reader, i) for slot, i in words.items()}
    filled = _Fill({s: _typed(reader, words[s], x) if is_ours else x for s, x in parts.items()})
    tree: ast.expr = filled.visit(parsed(template))
    if isinstance(tree, ast.Call) and len(node.shape) < 2 and len(tree.args) > 0:
        return _of_vectors(reader, node, tree)
    return readable(tree)


def _of_vectors(reader: Reader, node: Node, tree: ast.Call) -> ast.expr:
    """Return a product whose row or column is then made a vector as one of vectors."""
    is_reshape = ast.unparse(tree.func) in {"np.ravel", "np.reshape"}
    if not is_reshape or len(reader.graph.nodes[node.inputs[0]].shape) != 2:
        return tree
    product, axes = vector_product(tree.args[0])
    return product if axes == len(node.shape) else tree


def _template(reader: Reader, node: Node) -> str:
    """Return what an op says of a call, or else the call of NumPy's function or of ours."""
    op = node.op
    if op is None:
        return f"x{node.name}"
    said = op.written.source
    if callable(said):
        return said(*reader.operands(node), **node.attributes)
    if said is not None:
        return said
    operands = ", ".join(f"<{name}>" for name in op.operands)
    options = [
        f"{name}=<{name}>" for name, x in node.attributes.items() if op.attributes[name] is not x
    ]
    return f"{_function(op)}({', '.join([operands, *options])})"


def _function(op: Op) -> str:
    """Return what to call an op by: NumPy's name, if it stands for a function of NumPy's."""
    for function in op.numpy:
        name = getattr(function, "__name__", "")
        for module, path in ((np, "np"), (np.linalg, "np.linalg")):
            if name and getattr(module, name, None) is function:
                return f"{path}.{name}"
    return f"ops.{op.name}" if hasattr(ops, op.name) else op.name


def _typed(reader: Reader, index: int, tree: ast.expr) -> ast.expr:
    """Return an operand as an array, where it is a number written out."""
    node = reader.graph.nodes[index]
    if node.shape or node.op is not None or index in reader.texts:
        return tree
    return ast.Call(parsed(f"np.{node.dtype.name}"), [tree], [])


class _Fill(ast.NodeTransformer):
    """Puts expressions into the places of a template."""

    def __init__(self, parts: Mapping[str, ast.expr]) -> None:
        self.parts = parts

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Replace a place by its part."""
        return self.parts.get(node.id, node)


class _Divisors(ast.NodeTransformer):
    """Writes what a number is the length of, where something is divided by it."""

    def __init__(self, lengths: Mapping[int, Formula]) -> None:
        self.lengths = lengths

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Replace the divisor of a division."""
        self.generic_visit(node)
        if isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
            known = self.lengths.get(node.right.value)  # type: ignore[arg-type]
            node.right = parsed(known.numpy) if known else node.right
        return node


# ---------------------------------------------------------------- numbers and attributes

_WIDEST = 40
"""Characters of an array that is written out; a longer one needs a name."""
_LARGEST = 10_000
"""Entries up to which it is worth a look whether an array is short to write."""


def _number(x: Any) -> str:
    """Return a constant as an expression."""
    x = np.asarray(x)
    if x.ndim == 0:
        return _scalar(x)
    if x.ndim == 1 and x.dtype.kind in "iu" and np.array_equal(x, np.arange(len(x))):
        return f"np.arange({len(x)})"
    if x.size and np.all(x == x.flat[0]):
        return f"np.full({x.shape}, {_scalar(x.flat[0], whole=False)})"
    if x.ndim == 2 and np.array_equal(x, np.eye(*x.shape)):
        return f"np.eye({', '.join(map(str, dict.fromkeys(x.shape)))})"
    return "np.array({})".format(re.sub("nan|inf", r"np.\g<0>", str(x.tolist())))


def is_short(x: Any) -> bool:
    """Return whether a constant is written out; a longer one needs a name."""
    return np.size(x) <= _LARGEST and len(_number(x)) <= _WIDEST


def _scalar(x: Any, *, whole: bool = True) -> str:
    """Return one number in the fewest digits that give it back; 5.0 as 5, where that will do."""
    x = np.asarray(x)[()]
    if x.dtype.kind != "f":
        return str(x.item())
    if not np.isfinite(x):
        return "np.nan" if np.isnan(x) else "np.inf" if x > 0 else "-np.inf"
    if whole and x == np.floor(x) and abs(x) < 1e6:
        return str(int(x))
    return str(x)


def attribute(x: Any) -> str:
    """Return an attribute as Python text."""
    if isinstance(x, np.dtype):
        usual = {"float64": "float", "bool": "bool", "int64": "int"}
        return usual.get(x.name, f"np.{x.name}")
    if isinstance(x, tuple) and any(isinstance(part, slice) or part is None for part in x):
        return f"np.s_[{', '.join(_entry(part) for part in x)}]"
    return literal(x)


def _entry(part: Any) -> str:
    """Return an entry of an index."""
    if not isinstance(part, slice):
        return str(part)
    ends = ["" if end is None else str(end) for end in (part.start, part.stop)]
    return ":".join(ends) + ("" if part.step is None else f":{part.step}")
