"""Where a number first stopped being finite: the node, the line and the example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from chainrule.errors import TraceError
from chainrule.graph import Spec, trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainrule.graph import Node

__all__ = ["Culprit", "first_non_finite"]


class Culprit(NamedTuple):
    """The first node whose number is not finite.

    Attributes
    ----------
    what
        The node in words: an op with its line, or an input by its name.
    number
        The number found there.
    place
        Where in the node's array.
    row
        The example of the batch it belongs to, None if the array has no axis of examples.
    """

    what: str
    number: float
    place: tuple[int, ...]
    row: int | None


def first_non_finite(function: Callable[..., Any], arguments: Any, examples: int) -> Culprit | None:
    """Evaluate a function node by node until a number is not finite.

    Parameters
    ----------
    function
        A pure function of containers of arrays.
    arguments
        The tuple of its arguments.
    examples
        The number of examples in the batch.

    Returns
    -------
    Culprit or None
        None if all numbers are finite, or the function cannot be traced on shapes.
    """
    leaves = [np.asarray(x) for x in optree.tree_leaves(arguments)]
    specs: Any = optree.tree_map(lambda x: Spec(np.shape(x), np.asarray(x).dtype), arguments)
    try:
        graph = trace(function, *specs)
    except TraceError:
        return None
    with np.errstate(all="ignore"):
        numbers = graph.walk(*leaves)
    for node, x in zip(graph.nodes, numbers, strict=True):
        if np.issubdtype(node.dtype, np.floating) and not np.all(np.isfinite(x)):
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(np.asarray(x)))[0])
            row = index[0] if node.shape and node.shape[0] == examples else None
            return Culprit(_words(node), float(np.asarray(x)[index]), index, row)
    return None


def _words(node: Node) -> str:
    if node.op is None:
        return f"the input {node.name}" if node.name else "a constant"
    backward = f", in its {node.origin.rule}" if node.origin else ""
    return f"{node.op.name} at {node.where}{backward}"
