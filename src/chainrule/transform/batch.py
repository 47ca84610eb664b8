"""A program for one example as a program for many: examples along the first axis."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from chainrule.errors import ShapeError, StructureError
from chainrule.graph import (
    Graph,
    ShapeTracer,
    Spec,
    Value,
    called,
    describe,
    outputs_of,
    owned,
    parameter_names,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["batch", "evaluate_batch", "vmap"]


def evaluate_batch(graph: Graph, n: int, xs: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Return the outputs of a graph for n examples at once.

    Parameters
    ----------
    graph
        The program for one example.
    n
        How many examples.
    xs
        The inputs: arrays, or values of an outer trace.
    batched
        For each input, whether it has examples along its first axis.
    """
    graph.require_general()
    numbers: list[Any] = [None] * len(graph.nodes)
    has_batch = [False] * len(graph.nodes)
    for index, x, b in zip(graph.inputs, xs, batched, strict=True):
        numbers[index], has_batch[index] = x, b
    for index, constant in graph.constants.items():
        numbers[index] = constant
    for index, node in enumerate(graph.nodes):
        if node.op is None:
            continue
        operands = [numbers[i] for i in node.inputs]
        flags = [has_batch[i] for i in node.inputs]
        if any(flags):
            numbers[index] = node.op.batch(node.op, n, operands, flags, node.attributes)
            has_batch[index] = True
        else:
            numbers[index] = node.op(*operands, **node.attributes)
    return [
        numbers[i] if has_batch[i] else np.broadcast_to(numbers[i], (n, *numbers[i].shape))
        for i in graph.outputs
    ]


def batch(graph: Graph, n: int, batched: Sequence[bool] | None = None) -> Graph:
    """Return the graph of a program for n examples along the first axis of inputs and outputs.

    Examples
    --------
    >>> from chainrule.graph import trace
    >>> print(batch(trace(lambda x: x @ x, Spec((3,))), n=5).outputs)
    [4]
    """
    flags = [True] * len(graph.inputs) if batched is None else list(batched)
    tracer = ShapeTracer()
    xs = []
    for index, b in zip(graph.inputs, flags, strict=True):
        node = graph.nodes[index]
        shape = (n, *node.shape) if b else node.shape
        xs.append(tracer.input(Spec(shape, node.dtype), node.name))
    outputs = evaluate_batch(graph, n, xs, flags)
    tracer.graph.outputs = [tracer.lift(y).index for y in outputs]
    tracer.close()
    return tracer.graph


def vmap(f: Callable[..., Any], in_axes: Any = 0) -> Callable[..., Any]:
    """Return a function that applies f to each of many examples at once.

    Parameters
    ----------
    f
        A function of one example. It is traced on shapes, so it may not branch on numbers.
    in_axes
        The axis of each argument along which its examples lie, None for an argument that all
        examples share: one for all arguments, or a tuple with one each.

    Returns
    -------
    callable
        Its results have examples along their first axis.

    Raises
    ------
    ShapeError
        If the arguments have different numbers of examples, or none.
    BranchError
        If f branches on a number.

    Examples
    --------
    >>> import numpy as np
    >>> vmap(lambda w, x: w @ x, in_axes=(None, 0))(np.array([1.0, 2.0]), np.eye(2))
    array([1., 2.])
    """

    @functools.wraps(f)
    def mapped(*args: Any, **options: Any) -> Any:
        axes = in_axes if isinstance(in_axes, tuple | list) else (in_axes,) * len(args)
        if len(axes) != len(args) or not all(a is None or isinstance(a, int) for a in axes):
            raise StructureError(
                f"in_axes needs an axis or None for each argument, of which the call has "
                f"{len(args)}, got {in_axes!r}.",
                advice="Say one axis for all arguments, or a tuple with an entry for each.",
            )
        names = parameter_names(f, len(args))
        tracer = ShapeTracer()
        entered: list[tuple[Any, bool]] = []
        inner = [
            _share(tracer, x, name, entered)
            if axis is None
            else _enter(tracer, x, axis, name, entered)
            for x, axis, name in zip(args, axes, names, strict=True)
        ]
        n = _common_length([x for x, has_examples in entered if has_examples])
        try:
            leaves, structure = outputs_of(f, tracer, called(f, *inner, **options))
            graph = tracer.graph
            graph.outputs = [tracer.lift(leaf).index for leaf in leaves]
        finally:
            tracer.close()
        xs, batched = zip(*entered, strict=True)
        everything: Any = (args, xs)
        used = {id(x) for x in optree.tree_leaves(everything)}
        outputs = [owned(y, used) for y in evaluate_batch(graph, n, xs, batched)]
        return optree.tree_unflatten(structure, outputs)

    return mapped


def _share(tracer: ShapeTracer, tree: Any, name: str, entered: list[tuple[Any, bool]]) -> Any:
    """Return an argument that all examples share; its arrays are traced, its numbers stay."""

    def one(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or not x.shape:
            return x
        entered.append((x, False))
        return tracer.input(Spec(x.shape, x.dtype), name)

    return optree.tree_map(one, tree)


def _enter(
    tracer: ShapeTracer, tree: Any, axis: int, name: str, entered: list[tuple[Any, bool]]
) -> Any:
    """Return an argument for one example, and add its arrays, examples in front, to the list."""

    def one(x: Any) -> Value:
        x = x if type(x) is Value else np.asarray(x)
        if not -x.ndim <= axis < x.ndim:
            raise ShapeError(
                f"vmap needs an axis {axis} in argument {name or len(entered)}, got {describe(x)}.",
                advice="Say in_axes=None for an argument that all examples share.",
            )
        x = np.moveaxis(x, axis, 0) if axis else x
        entered.append((x, True))
        return tracer.input(Spec(x.shape[1:], x.dtype), name)

    return optree.tree_map(one, tree)


def _common_length(examples: Sequence[Any]) -> int:
    lengths = {x.shape[0] for x in examples}
    if len(lengths) != 1:
        shapes = [describe(x) for x in examples]
        raise ShapeError(
            f"vmap needs one number of examples, got {sorted(lengths) or 'no mapped argument'}.",
            *shapes,
            advice="Give all mapped arguments one length along their axis; say in_axes=None for "
            "an argument that all examples share, and map one at least.",
        )
    return int(lengths.pop())
