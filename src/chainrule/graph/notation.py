"""A graph as text, a line a node, and the literals in it.

The text names nodes ``%0, %1, …``, shows the dtype and shape of each, and writes small
constants out; larger ones are named ``c0, c1, …`` and stand in the table that `constants`
returns. `chainrule.graph.reading` reads the text back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainrule.graph.graph import Graph, Node

__all__ = ["constants", "literal", "write"]


def literal(x: Any) -> str:
    """Return an attribute as Python text: numbers, strings, tuples, slices, dtypes, None."""
    if isinstance(x, np.dtype):
        return repr(x.name)
    if isinstance(x, tuple):
        return f"({', '.join(literal(item) for item in x)}{',' if len(x) == 1 else ''})"
    if isinstance(x, np.generic):
        return repr(x.item())
    return repr(x)


def constants(graph: Graph) -> dict[str, Any]:
    """Return the table of constants that the text names but does not write out."""
    large = [index for index, x in graph.constants.items() if not _is_small(x)]
    return {f"c{k}": graph.constants[index] for k, index in enumerate(sorted(large))}


def write(graph: Graph) -> str:
    """Return the text of a graph."""
    names = {id(x): name for name, x in constants(graph).items()}
    head = "specialised graph" if graph.specialised else "graph"
    lines = [f"{head}({_indices(graph.inputs)}) -> {_indices(graph.outputs)}"]
    for index, node in enumerate(graph.nodes):
        x = graph.constants.get(index)
        lines.append(f"  %{index}: {_type(node)} = {_right(node, x, names.get(id(x), ''))}")
    return "\n".join(lines)


def _right(node: Node, constant: Any, name: str) -> str:
    """Return what stands right of a node's equals sign."""
    if node.op is not None:
        return f"{node.op.name}({_arguments(node.inputs, node.attributes)})"
    if constant is None:
        return f"input {node.name}".rstrip()
    return f"constant {name or repr(np.asarray(constant).item())}"


def _arguments(inputs: tuple[int, ...], attributes: Mapping[str, Any]) -> str:
    named = [f"{name}={literal(x)}" for name, x in attributes.items()]
    return ", ".join([*(f"%{i}" for i in inputs), *named])


def _indices(indices: list[int]) -> str:
    return ", ".join(f"%{i}" for i in indices)


def _type(node: Node) -> str:
    return f"{node.dtype.name}[{', '.join(map(str, node.shape))}]"


def _is_small(x: Any) -> bool:
    """Return whether a constant is one finite number, which its text gives exactly."""
    return (
        isinstance(x, (np.ndarray, np.generic))
        and x.ndim == 0
        and x.dtype.itemsize <= 8
        and bool(np.isfinite(x))
    )
