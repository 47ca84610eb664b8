"""Text back to a graph: the inverse of `chainrule.graph.notation`."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import NotationError
from chainrule.graph.graph import Graph, Node
from chainrule.graph.op import OPS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["read"]

_HEAD = re.compile(r"(specialised )?graph\((.*?)\) -> (.*)")
_LINE = re.compile(r"%(\d+): (\w+)\[([\d, ]*)\] = (.*)")
_CALL = re.compile(r"(\w+)\((.*)\)")


def read(text: str, constants: Mapping[str, Any] | None = None) -> Graph:
    """Return the graph that a text says.

    Parameters
    ----------
    text
        What ``str(graph)`` gave.
    constants
        The table of the arrays that the text names (`chainrule.graph.constants`).

    Raises
    ------
    NotationError
        Where the text does not follow the notation, with the line.
    GraphError
        Where it does, and says a graph that breaks a rule.

    Examples
    --------
    >>> text = '''graph(%0) -> %1
    ...   %0: float64[2] = input x
    ...   %1: float64[2] = exp(%0)'''
    >>> str(read(text)) == text
    True
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    head = _HEAD.fullmatch(lines[0]) if lines else None
    if head is None:
        raise NotationError("a graph starts with 'graph(%0, …) -> %…'.", *lines[:1])
    graph = Graph(
        inputs=_indices(head[2]), outputs=_indices(head[3]), specialised=head[1] is not None
    )
    for line in lines[1:]:
        try:
            _read_line(graph, line, constants or {})
        except (ValueError, KeyError, TypeError, SyntaxError) as error:
            raise NotationError(f"cannot read the line {line!r}: {error}.") from error
    return graph.check()


def _read_line(graph: Graph, line: str, table: Mapping[str, Any]) -> None:
    match = _LINE.fullmatch(line)
    if match is None or int(match[1]) != len(graph.nodes):
        raise ValueError(f"expected '%{len(graph.nodes)}: dtype[shape] = …'")
    dtype = np.dtype(match[2])
    shape = tuple(int(n) for n in match[3].split(",") if n.strip())
    kind, _, rest = match[4].partition(" ")
    if kind == "input":
        graph.nodes.append(Node(None, (), {}, shape, dtype, name=rest))
    elif kind == "constant":
        number = table[rest] if rest in table else dtype.type(ast.literal_eval(rest))
        graph.constants[len(graph.nodes)] = number
        graph.nodes.append(Node(None, (), {}, shape, dtype))
    else:
        graph.nodes.append(_read_call(match[4], shape, dtype))


def _read_call(text: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Node:
    match = _CALL.fullmatch(text)
    if match is None or match[1] not in OPS:
        raise ValueError(f"{text!r} is not a call of an op")
    call = ast.parse(f"f({match[2].replace('%', '_')})", mode="eval").body
    if not isinstance(call, ast.Call) or isinstance(call.func, ast.Call):
        raise ValueError(f"{text!r} is not a call")  # noqa: TRY004 - a fault of the text
    inputs = tuple(int(ast.unparse(argument).removeprefix("_")) for argument in call.args)
    attributes = {str(word.arg): _value(word.value) for word in call.keywords}
    return Node(OPS[match[1]], inputs, attributes, shape, dtype)


def _value(node: ast.expr) -> Any:
    """Return a literal; unlike `ast.literal_eval`, slices are literals too."""
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "slice":
        return slice(*[_value(item) for item in node.args])
    if isinstance(node, ast.Name) and node.id in {"inf", "nan"}:
        return float(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    return ast.literal_eval(node)


def _indices(text: str) -> list[int]:
    return [int(name.strip().removeprefix("%")) for name in text.split(",") if name.strip()]
