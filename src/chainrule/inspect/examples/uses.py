"""From a walk to the share that each example has in every parameter's gradient.

Where an op takes something that all examples share and returns something that each has a part
of, the gradient at the former is a sum over examples. The examples of the cotangent do not mix
either, so each part of it belongs to one example, and so does what the op's transpose makes of
it. That share is kept as the factors that the op's form allows (`shares`), and carried on
through what was computed from parameters alone, back to these.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph import (
    Composite,
    Each,
    Gathered,
    Graph,
    Layout,
    Product,
    Tracer,
    Value,
    Viewed,
)
from chainrule.inspect.examples.label import SHARED, TOTAL, Along, Meeting
from chainrule.inspect.examples.mixing import Apart, apart_inside
from chainrule.inspect.examples.shares import Formed, Picked, Products, joined
from chainrule.ops import sum_to
from chainrule.transform import pull_back, vmap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainrule.inspect.examples.shares import Share

__all__ = ["common_gradients", "shares_of", "squares_of"]


def shares_of(
    program: Apart, numbers: Sequence[Any], adjoints: Mapping[int, Any]
) -> dict[int, Share]:
    """Return what each example adds to the gradient of each parameter.

    Parameters
    ----------
    program
        The graph, and where its examples lie.
    numbers
        The number of each node.
    adjoints
        The gradient at each node.

    Returns
    -------
    dict
        By node, for the nodes without an op: parameters that at least one example uses.
    """
    graph, labels, moves = program.graph, program.labels, program.moves
    pending: dict[int, list[Share]] = {}
    for index in range(program.output, -1, -1):
        node = graph.nodes[index]
        op = node.op
        if op is None or not moves[index]:
            continue
        operands = [
            (k, i)
            for k, i in enumerate(node.inputs)
            if moves[i] and labels[i] is SHARED and not op.is_flat(k)
        ]
        if isinstance(labels[index], Along) and index in adjoints:
            for k, i in operands:
                pending.setdefault(i, []).extend(_used(program, numbers, adjoints, index, k))
        elif index in pending:
            share = joined(pending.pop(index))
            for k, i in operands:
                pending.setdefault(i, []).append(_through(graph, numbers, index, k, share))
    return {index: joined(found) for index, found in pending.items()}


def common_gradients(program: Apart, numbers: Sequence[Any], seed: Any) -> dict[int, Any]:
    """Return the part of each gradient in which no example has a share, as from decay terms.

    Parameters
    ----------
    program
        The graph, and where its examples lie.
    numbers
        The number of each node.
    seed
        The gradient at the output.
    """
    graph, labels = program.graph, program.labels
    meets = any(
        labels[index] is TOTAL
        and any(labels[i] is SHARED and program.moves[i] for i in node.inputs)
        for index, node in enumerate(graph.nodes[: program.output + 1])
    )
    if not meets:
        return {}
    wanted = [
        moves and (label is SHARED or label is TOTAL)
        for moves, label in zip(program.moves, labels, strict=True)
    ]
    found = pull_back(graph, numbers, wanted, {program.output: seed})
    return {index: found[index] for index in graph.inputs if index in found and wanted[index]}


def squares_of(
    shares: Mapping[int, Share], common: Mapping[int, Any], nodes: Sequence[int], count: int
) -> Any:
    """Return the squared norm of each example's gradient by some parameters, shape (m,).

    Parameters
    ----------
    shares, common
        What each example adds, and what all of them have (see above).
    nodes
        The parameters.
    count
        m, by which each share is multiplied.
    """
    total: Any = np.zeros(count)
    for node in nodes:
        if node in shares:
            total = total + count**2 * shares[node].squares()
        if node in common:
            total = total + np.sum(common[node] * common[node])
        if node in shares and node in common:
            total = total + 2 * count * shares[node].with_common(common[node])
    return np.maximum(total, 0)


# ------------------------------------------------------------------ where examples come in


def _used(
    program: Apart, numbers: Sequence[Any], adjoints: Mapping[int, Any], index: int, k: int
) -> list[Share]:
    """Return the shares of what operand k gets from one op, in which examples come in."""
    node = program.graph.nodes[index]
    label, g = program.labels[index], adjoints[index]
    xs = [numbers[i] for i in node.inputs]
    op = node.op
    if op is None or not isinstance(label, Along):
        return []
    if isinstance(op.form, Composite):
        found = _by_parts(program, numbers, index, k, g)
        return [_one_by_one(program, numbers, index, k, g)] if found is None else found
    if isinstance(op.form, Product):
        share: Share = _of_product(g, xs, k, label, program.count)
    elif isinstance(op.form, Gathered):
        share = _of_places(g, xs, label, program.count)
    elif isinstance(op.form, Viewed):
        share = _of_view(op, node.attributes, g, xs[0], label, program.count)
    elif isinstance(op.form, Each):
        x_bar = op.derivative.pull(op, k, g, xs, numbers[index], node.attributes)
        share = _summed(x_bar, xs[k], label, program.count)
    else:
        share = _one_by_one(program, numbers, index, k, g)
    return [share]


def _fronted(x: Any, label: Along, count: int) -> Any:
    """Return an array with its examples along a new first axis, the rest of theirs in place."""
    axis, inner = label
    shape = x.shape
    outer = shape[axis] // (count * inner)
    if outer == inner == 1:
        front = np.moveaxis(x, axis, 0)
        return np.reshape(front, (count, *shape[:axis], 1, *shape[axis + 1 :]))
    apart = np.reshape(x, (*shape[:axis], outer, count, inner, *shape[axis + 1 :]))
    front = np.moveaxis(apart, axis + 1, 0)
    return np.reshape(front, (count, *shape[:axis], outer * inner, *shape[axis + 1 :]))


def _summed(g: Any, x: Any, label: Along, count: int) -> Share:
    """Return the cotangent of what broadcasting repeated: summed within each example."""
    front = _fronted(g, label, count)
    lead = front.ndim - 1 - x.ndim
    total = sum_to(front, (count, *[1] * lead, *x.shape))
    return Formed(np.reshape(total, (count, -1)), x.shape)


def _of_product(g: Any, xs: Sequence[Any], k: int, label: Along, count: int) -> Share:
    """Return the share of a matrix in a product: rows of the other operand, and of the cotangent.

    For y = x W each row t of an example adds xₜᵀ gₜ to the gradient of W; for y = W x, each
    column t adds gₜ xₜᵀ.
    """
    shared, other = xs[k], xs[1 - k]
    if k == 1:
        left, right, axis = other, g, label.axis
    else:
        left, right = g.mT, other.mT
        last = g.ndim - 1
        axis = last - 1 if label.axis == last else label.axis
    lead = g.shape[:-2]
    stacked = [a for a in range(len(lead)) if _own_length(shared, a, len(lead)) > 1]
    place = Along(axis, label.inner)
    left, right = (_rows(x, lead, place, stacked, count) for x in (left, right))
    return Products(left, right, shared.shape)


def _own_length(x: Any, axis: int, lead: int) -> int:
    """Return how long an operand is along one of the axes that matrices are stacked along."""
    own = axis - (lead - (x.ndim - 2))
    return int(x.shape[own]) if own >= 0 else 1


def _rows(x: Any, lead: Sequence[int], place: Along, stacked: Sequence[int], count: int) -> Any:
    """Return matrices as rows of examples: shape (m, stacked matrices, rows, width)."""
    if x.shape[:-2] != tuple(lead):
        x = np.broadcast_to(x, (*lead, *x.shape[-2:]))
    front = _fronted(x, place, count)
    rest = [a + 1 for a in range(x.ndim - 1) if a not in stacked]
    order = [0, *[a + 1 for a in stacked], *rest, x.ndim]
    if order != list(range(x.ndim + 1)):
        front = np.transpose(front, order)
    matrices = math.prod(lead[a] for a in stacked)
    return np.reshape(front, (count, matrices, -1, x.shape[-1]))


def _of_places(g: Any, xs: Sequence[Any], label: Along, count: int) -> Share:
    """Return the share of a table that each example takes rows of."""
    table, *indices = xs
    lengths = table.shape[: len(indices)]
    places: Any = 0
    for i, n in zip(indices, lengths, strict=True):
        places = places * n + np.where(np.less(i, 0), i + n, i)
    rows = np.reshape(g, (*places.shape, -1))
    places = np.reshape(_fronted(places, label, count), (count, -1))
    rows = np.reshape(_fronted(rows, label, count), (*places.shape, -1))
    return Picked(places, rows, math.prod(lengths), table.shape)


def _of_view(op: Any, attributes: Any, g: Any, x: Any, label: Along, count: int) -> Share:
    """Return the share of an array that each example sees some entries of."""
    entries = op.forward(np.arange(x.size).reshape(x.shape), **attributes)
    places = np.reshape(_fronted(entries, label, count), (count, -1))
    rows = np.reshape(_fronted(g, label, count), (count, -1, 1))
    return Formed(Picked(places, rows, x.size, x.shape).formed(), x.shape)


def _one_by_one(program: Apart, numbers: Sequence[Any], index: int, k: int, g: Any) -> Share:
    """Return the share by the op's own transpose, for one example after the other."""
    node, label = program.graph.nodes[index], program.labels[index]
    op = node.op
    if op is None or not isinstance(label, Along):
        raise TypeError(f"%{index} has no examples")
    xs = [numbers[i] for i in node.inputs]
    along = np.arange(g.shape[label.axis]) // label.inner % program.count
    along = along.reshape([-1 if a == label.axis else 1 for a in range(g.ndim)])
    rows = []
    for example in range(program.count):
        own = np.where(along == example, g, g.dtype.type(0))
        x_bar = op.derivative.pull(op, k, own, xs, numbers[index], node.attributes)
        rows.append(np.ravel(sum_to(x_bar, xs[k].shape)))
    return Formed(np.stack(rows), xs[k].shape)


def _by_parts(
    program: Apart, numbers: Sequence[Any], index: int, k: int, g: Any
) -> list[Share] | None:
    """Return the shares of a composite's operand, by a walk over what the composite is made of."""
    node = program.graph.nodes[index]
    op = node.op
    if op is None or not isinstance(op.form, Composite):
        return None
    tracer = Tracer(keep_flat=True)
    xs = [
        tracer.input(numbers[i], active=program.moves[i] and not op.is_flat(j))
        for j, i in enumerate(node.inputs)
    ]
    y = (op.form.parts or op.forward)(*xs, **node.attributes)
    tracer.close()
    if type(y) is not Value:
        return None
    inner = apart_inside(program, index, tracer.graph, y.index)
    if isinstance(inner, Meeting) or inner.labels[y.index] != program.labels[index]:
        return None
    adjoints = pull_back(tracer.graph, tracer.numbers, tracer.active, {y.index: g})
    found = shares_of(inner, tracer.numbers, adjoints).get(xs[k].index)
    return [] if found is None else [found]


# ------------------------------------------------------------------ back to the parameters


def _through(graph: Graph, numbers: Sequence[Any], index: int, k: int, share: Share) -> Share:
    """Return the share of an operand from the share of what was computed from it."""
    node = graph.nodes[index]
    op = node.op
    if op is None:
        raise TypeError(f"%{index} is no call")
    x = numbers[node.inputs[k]]
    if isinstance(op.form, Viewed) and math.prod(node.shape) == x.size:
        layout = op.form.layout(Layout.contiguous(x.shape), **node.attributes)
        if layout is not None and layout.is_contiguous and layout.offset == 0:
            return share.reshaped(x.shape)
        if layout is not None and isinstance(share, Products) and _is_turn(layout, share):
            return share.turned(x.shape)
    xs, y = [numbers[i] for i in node.inputs], numbers[index]

    def one(g: Any) -> Any:
        x_bar = op.derivative.pull(op, k, np.reshape(g, node.shape), xs, y, node.attributes)
        return np.reshape(sum_to(x_bar, x.shape), (-1,))

    return Formed(vmap(one)(share.formed()), x.shape)


def _is_turn(layout: Layout, share: Products) -> bool:
    """Return whether a view transposes each of the matrices that a share is made of."""
    b, p, q = share.left.shape[1], share.left.shape[3], share.right.shape[3]
    turned = Layout.contiguous((b, q, p)).transposed((0, 2, 1))
    return layout.offset == 0 and layout.merged() == turned.merged()
