"""Recording a function together with the arrays that it finds around itself.

A function that is compiled reads more than its arguments: the arrays of its closure, such as the
parameters of a module. As constants they would be what they were while the function was
recorded. Here they are inputs of the graph instead, so that each run reads them anew.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph.graph import REAL, Spec
from chainrule.graph.trace import ShapeTracer, Tracer, called, outputs_of, parameter_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainrule.graph.graph import Graph
    from chainrule.graph.value import Value

__all__ = ["captured"]


class _Capturing(ShapeTracer):
    """Takes arrays from outside as inputs; a number without axes stays a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Any] = []
        self._values: dict[Any, Value] = {}

    def constant(self, number: Any) -> Value:
        """Add an input for an array from outside, one for each array."""
        if type(number) is not np.ndarray or not number.ndim or number.dtype.kind not in REAL:
            return super().constant(number)
        if number.flags.f_contiguous and not number.flags.c_contiguous:
            turned: Any = self.constant(number.T)  # W.T is a view of W, which is read as it lies
            return np.transpose(turned)  # type: ignore[return-value]
        key = (number.ctypes.data, number.shape, number.strides, number.dtype)
        if key not in self._values:
            self._values[key] = self.input(Spec(number.shape, number.dtype))
            self.found.append(number)  # which keeps its memory, too
        return self._values[key]


_OUTERMOST: ContextVar[_Capturing | None] = ContextVar("_OUTERMOST", default=None)


def _seen_from(tracer: Tracer, number: Any) -> Any:
    """Return what an inner trace takes for an array from outside: a value of the outermost."""
    outer = _OUTERMOST.get()
    if outer is None or outer is tracer or not outer.is_open or not np.ndim(number):
        return number
    return outer.lift(number)


Tracer.outside = staticmethod(_seen_from)  # type: ignore[method-assign]


def captured(function: Callable[..., Any], specs: Sequence[Spec]) -> tuple[Graph, list[Any]]:
    """Return the graph of a function of arrays, and the arrays from outside that it read.

    Parameters
    ----------
    function
        Called with a value for each specification; returns a list of results.
    specs
        Of the arguments.

    Returns
    -------
    graph
        Its inputs are the arguments, then the arrays from outside.
    arrays
        These arrays themselves, not copies.

    Examples
    --------
    >>> w = np.array([1.0, 2.0])
    >>> graph, (array,) = captured(lambda x: [x * w], [Spec((2,))])
    >>> array is w
    True
    >>> print(graph)
    graph(%0, %1) -> %2
      %0: float64[2] = input x
      %1: float64[2] = input
      %2: float64[2] = multiply(%0, %1)
    """
    tracer = _Capturing()
    names = parameter_names(function, len(specs))
    values = [tracer.input(spec, name) for spec, name in zip(specs, names, strict=True)]
    token = _OUTERMOST.set(tracer)
    try:
        leaves, _ = outputs_of(function, tracer, called(function, *values))
        tracer.graph.outputs = [tracer.lift(leaf).index for leaf in leaves]
    finally:
        _OUTERMOST.reset(token)
        tracer.close()
    return tracer.graph, tracer.found
