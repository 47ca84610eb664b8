"""Where the examples lie in the output of any op: by its form, its parts or its batch rule.

`carried` returns the label of an op's output from those of its operands, or says how examples
meet in it. A composite is followed through its parts. An op without a form is asked for its
batch rule, which says how it acts on many examples at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.graph import Composite, Graph, Op, ShapeTracer, Spec, Value
from chainrule.inspect.examples.forms import RULES
from chainrule.inspect.examples.label import GIVEN, TOTAL, Along, Call, Label, Meeting, Mixed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["call_of", "carried", "follow"]


def carried(call: Call) -> Label | Mixed:
    """Return the label of the output of an op, or why it has none."""
    if not call.op.differentiable and not call.along:
        return call.without_examples()
    if isinstance(call.op.form, Composite):
        key = _key(call)
        if key is None or key not in _KNOWN:
            found = _of_parts(call)
            if key is None:
                return found
            if len(_KNOWN) >= _MOST:
                _KNOWN.clear()
            _KNOWN[key] = found
        return _KNOWN[key]
    rule = RULES.get(type(call.op.form), _opaque)
    return rule(call)


_MOST = 4096
_KNOWN: dict[Any, Label | Mixed] = {}
"""What was found of composites: their parts are traced once for operands of the same shapes."""


def _key(call: Call) -> Any:
    """Return what the label of a composite depends on; None where that cannot be looked up."""
    key = (
        call.op,
        tuple(call.attributes.items()),
        tuple(call.specs),
        tuple(call.labels),
        tuple(call.moves),
        call.count,
    )
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _of_parts(call: Call) -> Label | Mixed:
    """Return the label of a composite's output by what it is made of."""
    graph = _parts(call)
    if graph is None:
        return _opaque(call)
    labels: list[Any] = [GIVEN] * len(graph.nodes)
    moves = [False] * len(graph.nodes)
    for index, label, is_moving in zip(graph.inputs, call.labels, call.moves, strict=True):
        labels[index], moves[index] = label, is_moving
    meeting = follow(graph, labels, moves, call.count)
    return labels[graph.outputs[0]] if meeting is None else Mixed(meeting.reason)


def follow(graph: Graph, labels: list[Any], moves: list[bool], count: int) -> Meeting | None:
    """Label all nodes of a graph whose inputs are labelled; return where examples meet.

    Parameters
    ----------
    graph
        A program.
    labels, moves
        For each node its label, and whether it depends on a parameter: those of inputs are
        given, the others are filled in.
    count
        m, the number of examples.
    """
    for index, node in enumerate(graph.nodes):
        if node.op is None:
            continue
        found = carried(call_of(graph, index, labels, moves, count))
        if isinstance(found, Mixed):
            return Meeting(index, found.reason)
        labels[index] = found
        moves[index] = node.op.differentiable and any(
            moves[i] for k, i in enumerate(node.inputs) if not node.op.is_flat(k)
        )
    return None


def call_of(
    graph: Graph,
    index: int,
    labels: Sequence[Label],
    moves: Sequence[bool],
    count: int,
    held: Mapping[int, Any] | None = None,
) -> Call:
    """Return a node of a graph as a call.

    Parameters
    ----------
    graph, index
        The node.
    labels, moves, count
        What is known of its operands, and the number of examples.
    held
        The numbers of inputs that are constants in truth.
    """
    node = graph.nodes[index]
    if node.op is None:
        raise TypeError(f"%{index} is no call")
    inputs = [graph.nodes[i] for i in node.inputs]
    known = {**graph.constants, **held} if held else graph.constants
    return Call(
        node.op,
        node.attributes,
        [Spec(x.shape, x.dtype) for x in inputs],
        [labels[i] for i in node.inputs],
        [moves[i] and not node.op.is_flat(k) for k, i in enumerate(node.inputs)],
        Spec(node.shape, node.dtype),
        count,
        {k: known[i] for k, i in enumerate(node.inputs) if i in known},
    )


def _parts(call: Call) -> Graph | None:
    """Return the parts of a composite as a graph, an input for each operand."""
    form = call.op.form
    if not isinstance(form, Composite):
        return None
    tracer = ShapeTracer()
    xs = [tracer.input(spec) for spec in call.specs]
    y = (form.parts or call.op.forward)(*xs, **call.attributes)
    tracer.close()
    if type(y) is not Value:
        return None
    tracer.graph.outputs = [y.index]
    return tracer.graph


def _opaque(call: Call) -> Label | Mixed:
    """Ask the op's own batch rule whether it takes the axis of the examples apart from the rest.

    The rule says how the op for one example becomes the op for many, along a first axis. Where
    it makes this very call from one that differs by the axis alone, the axis is not mixed.
    """
    if not call.along:
        if TOTAL in call.labels and any(call.moves):
            return Mixed("it is not linear in a sum over all examples")
        return call.without_examples()
    refusal = Mixed("nothing says that it keeps them apart")
    labels = {label for _, label in call.along}
    if len(labels) > 1:
        return refusal
    (label,) = labels
    batched = [isinstance(found, Along) for found in call.labels]
    specs, attributes = list(call.specs), dict(call.attributes)
    for _ in range(label.axis + 1):
        peeled = _peeled(call.op, specs, batched, attributes)
        if peeled is None:
            return refusal
        specs, attributes = peeled
    return label


def _peeled(
    op: Op, specs: list[Spec], batched: list[bool], attributes: dict[str, Any]
) -> tuple[list[Spec], dict[str, Any]] | None:
    """Return a call without the first axis of some operands, if the batch rule adds it again."""
    single = {name: _shifted(x) if name == "axis" else x for name, x in attributes.items()}
    if None in single.values():
        return None
    count = next(spec.shape[0] for spec, b in zip(specs, batched, strict=True) if b)
    tracer = ShapeTracer()
    xs = [tracer.input(spec) for spec in specs]
    try:
        y: Any = op.batch(op, count, xs, batched, single)
    except (ValueError, TypeError, LookupError):
        return None
    finally:
        tracer.close()
    made = tracer.graph.nodes[y.index] if type(y) is Value else None
    is_same = (
        made is not None
        and made.op is op
        and made.inputs == tuple(x.index for x in xs)
        and dict(made.attributes) == attributes
    )
    rest = [Spec(s.shape[1:], s.dtype) if b else s for s, b in zip(specs, batched, strict=True)]
    return (rest, single) if is_same else None


def _shifted(axis: Any) -> Any:
    """Return an axis, or axes, counted without the first; None where the first is one of them."""
    if isinstance(axis, tuple):
        return None if 0 in axis else tuple(a - 1 for a in axis)
    return axis - 1 if isinstance(axis, int) and axis > 0 else None
