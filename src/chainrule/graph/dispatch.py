"""From a call of a NumPy function on traced values to what stands for it.

NumPy hands such calls over through its two protocols. What stands for a function is looked up
in `NUMPY`, which the declarations of the ops fill; what is missing there is an error that names
the nearest function that is not, and never an array of objects.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import (
    AxisError,
    ChainruleError,
    InPlaceError,
    NoOpError,
    ShapeError,
)
from chainrule.graph.graph import Spec, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["NUMPY", "Traced", "answer", "call_function", "call_ufunc"]

NUMPY: dict[Any, Callable[..., Any]] = {}
"""What stands for a NumPy function, or for a ufunc's method, or for the name of a ufunc."""

_WRITES = frozenset(
    {
        np.copyto,
        np.fill_diagonal,
        np.place,
        np.put,
        np.put_along_axis,
        np.putmask,
    }
)


_NOT_GIVEN = np._NoValue  # noqa: SLF001 - NumPy's own "no value"


class Traced:
    """What all traced values are, so that they can be told from arrays here."""

    __slots__ = ()


def call_ufunc(ufunc: np.ufunc, method: str, inputs: Any, options: dict[str, Any]) -> Any:
    """Apply what stands for a ufunc or one of its methods."""
    function: Any = ufunc if method == "__call__" else getattr(ufunc, method)
    outs = [x for x in options.pop("out", None) or () if x is not None]
    if method == "at" or outs:
        return _write(ufunc, method, inputs, options, outs)
    if function is ufunc:
        name = ufunc.__name__
        # a ufunc of SciPy's is known by its name, its own or that of NumPy's twin
        call = NUMPY.get(ufunc) or NUMPY.get(name) or NUMPY.get(getattr(np, name, None))
    else:
        call = NUMPY.get((ufunc, method))
    if call is None:
        return _fall_through(function, inputs, options)
    return _apply(call, function, inputs, options)


def call_function(function: Callable[..., Any], args: Any, options: dict[str, Any]) -> Any:
    """Apply what stands for a function that is not a ufunc."""
    call = NUMPY.get(function)
    if call is None:
        if function in _WRITES:
            raise _written(_full_name(function), args, options)
        return _fall_through(function, args, options)
    if options or len(args) > 2:  # about the first two parameters all agree
        args, options = _in_our_words(function, call, args, options)
    return _apply(call, function, args, options)


def answer(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Let NumPy answer a question about numbers, such as whether two arrays are close."""
    return function(*_asked(args), **_asked(options))


def _full_name(function: Callable[..., Any]) -> str:
    """Return ``np.linalg.solve``, ``np.add.reduce``, or the name of a ufunc of SciPy's."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return f"{_full_name(owner)}.{function.__name__}"
    if isinstance(function, np.ufunc):
        return f"{'np.' * hasattr(np, function.__name__)}{function.__name__}"
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module}.{function.__name__}".replace("numpy", "np", 1)


def _apply(
    call: Callable[..., Any], function: Callable[..., Any], args: Any, options: dict[str, Any]
) -> Any:
    unknown = options.keys() - _parameters(call).keys() if options else ()
    if unknown:
        if options.get("out") is not None:
            raise _written(_full_name(function), args, options)
        raise NoOpError(
            f"{_full_name(function)} is traced without the argument {', '.join(sorted(unknown))}.",
            *_described(args),
            advice="Say it with another function: np.where for where=, x.astype for dtype=.",
        )
    try:
        return call(*args, **options)
    except ShapeError as error:
        if error.facts:
            raise
        raise error.located(*_described((args, options))) from None
    except (ChainruleError, np.linalg.LinAlgError):
        raise
    except (ValueError, IndexError, TypeError) as error:
        raise _refused(call, _full_name(function), error, args, options) from error


def _refused(
    call: Callable[..., Any], name: str, error: Exception, args: Any, options: dict[str, Any]
) -> ChainruleError:
    """Return an error of ours for a call that came to nothing inside a function of ops."""
    facts = _described((args, options))
    if isinstance(error, IndexError):
        return AxisError(f"{name}: {error}.", *facts)
    if isinstance(error, ValueError):
        return ShapeError(f"{name}: {error}.", *facts)
    return NoOpError(
        f"{name} cannot be traced with these arguments: {error}.",
        *facts,
        advice=f"It is traced as {name}({', '.join(_parameters(call))}).",
    )


def _write(
    ufunc: np.ufunc, method: str, inputs: Any, options: dict[str, Any], outs: list[Any]
) -> Any:
    """Apply a ufunc that writes to an array, if that is a value whose trace follows writes."""
    target: Any = inputs[0] if method == "at" else outs[0]
    if not isinstance(target, Traced) or not target.tracer.follows_writes:  # type: ignore[attr-defined]
        function: Any = ufunc if method == "__call__" else getattr(ufunc, method)
        raise _written(_full_name(function), inputs, options)
    tracer = target.tracer  # type: ignore[attr-defined]
    if method == "at":
        return tracer.update_at(target, ufunc, *inputs[1:])
    return tracer.replace(target, call_ufunc(ufunc, method, inputs, options))


def _written(name: str, args: Any, options: dict[str, Any]) -> InPlaceError:
    return InPlaceError(
        f"{name} would write into an array: a traced value, or a plain array that cannot hold one.",
        *_described((args, options)),
    )


def _described(args: Any) -> list[str]:
    """Return a line for each array among the arguments of a call."""
    return [describe(x) for x in _leaves(args) if isinstance(getattr(x, "shape", None), tuple)]


def _in_our_words(
    function: Callable[..., Any], call: Callable[..., Any], args: Any, options: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Return the arguments of a call in the order and by the names of what stands for it.

    ``np.sum(a=x)`` and ``np.clip(x, a_min=0)`` reach us by NumPy's parameter names, and
    ``np.max(x, 0, None, True)`` in NumPy's order, where ``out`` stands before ``keepdims``.
    """
    if len(args) < 3 and options.keys() <= _parameters(call).keys():
        return args, options
    words = _words(function, call)
    if words is None:
        return args, options
    ours, defaults = words
    found = {}
    for name, x in (*zip(defaults, args, strict=False), *options.items()):
        known = ours.get(name, name)
        is_said = known in _parameters(call) or x is not defaults.get(name, _NOT_GIVEN)
        if is_said and x is not _NOT_GIVEN:
            found[known] = x
    places = itertools.takewhile(found.__contains__, _positional(call))
    return [found.pop(name) for name in list(places)], found


@functools.cache
def _words(
    function: Callable[..., Any], call: Callable[..., Any]
) -> tuple[dict[str, str], dict[str, Any]] | None:
    """Return our name for each parameter of NumPy's, and NumPy's defaults, in its order.

    A name of ours that NumPy does not have stands for NumPy's name in the same place. None
    where one of the two takes any number of arguments, which then stand in the same order.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # NumPy before 2.4 does not tell the signatures of what is written in C
        return None
    theirs = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    if any(p.kind is p.VAR_POSITIONAL for p in theirs) or _positional(call) is None:
        return None
    names = {p.name for p in theirs}
    pairs = zip([p.name for p in theirs], _positional(call), strict=False)
    ours = {t: o for t, o in pairs if o not in names and t not in _parameters(call)}
    return ours, {p.name: p.default for p in theirs}


@functools.cache
def _positional(call: Callable[..., Any]) -> Any:
    """Return the parameters that may be given by position; None if there is no end of them."""
    if hasattr(call, "parameters"):
        return None if getattr(call, "variadic", False) else tuple(call.parameters)
    parameters = inspect.signature(call).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)


@functools.cache
def _parameters(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the parameters of a function of NumPy or of what stands for it."""
    return getattr(function, "parameters", None) or inspect.signature(function).parameters


def _fall_through(function: Callable[..., Any], args: Any, options: dict[str, Any]) -> Any:
    """Let NumPy compute what no differentiated argument depends on; else say what is missing."""
    inside: list[Any] = [x for x in _leaves((args, options)) if isinstance(x, Traced)]
    if not any(x.active or type(x.concrete) is Spec for x in inside):
        return answer(function, *args, **options)
    name = _full_name(function)
    known = sorted({_full_name(f) for f in NUMPY if hasattr(f, "__name__")})
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    raise NoOpError(
        f"{name} has no op, so it cannot be traced or differentiated.",
        *_described(inside),
        advice=f"The nearest function that has one is {near[0]}. Declare an op of your own "
        "with chainrule.ops.elementwise and its kin, or wrap the argument in stop_gradient.",
    )


def _leaves(x: Any) -> Iterator[Any]:
    if isinstance(x, dict):
        x = tuple(x.values())
    if isinstance(x, (list, tuple)):
        for item in x:
            yield from _leaves(item)
    else:
        yield x


def _asked(x: Any) -> Any:
    """Return arguments with their values replaced by the arrays behind them."""
    if isinstance(x, dict):
        return {name: _asked(item) for name, item in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)(_asked(item) for item in x)
    if not isinstance(x, Traced):
        return x
    value: Any = x
    return value.ask("a NumPy function without derivative")
