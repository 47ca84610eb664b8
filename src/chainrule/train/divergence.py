"""Where a number first stopped being finite: the node, the line and the example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from chainrule.errors import TraceError
from chainrule.graph import Spec, parameter_names, trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainrule.graph import Graph, Node

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


def first_non_finite(
    function: Callable[..., Any], arguments: Sequence[Any], batched: Sequence[str], examples: int
) -> Culprit | None:
    """Evaluate a function node by node until a number is not finite.

    Parameters
    ----------
    function
        A pure function of containers of arrays.
    arguments
        Its arguments.
    batched
        The names of the parameters that have examples along the first axis.
    examples
        The number of examples in the batch.

    Returns
    -------
    Culprit or None
        None if all numbers are finite. Of a function that cannot be traced on shapes, only the
        arguments are looked at.
    """
    names = parameter_names(function, len(arguments))
    leaves = [
        (name, np.asarray(x))
        for name, argument in zip(names, arguments, strict=True)
        for x in optree.tree_leaves(argument)
    ]
    try:
        graph, other = (_traced(function, arguments, names, batched, n) for n in (0, 1))
    except TraceError:
        found = ((f"the input {name}", x, name in batched) for name, x in leaves)
    else:
        with np.errstate(all="ignore"):
            numbers = graph.walk(*[x for _, x in leaves])
        found = (
            (_words(node), x, node.shape[:1] != more.shape[:1] and node.shape[:1] == (examples,))
            for node, more, x in zip(graph.nodes, other.nodes, numbers, strict=True)
        )
    for what, x, has_rows in found:
        x = np.asarray(x)  # noqa: PLW2901 - a number without axes as an array
        if x.dtype.kind == "f" and not np.all(np.isfinite(x)):
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
            return Culprit(what, float(x[place]), place, place[0] if has_rows else None)
    return None


def _traced(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    names: Sequence[str],
    batched: Sequence[str],
    more: int,
) -> Graph:
    """Return the graph for shapes like these, with so many more examples.

    What is as long as the batch and grows with it has an example in each row.
    """

    def spec(x: Any, grows: bool) -> Spec:
        x = np.asarray(x)
        return Spec((x.shape[0] + more, *x.shape[1:]) if grows else x.shape, x.dtype)

    specs: list[Any] = [
        optree.tree_map(lambda x, grows=name in batched: spec(x, grows), argument)
        for name, argument in zip(names, arguments, strict=True)
    ]
    return trace(function, *specs)


def _words(node: Node) -> str:
    if node.op is None:
        return f"the input {node.name}" if node.name else "a constant"
    backward = f", in its {node.origin.rule}" if node.origin else ""
    return f"{node.op.name} at {node.where}{backward}"
