"""One walk forward with everything kept: what a function computed, entry by entry, by name.

A `Walk` holds the graph of one run on concrete arrays and the number of every node. The
checks and the routes of this package read it. Nodes are called what the user's program calls
them, as far as it can be seen: an input by its argument, a result by the variable that its
line assigns, the output by the function, and anything else by its op.
"""

from __future__ import annotations

import ast
import linecache
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from chainrule import ops
from chainrule.errors import InputTypeError
from chainrule.graph import Graph, Tracer, Value, parameter_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainrule.graph import Where

__all__ = ["Leaf", "Walk", "walk"]


@dataclass(frozen=True)
class Leaf:
    """One array among the arguments: where it stands, and the node that it became.

    Attributes
    ----------
    path
        The position of the argument and then the keys within it.
    name
        The same as text: ``params['W1']``.
    index
        The node; None for what is not of a floating-point type and stays concrete.
    """

    path: tuple[Any, ...]
    name: str
    index: int | None


@dataclass(frozen=True, eq=False)
class Walk:
    """One run of a function with everything kept.

    Attributes
    ----------
    graph
        What was computed.
    numbers
        The number of each node.
    active
        For each node, whether it depends on a differentiable argument.
    leaves
        The arrays among the arguments, in optree's order.
    outputs
        The leaves of the result: values of the trace, or what does not depend on it.
    title
        What the function calls itself.
    """

    graph: Graph
    numbers: Sequence[Any]
    active: Sequence[bool]
    leaves: tuple[Leaf, ...]
    outputs: tuple[Any, ...]
    title: str

    def results(self) -> list[Any]:
        """Return the outputs as plain arrays."""
        return [np.asarray(self.numbers[y.index] if type(y) is Value else y) for y in self.outputs]

    def names(self) -> list[str]:
        """Return what the user's program calls each node; a leaf by its key where that is enough.

        Examples
        --------
        >>> import numpy as np
        >>> def loss(w, x):
        ...     h = np.tanh(x @ w)
        ...     return np.sum(h)
        >>> walk(loss, (np.ones(2), np.ones((3, 2)))).names()[-2:]
        ['h', 'loss']
        """
        nodes = self.graph.nodes
        names = [node.op.name if node.op else "constant" for node in nodes]
        inside = {i for node in nodes for i in node.inputs if nodes[i].where == node.where}
        for index, node in enumerate(nodes):
            if node.op is not None and index not in inside:
                names[index] = _assigned(node.where, node.op.name) or names[index]
        keys = Counter(leaf.path[-1] for leaf in self.leaves)
        for leaf in self.leaves:
            if leaf.index is not None:
                key = leaf.path[-1]
                is_short = len(leaf.path) > 1 and isinstance(key, str) and keys[key] == 1
                names[leaf.index] = key if is_short else leaf.name
        for y in self.outputs:
            if type(y) is Value and nodes[y.index].op and len(self.outputs) == 1:
                names[y.index] = self.title
        return names


def walk(f: Callable[..., Any], args: Sequence[Any], *, keep_flat: bool = False) -> Walk:
    """Run a function once on concrete arrays and keep everything.

    Parameters
    ----------
    f
        A function of arrays, or containers of arrays, that returns such.
    args
        Its arguments. Arrays of a floating-point type are followed; the rest stays concrete.
    keep_flat
        Whether ops without a derivative (comparisons, rounding) are kept too.
    """
    tracer = Tracer(keep_flat=keep_flat)
    tree: Any = tuple(args)
    paths, arrays, structure = optree.tree_flatten_with_path(tree)
    names = parameter_names(f, len(args))
    leaves: list[Leaf] = []
    inside: list[Any] = []
    for path, x in zip(paths, arrays, strict=True):
        name = _leaf_name(names, path)
        if _is_floating(x):
            value = tracer.input(np.array(x)[()], name)
            leaves.append(Leaf(path, name, value.index))
            inside.append(value)
        else:
            leaves.append(Leaf(path, name, None))
            inside.append(x)
    try:
        y = f(*optree.tree_unflatten(structure, inside))
    finally:
        tracer.close()
    title = getattr(f, "__name__", "f")
    return Walk(
        graph=tracer.graph,
        numbers=tracer.numbers,
        active=tracer.active,
        leaves=tuple(leaves),
        outputs=tuple(optree.tree_leaves(y)),
        title="f" if title == "<lambda>" else title,
    )


def _is_floating(x: Any) -> bool:
    if type(x) is Value:
        raise InputTypeError(
            f"this walk needs numbers, got a value that is being traced: {x!r}.",
            advice="Call it outside of grad, vmap and trace.",
        )
    return isinstance(x, float) or (hasattr(x, "dtype") and np.issubdtype(x.dtype, np.floating))


def _leaf_name(names: Sequence[str], path: tuple[Any, ...]) -> str:
    """Return ``params['W1']`` for the leaf W1 of the argument params."""
    argument = names[path[0]] or f"argument {path[0]}"
    return argument + "".join(f"[{key!r}]" for key in path[1:])


def _assigned(where: Where, op: str) -> str:
    """Return the variable that a line assigns the result of an op to, if it is plain to see."""
    line = linecache.getline(where.file, where.line).strip()
    try:
        statement = ast.parse(line).body[0]
    except (SyntaxError, IndexError):
        return ""
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return ""
    target, called = statement.targets[0], statement.value
    if isinstance(called, ast.Call) and not _is_ours(called.func, op):
        return ""  # a function of the user's: its result is computed on its own lines
    return ast.unparse(target) if isinstance(target, ast.Name | ast.Subscript) else ""


def _is_ours(function: ast.expr, op: str) -> bool:
    """Return whether a function that a line calls is NumPy's or an op, and no user's."""
    if isinstance(function, ast.Name):
        return function.id == op
    name = function.attr if isinstance(function, ast.Attribute) else ""
    return any(hasattr(library, name) for library in (np, np.ndarray, ops))
