"""Derivatives of Python functions: what a user calls.

Each function here traces its argument on concrete arrays, so that Python may branch on them,
and then walks the graph backwards or forwards over the numbers it found.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from chainrule.errors import NotScalarError, OutputError, StructureError
from chainrule.graph import (
    Value,
    describe,
    lower,
    outputs_of,
    owned,
    returned_by,
)
from chainrule.transform.forward import push_forward
from chainrule.transform.run import (
    LEAF,
    Run,
    front_positions,
    is_of,
    leaves_like,
    run_traced,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["along", "grad", "jvp", "require_tuples", "value_and_grad", "vjp"]


def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that computes f and its gradient in one reverse walk.

    Parameters
    ----------
    f
        A function of arrays (or containers of arrays) that returns one number.
    argnums
        The position of the argument to differentiate by, or a tuple of positions.
    has_aux
        Whether f returns ``(number, extra)``; extra is passed on without a derivative.

    Returns
    -------
    callable
        ``(value, gradient)``, where the gradient has the structure, shapes and dtypes of the
        argument, or is a tuple of such for a tuple of positions; with ``has_aux``,
        ``((value, extra), gradient)``.

    Raises
    ------
    NotScalarError
        If f returns an array with axes.
    InputTypeError
        If an argument to differentiate by is not of a floating-point type.

    Notes
    -----
    ∂f/∂xᵢ = Σ over the routes from xᵢ to f of the product of the local derivatives, summed
    from the output back.

    Examples
    --------
    >>> import numpy as np
    >>> value_and_grad(lambda w: np.sum(w**2))(np.array([1.0, 2.0]))
    (np.float64(5.0), array([2., 4.]))
    """

    @functools.wraps(f)
    def value_and_gradient(*args: Any, **options: Any) -> Any:
        places = front_positions(argnums, len(args))
        run = run_traced(f, args, options, places)
        y, extra = _with_extra(f, run.y) if has_aux else (run.y, None)
        y = _scalar(f, run, y)
        found = run.pull({y.index: _one_like(y.number)}) if is_of(run, y) else {}
        used: set[int] = set()
        gradients = tuple(run.gradient(run.arguments[k], found, used) for k in places)
        gradient = gradients[0] if isinstance(argnums, int) else gradients
        value = lower(run.tracer, y)
        return ((value, lower(run.tracer, extra)) if has_aux else value), gradient

    return value_and_gradient


def _with_extra(f: Callable[..., Any], y: Any) -> tuple[Any, Any]:
    if not isinstance(y, tuple) or len(y) != 2:
        raise OutputError(
            f"has_aux=True needs a function that returns (number, extra), got {describe(y)}.",
            returned_by(f),
            advice="Return the loss and one more thing, or leave has_aux away.",
        )
    return y


def _one_like(y: Any) -> Any:
    """Return the cotangent to start from, 1, on the level of y, so that all is recorded there."""
    if type(y) is Value:
        return y.tracer.constant(_one_like(y.number))
    return y.dtype.type(1)


def _scalar(f: Callable[..., Any], run: Run, y: Any) -> Any:
    """Return the output of a function whose gradient is asked for, if it is one number."""
    shape = getattr(y, "shape", None)
    if shape is None and not isinstance(y, bool | int | float):
        raise OutputError(
            f"grad needs a function that returns one number, got {describe(y)}.",
            returned_by(f),
            advice="Return the loss. For a second result that is not differentiated, return "
            "(loss, extra) and say has_aux=True.",
        )
    if shape:
        raise NotScalarError(
            f"grad needs a function that returns one number, got {describe(y)}.",
            returned_by(f),
            where=str(run.graph.nodes[y.index].where) if is_of(run, y) else "",
        )
    return y


def grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that computes the gradient of f.

    As `value_and_grad`, without the value: the gradient, or ``(gradient, extra)``.

    Examples
    --------
    >>> import numpy as np
    >>> grad(np.sin)(0.0)
    np.float64(1.0)
    >>> grad(grad(lambda x: x**3))(2.0)
    np.float64(12.0)
    """
    both = value_and_grad(f, argnums, has_aux)

    @functools.wraps(f)
    def gradient(*args: Any, **options: Any) -> Any:
        value, found = both(*args, **options)
        return (found, value[1]) if has_aux else found

    return gradient


def vjp(f: Callable[..., Any], *xs: Any, has_aux: bool = False) -> Any:
    """Return f(*xs) and the function that pulls a cotangent of it back to the arguments.

    Parameters
    ----------
    f
        A function of arrays, or containers of arrays, that returns such.
    *xs
        Where to differentiate. Arguments that are not of a floating-point type are constants.
    has_aux
        Whether f returns ``(y, extra)``; extra is passed on without a derivative.

    Returns
    -------
    y
        The result.
    pull
        ``pull(g)`` returns, for g of the structure and shapes of y, the tuple of ``gᵀ ∂f/∂x``
        with one entry for each argument (None for a constant). It can be called again and
        gives the same numbers; nothing accumulates.
    extra
        With ``has_aux``.

    Raises
    ------
    StructureError
        By ``pull``, if g does not have the structure and shapes of y.

    Examples
    --------
    >>> import numpy as np
    >>> y, pull = vjp(lambda w, x: w @ x, np.eye(2), np.array([3.0, 4.0]))
    >>> pull(np.array([1.0, 0.0]))
    (array([[3., 4.],
           [0., 0.]]), array([1., 0.]))
    """
    run = run_traced(f, xs, {}, range(len(xs)), lenient=True)
    result, extra = _with_extra(f, run.y) if has_aux else (run.y, None)
    leaves, structure = outputs_of(f, run.tracer, result)

    def pull(g: Any) -> tuple[Any, ...]:
        gs = leaves_like("pull", g, leaves, structure)
        cotangents: dict[int, Any] = {}
        for leaf, part in zip(leaves, gs, strict=True):
            if is_of(run, leaf):
                before = cotangents.get(leaf.index)
                cotangents[leaf.index] = part if before is None else before + part
        found = run.pull(cotangents)
        used = {id(part) for part in gs}
        return tuple(_or_none(run.gradient(part, found, used)) for part in run.arguments)

    y = optree.tree_unflatten(structure, [_copied(lower(run.tracer, leaf)) for leaf in leaves])
    return (y, pull, lower(run.tracer, extra)) if has_aux else (y, pull)


def _copied(y: Any) -> Any:
    """Return a result that its receiver may write to without harm to the numbers kept."""
    return y.copy() if type(y) is np.ndarray else y


def _or_none(gradient: Any) -> Any:
    """Return a gradient, None where it is a container of nothing but None."""
    return gradient if optree.tree_leaves(gradient) else None


def jvp(f: Callable[..., Any], xs: Sequence[Any], dxs: Sequence[Any]) -> tuple[Any, Any]:
    """Return f(*xs) and its derivative along a direction, by one forward walk.

    Parameters
    ----------
    f
        A function of arrays, or containers of arrays, that returns such.
    xs
        The tuple of arguments.
    dxs
        The tuple of tangents, with the structure and shapes of the arguments; None for one
        that is constant, such as labels.

    Returns
    -------
    y
        The result.
    dy
        Σ ∂f/∂x dx, with the structure and shapes of y.

    Examples
    --------
    >>> import numpy as np
    >>> jvp(np.sin, (0.0,), (2.0,))
    (np.float64(0.0), np.float64(2.0))
    """
    return along("jvp", f, xs, dxs)


def along(
    name: str, f: Callable[..., Any], xs: Sequence[Any], dxs: Sequence[Any]
) -> tuple[Any, Any]:
    """Return what `jvp` does, for the caller of that name."""
    require_tuples(name, xs, dxs)
    run = run_traced(f, xs, {}, [k for k, dx in enumerate(dxs) if dx is not None])
    leaves, structure = outputs_of(f, run.tracer, run.y)
    tangents: dict[int, Any] = {}
    for argument, dx in zip(run.arguments, dxs, strict=True):
        if dx is None:
            continue
        parts = leaves_like(name, dx, argument.leaves, argument.structure or LEAF)
        tangents |= {x.index: part for x, part in zip(argument.leaves, parts, strict=True)}
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = push_forward(run.graph, run.tracer.numbers, tangents)
    used = {id(part) for part in tangents.values()}
    dys = [
        owned(found[leaf.index], used)
        if is_of(run, leaf) and leaf.index in found
        else np.zeros(np.shape(leaf), getattr(leaf, "dtype", np.float64))[()]
        for leaf in leaves
    ]
    return lower(run.tracer, run.y), optree.tree_unflatten(structure, dys)


def require_tuples(name: str, xs: Any, dxs: Any) -> None:
    """Raise unless arguments and tangents are tuples of one length."""
    if not isinstance(xs, tuple | list) or not isinstance(dxs, tuple | list):
        raise StructureError(
            f"{name} takes tuples of arguments and tangents, got {type(xs).__name__} and "
            f"{type(dxs).__name__}.",
            advice=f"Write {name}(f, (x,), (dx,)), also for one argument.",
        )
    if len(xs) != len(dxs):
        raise StructureError(
            f"{name} needs a tangent for each argument, got {len(xs)} and {len(dxs)}."
        )
