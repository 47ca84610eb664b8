"""Running a Python function once on values, to learn what program it is.

A `Tracer` builds one graph. Traced on concrete arrays, every value carries its number, so
Python may branch on it; traced on shapes, it carries a `Spec`. Transforms nest by levels: the
numbers of an inner trace may be values of an outer one, and an op is recorded by the innermost
trace among its operands, which sees the values of the others as constants. So the variables of
an inner derivative are never confused with those of an outer one.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import optree

from chainrule.errors import ChainruleError, InputTypeError, LeakError, OutputError
from chainrule.graph.graph import REAL, Graph, Node, Origin, Spec, Where, describe
from chainrule.graph.value import Value, cannot_be_written
from chainrule.graph.where import user_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainrule.graph.op import Op

__all__ = [
    "ShapeTracer",
    "Tracer",
    "lower",
    "outputs_of",
    "parameter_names",
    "returned_by",
    "trace",
]

_LEVELS = itertools.count()
_SCALARS = (bool, int, float)
_LARGE = 1 << 14
"""Entries from which on reading an array again is worth not copying it again."""


class Tracer:
    """Builds one graph while a function runs on its values.

    Parameters
    ----------
    keep_flat
        Whether ops without a derivative (comparisons, argmax) are recorded too. A derivative
        does not need them, and without a record their results are plain arrays, which index
        and mask as any others.
    """

    follows_writes: ClassVar[bool] = False
    """Whether writing to a value makes it another node; else it is an error."""

    def __init__(self, *, keep_flat: bool = False) -> None:
        self.level = next(_LEVELS)
        self.graph = Graph()
        self.numbers: list[Any] = []
        self.active: list[bool] = []
        self.here: tuple[Where, Origin | None] | None = None
        self.keep_flat = keep_flat
        self.is_open = True
        self._copies: dict[int, tuple[Any, Value]] = {}

    def input(self, number: Any, name: str = "", *, active: bool = True) -> Value:
        """Add an input that has this number (an array, a `Spec`, an outer value)."""
        node = Node(None, (), {}, number.shape, number.dtype, name=name)
        value = self._append(node, number, active)
        self.graph.inputs.append(value.index)
        return value

    @staticmethod
    def outside(tracer: Tracer, number: Any) -> Any:
        """Return what stands for an array that no trace knows: the array itself."""
        del tracer
        return number

    def constant(self, number: Any) -> Value:
        """Add a constant; an array is copied, so that its owner may write to it."""
        number = self.outside(self, number)
        if not isinstance(number, np.generic | Value):
            _, known = self._copies.get(id(number), (None, None))
            if known is not None and np.array_equal(number, self.graph.constants[known.index]):
                return known
            return self._copied(number)
        return self._constant(number)

    def _copied(self, given: Any) -> Value:
        """Add a copy of an array; a large one that comes again unchanged is the same constant."""
        number = np.array(given)[()]
        value = self._constant(number)
        if number.size >= _LARGE and number.dtype.kind in REAL:
            number.flags.writeable = False
            self._copies[id(given)] = (given, value)
        return value

    def _constant(self, number: Any) -> Value:
        if number.dtype.kind not in REAL:
            raise InputTypeError("only arrays of real numbers can be traced.", describe(number))
        value = self._append(Node(None, (), {}, number.shape, number.dtype), number, False)
        self.graph.constants[value.index] = number
        return value

    def lift(self, x: Any) -> Value:
        """Return a value of this trace for anything that stands for an array."""
        return x if type(x) is Value and x.tracer is self else self.constant(x)

    def value(self, index: int) -> Value:
        """Return the value of a node."""
        return Value(self, index, self.numbers[index], self.active[index])

    def record(self, op: Op, operands: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Compute and record one call of an op."""
        if not self.is_open:
            raise LeakError(
                f"{op.name} is applied to a value whose trace has ended.",
                *[describe(x) for x in operands],
            )
        where, origin = self.here or (user_line(), None)
        operands = self._typed(op, operands)
        xs = [x.number if type(x) is Value and x.tracer is self else x for x in operands]
        try:
            if op.attributes or attributes:
                attributes = op.complete(xs, attributes)
            y = self.compute(op, xs, attributes)
        except (ValueError, IndexError, OverflowError, TypeError) as error:
            blame = op.blame(error, xs, attributes, [self._made_at(x) for x in operands], where)
            if blame is error:
                raise
            raise blame from error
        if not (op.differentiable or self.keep_flat):
            return y
        inputs, active = [], False
        for x in operands:
            value = x if type(x) is Value and x.tracer is self else self.constant(x)
            inputs.append(value.index)
            active = active or value.active
        node = Node(op, tuple(inputs), attributes, y.shape, y.dtype, where, origin)
        return self._append(node, y, active and op.differentiable)

    def compute(self, op: Op, xs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Return the number of a call."""
        y = op(*xs, **attributes)
        return y[()] if type(y) is np.ndarray and not y.shape else y

    def write(self, value: Value, index: Any, x: Any) -> None:  # noqa: ARG002 - see below
        """Refuse ``value[index] = x``; a trace that follows writes does something else."""
        raise cannot_be_written(value)

    def update(self, value: Value, call: Callable[..., Any], x: Any) -> Any:  # noqa: ARG002
        """Leave ``value += x`` to Python, which makes a new value of it."""
        return NotImplemented

    def label(self, index: int, text: str) -> None:
        """Call the result of an op by a name; an input keeps the one that it has."""
        node = self.graph.nodes[index]
        if node.op is not None:
            self.graph.nodes[index] = node._replace(name=text)

    def close(self) -> None:
        """End the trace: its values can no longer be used."""
        self.is_open = False

    def _append(self, node: Node, number: Any, active: bool) -> Value:
        nodes = self.graph.nodes
        nodes.append(node)
        self.numbers.append(number)
        self.active.append(active)
        return Value(self, len(nodes) - 1, number, active)

    def _made_at(self, x: Any) -> str:
        """Return where an operand comes from, as far as it is known."""
        if type(x) is not Value:
            return ""
        node = x.tracer.graph.nodes[x.index]
        if node.op:
            return f"   {node.op.name} at {node.where}"
        return f"   argument {node.name}" if node.name else ""

    def _typed(self, op: Op, operands: Sequence[Any]) -> Sequence[Any]:
        """Return operands that all have a dtype; Python's scalars take that of the others.

        NumPy's promotion gives a Python scalar the type of the arrays beside it. Operands
        without a derivative (masks, places) have no say in it.
        """
        for x in operands:
            if not isinstance(x, Value | np.ndarray | np.generic):
                break
        else:
            return operands
        arrays = [
            x if type(x) in _SCALARS or hasattr(x, "dtype") else np.asarray(x) for x in operands
        ]
        if not all(type(x) in _SCALARS or x.dtype.kind in REAL for x in arrays):
            raise InputTypeError(
                f"{op.name} takes arrays of real numbers alone.", *[describe(x) for x in operands]
            )
        voters = [
            x if type(x) in _SCALARS else x.dtype for k, x in enumerate(arrays) if not op.is_flat(k)
        ]
        dtype = np.result_type(*voters) if voters else None
        return [
            x
            if type(x) not in _SCALARS
            else np.asarray(x)[()]
            if dtype is None or op.is_flat(k)
            else dtype.type(x)
            for k, x in enumerate(arrays)
        ]


class ShapeTracer(Tracer):
    """Builds a graph from shapes and dtypes alone, so that it holds for all numbers."""

    def __init__(self) -> None:
        super().__init__(keep_flat=True)

    def compute(self, op: Op, xs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Return the shape and dtype of a call."""
        return op.infer(xs, attributes)

    def constant(self, number: Any) -> Value:
        """Add a constant; its number stays in the graph, its value knows the shape."""
        value = super().constant(number)
        value.number = self.numbers[value.index] = Spec(value.shape, value.dtype)
        return value

    def inputs_of(self, graph: Graph) -> list[Value]:
        """Add inputs like those of a graph and return them."""
        nodes = [graph.nodes[index] for index in graph.inputs]
        return [self.input(Spec(node.shape, node.dtype), node.name) for node in nodes]

    def replay(self, graph: Graph, inputs: Sequence[Value]) -> list[Value]:
        """Copy a graph into this trace and return the value of each of its nodes.

        Lines and origins stay what they were; an origin is a node of the copy.
        """
        values: list[Any] = [None] * len(graph.nodes)
        for index, value in zip(graph.inputs, inputs, strict=True):
            values[index] = value
        for index, constant in graph.constants.items():
            values[index] = self.constant(constant)
        for index, node in enumerate(graph.nodes):
            if node.op is not None:
                origin = node.origin and Origin(values[node.origin.node].index, node.origin.rule)
                copy = node._replace(origin=origin)
                values[index] = self.append(copy, [values[i] for i in node.inputs])
        return values

    def append(self, node: Node, xs: Sequence[Value]) -> Value:
        """Add a copy of a node of another graph, applied to these values."""
        copy = node._replace(inputs=tuple(x.index for x in xs))
        active = bool(node.op and node.op.differentiable) and any(x.active for x in xs)
        return self._append(copy, Spec(node.shape, node.dtype), active)


def lower(tracer: Tracer, tree: Any) -> Any:
    """Return a tree with the values of a trace replaced by their numbers."""
    if type(tree) is Value:
        return tree.number if tree.tracer is tracer else tree
    if type(tree) is np.ndarray:
        return tree
    return optree.tree_map(
        lambda x: x.number if type(x) is Value and x.tracer is tracer else x, tree
    )


def parameter_names(function: Callable[..., Any], count: int) -> list[str]:
    """Return the names of the first parameters of a function, as far as they are known."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    names = list(code.co_varnames[: code.co_argcount]) if code is not None else []
    if hasattr(function, "__self__"):
        names = names[1:]
    return (names + [""] * count)[:count]


def called(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call a function on traced values, and raise our error where NumPy wraps it in its own.

    ``a[0] = v`` ends in NumPy's words about sequences, with ours as their cause.
    """
    try:
        return function(*args, **options)
    except (ValueError, TypeError) as error:
        if isinstance(error.__cause__, ChainruleError) and not isinstance(error, ChainruleError):
            raise error.__cause__ from None
        raise


def outputs_of(function: Callable[..., Any], tracer: Tracer, y: Any) -> tuple[list[Any], Any]:
    """Return the leaves and the structure of what a function returned, if they are numbers."""
    leaves, structure = optree.tree_flatten(y)
    for leaf in leaves or [None]:
        if type(leaf) is Value:
            if leaf.tracer is not tracer:
                leaf.require_open()
        elif not isinstance(leaf, _SCALARS) and _kind(leaf) not in REAL:
            raise OutputError(
                "a function of arrays needs to return numbers, arrays or containers of them, "
                f"got {describe(leaf)}.",
                returned_by(function),
            )
    return leaves, structure


def _kind(x: Any) -> str:
    return getattr(getattr(x, "dtype", None), "kind", "none")


def returned_by(function: Callable[..., Any]) -> str:
    """Return who returned something, and where it is defined, for an error."""
    name = getattr(function, "__name__", type(function).__name__)
    code = getattr(function, "__code__", None)
    return f"returned by {name}" + (
        f", defined at {Where(code.co_filename, code.co_firstlineno)}" if code else ""
    )


def trace(function: Callable[..., Any], *arguments: Any) -> Graph:
    """Return the graph of a function.

    Parameters
    ----------
    function
        A function of arrays, or of containers of arrays, that returns one or a container.
    *arguments
        Concrete arrays, on whose numbers Python may branch; or `Spec`, shapes without
        numbers, on which it may not. Leaves are numbered in optree's order.

    Returns
    -------
    Graph
        With an input for each array, in order, and an output for each result.

    Raises
    ------
    BranchError
        On a branch on a value of which only the shape is known.
    OutputError
        If the function returns something that is not an array.

    Examples
    --------
    >>> import numpy as np
    >>> print(trace(lambda w, x: np.tanh(x @ w), Spec((3, 2)), Spec((5, 3))))
    graph(%0, %1) -> %3
      %0: float64[3, 2] = input w
      %1: float64[5, 3] = input x
      %2: float64[5, 2] = matmul(%1, %0)
      %3: float64[5, 2] = tanh(%2)
    """
    tree: Any = arguments
    paths, leaves, structure = optree.tree_flatten_with_path(tree, is_leaf=_is_spec)
    tracer = ShapeTracer() if any(_is_spec(x) for x in leaves) else Tracer(keep_flat=True)
    names = parameter_names(function, len(arguments))
    values = [
        tracer.input(_number(tracer, x), _path_name(names, path))
        if hasattr(x, "shape") or isinstance(x, float)
        else x
        for path, x in zip(paths, leaves, strict=True)
    ]
    try:
        y = called(function, *optree.tree_unflatten(structure, values))
        leaves, _ = outputs_of(function, tracer, y)
        tracer.graph.outputs = [tracer.lift(leaf).index for leaf in leaves]
    finally:
        tracer.close()
    return tracer.graph


def _is_spec(x: Any) -> bool:
    return type(x) is Spec


def _number(tracer: Tracer, x: Any) -> Any:
    """Return what an input carries in this kind of trace."""
    if isinstance(tracer, ShapeTracer) and not _is_spec(x):
        x = np.asarray(x)
        return Spec(x.shape, x.dtype)
    return x if _is_spec(x) or type(x) is Value else np.array(x)[()]


def _path_name(names: Sequence[str], path: Sequence[Any]) -> str:
    """Return ``params['W1']`` for the leaf W1 of the argument params."""
    return names[path[0]] + "".join(f"[{key!r}]" for key in path[1:]) if names[path[0]] else ""
