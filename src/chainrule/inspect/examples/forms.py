"""What an op of each form does to the axis of the examples.

A rule takes a call whose operands have labels, and returns the label of the output, or how
examples meet in it. What happens to an axis follows from the op's form, as it is declared for
the compiler, and from its derivative; nothing here knows an op by name.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph import (
    Counted,
    Each,
    Fold,
    Gathered,
    Layout,
    Placed,
    Product,
    Scattered,
    Viewed,
)
from chainrule.inspect.examples.label import GIVEN, SHARED, TOTAL, Along, Call, Label, Mixed
from chainrule.ops import Linear, Partials, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainrule.graph import Spec

__all__ = ["RULES", "is_repeated"]

_NOT_LINEAR = "it is not linear in a sum over all examples"
_MEETS_TOTAL = "each example meets a sum over all of them"
_PICKS = "it picks examples by their places"
_HAS_ENTRIES = "a parameter has an entry for each example"


# ------------------------------------------------------------------ element by element


def _elementwise(call: Call) -> Label | Mixed:
    places = {_aligned(label, call.specs[k], call.out) for k, label in call.along}
    if len(places) > 1:
        return Mixed("its operands have the examples along different axes, so that all pairs meet")
    totals = call.operands_of(TOTAL)
    if not places:
        moving = [k for k in totals if call.moves[k]]
        if all(_is_affine(call, k) for k in moving):
            return call.without_examples()
        return Mixed(_NOT_LINEAR)
    (place,) = places
    for k in totals:
        if call.moves[k] or call.specs[k].size != 1 or not _is_scaled(call):
            return Mixed(_MEETS_TOTAL)
    if any(_has_entries(call, k, place) for k in call.operands_of(SHARED)):
        return Mixed(_HAS_ENTRIES)
    return place


def _aligned(label: Along, spec: Spec, out: Spec) -> Along:
    """Return where an axis of an operand is in the output of a broadcasting op."""
    return Along(label.axis + out.ndim - spec.ndim, label.inner)


def _has_entries(call: Call, k: int, place: Along) -> bool:
    """Return whether an operand that moves is as long as the axis of the examples."""
    axis = place.axis - (call.out.ndim - call.specs[k].ndim)
    return call.moves[k] and axis >= 0 and call.specs[k].shape[axis] > 1


def _reads(call: Call, k: int) -> set[str] | None:
    """Return what the slope for operand k is made of; None where there is no such slope."""
    derivative = call.op.derivative
    if isinstance(derivative, Linear):
        return set()
    if not isinstance(derivative, Partials):
        return None
    slope = derivative.slopes[k]
    return set(slope.reads) if isinstance(slope, Rule) else set()


def _is_affine(call: Call, k: int) -> bool:
    """Return whether an elementwise op is affine in operand k, with a slope that stays."""
    reads = _reads(call, k)
    moving = {call.op.operands[j] for j, moves in enumerate(call.moves) if moves}
    return reads is not None and not reads & {"y", call.op.operands[k], *moving}


def _is_scaled(call: Call) -> bool:
    """Return whether each operand with examples in it is scaled by the others, and no more."""
    for k, _ in call.along:
        reads = _reads(call, k)
        if not reads or reads & {"y", call.op.operands[k]}:
            return False
    return True


# ------------------------------------------------------------------ reductions and views


def _folded(call: Call) -> Label | Mixed:
    (label,) = call.labels
    axes, form = call.attributes["axis"], call.op.form
    is_sum = isinstance(form, Fold) and form.ufunc is np.add
    if label is TOTAL and call.moves[0] and not is_sum:
        return Mixed(_NOT_LINEAR)
    if not isinstance(label, Along):
        return label
    if label.axis in axes:
        return TOTAL if is_sum else Mixed("it takes all examples together")
    if call.attributes.get("keepdims"):
        return label
    return Along(label.axis - sum(a < label.axis for a in axes), label.inner)


def _viewed(call: Call) -> Label | Mixed:
    (label,) = call.labels
    if not isinstance(label, Along):
        return label
    (spec,), form = call.specs, call.op.form
    layout = None
    if isinstance(form, Viewed):
        layout = form.layout(Layout.contiguous(spec.shape), **call.attributes)
    if layout is None:
        return Mixed("its order of entries cannot be seen here")
    return _seen(layout, _step(label, spec.shape), call.count)


def is_repeated(call: Call, axis: int) -> bool:
    """Return whether an axis of a view repeats its operand."""
    form = call.op.form
    if not isinstance(form, Viewed):
        return False
    layout = form.layout(Layout.contiguous(call.specs[0].shape), **call.attributes)
    return layout is not None and layout.strides[axis] == 0


def _step(label: Along, shape: tuple[int, ...]) -> int:
    """Return how many entries of a contiguous array an example is from the next."""
    return math.prod(shape[label.axis + 1 :]) * label.inner


def _seen(layout: Layout, step: int, count: int) -> Label | Mixed:
    """Return where examples lie in a view of memory that has one every ``step`` entries.

    Entry e of the memory belongs to example ``(e // step) % count``. One axis of the view has to
    walk through all examples in order; the others stay within one, or go around them all.
    """
    found, offset = None, layout.offset
    for axis, (length, given) in enumerate(zip(layout.shape, layout.strides, strict=True)):
        stride = abs(given)
        offset += min(given, 0) * (length - 1)
        if length == 1 or stride % (step * count) == 0:
            continue
        if stride * (length - 1) < step:
            continue
        walks = step % stride == 0 and (stride * length) % (step * count) == 0
        if not walks or found is not None:
            return Mixed("it cuts or divides the axis of the examples")
        if given < 0:
            return Mixed("it reverses the order of the examples")
        found = Along(axis, step // stride)
    if found is None:
        return Mixed("it takes one part of the examples")
    low = layout.strides[found.axis]
    rest = offset % (step * count) + sum(
        abs(s) * (n - 1)
        for axis, (n, s) in enumerate(zip(layout.shape, layout.strides, strict=True))
        if axis != found.axis and abs(s) % (step * count)
    )
    return found if rest < low else Mixed("it cuts or divides the axis of the examples")


# ------------------------------------------------------------------ products


def _product(call: Call) -> Label | Mixed:
    if not call.along:
        totals = [k for k in call.operands_of(TOTAL) if call.moves[k]]
        if totals and sum(call.moves) > 1:
            return Mixed(_NOT_LINEAR)
        return call.without_examples()
    if TOTAL in call.labels:
        return Mixed(_MEETS_TOTAL)
    found = {(_place_in_product(call, k, label), label.inner) for k, label in call.along}
    if len(found) > 1:
        return Mixed("it multiplies each example with each other")
    ((axis, inner),) = found
    return _summed(call) if axis is None else _kept(call, Along(axis, inner))


def _place_in_product(call: Call, k: int, label: Along) -> int | None:
    """Return where an axis of an operand is in a matrix product; None if it is summed over."""
    back = call.specs[k].ndim - label.axis
    contracted = 1 if k == 0 else 2
    return None if back == contracted else call.out.ndim - back


def _summed(call: Call) -> Label | Mixed:
    """Return the label of a product that sums over the examples."""
    if SHARED in call.labels:
        return Mixed("it sums over the examples with a parameter's entry for each")
    return TOTAL


def _kept(call: Call, place: Along) -> Label | Mixed:
    """Return the label of a product that keeps the axis of the examples."""
    is_lead = place.axis < call.out.ndim - 2
    if is_lead and any(_has_entries(call, k, place) for k in call.operands_of(SHARED)):
        return Mixed(_HAS_ENTRIES)
    return place


# ------------------------------------------------------------------ places


def _gathered(call: Call) -> Label | Mixed:
    label, indices = call.labels[0], call.specs[1:]
    rank = max(i.ndim for i in indices)
    places = {
        Along(found.axis + rank - call.specs[k].ndim, found.inner) for k, found in call.along if k
    }
    if not isinstance(label, Along):
        return _picked(call, places)
    if label.axis >= len(indices):
        found = Along(label.axis - len(indices) + rank, label.inner)
        return Mixed("each example takes its places in all of them") if places else found
    own = _own_place(call.constants.get(label.axis + 1), call.specs[0].shape[label.axis], rank)
    if own is None:
        return Mixed(_PICKS)
    place = Along(own.axis, own.inner * label.inner)
    return Mixed(_PICKS) if places - {place} else place


def _picked(call: Call, places: set[Along]) -> Label | Mixed:
    """Return the label of what examples pick from something that they share."""
    if len(places) > 1:
        return Mixed("its places have the examples along different axes")
    if places and call.labels[0] is TOTAL:
        return Mixed(_MEETS_TOTAL)
    return places.pop() if places else call.without_examples()


def _own_place(places: Any, length: int, rank: int) -> Along | None:
    """Return the axis along which constant places are 0, 1, … up to a length, if they are.

    Each may stand there several times before the next comes, as in 0, 0, 1, 1, 2, 2.
    """
    axes = [a for a, n in enumerate(np.shape(places)) if n != 1]
    if places is None or len(axes) != 1 or places.size % length:
        return None
    inner = places.size // length
    if not np.array_equal(np.ravel(places), np.repeat(np.arange(length), inner)):
        return None
    return Along(axes[0] + rank - int(places.ndim), inner)


def _scattered(call: Call) -> Label | Mixed:
    label, indices = call.labels[0], call.specs[1:]
    rank = max(i.ndim for i in indices)
    if any(k for k, _ in call.along):
        return Mixed("each example is put at places of its own among all")
    if not isinstance(label, Along):
        return call.without_examples()
    if label.axis >= rank:
        return Along(label.axis - rank + len(indices), label.inner)
    for axis, length in enumerate(call.attributes["shape"][: len(indices)]):
        if _own_place(call.constants.get(axis + 1), length, rank) == Along(label.axis):
            return Along(axis, label.inner)
    return Mixed("it adds examples together at places")


def _placed(call: Call) -> Label | Mixed:
    form = call.op.form
    if not call.along or not isinstance(form, Placed):
        return call.without_examples()
    whole = Layout.contiguous(call.out.shape)
    parts = form.parts(whole, list(call.specs), **call.attributes)
    found = set()
    for k, label in call.along:
        length, stride = call.specs[k].shape[label.axis], parts[k].strides[label.axis]
        axes = [
            axis
            for axis, (n, s) in enumerate(zip(whole.shape, whole.strides, strict=True))
            if n == length and s == stride
        ]
        if not axes:
            return Mixed("it puts other numbers along the axis of the examples")
        found.add(Along(axes[0], label.inner))
    if len(found) > 1:
        return Mixed("its operands have the examples along different axes")
    if TOTAL in call.labels:
        return Mixed(_MEETS_TOTAL)
    (place,) = found
    if any(_has_entries(call, k, place) for k in call.operands_of(SHARED)):
        return Mixed(_HAS_ENTRIES)
    return place


def _counted(call: Call) -> Label | Mixed:
    return GIVEN if not call.along else Mixed("its entries follow from their places alone")


RULES: dict[type[Any], Callable[[Call], Label | Mixed]] = {
    Each: _elementwise,
    Fold: _folded,
    Viewed: _viewed,
    Product: _product,
    Gathered: _gathered,
    Scattered: _scattered,
    Placed: _placed,
    Counted: _counted,
}
"""The rule of each form."""
