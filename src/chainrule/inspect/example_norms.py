"""The norms of the gradients of single examples as machine code, for use in every step.

A pass keeps everything, which is more than a norm needs. Here the function is recorded once for
each signature of its arguments, the norms are written into the graph as products of the factors
that the layers have anyway, and what they do not need goes: the gradients of the weights of
layers are never computed.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from chainrule.errors import NotScalarError
from chainrule.execute.executor import Runner
from chainrule.graph import Graph, ShapeTracer, Spec, captured, describe, parameter_names
from chainrule.inspect.examples.batch import settings_among
from chainrule.inspect.examples.mixing import Apart, apart, refusal
from chainrule.inspect.examples.uses import common_gradients, shares_of, squares_of
from chainrule.inspect.examples.where import examples_in
from chainrule.inspect.walking import Leaf
from chainrule.transform import pull_back, simplify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["example_norms"]


def example_norms(
    f: Callable[..., Any],
    *,
    data: Sequence[int] | None = None,
    axis: int | None = None,
    threads: int | None = None,
) -> Callable[..., Any]:
    """Return a function of the same arguments that gives the norm of each example's gradient.

    Its numbers are those of ``open(f, *args).per_example.norms()``, and it runs as machine code.

    Parameters
    ----------
    f
        The loss: ``f(parameters, X, y)`` or alike, one number. Arrays of floating-point type that
        do not hold examples are its parameters, but for numbers without axes after the data.
        Arrays of its closure are constants.
    data
        The positions of the arguments that hold examples; if None, it is found out
        (`chainrule.inspect.examples.where`).
    axis
        The axis along which examples lie in these: 0, or -1 for columns; if None, likewise.
    threads
        How many threads share a call, as for `chainrule.compile`.

    Returns
    -------
    callable
        Its result has the shape (m,).

    Raises
    ------
    MixedExamplesError
        On the first call with arguments of a signature, if examples meet in f.
    TraceError
        On that call, if f branches on numbers.

    Examples
    --------
    >>> def loss(w, X, y):
    ...     return np.mean((X @ w - y) ** 2)
    >>> norms = example_norms(loss)
    >>> norms(np.array([1.0, 1.0]), np.array([[3.0, 4.0], [1.0, 0.0]]), np.array([6.0, 1.0]))
    array([10.,  0.])
    """
    programs: dict[Any, Runner] = {}

    @functools.wraps(f)
    def norms(*arguments: Any) -> Any:
        tree: Any = arguments
        leaves, structure = optree.tree_flatten(tree)
        arrays = [x for x in leaves if hasattr(x, "dtype")]
        rest = tuple(None if hasattr(x, "dtype") else repr(x) for x in leaves)
        key = (structure, rest, tuple((x.shape, x.dtype) for x in arrays))
        if key not in programs:
            programs[key] = _prepared(f, arguments, data, axis, threads)
        (y,) = programs[key](arrays)
        return y

    return norms


def _prepared(
    f: Callable[..., Any],
    arguments: Sequence[Any],
    data: Sequence[int] | None,
    axis: int | None,
    threads: int | None,
) -> Runner:
    """Return what computes the norms for arguments like these."""
    tree: Any = tuple(arguments)
    paths, leaves, structure = optree.tree_flatten_with_path(tree)
    specs = [Spec(x.shape, x.dtype) for x in leaves if hasattr(x, "dtype")]

    def flat(*values: Any) -> list[Any]:
        taken = iter(values)
        whole = [next(taken) if hasattr(x, "dtype") else x for x in leaves]
        return optree.tree_leaves(f(*optree.tree_unflatten(structure, whole)))

    graph, found = captured(flat, specs)
    if len(graph.outputs) != 1 or graph.nodes[graph.outputs[0]].shape:
        results = ", ".join(describe(graph.nodes[index]) for index in graph.outputs)
        raise NotScalarError(f"norms of gradients need a function of one number, got {results}.")
    nodes = iter(graph.inputs)
    placed = [
        Leaf(path, "", next(nodes) if hasattr(x, "dtype") else None)
        for path, x in zip(paths, leaves, strict=True)
    ]
    held = dict(zip(nodes, found, strict=True))
    batch = examples_in(placed, arguments, graph, graph.outputs[0], data=data, axis=axis, held=held)
    program = apart(graph, graph.outputs[0], batch, held)
    if not isinstance(program, Apart):
        raise refusal(graph, program, _names(f, graph, placed), batch)
    return Runner(simplify(_norms(program, settings_among(placed, graph, batch))), found, threads)


def _norms(program: Apart, settings: set[int]) -> Graph:
    """Return the graph of the norms by all inputs but settings, with the program's inputs."""
    graph, count = program.graph, program.count
    tracer = ShapeTracer()
    numbers = tracer.replay(graph, tracer.inputs_of(graph))
    seed = tracer.constant(np.ones((), graph.nodes[program.output].dtype))
    adjoints = pull_back(graph, numbers, program.moves, {program.output: seed})
    parameters = [index for index in graph.inputs if program.moves[index] and index not in settings]
    if count == 1:
        total: Any = sum(np.sum(adjoints[i] ** 2) for i in parameters if i in adjoints)
        squares = np.reshape(total, (1,))
    else:
        shares = shares_of(program, numbers, adjoints)
        common = common_gradients(program, numbers, seed)
        squares = squares_of(shares, common, parameters, count)
    tracer.graph.outputs = [tracer.lift(np.sqrt(squares)).index]
    tracer.close()
    return tracer.graph


def _names(f: Callable[..., Any], graph: Graph, leaves: Sequence[Leaf]) -> list[str]:
    """Return what the nodes are called in an error: arguments by their names."""
    names = [""] * len(graph.nodes)
    given = parameter_names(f, 1 + max((leaf.path[0] for leaf in leaves), default=0))
    for leaf in leaves:
        if leaf.index is not None:
            argument = given[leaf.path[0]] or f"argument {leaf.path[0]}"
            names[leaf.index] = argument + "".join(f"[{key!r}]" for key in leaf.path[1:])
    return names
