"""Where the examples of a batch lie: as it was said, or as arguments and program show.

Arguments that hold examples have one length along their first axis, or along their last one. Of
the ways to read the arguments so, only those count in which examples do not meet in the program,
and that take in the arrays of whole numbers (labels, words). The custom is that data come last
and are rows, as in loss(parameters, X, y), or that the first argument and the last hold them.
Where that does not apply, the only way there is counts; where there are two, nothing is guessed:
in mean((A @ B - C)²) both A and B may be the parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from chainrule.errors import StructureError
from chainrule.graph import describe
from chainrule.inspect.examples.batch import Batch, placed
from chainrule.inspect.examples.mixing import Apart, apart

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from chainrule.graph import Graph
    from chainrule.inspect.programs import Program
    from chainrule.inspect.walking import Leaf, Walk

__all__ = ["examples_in", "examples_of"]


def examples_in(
    leaves: Sequence[Leaf],
    arguments: Sequence[Any],
    graph: Graph,
    output: int,
    *,
    data: Sequence[int] | None = None,
    axis: int | None = None,
    held: Mapping[int, Any] | None = None,
) -> Batch:
    """Return which arguments of a program hold the examples, along which axis, and how many.

    Parameters
    ----------
    leaves
        The arrays among the arguments, and the nodes that they became.
    arguments
        What the function is called with.
    graph, output
        What it computes, and the node that is differentiated.
    data
        The positions of the arguments that hold examples; None to find out.
    axis
        The axis along which they lie, 0 or -1; None to find out.
    held
        The numbers of inputs that are constants in truth, as for `apart`.

    Raises
    ------
    StructureError
        If no argument can hold examples, if those that were named do not fit each other, or if
        it cannot be told which arguments they are.
    """
    axes = (0, -1) if axis is None else (axis,)
    shapes = [_shapes(argument) for argument in arguments]

    def batch(reading: _Reading) -> Batch:
        return _batch(leaves, arguments, graph, reading)

    def is_apart(reading: _Reading) -> bool:
        return isinstance(apart(graph, output, batch(reading), held), Apart)

    if data is not None:
        best = [reading for a in axes if (reading := _named(shapes, data, a))][:1]
    else:
        best = _best(_readings(arguments, shapes, axes), is_apart)
    if len(best) == 1:
        return batch(best[0])
    raise _refusal(arguments, axis, data, best)


def examples_of(run: Walk, program: Program, output: int) -> Batch:
    """Return where the examples lie in a walk of a program, which may say so itself."""
    axis = None if program.data is None else program.axis
    return examples_in(run.leaves, program.args, run.graph, output, data=program.data, axis=axis)


class _Reading(NamedTuple):
    """One way to read the arguments: these have so many entries along this axis.

    ``custom`` is 2 for rows of the last arguments, or around whole numbers; 1 for rows of the
    first argument and the last, with others between; 0 for all else.
    """

    size: int
    axis: int
    positions: tuple[int, ...]
    custom: int = 0


def _refusal(
    arguments: Sequence[Any],
    axis: int | None,
    data: Sequence[int] | None,
    readings: Sequence[_Reading],
) -> StructureError:
    along = "the first or the last axis" if axis is None else f"axis {axis}"
    among = "" if data is None else f" among {', '.join(map(str, data))}"
    what = f"no argument{among} holds examples along {along}."
    if readings:
        ways = [f"{_listed(r.positions)} along axis {r.axis} ({r.size})" for r in readings]
        what = f"it cannot be told which arguments hold the examples: {', or '.join(ways)}."
    return StructureError(
        what,
        *[f"argument {k}: {describe(x)}" for k, x in enumerate(arguments)],
        advice="Let the parameters be one container and the data follow, as in "
        'open(loss, {"W": W, "b": b}, X, y);\n'
        "or say which arguments are data: per_example.along(0, data=[1, 2]).",
    )


def _listed(positions: Sequence[int]) -> str:
    return " and ".join(map(str, positions))


# ------------------------------------------------------------------ said


def _named(
    shapes: Sequence[list[tuple[int, ...]]], data: Sequence[int], axis: int
) -> _Reading | None:
    """Return the arguments that were named, if all have one length along the axis."""
    held = tuple(k for k in data if shapes[k])
    lengths = {_length(shapes[k], axis) for k in held}
    size = lengths.pop() if len(lengths) == 1 else None
    return _Reading(size, axis, held) if size else None


# ------------------------------------------------------------------ found


def _best(readings: list[_Reading], is_apart: Callable[[_Reading], bool]) -> list[_Reading]:
    """Return the best reading; several if nothing tells which of them it is.

    Of the customary ones it is that of the most arguments in which examples do not meet. Columns
    of one array are no answer: what mixes its rows often keeps its columns apart.
    """
    readings.sort(key=lambda reading: (-reading.custom, -len(reading.positions)))
    for reading in readings:
        if reading.custom and is_apart(reading):
            return [reading]
    found = [reading for reading in readings if not reading.custom and is_apart(reading)]
    if len(found) > 1 or any(r.axis == 0 or len(r.positions) > 1 for r in found):
        return found
    # Examples meet in what is customary; it will be said where.
    return [reading for reading in readings if reading.custom == 2][:1]


def _readings(
    arguments: Sequence[Any], shapes: Sequence[list[tuple[int, ...]]], axes: Sequence[int]
) -> list[_Reading]:
    """Return the ways to read the arguments that take in as many whole numbers as any."""
    places = [k for k, found in enumerate(shapes) if found]
    whole = {k for k in places if all(d == "whole" for d in _kinds(arguments[k]))}
    learned = {k for k, x in enumerate(arguments) if "floating" in _kinds(x)}
    ends = whole or set(places[-1:])
    vectors = {k for k in places if all(len(shape) == 1 for shape in shapes[k])}
    vectors -= ends
    found: list[_Reading] = []
    for axis in axes:
        lengths = {k: _length(shapes[k], axis) for k in places}
        for size in dict.fromkeys(filter(None, lengths.values())):
            long = [k for k in places if lengths[k] == size]
            sets = _sets(places, long, ends, vectors, is_plain=hasattr(arguments[0], "dtype"))
            found += [
                _Reading(size, axis, positions, custom if axis == axes[0] else 0)
                for positions, custom in sets.items()
                if learned - set(positions)
            ]
    found = [reading for reading in found if reading.size > 1 or _is_of_one(reading, found)]
    most = max((len(whole & set(reading.positions)) for reading in found), default=0)
    return [reading for reading in found if len(whole & set(reading.positions)) == most]


def _is_of_one(reading: _Reading, others: Sequence[_Reading]) -> bool:
    """Return whether a length of 1 may be a batch of one example.

    Not where more arguments agree in another length, and an array by itself may be a parameter.
    """
    ours = set(reading.positions)
    is_sure = len(ours) > 1 or all(
        len(other.positions) == 1 and 0 not in other.positions for other in others
    )
    return (
        reading.custom == 2
        and is_sure
        and not any(ours < set(other.positions) for other in others if other.size > 1)
    )


def _sets(
    places: Sequence[int],
    long: Collection[int],
    ends: set[int],
    vectors: set[int],
    *,
    is_plain: bool,
) -> dict[tuple[int, ...], int]:
    """Return the arguments of a length that may belong together, and how customary that is.

    They follow each other up to the last argument or around whole numbers; the first argument,
    if it is an array by itself, is one of them or it is a parameter. What stands between is a
    parameter that has the length by chance.
    """
    runs: list[list[int]] = []
    for before, k in zip([None, *places], places, strict=False):
        if k in long and k > 0:
            if runs and runs[-1][-1] == before:
                runs[-1].append(k)
            else:
                runs.append([k])
    late = sorted(k for run in runs if ends & set(run) for k in run)
    first_end = min(ends & set(late), default=0)
    found = {tuple(late): 2} if late else {}
    for k in range(1, len(late) if is_plain else 1):  # a bias may have joined the run by chance
        if late[k] <= first_end and (len(late) > k + 1 or set(late[:k]) <= vectors):
            found[tuple(late[k:])] = 2
    if 0 in long and is_plain:
        early = runs[0] if runs and runs[0][0] == 1 else []
        heads = [{0, *early[:k]} for k in range(len(early) + 1)]
        for positions in [{0} | (set(late) & ends), *[set(late) | head for head in heads], *heads]:
            between = len(places) - len(positions)
            is_both = len(positions) > 1 and positions == {0} | ends and between > 1
            found.setdefault(tuple(sorted(positions)), int(is_both))
    return found


def _kinds(argument: Any) -> set[str]:
    """Return whether the arrays of an argument are of whole numbers or of others."""
    tree: Any = argument
    kinds = [np.dtype(getattr(x, "dtype", type(x))).kind for x in optree.tree_leaves(tree)]
    return {"floating" if kind == "f" else "whole" if kind in "iub" else "other" for kind in kinds}


def _shapes(argument: Any) -> list[tuple[int, ...]]:
    """Return the shapes of the arrays in an argument that have axes."""
    return [np.shape(x) for x in optree.tree_leaves(argument) if np.shape(x)]


def _length(shapes: list[tuple[int, ...]], axis: int) -> int | None:
    """Return the length that all arrays of an argument have along an axis."""
    lengths = {shape[placed(axis, len(shape))] for shape in shapes}
    return lengths.pop() if len(lengths) == 1 else None


# ------------------------------------------------------------------ in the graph


def _batch(
    leaves: Sequence[Leaf], arguments: Sequence[Any], graph: Graph, reading: _Reading
) -> Batch:
    """Return the nodes that a reading is about: inputs, and the constants that labels became."""
    tree: Any = tuple(arguments)
    ranks = [np.ndim(x) for x in optree.tree_leaves(tree)]
    ours = [
        (leaf, rank)
        for leaf, rank in zip(leaves, ranks, strict=True)
        if leaf.path[0] in reading.positions and rank
    ]
    nodes = {
        leaf.index: placed(reading.axis, rank) for leaf, rank in ours if leaf.index is not None
    }
    given = [leaf.concrete for leaf, _ in ours if leaf.index is None and leaf.concrete is not None]
    for index, x in graph.constants.items():
        if np.ndim(x) and any(_is_same(x, y) for y in given):
            nodes[index] = placed(reading.axis, np.ndim(x))
    return Batch(reading.size, reading.axis, nodes, reading.positions)


def _is_same(x: Any, y: Any) -> bool:
    """Return whether arrays hold the same numbers; NaN is NaN."""
    x, y = np.asarray(x), np.asarray(y)
    return x.shape == y.shape and bool(np.all((x == y) | ((x != x) & (y != y))))  # noqa: PLR0124
