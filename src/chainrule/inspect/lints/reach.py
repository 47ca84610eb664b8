"""What numbers a function of one array can give, found by trying it on many."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from chainrule.graph import Node

__all__ = ["reach"]


def reach(node: Node) -> tuple[float, float]:
    """Return the least and the largest value of an elementwise node, over all numbers.

    Where they still move between 1e3 and 1e6 they are infinite.
    """
    if node.op is None:
        return -np.inf, np.inf
    near = np.concatenate([-np.geomspace(1e3, 1e-6, 200), [0.0], np.geomspace(1e-6, 1e3, 200)])
    with np.errstate(all="ignore"):
        function = functools.partial(node.op.forward, **node.attributes)
        inner, outer = (np.asarray(function(near * scale), np.float64) for scale in (1.0, 1e3))
    low, high = float(np.nanmin(inner)), float(np.nanmax(inner))
    return (
        -np.inf if np.nanmin(outer) < low - 1e-3 else low,
        np.inf if np.nanmax(outer) > high + 1e-3 else high,
    )
