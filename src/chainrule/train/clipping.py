"""Gradients kept to a size, as pure functions over containers of arrays.

What is not a number stays so: a clipped gradient hides no failure.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import optree

from chainrule.train.matching import numbers_in
from chainrule.train.settings import POSITIVE, require

__all__ = ["clip_by_global_norm", "clip_by_value", "global_norm"]


def global_norm(gradient: Any) -> Any:
    """Return the Euclidean norm of all arrays in a container, taken as one vector.

    Parameters
    ----------
    gradient
        A container of arrays.

    Returns
    -------
    number
        √(Σ g²), computed so that no square overflows.

    Examples
    --------
    >>> import numpy as np
    >>> global_norm({"w": np.array([[0.0, 3.0]]), "b": np.array([4.0])})
    np.float64(5.0)
    """
    largest, root = _norm(optree.tree_leaves(gradient))
    return largest * root


def _norm(gs: list[Any]) -> tuple[Any, Any]:
    """Return the norm as a product of two numbers, so that no square overflows.

    Squares of single precision fit into double precision as they are: one walk is enough.
    Otherwise the factors are the largest size and what remains, which is 1 or more.
    """
    if all(g.dtype.itemsize < 8 for g in gs):
        squares = [np.sum(np.square(np.astype(g, np.float64))) for g in gs if g.size]
        return np.float64(1), np.sqrt(sum(squares, np.float64(0)))
    sizes = [np.max(np.abs(g)) for g in gs if g.size]
    largest = functools.reduce(np.maximum, sizes, np.float64(0))
    unit = np.where(largest == 0, 1.0, largest)[()]
    total: Any = 0.0
    with np.errstate(invalid="ignore"):  # inf / inf
        for g in gs:
            part = g / numbers_in(g.dtype, [unit])[0]
            total = total + np.sum(part * part)
    return largest, np.maximum(np.sqrt(total), 1.0)


def clip_by_global_norm(gradient: Any, max_norm: float) -> Any:
    """Shrink a gradient, all its arrays alike, to at most this norm.

    Parameters
    ----------
    gradient
        A container of arrays.
    max_norm
        The largest norm, above 0.

    Returns
    -------
    container
        The gradient times min(1, max_norm / norm), with dtypes as they were; all of it not a
        number if some of it is infinite or not a number.

    Raises
    ------
    SettingError
        If the norm is not above 0.

    Notes
    -----
    Pascanu, Mikolov and Bengio, *On the difficulty of training recurrent neural networks*, ICML
    2013, algorithm 1. The direction stays as it was.

    Examples
    --------
    >>> import numpy as np
    >>> clip_by_global_norm([np.array([3.0]), np.array([4.0])], max_norm=1.0)
    [array([0.6]), array([0.8])]
    """
    require(("clip_by_global_norm", {"max_norm": max_norm}), max_norm=POSITIVE)
    gs, structure = optree.tree_flatten(gradient)
    largest, root = _norm(gs)
    with np.errstate(divide="ignore", over="ignore"):  # the largest may be 0
        factor = np.minimum(max_norm / largest / root, 1.0)
    shrunk = [g * numbers_in(g.dtype, [factor])[0] for g in gs]
    return optree.tree_unflatten(structure, shrunk)


def clip_by_value(gradient: Any, limit: float) -> Any:
    """Keep each entry of a gradient between -limit and limit.

    Parameters
    ----------
    gradient
        A container of arrays.
    limit
        The largest size of an entry, above 0.

    Returns
    -------
    container
        The gradient, with dtypes as they were. Its direction may change.

    Raises
    ------
    SettingError
        If the limit is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> clip_by_value({"w": np.array([-3.0, 0.5, np.nan])}, limit=1.0)
    {'w': array([-1. ,  0.5,  nan])}
    """
    require(("clip_by_value", {"limit": limit}), limit=POSITIVE)
    return optree.tree_map(lambda g: np.clip(g, -limit, limit), gradient)
