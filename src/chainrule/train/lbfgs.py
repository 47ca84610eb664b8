"""L-BFGS: for small problems with a loss that is the same at every call.

SciPy takes the steps. It sees one vector in double precision and one function that returns value
and gradient; what is here turns containers of arrays into that vector and back.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from chainrule.errors import DivergenceError, StructureError
from chainrule.execute import Prepared
from chainrule.train.matching import require_floating
from chainrule.train.settings import COUNT, NOT_NEGATIVE, require
from chainrule.transform import value_and_grad

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Vector = np.ndarray[Any, np.dtype[np.float64]]

__all__ = ["Minimum", "minimise"]


class Minimum(NamedTuple):
    """How a minimisation ended.

    Attributes
    ----------
    value
        The function at the parameters returned.
    steps
        The number of steps.
    evaluations
        The number of times that value and gradient were computed.
    converged
        Whether it ended because a tolerance was met.
    message
        Why it ended, in SciPy's words.
    values
        The function after each step.
    """

    value: float
    steps: int
    evaluations: int
    converged: bool
    message: str
    values: Vector


def minimise(
    function: Callable[..., Any],
    parameters: Any,
    *args: Any,
    max_iter: int = 15000,
    max_fun: int | None = None,
    memory: int = 10,
    ftol: float = 1e7 * float(np.finfo(np.float64).eps),
    gtol: float = 1e-5,
    compiled: bool = False,
    threads: int | None = None,
    after_step: Callable[[Any], Any] | None = None,
) -> tuple[Any, Minimum]:
    """Minimise a function of parameters by L-BFGS.

    Parameters
    ----------
    function
        ``function(parameters, *args)`` returns one number; it is differentiated here.
    parameters
        Where to start: a container of floating-point arrays.
    *args
        What else the function takes, such as the data.
    max_iter
        The largest number of steps.
    max_fun
        The largest number of evaluations; if it is not said, there is none.
    memory
        How many past steps the curvature is estimated from.
    ftol
        It ends when a step lowers the value by less than this portion of the value (or of 1).
    gtol
        It ends when no entry of the gradient is larger than this.
    compiled
        Whether value and gradient run as machine code, recorded once: worth it for a function
        that is evaluated more than a few hundred times. One that branches on numbers cannot be
        recorded and is walked.
    threads
        How many threads share an evaluation that is compiled; as many as the work is worth, if
        it is not said.
    after_step
        Called with the parameters after each step; where it returns True, that was the last.

    Returns
    -------
    parameters
        The best found, with the structure, shapes and dtypes of the start.
    minimum
        How it ended; a `Minimum`.

    Raises
    ------
    DivergenceError
        If the function or its gradient is not finite at the start.
    InputTypeError
        If a parameter is not an array of floating-point numbers.
    StructureError
        If there are no parameters.

    Notes
    -----
    Byrd, Lu, Nocedal and Zhu, *A Limited Memory Algorithm for Bound Constrained Optimization*,
    SIAM Journal on Scientific Computing 16, 1995. Steps are taken in double precision; parameters
    in single precision are rounded before each evaluation, so the tolerances may be out of reach.

    Examples
    --------
    >>> import numpy as np
    >>> def valley(p):
    ...     return (1 - p["x"]) ** 2 + 100 * (p["y"] - p["x"] ** 2) ** 2
    >>> start = {"x": np.float64(-1.2), "y": np.float64(1.0)}
    >>> best, minimum = minimise(valley, start)
    >>> best["x"].round(4), best["y"].round(4), minimum.converged
    (np.float64(1.0), np.float64(1.0), True)
    """
    settings = {"max_iter": max_iter, "memory": memory, "ftol": ftol, "gtol": gtol}
    rules = {"max_iter": COUNT, "memory": COUNT, "ftol": NOT_NEGATIVE, "gtol": NOT_NEGATIVE}
    if max_fun is not None:
        settings["max_fun"], rules["max_fun"] = max_fun, COUNT
    require(("minimise", settings), **rules)
    start, join = _as_vector(parameters)
    both: Callable[..., Any] = value_and_grad(function)
    if compiled:
        both = Prepared(both, fall_back=True, threads=threads)
    search = _Search(both, join, args, after_step)
    search(start)
    if search.best is None:
        raise DivergenceError(
            "minimise starts where the function or its gradient is not finite.",
            advice="Start from other parameters.",
        )
    found = importlib.import_module("scipy.optimize").minimize(
        search,
        start,
        jac=True,
        method="L-BFGS-B",
        callback=search.after_step,
        options={
            "maxiter": max_iter,
            "maxfun": np.iinfo(np.int32).max if max_fun is None else max_fun,
            "maxcor": memory,
            "ftol": ftol,
            "gtol": gtol,
        },
    )
    return join(search.best.x), Minimum(
        value=search.best.value,
        steps=int(found.nit),
        evaluations=search.evaluations,
        converged=bool(found.success),
        message=str(found.message),
        values=np.array(search.values),
    )


def _as_vector(parameters: Any) -> tuple[Vector, Callable[[Vector], Any]]:
    """Return parameters as one vector in double precision, and the way back."""
    leaves, structure = optree.tree_flatten(parameters)
    if not leaves:
        raise StructureError("minimise needs at least one parameter.")
    for p in leaves:
        require_floating(p)
    ends = np.cumsum([p.size for p in leaves])

    def join(vector: Vector) -> Any:
        parts = np.split(vector, ends[:-1])
        return optree.tree_unflatten(
            structure,
            [x.reshape(p.shape).astype(p.dtype)[()] for x, p in zip(parts, leaves, strict=True)],
        )

    return _flat(leaves), join


def _flat(leaves: Sequence[Any]) -> Vector:
    return np.concatenate([np.ravel(x) for x in leaves], dtype=np.float64)


class _Point(NamedTuple):
    """Where the function was evaluated, and what was found there."""

    x: Vector
    value: float
    gradient: Vector


class _Search:
    """The function as SciPy calls it, which keeps the best point and the value of each step."""

    def __init__(
        self,
        value_and_gradient: Callable[..., Any],
        join: Callable[[Vector], Any],
        args: Sequence[Any],
        told: Callable[[Any], Any] | None = None,
    ) -> None:
        self._value_and_gradient = value_and_gradient
        self._join = join
        self._args = args
        self._told = told
        self._last: _Point | None = None
        self.best: _Point | None = None
        self.evaluations = 0
        self.values: list[float] = []

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        """Return value and gradient."""
        self.evaluations += 1
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value, gradient = self._value_and_gradient(self._join(x), *self._args)
        point = _Point(x.copy(), float(value), _flat(optree.tree_leaves(gradient)))
        if not (np.isfinite(point.value) and np.isfinite(point.gradient).all()):
            return self._turned_back(point)
        self._last = point
        if self.best is None or point.value < self.best.value:
            self.best = point
        return point.value, point.gradient

    def _turned_back(self, point: _Point) -> tuple[float, Vector]:
        """Return numbers that end a step too far: the slope of the last finite point, turned.

        The value is above that of the last step, so the line search takes a shorter one.
        """
        if self._last is None:
            return point.value, point.gradient
        rise = abs(float(self._last.gradient @ (point.x - self._last.x)))
        floor = max([self._last.value, *self.values[-1:]])
        return floor + rise, -self._last.gradient

    def after_step(self, intermediate_result: Any) -> None:
        """Note the value after a step; SciPy asks for the name of this argument."""
        self.values.append(float(intermediate_result.fun))
        if self._told is not None and self._told(self._join(intermediate_result.x)):
            raise StopIteration
