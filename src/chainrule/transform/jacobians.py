"""All derivatives at once: Jacobians, Hessians, and products with a Hessian."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from chainrule.graph import (
    Value,
    outputs_of,
)
from chainrule.transform.batch import vmap
from chainrule.transform.derivatives import along, grad, require_tuples
from chainrule.transform.forward import push_forward
from chainrule.transform.run import (
    Run,
    front_positions,
    is_of,
    run_traced,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["hessian", "hvp", "jacobian"]


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
        places = front_positions(argnums, len(args))
        run = run_traced(f, args, {}, places)
        arguments = [run.arguments[k] for k in places]
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


def _blocks(run: Run, inputs: Sequence[Value], outputs: Sequence[Any]) -> list[list[Any]]:
    """Return the derivative of each output by each input."""
    sizes = [sum(x.size for x in xs if is_of(run, x)) for xs in (inputs, outputs)]
    if sizes[0] < sizes[1]:
        columns = [_forward_blocks(run, x, outputs) for x in inputs]
        return [list(row) for row in zip(*columns, strict=True)]
    return [_reverse_blocks(run, y, inputs) for y in outputs]


def _directions(x: Value) -> Any:
    """Return a basis of the arrays like x, along a new first axis."""
    return np.eye(x.size, dtype=x.dtype).reshape((x.size, *x.shape))


def _no_derivative(y: Any, x: Value) -> Any:
    return np.zeros((*np.shape(y), *x.shape), x.dtype)


def _reverse_blocks(run: Run, y: Any, inputs: Sequence[Value]) -> list[Any]:
    if not is_of(run, y):
        return [_no_derivative(y, x) for x in inputs]

    def pull(g: Any) -> list[Any]:
        found = run.pull({y.index: g})
        return [found[x.index] if x.index in found else np.zeros(x.shape, x.dtype) for x in inputs]

    rows = vmap(pull)(_directions(y))
    return [_shaped(row, y, x) for row, x in zip(rows, inputs, strict=True)]


def _forward_blocks(run: Run, x: Value, outputs: Sequence[Any]) -> list[Any]:
    ours = [y for y in outputs if is_of(run, y)]

    def push(dx: Any) -> list[Any]:
        found = push_forward(run.graph, run.tracer.numbers, {x.index: dx})
        return [found[y.index] if y.index in found else np.zeros(y.shape, y.dtype) for y in ours]

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        columns = iter(vmap(push)(_directions(x)))
    return [
        _shaped(np.moveaxis(next(columns), 0, -1), y, x) if is_of(run, y) else _no_derivative(y, x)
        for y in outputs
    ]


def _shaped(block: Any, y: Any, x: Value) -> Any:
    """Return a block as an array of its own, of the shape of y and x and the dtype of x."""
    block = np.reshape(block, (*y.shape, *x.shape))
    if type(block) is Value:
        return block if block.dtype == x.dtype else block.astype(x.dtype)
    return np.array(block, x.dtype)


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
    require_tuples("hvp", xs, dxs)
    gradient = grad(f, tuple(range(len(xs))))
    return along("hvp", gradient, xs, dxs)[1]  # type: ignore[no-any-return]
