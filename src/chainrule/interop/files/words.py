"""The shapes of arguments, as the text of a file says them: annotations, docstrings, comments.

``X: "n d"``, ``X : ndarray of shape (n, d)`` in a docstring, ``# (N, D)`` beside the line on which
X is a parameter or is assigned. A comment beside ``y = X.dot(W) + b`` that has a shape for each
term, ``# (N,H) + (H)``, is read term by term.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["shapes_said"]

_SHAPE = re.compile(
    r"\(\s*((?:\w+\s*(?:,|x|×)\s*)+\w*|\w+)\s*,?\s*\)|\[\s*((?:\w+\s*,\s*)*\w+)\s*\]"
)
_ENTRY = re.compile(
    r"^\s*(?:[-*]\s*|:param\s+)?`{0,2}(\w+)`{0,2}\s*(?:\([^)]*\)\s*)?[:\-–]\s*(.*)$"
)
_AXIS = re.compile(r"[A-Za-z]\w*|\d+")


def shapes_said(
    source: str, tree: ast.Module, function: str, names: list[str], owner: str = ""
) -> dict[str, str]:
    r"""Return the axes of the arguments of a function, as far as its file says them.

    Parameters
    ----------
    source, tree
        The text of the file, and what it parses to.
    function
        The name of the forward function or method.
    names
        Of its arguments.
    owner
        The class of a method.

    Examples
    --------
    >>> source = "def forward(X, w):  # X (N, D)\n    y = X @ w  # (N, D) @ (D,)"
    >>> shapes_said(source, ast.parse(source), "forward", ["X", "w"])
    {'X': 'N D', 'w': 'D'}
    """
    node = _function(tree, function, owner)
    said: dict[str, str] = {}
    for found in (
        _annotated(node) if node is not None else (),
        _documented(ast.get_docstring(node) if node is not None else ""),
        _documented(_class_docstring(tree, owner)),
        _commented(source, tree, node),
        _documented(ast.get_docstring(tree)),
    ):
        for name, shape in found:
            if name in names:
                said.setdefault(name, shape)
    return {name: said[name] for name in names if name in said}


def _function(tree: ast.AST, name: str, owner: str) -> ast.FunctionDef | None:
    for node in ast.walk(tree):
        if owner and isinstance(node, ast.ClassDef) and node.name == owner:
            return _function(node, name, "")
        if not owner and isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    return None


def _class_docstring(tree: ast.AST, owner: str) -> str | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == owner:
            return ast.get_docstring(node)
    return None


# ------------------------------------------------------------------ annotations, docstrings


def _annotated(node: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """Iterate over parameters whose annotation is, or ends in, a text of letters."""
    for parameter in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
        texts = [
            n.value
            for n in ast.walk(parameter.annotation or ast.Pass())
            if isinstance(n, ast.Constant) and isinstance(n.value, str)
        ]
        for text in texts[-1:]:
            tokens = text.replace(",", " ").split()
            if tokens and all(_AXIS.fullmatch(t) and len(t) < 12 for t in tokens):
                yield parameter.arg, " ".join(tokens)


def _documented(text: str | None) -> Iterator[tuple[str, str]]:
    """Iterate over the entries of a docstring that name a shape, on their line or the next."""
    current = ""
    for line in (text or "").splitlines():
        entry = _ENTRY.match(line)
        if entry:
            current, rest = entry[1], entry[2]
        else:
            rest = line
        shape = _first_shape(rest, needs_word=entry is None)
        if current and shape:
            yield current, shape
            current = ""


def _first_shape(text: str, *, needs_word: bool = False) -> str:
    """Return the first shape in a text, as letters with spaces between; empty if there is none."""
    if needs_word and "shape" not in text.lower():
        return ""
    after = re.split(r"\bshape\b", text, maxsplit=1, flags=re.IGNORECASE)
    for match in _SHAPE.finditer(after[-1]):
        inside = match[1] or match[2]
        is_list = "," in match[0] or "×" in inside or len(after) > 1 or " x " in inside
        axes = _AXIS.findall(re.sub(r"\s+x\s+", ",", inside))
        if is_list and all(len(axis) < 12 for axis in axes):
            return " ".join(axes)
    return ""


# ------------------------------------------------------------------ comments


def _commented(
    source: str, tree: ast.Module, function: ast.FunctionDef | None
) -> Iterator[tuple[str, str]]:
    """Iterate over names that have a shape in a comment beside them; the function's own first."""
    comments = _comments(source)
    inside = set(range(function.lineno, (function.end_lineno or 0) + 1)) if function else set()
    for line in sorted(comments, key=lambda n: (n not in inside, n)):
        text = comments[line]
        yield from _named(text)
        shapes = [m[1] or m[2] for m in _SHAPE.finditer(text)]
        yield from _beside(tree, line, [" ".join(_AXIS.findall(shape)) for shape in shapes])


def _comments(source: str) -> dict[int, str]:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, IndentationError):
        return {}
    return {t.start[0]: t.string[1:] for t in tokens if t.type == tokenize.COMMENT}


def _named(text: str) -> list[tuple[str, str]]:
    """Return the names in a comment that a shape follows: ``X (N, D), W1: (D, H)``."""
    found = re.findall(
        r"\b([A-Za-z_]\w*)\s*(?:[:=]|is|has shape)?\s*\(((?:\w+\s*,\s*)+\w*)\)", text
    )
    return [(name, " ".join(_AXIS.findall(shape))) for name, shape in found]


def _beside(tree: ast.Module, line: int, axes: list[str]) -> Iterator[tuple[str, str]]:
    """Iterate over the names on a line that shapes in a comment beside it belong to."""
    nodes = list(ast.walk(tree))
    own = [n.arg for n in nodes if isinstance(n, ast.arg) and n.lineno == line and n.arg != "self"]
    if len(own) == len(axes):
        yield from zip(own, axes, strict=True)
    for node in nodes:
        if isinstance(node, ast.Assign) and node.end_lineno == line:
            target = node.targets[0]
            if isinstance(target, ast.Name) and len(axes) == 1:
                yield target.id, axes[0]
            yield from _spread(node.value, axes)


def _spread(node: ast.expr, axes: list[str]) -> Iterator[tuple[str, str]]:
    """Iterate over the operands of an expression with a shape for each, in their order."""
    terms = _operands(node)
    if len(terms) != len(axes):
        terms = [leaf for term in terms for leaf in _factors(term)]
    if len(terms) != len(axes) or len(axes) < 2:
        return
    for term, shape in zip(terms, axes, strict=True):
        if isinstance(term, ast.Name):
            yield term.id, shape


def _operands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        return [*_operands(node.left), *_operands(node.right)]
    return [node]


def _factors(node: ast.expr) -> list[ast.expr]:
    """Return the two sides of a product."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult | ast.Mult):
        return [*_factors(node.left), *_factors(node.right)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in {"dot", "matmul"} and len(node.args) == 2:
            return [*_factors(node.args[0]), *_factors(node.args[1])]
        if node.func.attr == "dot" and len(node.args) == 1:
            return [*_factors(node.func.value), *_factors(node.args[0])]
    return [node]
