"""Python expressions as they are easily read: brackets, vectors, indices.

What the rules make of vectors are matrices of one row or column, since products are of matrices.
Python's ``@`` takes vectors, so here they are vectors again: ``W.T @ dy``, ``np.outer(dy, x)``.
"""

from __future__ import annotations

import ast
import copy
import functools

__all__ = ["is_truth", "mark_truth", "parsed", "readable", "vector_product"]

_FACTORS = ast.Mult | ast.Div | ast.MatMult


@functools.lru_cache(maxsize=4096)
def _tree(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def parsed(text: str) -> ast.expr:
    """Return a new tree of an expression, whose parts may be replaced."""
    return copy.deepcopy(_tree(text))


def mark_truth(tree: ast.expr) -> ast.expr:
    """Return an expression, noted to be of truth values."""
    vars(tree)["is_truth"] = True
    return tree


def is_truth(tree: ast.expr) -> bool:
    """Return whether an expression was noted to be of truth values."""
    return "is_truth" in vars(tree)


def readable(tree: ast.expr) -> ast.expr:
    """Return an expression as it is written: -a * b for -(a * b), (a * b) @ c for a * b @ c."""
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return _negative(tree)
    if isinstance(tree, ast.Subscript):
        return ast.Subscript(tree.value, _index(tree.slice), tree.ctx)
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.MatMult):
        outer = _outer(tree)
        return _product(tree) if outer is None else outer
    return tree


def _negative(tree: ast.UnaryOp) -> ast.expr:
    """Return a negative with its sign at the first factor; truth values have no negative."""
    first = tree.operand
    if not (isinstance(first, ast.BinOp) and isinstance(first.op, _FACTORS)):
        return tree
    leftmost: ast.expr = first
    while isinstance(leftmost, ast.BinOp) and isinstance(leftmost.op, _FACTORS):
        leftmost = leftmost.left
    if is_truth(leftmost):
        return tree
    return ast.BinOp(readable(ast.UnaryOp(ast.USub(), first.left)), first.op, first.right)


def _product(tree: ast.BinOp) -> ast.expr:
    """Return a matrix product with brackets around an elementwise one on its left."""
    left = tree.left
    if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Mult | ast.Div):
        text = ast.unparse(ast.fix_missing_locations(left))
        return ast.BinOp(ast.Name(f"({text})", ast.Load()), tree.op, tree.right)
    return tree


def _index(tree: ast.expr) -> ast.expr:
    """Return an index between brackets: without its own where it came as a value."""
    if isinstance(tree, ast.Subscript) and ast.unparse(tree.value) == "np.s_":
        return tree.slice
    return tree.elts[0] if isinstance(tree, ast.Tuple) and len(tree.elts) == 1 else tree


# ---------------------------------------------------------------- vectors


def _row(tree: ast.expr) -> ast.expr | None:
    """Return the vector that an expression makes a matrix of one row: v[None, :], v[:, None].T."""
    return _spread(tree, "None, :") or _turned(tree, ":, None")


def _column(tree: ast.expr) -> ast.expr | None:
    """Return the vector that an expression makes a matrix of one column."""
    return _spread(tree, ":, None") or _turned(tree, "None, :")


def _spread(tree: ast.expr, index: str) -> ast.expr | None:
    if isinstance(tree, ast.Subscript) and ast.unparse(tree.slice).strip("()") == index:
        return tree.value
    return None


def _turned(tree: ast.expr, index: str) -> ast.expr | None:
    if isinstance(tree, ast.Attribute) and tree.attr == "T":
        return _spread(tree.value, index)
    return None


def _outer(tree: ast.BinOp) -> ast.expr | None:
    """Return a column times a row as an outer product."""
    column, row = _column(tree.left), _row(tree.right)
    if column is None or row is None:
        return None
    return ast.Call(parsed("np.outer"), [column, row], [])


def vector_product(tree: ast.expr) -> tuple[ast.expr, int]:
    """Return a product of two matrices by the vectors that it is made of, and how many axes it has.

    A matrix of one row on the left becomes a vector, and one of one column on the right.
    """
    if not (isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.MatMult)):
        return tree, 2
    row, column = _row(tree.left), _column(tree.right)
    product = ast.BinOp(row or tree.left, tree.op, column or tree.right)
    return readable(product), 2 - (row is not None) - (column is not None)
