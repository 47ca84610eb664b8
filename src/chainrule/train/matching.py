"""Containers of arrays that have to match: in structure and shapes, and each in its own dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from chainrule.errors import InputTypeError, ShapeError, StructureError
from chainrule.graph import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["leaves_like", "numbers_in", "require_floating", "require_shapes", "zeros_like"]


def leaves_like(tree: Any, model: Any, what: str) -> list[Any]:
    """Return the arrays of a container that must have the structure of a model.

    Raises
    ------
    StructureError
        If it has another, which is then called what it is.
    """
    leaves, structure = optree.tree_flatten(tree)
    expected = optree.tree_structure(model)
    if structure != expected:
        raise StructureError(
            f"{what} needs the structure {_text(expected)} (* is an array), got {_text(structure)}."
        )
    return leaves


def _text(structure: Any) -> str:
    """Return ``{'b': *}`` for ``PyTreeSpec({'b': *})``."""
    return str(structure).removeprefix("PyTreeSpec(").removesuffix(")")


def require_floating(p: Any) -> None:
    """Refuse a parameter that is not an array of floating-point numbers."""
    if not (hasattr(p, "dtype") and np.issubdtype(p.dtype, np.floating)):
        raise InputTypeError(
            "a parameter that is trained has to be an array of floating-point numbers, got "
            f"{describe(p)}."
        )


def require_shapes(xs: Sequence[Any], ys: Sequence[Any], x_name: str, y_name: str) -> None:
    """Refuse arrays that would be broadcast to each other."""
    for x, y in zip(xs, ys, strict=True):
        if np.shape(x) != np.shape(y):
            raise ShapeError(
                f"a {y_name} needs the shape of its {x_name}.",
                f"{x_name}: {describe(x)}",
                f"{y_name}: {describe(y)}",
            )


def zeros_like(tree: Any) -> Any:
    """Return a container of zeros with the shapes and dtypes of another."""
    return optree.tree_map(lambda x: np.zeros(x.shape, x.dtype)[()], tree)


def numbers_in(dtype: np.dtype[Any], numbers: Sequence[Any]) -> list[Any]:
    """Return numbers in a dtype, so that they do not widen the arrays that they meet.

    Python's own numbers stay, since they take the dtype of the arrays. The others are computed
    in double precision first: in single precision 1 - 0.999 has four digits.
    """
    return [x.astype(dtype) if hasattr(x, "astype") and x.dtype != dtype else x for x in numbers]
