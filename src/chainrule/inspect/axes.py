"""Along which axis the examples lie in what a pass computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.errors import StructureError

if TYPE_CHECKING:
    from chainrule.inspect.passes import Pass

__all__ = ["axes_of_examples", "examples_beside"]


def axes_of_examples(opened: Pass, by: int | None = None) -> list[int | None]:
    """Return for each node the axis along which examples lie in it, None without one.

    It is an axis of their number, in a node that is computed from an array with examples which
    is no part of the argument to differentiate by.

    Parameters
    ----------
    opened
        The pass.
    by
        The node to differentiate by.
    """
    count, end = examples_beside(opened, by), opened.examples.axis
    positions = _positions(opened, by)
    ours = {leaf.index for leaf in opened.walk.leaves if leaf.path[0] in positions}
    graph = opened.graph
    shapes = [node.shape for node in graph.nodes]
    place = slice(-1, None) if end == -1 else slice(1)
    sources = [
        i for i in {*opened.examples.data, *graph.constants} - ours if shapes[i][place] == (count,)
    ]
    depends = graph.dependents(sources)
    return [
        end % len(lengths) if d and lengths[place] == (count,) else None
        for d, lengths in zip(depends, shapes, strict=True)
    ]


def examples_beside(opened: Pass, by: int | None = None) -> int:
    """Return how many examples there are in the data, apart from a node to differentiate by.

    Raises
    ------
    StructureError
        If no other argument is known to hold examples.
    """
    batch = opened.examples
    if set(batch.positions) - _positions(opened, by):
        return batch.size
    raise StructureError(
        "one example is told apart by other data than what is differentiated by, and "
        f"{opened.program.title} has none.",
        advice="Let the data be arguments of the function: open(loss, parameters, X, y).",
    )


def _positions(opened: Pass, by: int | None) -> set[int]:
    """Return the position of the argument that a node is part of, none for another node."""
    return {leaf.path[0] for leaf in opened.walk.leaves if by is not None and leaf.index == by}
