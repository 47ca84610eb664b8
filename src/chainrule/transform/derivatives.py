"""Derivatives of Python functions: what a user calls.

Each function here traces its argument on concrete arrays, so that Python may branch on them,
and then walks the graph backwards or forwards over the numbers it found.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from chainrule.errors import InputTypeError, NotScalarError, OutputError, StructureError
from chainrule.graph import (
    REAL,
    Graph,
    Tracer,
    Value,
    describe,
    lower,
    outputs_of,
    parameter_names,
    returned_by,
)
from chainrule.transform.batch import vmap
from chainrule.transform.forward import push_forward
from chainrule.transform.reverse import pull_back

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]


_LEAF: Any = optree.treespec_leaf()


class _Argument(NamedTuple):
    """One argument inside a trace: its values, and how to put them together again."""

    inside: Any
    leaves: list[Any]
    structure: Any


class _Run(NamedTuple):
    """A function after it was traced on its arguments."""

    tracer: Tracer
    arguments: list[_Argument]
    y: Any

    @property
    def graph(self) -> Graph:
        return self.tracer.graph

    def pull(self, cotangents: dict[int, Any]) -> dict[int, Any]:
        """Return the cotangents of all active nodes."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return pull_back(self.graph, self.tracer.numbers, self.tracer.active, cotangents)

    def gradient(self, argument: _Argument, found: dict[int, Any], used: set[int]) -> Any:
        """Return the cotangents of an argument, put together as the argument is."""
        leaves = [
            None
            if type(x) is not Value or x.tracer is not self.tracer
            else _owned(found[x.index] if x.index in found else np.zeros(x.shape, x.dtype), used)
            for x in argument.leaves
        ]
        if argument.structure is None:
            return leaves[0]
        return optree.tree_unflatten(argument.structure, leaves)


def _owned(g: Any, used: set[int]) -> Any:
    """Return an array that its receiver may write to: no view, and given out only once."""
    if type(g) is not np.ndarray:
        return g
    if not g.shape:
        return g[()]
    if id(g) in used or g.base is not None or not g.flags.writeable:
        g = g.copy()
    used.add(id(g))
    return g


def _is_floating(x: Any) -> bool:
    return np.issubdtype(x.dtype, np.floating)


def _enter(tracer: Tracer, x: Any, active: bool, name: str) -> _Argument:
    """Trace the floating-point arrays of an argument; the rest stays as it is."""
    if type(x) is np.ndarray:
        value = _enter_leaf(tracer, x, active, name)
        return _Argument(value, [value], None)
    if x is None and active:  # for a container it would be one without arrays
        _enter_leaf(tracer, x, active, name)
    if type(x) in {int, str, bool, type(None)} and not active:
        return _Argument(x, [x], None)
    leaves, structure = optree.tree_flatten(x)
    values = [_enter_leaf(tracer, leaf, active, name) for leaf in leaves]
    return _Argument(optree.tree_unflatten(structure, values), values, structure)


def _enter_leaf(tracer: Tracer, x: Any, active: bool, name: str) -> Any:
    if type(x) is float and active:
        x = np.float64(x)
    if not hasattr(x, "dtype") or not _is_floating(x):
        if active:
            raise _no_derivative_by(x, name)
        return x
    number = x.copy() if type(x) is np.ndarray else x
    return tracer.input(number, name, active=active)


def _no_derivative_by(x: Any, name: str) -> InputTypeError:
    advice = (
        f"Pass {name or 'it'} as float64 (x.astype(float), 2.0 for 2), or differentiate with "
        "respect to another argument (argnums=…)."
    )
    if getattr(x, "dtype", np.dtype(type(x))).kind == "c":
        advice = "Pass the real and the imaginary part as two arguments."
    return InputTypeError(
        f"{f'the argument {name}' if name else 'an argument'} has no derivative: it is "
        f"{describe(x)}, and only real floating-point numbers change by small steps.",
        advice=advice,
    )


def _run(
    f: Callable[..., Any],
    args: Sequence[Any],
    options: dict[str, Any],
    argnums: Sequence[int],
) -> _Run:
    """Trace f on its arguments, those in argnums as active."""
    tracer = Tracer()
    names = parameter_names(f, len(args))
    arguments = [
        _enter(tracer, x, k in argnums, name)
        for k, (x, name) in enumerate(zip(args, names, strict=True))
    ]
    options = {name: _enter(tracer, x, False, name).inside for name, x in options.items()}
    try:
        y = f(*[argument.inside for argument in arguments], **options)
    finally:
        tracer.close()
    return _Run(tracer, arguments, y)


def _positions(argnums: int | Sequence[int], count: int) -> tuple[int, ...]:
    """Return argument positions from the front."""
    given = (argnums,) if isinstance(argnums, int) else argnums
    if not isinstance(given, Sequence) or not all(
        isinstance(k, int) and -count <= k < count for k in given
    ):
        raise StructureError(
            f"argnums needs positions of arguments, of which the call has {count}, "
            f"got {argnums!r}.",
            advice="Positions count from 0, or from -1 backwards. An argument that is given by "
            "name has none: pass it by position.",
        )
    return tuple(k % count for k in given)


def _scalar(f: Callable[..., Any], run: _Run, y: Any) -> Any:
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
            where=str(run.graph.nodes[y.index].where) if _is_of(run, y) else "",
        )
    return y


def _is_of(run: _Run, y: Any) -> bool:
    return type(y) is Value and y.tracer is run.tracer


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
        positions = _positions(argnums, len(args))
        run = _run(f, args, options, positions)
        y, extra = _with_extra(f, run.y) if has_aux else (run.y, None)
        y = _scalar(f, run, y)
        found = run.pull({y.index: _one_like(y.number)}) if _is_of(run, y) else {}
        used: set[int] = set()
        gradients = tuple(run.gradient(run.arguments[k], found, used) for k in positions)
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


def vjp(f: Callable[..., Any], *xs: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """Return f(*xs) and the function that pulls a cotangent of it back to the arguments.

    Parameters
    ----------
    f
        A function of arrays, or containers of arrays, that returns such.
    *xs
        Where to differentiate. Arguments that are not of a floating-point type are constants.

    Returns
    -------
    y
        The result.
    pull
        ``pull(g)`` returns, for g of the structure and shapes of y, the tuple of ``gᵀ ∂f/∂x``
        with one entry for each argument (None for a constant). It can be called again and
        gives the same numbers; nothing accumulates.

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
    active = [k for k, x in enumerate(xs) if _has_floating(x)]
    run = _run(f, xs, {}, active)
    leaves, structure = outputs_of(f, run.tracer, run.y)

    def pull(g: Any) -> tuple[Any, ...]:
        gs = _leaves_like("pull", g, leaves, structure)
        cotangents: dict[int, Any] = {}
        for leaf, part in zip(leaves, gs, strict=True):
            if _is_of(run, leaf):
                before = cotangents.get(leaf.index)
                cotangents[leaf.index] = part if before is None else before + part
        found = run.pull(cotangents)
        used = {id(part) for part in gs}
        return tuple(
            run.gradient(argument, found, used) if k in active else None
            for k, argument in enumerate(run.arguments)
        )

    y = optree.tree_unflatten(structure, [_copied(lower(run.tracer, leaf)) for leaf in leaves])
    return y, pull


def _copied(y: Any) -> Any:
    """Return a result that its receiver may write to without harm to the numbers kept."""
    return y.copy() if type(y) is np.ndarray else y


def _has_floating(x: Any) -> bool:
    leaves = optree.tree_leaves(x)
    return bool(leaves) and all(
        isinstance(leaf, float) or (hasattr(leaf, "dtype") and _is_floating(leaf))
        for leaf in leaves
    )


def _leaves_like(name: str, tree: Any, like: Sequence[Any], structure: Any) -> list[Any]:
    """Return the leaves of a tree that must have this structure and the shapes of these."""
    leaves, given = optree.tree_flatten(tree)
    if given != structure:
        raise StructureError(
            f"{name} needs the structure {_text(structure)} (* is an array), got {_text(given)}."
        )
    checked = []
    for leaf, x in zip(leaves, like, strict=True):
        part = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
        shape = getattr(x, "shape", ())
        if part.shape != shape or part.dtype.kind not in REAL:
            raise StructureError(
                f"{name} needs an array of real numbers of shape {list(shape)}, "
                f"got {describe(part)}."
            )
        dtype = getattr(x, "dtype", part.dtype)
        checked.append(part if part.dtype == dtype else part.astype(dtype))
    return checked


def _text(structure: Any) -> str:
    """Return ``(*, {'b': *})`` for ``PyTreeSpec((*, {'b': *}))``."""
    return str(structure).removeprefix("PyTreeSpec(").removesuffix(")")


def jvp(f: Callable[..., Any], xs: Sequence[Any], dxs: Sequence[Any]) -> tuple[Any, Any]:
    """Return f(*xs) and its derivative along a direction, by one forward walk.

    Parameters
    ----------
    f
        A function of arrays, or containers of arrays, that returns such.
    xs
        The tuple of arguments.
    dxs
        The tuple of tangents, with the structure and shapes of the arguments.

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
    return _along("jvp", f, xs, dxs)


def _along(
    name: str, f: Callable[..., Any], xs: Sequence[Any], dxs: Sequence[Any]
) -> tuple[Any, Any]:
    """Return what `jvp` does, for the caller of that name."""
    _require_tuples(name, xs, dxs)
    run = _run(f, xs, {}, range(len(xs)))
    leaves, structure = outputs_of(f, run.tracer, run.y)
    tangents: dict[int, Any] = {}
    for argument, dx in zip(run.arguments, dxs, strict=True):
        parts = _leaves_like(name, dx, argument.leaves, argument.structure or _LEAF)
        tangents |= {x.index: part for x, part in zip(argument.leaves, parts, strict=True)}
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = push_forward(run.graph, run.tracer.numbers, tangents)
    used = {id(part) for part in tangents.values()}
    dys = [
        _owned(found[leaf.index], used)
        if _is_of(run, leaf) and leaf.index in found
        else np.zeros(np.shape(leaf), getattr(leaf, "dtype", np.float64))[()]
        for leaf in leaves
    ]
    return lower(run.tracer, run.y), optree.tree_unflatten(structure, dys)


def _require_tuples(name: str, xs: Any, dxs: Any) -> None:
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


def jacobian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Return a function that computes all derivatives of all results of f.

    Parameters
    ----------
    f
        A function of arrays, or containers of arrays, that returns such.
    argnums
        The position of the argument to differentiate by, or a tuple of positions.

    Returns
    -------
    callable
        For a result of shape R and an argument of shape S, an array of shape R + S; in the
        structure of the result, and within it of the argument. One walk for the function, then
        all directions at once: backwards from the results or forwards from the arguments,
        whichever are fewer.

    Examples
    --------
    >>> import numpy as np
    >>> jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    @functools.wraps(f)
    def all_derivatives(*args: Any) -> Any:
        positions = _positions(argnums, len(args))
        run = _run(f, args, {}, positions)
        arguments = [run.arguments[k] for k in positions]
        outputs, structure = outputs_of(f, run.tracer, run.y)
        inputs = [x for argument in arguments for x in argument.leaves]
        blocks = _blocks(run, inputs, outputs)
        rows = []
        for row in blocks:
            parts, rest = [], list(row)
            for argument in arguments:
                own, rest = rest[: len(argument.leaves)], rest[len(argument.leaves) :]
                parts.append(
                    own[0]
                    if argument.structure is None
                    else optree.tree_unflatten(argument.structure, own)
                )
            rows.append(parts[0] if isinstance(argnums, int) else tuple(parts))
        return optree.tree_unflatten(structure, rows)

    return all_derivatives


def _blocks(run: _Run, inputs: Sequence[Value], outputs: Sequence[Any]) -> list[list[Any]]:
    """Return the derivative of each output by each input."""
    sizes = [sum(x.size for x in xs if _is_of(run, x)) for xs in (inputs, outputs)]
    if sizes[0] < sizes[1]:
        columns = [_forward_blocks(run, x, outputs) for x in inputs]
        return [list(row) for row in zip(*columns, strict=True)]
    return [_reverse_blocks(run, y, inputs) for y in outputs]


def _directions(x: Value) -> Any:
    """Return a basis of the arrays like x, along a new first axis."""
    return np.eye(x.size, dtype=x.dtype).reshape((x.size, *x.shape))


def _no_derivative(y: Any, x: Value) -> Any:
    return np.zeros((*np.shape(y), *x.shape), x.dtype)


def _reverse_blocks(run: _Run, y: Any, inputs: Sequence[Value]) -> list[Any]:
    if not _is_of(run, y):
        return [_no_derivative(y, x) for x in inputs]

    def pull(g: Any) -> list[Any]:
        found = run.pull({y.index: g})
        return [found[x.index] if x.index in found else np.zeros(x.shape, x.dtype) for x in inputs]

    rows = vmap(pull)(_directions(y))
    return [_shaped(row, (*y.shape, *x.shape)) for row, x in zip(rows, inputs, strict=True)]


def _forward_blocks(run: _Run, x: Value, outputs: Sequence[Any]) -> list[Any]:
    ours = [y for y in outputs if _is_of(run, y)]

    def push(dx: Any) -> list[Any]:
        found = push_forward(run.graph, run.tracer.numbers, {x.index: dx})
        return [found[y.index] if y.index in found else np.zeros(y.shape, y.dtype) for y in ours]

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        columns = iter(vmap(push)(_directions(x)))
    return [
        _shaped(np.moveaxis(next(columns), 0, -1), (*y.shape, *x.shape))
        if _is_of(run, y)
        else _no_derivative(y, x)
        for y in outputs
    ]


def _shaped(block: Any, shape: tuple[int, ...]) -> Any:
    block = np.reshape(block, shape)
    return block if type(block) is Value else np.array(block)


def hessian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Return a function that computes the second derivatives of f, which returns one number.

    Returns
    -------
    callable
        For an argument of shape S, an array of shape S + S.

    Examples
    --------
    >>> import numpy as np
    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([2.0, 3.0]))
    array([[6., 4.],
           [4., 0.]])
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Callable[..., Any], xs: Sequence[Any], dxs: Sequence[Any]) -> tuple[Any, ...]:
    """Return the Hessian of f at xs times a direction, without forming the Hessian.

    Forward mode over reverse mode: the cost of a few gradients.

    Parameters
    ----------
    f
        A function that returns one number.
    xs, dxs
        The tuples of arguments and of the direction.

    Returns
    -------
    tuple
        One entry for each argument, with its structure and shapes.

    Examples
    --------
    >>> import numpy as np
    >>> hvp(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
    (array([6., 0.]),)
    """
    _require_tuples("hvp", xs, dxs)
    gradient = grad(f, tuple(range(len(xs))))
    return _along("hvp", gradient, xs, dxs)[1]  # type: ignore[no-any-return]
