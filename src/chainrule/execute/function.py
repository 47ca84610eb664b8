"""A Python function that is traced once for each signature and then runs as a program.

The signature is the structure of the arguments and the shapes and dtypes of their arrays.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from chainrule.compile import explain
from chainrule.errors import TraceError
from chainrule.execute.executor import Runner
from chainrule.graph import Spec, Value, captured
from chainrule.transform import simplify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Compiled", "Prepared", "compile"]


_MOST = 256
"""Signatures whose programs are kept."""


class _Signature(NamedTuple):
    """What is kept for arguments of one signature: how to run, and the form of the result."""

    runner: Runner
    start: Any
    results: Any


class Prepared:
    """A function of containers of arrays, prepared on its first call with each signature.

    Parameters
    ----------
    function
        A pure function: what it returns follows from its arguments alone.
    fall_back
        Whether a function that cannot be traced on shapes, because it branches on numbers, is
        called as it is instead. `traced` then says so.
    threads
        How many threads share a call; as many as the work is worth, if it is not said.

    Examples
    --------
    >>> double = Prepared(lambda p: {"y": 2 * p["x"]})
    >>> double({"x": np.array([1.0, 2.0])})
    {'y': array([2., 4.])}
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        fall_back: bool = False,
        threads: int | None = None,
    ) -> None:
        self.function = function
        self.threads = threads
        self.fall_back = fall_back
        self.traced = True
        self._programs: dict[Any, _Signature] = {}
        self._plain: dict[Any, _Signature] = {}

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Return what the function returns."""
        for x in arguments:
            if type(x) is not np.ndarray or options:
                break
        else:  # plain arrays need no look into containers
            mode = getattr(self.function, "training", None)
            known = self._plain.get((mode, *[(x.shape, x.dtype) for x in arguments]))
            if known is not None:
                y = known.start(arguments)
                return (known.runner.by_numpy(arguments) if y is None else y)[0]
        return self._general(arguments, options)

    def _general(self, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
        """Return what the function returns, for arguments of any kind."""
        tree: Any = (tuple(arguments), options)
        leaves, structure = optree.tree_flatten(tree)
        if not self.traced or any(type(x) is Value for x in leaves):  # part of another recording
            return self.function(*arguments, **options)
        given = [x for x in leaves if not _is_plain_number(x)]
        given = [x if isinstance(x, np.ndarray | np.generic) else np.asarray(x) for x in given]
        numbers = tuple((type(x), repr(x)) if _is_plain_number(x) else None for x in leaves)
        mode = getattr(self.function, "training", None)
        key = (mode, structure, numbers, tuple((x.shape, x.dtype) for x in given))
        if key not in self._programs:
            try:
                self._prepare(key, given, leaves)
            except TraceError:
                if not self.fall_back:
                    raise
                self.traced = False
                return self.function(*arguments, **options)
        known = self._programs[key]
        outputs: Any = known.runner(given)
        return optree.tree_unflatten(known.results, outputs)

    def _prepare(self, key: Any, given: list[Any], leaves: list[Any]) -> None:
        """Make the program for a signature."""
        mode, structure, _, specs = key
        found: list[Any] = []

        def flat(*values: Any) -> Any:
            taken = iter(values)
            whole = [x if _is_plain_number(x) else next(taken) for x in leaves]
            arguments, options = optree.tree_unflatten(structure, whole)
            results, shape = optree.tree_flatten(self.function(*arguments, **options))
            found.append(shape)
            return results

        graph, arrays = captured(flat, [Spec(x.shape, x.dtype) for x in given])
        runner = Runner(simplify(graph), arrays, self.threads)
        known = _Signature(runner, runner.start or runner, found[0])
        while len(self._programs) >= _MOST:  # the oldest goes, and with it its way in
            oldest = self._programs.pop(next(iter(self._programs)))
            self._plain = {k: x for k, x in self._plain.items() if x is not oldest}
        self._programs[key] = known
        arrays_alone: Any = ((0,) * len(given), {})
        one_array: Any = 0
        is_plain = structure == optree.tree_structure(arrays_alone) and len(leaves) == len(given)
        if is_plain and found[0] == optree.tree_structure(one_array):
            self._plain[mode, *specs] = known

    def explain(self) -> str:
        """Return what runs for each signature that was called: steps, memory, and why.

        Examples
        --------
        >>> double = Prepared(lambda x: 2 * x)
        >>> _ = double(np.ones(3))
        >>> print(double.explain())  # doctest: +ELLIPSIS
        float64[3] ...
        """
        if not self._programs:
            return "not called yet: the plan follows from the shapes of the first arguments"
        parts = []
        for (_, _, numbers, specs), known in self._programs.items():
            arrays = (f"{dtype}{list(shape)}" for shape, dtype in specs)
            given = ", ".join([next(arrays) if x is None else x[1] for x in numbers])
            made = known.runner.plan
            plan = "NumPy runs the graph, node by node" if made is None else explain(made)
            parts.append(f"{given}\n{plan}")
        return "\n\n".join(parts)


def _is_plain_number(x: Any) -> bool:
    """Return whether a leaf is a number of Python's, which takes the type of what it meets."""
    return type(x) in {bool, int, float}


class Compiled(Prepared):
    """A function that runs as machine code; `compile` makes it."""

    def __init__(self, function: Callable[..., Any], threads: int | None = None) -> None:
        super().__init__(function, threads=threads)
        functools.update_wrapper(self, function, updated=())

    def __reduce__(self) -> Any:
        """Let copies compile anew: code belongs to its process."""
        return Compiled, (self.function, self.threads)


def compile(  # noqa: A001 - the field's own word
    function: Callable[..., Any], *, threads: int | None = None
) -> Compiled:
    """Return a function that runs as machine code.

    The function is recorded on its first call with arguments of each signature (structure,
    shapes, dtypes), simplified, its steps joined into as few walks over memory as possible, and
    compiled. Later calls run that code; the code is kept on disk for later processes.

    Parameters
    ----------
    function
        A pure function of arrays and containers of arrays: NumPy code, `grad`, `vjp`, `hvp`,
        `jacobian` or `vmap` of such, or a module. Python branches on numbers cannot be recorded;
        `np.where` can. Arrays of its closure, such as the parameters of a module, are read anew
        in each call; what else it finds around itself, numbers without axes and what NumPy makes
        of such arrays alone included, is as it was at the first. Python's numbers among the
        arguments belong to the signature: give arrays for what changes often.
    threads
        How many threads share a call. If it is not said, one for each twenty million operations,
        and no more than there are cores. The same number gives the same bits.

    Raises
    ------
    TraceError
        On the first call, where the function branches on numbers.

    Examples
    --------
    >>> import chainrule
    >>> def loss(w, x):
    ...     return np.sum(np.tanh(x @ w) ** 2)
    >>> slope = compile(chainrule.grad(loss))
    >>> w, x = np.array([0.5, -0.5]), np.array([[1.0, 2.0], [0.0, 1.0]])
    >>> np.allclose(slope(w, x), chainrule.grad(loss)(w, x), rtol=1e-12)
    True

    Notes
    -----
    Sums are taken in another order than NumPy's and a product may be fused with a sum, so results
    agree to rounding; NaN and infinity pass as they do there. What has no form for machine code
    (a decomposition, a backward pass written by hand) runs in NumPy between compiled steps;
    `explain` says so. ``CHAINRULE_EXECUTOR=numpy`` in the environment lets NumPy run everything.
    """
    return Compiled(function, threads)
