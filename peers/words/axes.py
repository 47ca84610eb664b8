"""How PyTorch names axes, said as NumPy names them."""

from __future__ import annotations

from typing import Any


def axes(input: Any, dim: Any) -> Any:
    """Return NumPy's ``axis``: none or an empty ``dim`` means all, and a scalar has none."""
    if dim is None or dim in ((), []) or input.ndim == 0:
        return None
    return tuple(dim) if isinstance(dim, (tuple, list)) else dim


def at_least_one_axis(input: Any) -> Any:
    """Give a scalar the one axis that PyTorch lets its ``dim`` mean."""
    return input if input.ndim else input.reshape((1,))


def count(input: Any, dim: Any) -> int:
    """Return how many elements one result of a reduction over ``dim`` comes from."""
    axis = axes(input, dim)
    if axis is None:
        axis = tuple(range(input.ndim))
    number = 1
    for one in axis if isinstance(axis, tuple) else (axis,):
        number *= input.shape[one]
    return number
