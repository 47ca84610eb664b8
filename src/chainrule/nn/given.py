"""What may be given to a network, and what is said where it is not: settings and arrays."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import InputTypeError, SettingError, ShapeError
from chainrule.graph import REAL, Value, describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "chosen",
    "is_whole",
    "layer_sizes",
    "like",
    "numbers",
    "rate",
    "require_shapes",
    "size",
]


def is_whole(x: Any) -> bool:
    """Whether x is a positive integer, which True is not."""
    return isinstance(x, int | np.integer) and not isinstance(x, bool) and int(x) >= 1


def size(n: Any, name: str, *facts: str, advice: str = "") -> int:
    """Return a number of features, epochs or the like, which has to be a positive integer."""
    if not is_whole(n):
        raise SettingError(
            f"{name} needs to be a positive integer, got {n!r}.", *facts, advice=advice
        )
    return int(n)


def layer_sizes(sizes: Any) -> tuple[int, ...]:
    """Return the numbers of units, input first, as a tuple of at least two."""
    try:
        given = list(sizes)
    except TypeError:
        given = []
    if len(given) < 2:
        raise SettingError(
            f"sizes needs at least two numbers, that of inputs and that of outputs, got {sizes!r}.",
            advice="For 2 inputs, 16 hidden units and 1 output: sizes=[2, 16, 1].",
        )
    facts, advice = f"sizes: {given}", "Each is the number of units of a layer."
    return tuple(size(n, f"sizes[{k}]", facts, advice=advice) for k, n in enumerate(given))


def chosen(setting: str, name: Any, known: Iterable[str]) -> str:
    """Return a name that is one of those known."""
    known = list(known)
    if isinstance(name, str) and name in known:
        return name
    said = name if isinstance(name, str) else getattr(name, "__name__", "")
    near = difflib.get_close_matches(said.lower(), known, n=1, cutoff=0.0)
    raise SettingError(
        f"{setting} needs to be one of {', '.join(map(repr, known))}, got {name!r}.",
        advice=f"Did you mean {near[0]!r}?" if said else "",
    )


def rate(learning_rate: Any) -> float:
    """Return a learning rate, a positive number."""
    x = learning_rate
    is_number = isinstance(x, int | float | np.integer | np.floating) and not isinstance(x, bool)
    if not is_number or not 0 < x < np.inf:
        raise SettingError(
            f"learning_rate needs to be a positive number, got {x!r}.",
            advice="Steps go downhill for a positive one; 0.1 is a common start.",
        )
    return float(x)


def numbers(x: Any, name: str) -> Any:
    """Return an array of real numbers, or the traced value that stands for one.

    Raises
    ------
    InputTypeError
        If x is anything else: text, objects, complex numbers, rows of different lengths.
    """
    if isinstance(x, Value):
        return x
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise InputTypeError(
            f"{name} needs to be an array, got rows of different lengths."
        ) from error
    if array.dtype.kind not in REAL:
        raise InputTypeError(f"{name} needs real numbers, got {describe(array)}.")
    return array


def like(name: str, x: Any, other: Any) -> Any:
    """Return x as an array, if it has the shape of the other."""
    x = numbers(x, name)
    if x.shape != other.shape:
        raise ShapeError(f"{name} needs the shape {list(other.shape)}, got {list(x.shape)}.")
    return x


def require_shapes(
    what: str, arrays: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Require arrays of these names and shapes."""
    for name, shape in shapes.items():
        got = getattr(arrays.get(name), "shape", None)
        if got != shape:
            raise ShapeError(
                f"{name} in {what} needs the shape {list(shape)}, got "
                f"{'no array' if got is None else list(got)}."
            )
