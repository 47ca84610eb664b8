"""Functions that raise: the user's line, and the product whose operands would fit turned."""

from __future__ import annotations

import ast
import copy
import itertools
import traceback
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph import Where
from chainrule.inspect.finding import Finding, Fix, cause
from chainrule.inspect.targets.watching import is_users, statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

__all__ = ["backward_raises", "fails_in_other_sizes", "forward_raises", "raised_at", "said"]


def raised_at(error: BaseException) -> tuple[Where, FrameType | None]:
    """Return the user's line that raised, and its frame."""
    found = [
        (Where(frame.f_code.co_filename, line), frame)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if is_users(frame)
    ]
    return found[-1] if found else (Where("", 0), None)


def said(error: BaseException) -> str:
    """Return the kind of an error, and the first line of what it says."""
    text = str(error).split("\n", 1)[0].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _described(values: Mapping[str, Any]) -> str:
    shapes = [f"{name} {list(np.shape(x))}" for name, x in values.items() if np.ndim(x)]
    return ", ".join(shapes)


@cause("CD101", "backward raises")
def backward_raises(error: BaseException, values: Mapping[str, Any], *, given: bool) -> Finding:
    """The backward pass raises an error where forward ran.

    It sees any exception that leaves backward, and names the line of your program. Where that
    line multiplies two matrices that do not fit, it looks whether they would fit transposed or in
    the other order.

    Why it matters: there is no gradient to compare, and at training time there would be none
    either. A product that fits only because a matrix is square runs, and is wrong.

    Example: ``dW = h @ dy`` with h (6, 5) and dy (6, 3) raises; ``h.T @ dy`` is (5, 3), as W is.

    What to do: correct the line that is named.
    """
    where, frame = raised_at(error)
    text = statement(where)
    evidence = [f"in: {text}"] if text else []
    if not given:
        evidence.append(f"with: {_described(values)}")
    hints = list(_fitting(frame, text)) if frame is not None else []
    evidence += [hint for hint, _ in hints]
    fixes = [fix for _, fix in hints if fix]
    how = "" if given else "; on sizes that all differ, where the given ones fit by chance"
    return Finding.of(
        "CD101",
        where=str(where),
        message=f"{said(error)}{how}.",
        evidence=tuple(evidence),
        fix=Fix(fixes[0]) if fixes else None,
    )


@cause("CD102", "forward raises")
def forward_raises(error: BaseException, values: Mapping[str, Any]) -> Finding:
    """The forward pass raises an error on the inputs that were given.

    It sees any exception that leaves forward, and names the line of your program and the shapes
    that went in.

    Why it matters: nothing can be differentiated.

    Example: ``X @ W1`` with X (2, 7), examples as columns, and W1 (2, 4).

    What to do: call forward on these inputs yourself; it has to run.
    """
    where, _ = raised_at(error)
    text = statement(where)
    return Finding.of(
        "CD102",
        where=str(where),
        message=f"On the inputs that were given: {said(error)}.",
        evidence=(*([f"in: {text}"] if text else []), f"with: {_described(values)}"),
    )


@cause("CD103", "fails in other sizes", "warning")
def fails_in_other_sizes(
    error: BaseException, values: Mapping[str, Any], sizes: Mapping[str, int]
) -> Finding:
    """The forward pass runs on the given inputs, and not in other sizes of the shapes said.

    It sees an exception of forward on arrays whose axes have other lengths, which ``shapes=``
    says are possible.

    Why it matters: the sizes that tell a factor 1/n from a factor 1/h cannot be tried, so causes
    stay ambiguous.

    Example: ``for k in range(64)`` in a function of arrays of any length.

    What to do: read lengths from shapes, as in ``n = X.shape[0]``, or correct ``shapes=``.
    """
    where, _ = raised_at(error)
    lengths = ", ".join(f"{letter} = {n}" for letter, n in sizes.items())
    return Finding.of(
        "CD103",
        where=str(where),
        message=f"Forward runs on the given inputs and raises with {lengths}: {said(error)}.",
        evidence=(f"with: {_described(values)}",),
        advice="The given lengths are used where others fail.",
    )


# ------------------------------------------------------------------ products that do not fit


def _fitting(frame: FrameType, text: str) -> Iterator[tuple[str, str]]:
    """Iterate over products of a statement that do not fit, and how they would."""
    try:
        tree = ast.parse(text.strip())
    except SyntaxError:
        return
    for node in ast.walk(tree):
        pair = _operands(node)
        if pair is None:
            continue
        a, b = (_value(part, frame) for part in pair)
        if np.ndim(a) != 2 or np.ndim(b) != 2 or np.shape(a)[1] == np.shape(b)[0]:
            continue
        names = [ast.unparse(part) for part in pair]
        shapes = f"{names[0]} is {list(np.shape(a))}, {names[1]} is {list(np.shape(b))}"
        ways = list(_ways(names, a, b, _wanted(tree, frame)))
        if ways:
            yield f"{shapes}: {' or '.join(ways)} would fit", _replaced(tree, node, ways[0])
        else:
            yield f"{shapes}, which fit in no order", ""


def _operands(node: ast.AST) -> tuple[ast.expr, ast.expr] | None:
    """Return the two sides of a matrix product, however it is written."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        return node.left, node.right
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    if node.func.attr in {"dot", "matmul"}:
        if len(node.args) == 2:
            return node.args[0], node.args[1]
        if len(node.args) == 1:
            return node.func.value, node.args[0]
    return None


def _value(part: ast.expr, frame: FrameType) -> Any:
    """Return the array that a name, an attribute, a subscript or a transpose stands for."""
    if isinstance(part, ast.Name):
        return frame.f_locals.get(part.id, frame.f_globals.get(part.id))
    if isinstance(part, ast.Attribute):
        owner = _value(part.value, frame)
        return getattr(owner, part.attr, None)
    if isinstance(part, ast.Subscript) and isinstance(part.slice, ast.Constant):
        owner = _value(part.value, frame)
        try:
            return owner[part.slice.value]
        except (KeyError, IndexError, TypeError):
            return None
    return None


def _wanted(tree: ast.Module, frame: FrameType) -> tuple[int, ...] | None:
    """Return the shape that a statement's result should have: that of W for dW."""
    statement = tree.body[0] if tree.body else None
    if not isinstance(statement, ast.Assign):
        return None
    target = statement.targets[0]
    name = target.id if isinstance(target, ast.Name) else ""
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        name = str(target.slice.value)
    own = name.removeprefix("d")
    owner: Any = frame.f_locals.get(own, frame.f_globals.get(own))
    return np.shape(owner) if np.ndim(owner) == 2 else None


def _ways(names: list[str], a: Any, b: Any, wanted: tuple[int, ...] | None) -> Iterator[str]:
    """Iterate over the products of two matrices, turned or swapped, that fit."""
    sides = [(_turned(n), x.T) for n, x in zip(names, (a, b), strict=True)]
    plain = list(zip(names, (a, b), strict=True))
    orders = [(0, 1), (1, 0)]
    for order, (first, second) in itertools.product(orders, _choices()):
        p, q = (
            sides[k] if turn else plain[k] for k, turn in zip(order, (first, second), strict=True)
        )
        if p[1].shape[1] != q[1].shape[0]:
            continue
        if wanted is None or (p[1].shape[0], q[1].shape[1]) == wanted:
            yield f"{p[0]} @ {q[0]}"


def _choices() -> list[tuple[bool, bool]]:
    return [(False, False), (True, False), (False, True), (True, True)]


def _turned(name: str) -> str:
    if name.endswith(".T"):
        return name[:-2]
    return f"{name}.T" if name.replace("_", "").replace(".", "").isalnum() else f"({name}).T"


def _replaced(tree: ast.Module, node: ast.AST, way: str) -> str:
    """Return a statement with one product written another way."""
    product = ast.parse(way, mode="eval").body

    class Swap(ast.NodeTransformer):
        def visit(self, here: ast.AST) -> Any:
            return product if here is node else super().visit(here)

    return ast.unparse(Swap().visit(copy.deepcopy(tree, {id(node): node})))
