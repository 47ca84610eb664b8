"""A program as data: nodes in execution order, the inputs they start from, the outputs.

A node is one line of a program. Its index in the list is its name, and it only refers to
lower indices, so the list is an order in which the program can run, and its reverse is an
order in which the chain rule can run. Graphs are plain data: transforms read one and build
another, executors walk one.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from chainrule.errors import ChainruleError, GraphError, SpecialisedError, StructureError
from chainrule.graph.notation import write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainrule.graph.op import Op

__all__ = ["Graph", "Node", "Origin", "Spec", "Where", "describe"]


class Where(NamedTuple):
    """A line of the user's program."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{PurePath(self.file).name}:{self.line}" if self.file else ""


NOWHERE = Where("", 0)

REAL = "fiub"
"""The kinds of dtype that arrays here may have: floating-point, integers, truth values."""


class Origin(NamedTuple):
    """The forward node and the rule that a node of a derivative came from."""

    node: int
    rule: str


class _ShapeAndDtype(NamedTuple):
    """The fields of `Spec`."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Spec(_ShapeAndDtype):
    """The shape and dtype of an array without its numbers.

    Parameters
    ----------
    shape
        The lengths of the axes.
    dtype
        The type of the entries, or its name; float64 if none is said.

    Examples
    --------
    >>> Spec((3, 4), "float32").size
    12
    """

    __slots__ = ()

    def __new__(cls, shape: Sequence[int] | int = (), dtype: Any = np.float64) -> Self:
        """Return a specification with a tuple of integers and a NumPy dtype in it."""
        lengths = tuple(shape) if isinstance(shape, Sequence) else (shape,)
        return super().__new__(cls, lengths, np.dtype(dtype))

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of entries."""
        size = 1
        for length in self.shape:
            size *= length
        return size


class Node(NamedTuple):
    """One line of a program: an op applied to earlier nodes; an input or constant has no op."""

    op: Op | None
    inputs: tuple[int, ...]
    attributes: Mapping[str, Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    where: Where = NOWHERE
    origin: Origin | None = None
    name: str = ""


def owned(x: Any, used: set[int]) -> Any:
    """Return an array that its receiver may write to: no view, and given out only once.

    ``used`` holds the identities of the arrays that are somebody's already.
    """
    if type(x) is not np.ndarray:
        return x
    if not x.shape:
        return x[()]
    if id(x) in used or x.base is not None or not x.flags.writeable:
        x = x.copy()
    used.add(id(x))
    return x


def describe(x: Any) -> str:
    """Return ``float64[3, 4]`` for anything that has a dtype and a shape, else its type."""
    shape = getattr(x, "shape", None)
    if isinstance(x, tuple | list) and shape is None:
        parts = ", ".join([describe(part) for part in x[:4]] + ["…"] * (len(x) > 4))
        return f"a {type(x).__name__} of {parts or 'nothing'}"
    if not isinstance(shape, tuple):
        return f"{reprlib.repr(x)} ({type(x).__name__})"
    return f"{x.dtype}{list(shape)}"


@dataclass(eq=False)
class Graph:
    """A program over arrays.

    Attributes
    ----------
    nodes
        In execution order; a node's index is its name.
    inputs, outputs
        Indices of nodes.
    constants
        The numbers of the nodes that are neither inputs nor computed.
    specialised
        True when Python branched on a number during tracing: the graph then holds only for
        inputs that take the same branches, and is not evaluated on any.

    Examples
    --------
    >>> import numpy as np, chainrule
    >>> graph = chainrule.trace(lambda x: np.sum(x * x), np.arange(3.0))
    >>> print(graph)
    graph(%0) -> %2
      %0: float64[3] = input x
      %1: float64[3] = multiply(%0, %0)
      %2: float64[] = sum(%1, axis=(0,), keepdims=False)
    >>> graph.evaluate(np.array([1.0, 2.0, 3.0]))
    [np.float64(14.0)]
    """

    nodes: list[Node] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    constants: dict[int, Any] = field(default_factory=dict)
    specialised: bool = False

    def evaluate(self, *arrays: Any) -> list[Any]:
        """Return the outputs for these inputs: the meaning of the graph.

        Each node's op is applied to the numbers of its inputs, in order, everything kept;
        executors may be cleverer and must agree. The arrays may be traced values, and then
        the graph is recorded into their trace.

        Raises
        ------
        SpecialisedError
            If the graph holds for the numbers it was traced with alone.
        StructureError
            If the number, shape or dtype of the arrays is not that of the inputs.
        """
        return self.results(self.walk(*arrays))

    def results(self, numbers: Sequence[Any]) -> list[Any]:
        """Return the numbers of the outputs, as arrays that their receiver may write to."""
        used = {id(numbers[i]) for i in (*self.inputs, *self.constants)}
        return [owned(numbers[i], used) for i in self.outputs]

    def walk(self, *given: Any) -> list[Any]:
        """Return the number of every node for these inputs, in order."""
        arrays = self.accept(given)
        numbers: list[Any] = [None] * len(self.nodes)
        for index, x in zip(self.inputs, arrays, strict=True):
            numbers[index] = x
        for index, constant in self.constants.items():
            numbers[index] = constant
        for index, node in enumerate(self.nodes):
            if node.op is not None:
                numbers[index] = node.op(*[numbers[i] for i in node.inputs], **node.attributes)
        return numbers

    def require_general(self) -> None:
        """Raise unless the graph holds for all numbers."""
        inputs = [self.nodes[index] for index in self.inputs]
        if self.specialised:
            raise SpecialisedError(
                "this graph branched on the numbers it was traced with, so it holds for them "
                "alone and cannot be evaluated on others.",
                *[f"input {node.name}: {describe(node)}" for node in inputs],
            )

    def accept(self, arrays: Sequence[Any]) -> list[Any]:
        """Return arrays for the inputs, or raise where they do not fit."""
        self.require_general()
        arrays = [x if hasattr(x, "dtype") else np.asarray(x)[()] for x in arrays]
        if len(arrays) != len(self.inputs):
            raise StructureError(
                f"this graph has {len(self.inputs)} inputs, got {len(arrays)} arrays."
            )
        for index, x in zip(self.inputs, arrays, strict=True):
            node = self.nodes[index]
            if (getattr(x, "shape", None), getattr(x, "dtype", None)) != (node.shape, node.dtype):
                raise StructureError(
                    f"input {node.name or f'%{index}'} needs {describe(node)}, got {describe(x)}."
                )
        return arrays

    def check(self) -> Graph:
        """Return the graph itself, or raise `GraphError` where it breaks a rule.

        The rules: a node refers to earlier nodes only; what has no op is an input or a
        constant and nothing else is; a constant has the shape and dtype of its node; every op
        has its operands and attributes, and its shape and dtype are what its op says of them.
        """
        given = {*self.inputs, *self.constants}
        if len(given) < len(self.inputs) + len(self.constants):
            raise GraphError("an input stands twice among the inputs and constants.")
        for index, node in enumerate(self.nodes):
            if any(not 0 <= i < index for i in node.inputs):
                raise GraphError(f"%{index} refers to {node.inputs}, which are not all before it.")
            if (node.op is None) != (index in given):
                raise GraphError(f"%{index} must have an op or be an input or constant, not both.")
            x = self.constants.get(index, node)
            if (x.shape, x.dtype) != (node.shape, node.dtype):
                raise GraphError(f"%{index} says {describe(node)}, its constant {describe(x)}.")
            if node.op is not None:
                operands = [Spec(self.nodes[i].shape, self.nodes[i].dtype) for i in node.inputs]
                try:
                    spec = node.op.infer(operands, node.attributes)
                except (ChainruleError, TypeError, ValueError, LookupError) as error:
                    raise GraphError(f"%{index} is no call of {node.op.name}: {error}") from error
                if spec != (node.shape, node.dtype):
                    raise GraphError(
                        f"%{index} says {describe(node)}, its op {node.op.name} {describe(spec)}."
                    )
        if any(not 0 <= i < len(self.nodes) for i in (*self.outputs, *given)):
            raise GraphError("an input, constant or output refers to a node that is not there.")
        return self

    def dependents(self, of: Sequence[int]) -> list[bool]:
        """Return for each node whether it is computed from one of these."""
        found = [False] * len(self.nodes)
        for index in of:
            found[index] = True
        for index, node in enumerate(self.nodes):
            if not found[index] and node.inputs:
                found[index] = any(found[i] for i in node.inputs)
        return found

    def __len__(self) -> int:
        return len(self.nodes)

    def __str__(self) -> str:
        """Return the notation of the graph, which `chainrule.graph.read` reads back."""
        return write(self)
