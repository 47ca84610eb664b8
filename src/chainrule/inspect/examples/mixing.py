"""Do the examples of a batch meet in a program? Where they do, which line, and how.

What goes in is a graph, which of its inputs hold examples, and how many; what comes out is a
label for each node (`chainrule.inspect.examples.label`), or an error that names the first node in
which examples meet. Numbers are not looked at, but for constants that index.

A constant may hold something for each example (labels, one-hot rows, weights) or not (a mask of
a weight matrix). Beside an array of examples it makes no difference. Beside parameters alone it
does, and then a constant as long as the batch is taken to hold examples, unless that leads to a
contradiction further on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from chainrule.errors import MixedExamplesError
from chainrule.inspect.examples.batch import placed
from chainrule.inspect.examples.calls import call_of, carried, follow
from chainrule.inspect.examples.forms import is_repeated
from chainrule.inspect.examples.label import GIVEN, SHARED, TOTAL, Along, Meeting, Mixed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainrule.graph import Graph, Spec
    from chainrule.inspect.examples.batch import Batch
    from chainrule.inspect.examples.label import Call, Label

__all__ = ["Apart", "apart", "apart_inside", "needed_by", "refusal"]


@dataclass(frozen=True)
class Apart:
    """A program in which examples do not meet.

    Attributes
    ----------
    graph, output
        The program, and the node that is differentiated.
    count
        m, the number of examples.
    labels
        Where the examples lie in each node; of nodes that the output does not need, nothing.
    moves
        For each node, whether it depends on a parameter by a derivative.
    guessed
        For nodes that have constants beside parameters alone: the labels of their operands.
    """

    graph: Graph
    output: int
    count: int
    labels: Sequence[Label]
    moves: Sequence[bool]
    guessed: Mapping[int, Sequence[Label]] = field(default_factory=dict)


def apart(
    graph: Graph,
    output: int,
    batch: Batch,
    held: Mapping[int, Any] | None = None,
) -> Apart | Meeting:
    """Return where the examples lie in each node, or the node in which they meet.

    Parameters
    ----------
    graph
        The program.
    output
        The node that is differentiated: a sum or mean over examples, or an array of them.
    batch
        Which inputs hold examples, along which axis, and how many there are.
    held
        The numbers of inputs that are constants in truth: arrays of the function's closure.
    """
    count, moves = batch.size, _moving(graph, {*batch.data, *(held or ())})
    if count == 1:
        return Apart(graph, output, count, [SHARED] * len(graph.nodes), moves)
    needed = needed_by(graph, output)
    shared: set[int] = set()
    first = None
    while True:
        attempt = _Attempt(graph, batch, held or {}, moves, shared)
        meeting = attempt.run(needed, output)
        if meeting is None:
            return Apart(graph, output, count, attempt.labels, moves, attempt.guessed)
        first = first or meeting
        upstream = needed_by(graph, meeting.node)
        doubtful = [index for index in attempt.guessed if index in upstream]
        if not doubtful:
            return first
        shared.add(doubtful[-1])


def apart_inside(program: Apart, index: int, graph: Graph, output: int) -> Apart | Meeting:
    """Return where the examples lie in what a composite node is made of.

    Parameters
    ----------
    program, index
        The program, and the node in it.
    graph, output
        The parts of the node, with an input for each operand, and its result among them.
    """
    node = program.graph.nodes[index]
    operands = program.guessed.get(index) or [program.labels[i] for i in node.inputs]
    labels: list[Any] = [GIVEN] * len(graph.nodes)
    moves = [False] * len(graph.nodes)
    for k, inside in enumerate(graph.inputs):
        labels[inside] = operands[k]
        moves[inside] = program.moves[node.inputs[k]] and not (node.op and node.op.is_flat(k))
    meeting = follow(graph, labels, moves, program.count)
    return meeting or Apart(graph, output, program.count, labels, moves)


def _moving(graph: Graph, fixed: set[int]) -> list[bool]:
    """Return for each node whether it depends on a parameter by a derivative."""
    parameters = set(graph.inputs) - fixed
    moves = [
        index in parameters and node.dtype.kind == "f" for index, node in enumerate(graph.nodes)
    ]
    for index, node in enumerate(graph.nodes):
        if node.op is not None and node.op.differentiable:
            moves[index] = any(
                moves[i] for k, i in enumerate(node.inputs) if not node.op.is_flat(k)
            )
    return moves


def needed_by(graph: Graph, output: int) -> set[int]:
    """Return the nodes that a node is computed from, and itself."""
    found = {output}
    for index in range(output, -1, -1):
        if index in found:
            found.update(graph.nodes[index].inputs)
    return found


def refusal(
    graph: Graph, meeting: Meeting, names: Sequence[str], batch: Batch
) -> MixedExamplesError:
    """Return the error for a node in which examples meet: its name, line and reason."""
    node = graph.nodes[meeting.node]
    word = node.op.name if node.op else "input"
    name = names[meeting.node]
    called = word if name in {"", word} or name.startswith(f"{word}_") else f"{name} = {word}(…)"
    shapes = ", ".join(str(list(graph.nodes[i].shape)) for i in node.inputs)
    data = ", ".join(names[index] for index in batch.data) or "what is no parameter"
    axis = {0: "first", -1: "last"}.get(batch.axis, f"{batch.axis}.")
    return MixedExamplesError(
        f"the examples cannot be told apart in {called}: {meeting.reason}.",
        f"{word}: {shapes or 'no operands'} → {list(node.shape)}",
        f"examples: {batch.size}, along the {axis} axis of {data}",
        where=str(node.where),
    )


class _Attempt:
    """One walk over the graph, with some constants taken to be the same for all examples."""

    def __init__(
        self,
        graph: Graph,
        batch: Batch,
        held: Mapping[int, Any],
        moves: Sequence[bool],
        shared: set[int],
    ) -> None:
        self.graph = graph
        self.batch = batch
        self.held = held
        self.moves = moves
        self.shared = shared
        self.labels: list[Any] = [GIVEN] * len(graph.nodes)
        self.guessed: dict[int, Sequence[Label]] = {}

    def run(self, needed: set[int], output: int) -> Meeting | None:
        """Label all nodes that are needed; return where examples meet."""
        for index in self.graph.inputs:
            self.labels[index] = GIVEN if index in self.held else SHARED
        for index, axis in self.batch.data.items():
            self.labels[index] = Along(axis)
        for index in sorted(needed):
            if self.graph.nodes[index].op is None:
                continue
            label = self._label(index)
            if isinstance(label, Mixed):
                return Meeting(index, label.reason)
            self.labels[index] = label
        label = self.labels[output]
        if label is TOTAL or isinstance(label, Along):
            return None
        return Meeting(output, "it is not computed from any of them")

    def _label(self, index: int) -> Label | Mixed:
        call = call_of(self.graph, index, self.labels, self.moves, self.batch.size, self.held)
        if not any(call.moves) or call.along or TOTAL in call.labels:
            return carried(call)
        if index not in self.shared:
            for operands, label in self._guesses(call):
                if not isinstance(label, Mixed):
                    self.guessed[index] = operands
                    return label
        return carried(call)

    def _guesses(self, call: Call) -> list[tuple[Sequence[Label], Label | Mixed]]:
        """Return labels that follow if what is as long as the batch holds examples."""
        labels = list(call.labels)
        for k in call.operands_of(GIVEN):
            labels[k] = self._guess(call.specs[k]) or GIVEN
        found: list[tuple[Sequence[Label], Label | Mixed]] = []
        if labels != list(call.labels):
            found.append((labels, carried(replace(call, labels=labels))))
        repeated = self._guess(call.out)
        if repeated and is_repeated(call, repeated.axis):
            found.append((call.labels, repeated))
        return found

    def _guess(self, spec: Spec) -> Along | None:
        """Return where an array could hold examples: as long as the batch, or whole numbers more.

        Sequences of whole numbers are often flattened, so that each example has several.
        """
        if not spec.shape:
            return None
        axis = placed(self.batch.axis, spec.ndim)
        length = spec.shape[axis]
        several = spec.dtype.kind in "iu" and axis == 0 and length and length % self.batch.size == 0
        if length == self.batch.size or several:
            return Along(axis, length // self.batch.size)
        return None
