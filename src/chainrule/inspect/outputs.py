"""Where a backward walk starts: a result that is one number, an entry of one, or a cotangent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from chainrule.errors import AxisError, NotScalarError, StructureError
from chainrule.graph import REAL, Value, describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chainrule.inspect.walking import Leaf

__all__ = ["Start", "start_of"]


class Start(NamedTuple):
    """Where a backward walk starts.

    Attributes
    ----------
    cotangents
        For each node that it starts at, how strongly its entries count.
    entry
        The index of the one entry that is differentiated, ``()`` of a number; None if it is a
        sum over entries.
    """

    cotangents: Mapping[int, Any]
    entry: tuple[int, ...] | None

    @property
    def node(self) -> int:
        """The node that it starts at; the last of several."""
        return max(self.cotangents)


def start_of(result: Any, output: Any, leaves: Sequence[Leaf] = ()) -> Start:
    """Return where to start from a result and what was said about it.

    Parameters
    ----------
    result, output
        What the program returned, and what was said.
    leaves
        The arrays among its arguments.

    Raises
    ------
    NotScalarError
        If the result is not one number and nothing was said.
    StructureError
        If what was said does not fit the result.
    """
    if not any(type(y) is Value for y in optree.tree_leaves(result)):
        raise _without_arguments(result, leaves)
    if output is None:
        return _of_number(result)
    if isinstance(output, str | int | np.integer) or _is_path(output):
        path = output if isinstance(output, tuple) else (output,)
        return _of_entry(*_followed(result, path), output)
    return _of_cotangents(result, output)


def _without_arguments(result: Any, leaves: Sequence[Leaf] | None = None) -> NotScalarError:
    """Return the error for a result that depends on no argument, with what helps most likely."""
    advice = (
        "Rounding, comparing, stop_gradient and whole numbers let no derivative through, and a "
        "plain number has none: see what the result is computed from."
    )
    kinds = {np.asarray(x.concrete).dtype.kind for x in leaves or () if x.index is None}
    if result is None:
        advice = "The function returned nothing: end it with return and the number."
    elif leaves is not None and not any(leaf.index is not None for leaf in leaves):
        if "c" in kinds:
            advice = "Pass the real and the imaginary part as two arguments."
        elif kinds & set("iub"):
            advice = "Whole numbers are not differentiated by: pass x.astype(float), 2.0 for 2."
        else:
            advice = "Pass the arrays that it is differentiated by as arguments."
    return NotScalarError(
        f"the result is {_described(result)}, which depends on none of the arguments.",
        advice=advice,
    )


def _is_path(output: Any) -> bool:
    return isinstance(output, tuple) and all(isinstance(k, str | int | np.integer) for k in output)


def _of_number(y: Any) -> Start:
    if not isinstance(y, Value | np.generic | float | int) or np.shape(y):
        raise NotScalarError(
            f"the backward walk starts from one number, and the result is {_described(y)}.",
            advice=f"Say which one it is: output={_choice(y)}; or give the gradient at the result, "
            "as an array of its shape: output=g; or a loss: loss=….",
        )
    return _of_entry(y, (), None)


def _described(y: Any) -> str:
    """Return what a result is, a dictionary by its keys."""
    if isinstance(y, dict):
        parts = ", ".join(f"{key!r}: {describe(x)}" for key, x in y.items())
        return f"a dictionary of {parts or 'nothing'}"
    return describe(y)


def _choice(y: Any) -> str:
    """Return an output that would do, as text."""
    if isinstance(y, dict) and y:
        return repr(next(iter(y)))
    if isinstance(y, tuple | list):
        return "0"
    shape = np.shape(y)
    return "0" if len(shape) == 1 else f"({', '.join('0' * len(shape))})"


def _has(y: Any, key: Any) -> bool:
    """Return whether a key leads on in a container."""
    if isinstance(y, dict):
        return key in y
    return isinstance(y, tuple | list) and isinstance(key, int) and -len(y) <= key < len(y)


def _followed(y: Any, path: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Return what keys lead to, and the keys that are left."""
    for k, key in enumerate(path):
        if _has(y, key):
            y = y[key]
        elif isinstance(y, dict | tuple | list) or isinstance(key, str):
            raise StructureError(f"the result has no {key!r}.", f"it is {_described(y)}")
        else:
            return y, path[k:]
    return y, ()


def _of_entry(y: Any, place: tuple[Any, ...], said: Any) -> Start:
    if type(y) is not Value:
        if isinstance(y, dict | tuple | list):
            return _of_number(y)
        raise _without_arguments(y)
    if len(place) != len(y.shape):
        if said is None or not place:
            return _of_number(y)
        raise AxisError(
            f"output={said!r} names no entry of a result that is {describe(y)}.",
            advice="Give one position for each axis.",
        )
    inside = all(-n <= i < n for i, n in zip(place, y.shape, strict=True))
    if not inside:
        raise AxisError(f"output={said!r} is outside of a result that is {describe(y)}.")
    g = np.zeros(y.shape, y.dtype)
    g[place] = 1
    entry = tuple(int(i) % n for i, n in zip(place, y.shape, strict=True))
    return Start({y.index: g[()]}, entry)


def _of_cotangents(result: Any, output: Any) -> Start:
    """Return the start from a gradient for each array of the result."""
    ys, structure = optree.tree_flatten(result)
    gs, given = optree.tree_flatten(output)
    if given != structure:
        raise StructureError(
            f"output needs a gradient for each array of the result, {describe(result)}, got "
            f"{describe(output)}."
        )
    found: dict[int, Any] = {}
    for y, g in zip(ys, map(np.asarray, gs), strict=True):
        if g.dtype.kind not in REAL or g.shape != np.shape(y):
            raise StructureError(
                f"the gradient at a result has its shape: it is {describe(y)}, got {describe(g)}.",
                advice="For one entry give its index, as in output=(0, 2).",
            )
        for index, dtype in _node(y):
            cotangent = g.astype(dtype)[()]
            found[index] = found[index] + cotangent if index in found else cotangent
    return Start(found, None)


def _node(y: Any) -> Iterator[tuple[int, Any]]:
    if type(y) is Value:
        yield y.index, y.dtype
