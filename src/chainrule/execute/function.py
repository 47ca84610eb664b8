"""A Python function that is traced once for each signature and then runs as a program.

The signature is the structure of the arguments and the shapes and dtypes of their arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from chainrule.errors import TraceError
from chainrule.execute.numpy import Program
from chainrule.graph import Spec, trace
from chainrule.transform import simplify

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Prepared"]


class Prepared:
    """A function of containers of arrays, prepared on its first call with each signature.

    Parameters
    ----------
    function
        A pure function: what it returns follows from its arguments alone.
    fall_back
        Whether a function that cannot be traced on shapes, because it branches on numbers, is
        called as it is instead. `traced` then says so.

    Examples
    --------
    >>> double = Prepared(lambda p: {"y": 2 * p["x"]})
    >>> double({"x": np.array([1.0, 2.0])})
    {'y': array([2., 4.])}
    """

    def __init__(self, function: Callable[..., Any], *, fall_back: bool = False) -> None:
        self.function = function
        self.fall_back = fall_back
        self.traced = True
        self._programs: dict[Any, tuple[Program, Any]] = {}

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function returns."""
        if not self.traced:
            return self.function(*arguments)
        tree: Any = arguments
        leaves, structure = optree.tree_flatten(tree)
        arrays = [x if isinstance(x, np.ndarray | np.generic) else np.asarray(x) for x in leaves]
        signature = (structure, tuple((x.shape, x.dtype.str) for x in arrays))
        if signature not in self._programs:
            try:
                self._programs[signature] = self._prepared(arrays, structure)
            except TraceError:
                if not self.fall_back:
                    raise
                self.traced = False
                return self.function(*arguments)
        program, results = self._programs[signature]
        return optree.tree_unflatten(results, program(*arrays))

    def _prepared(self, arrays: list[Any], structure: Any) -> tuple[Program, Any]:
        """Return the program for arrays like these, and the structure of its results."""
        found: list[Any] = []

        def flat(*leaves: Any) -> Any:
            results, shape = optree.tree_flatten(
                self.function(*optree.tree_unflatten(structure, leaves))
            )
            found.append(shape)
            return results

        graph = trace(flat, *[Spec(x.shape, x.dtype) for x in arrays])
        return Program(simplify(graph)), found[0]
