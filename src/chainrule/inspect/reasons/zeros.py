"""Why a gradient is zero, in words: mask, saturation, clip, a factor of zero, not read at all.

A cut is told apart by changing the operands: another factor, the operand itself, or it a little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph import Gathered, Scattered
from chainrule.inspect.finding import cause
from chainrule.inspect.reasons.cuts import Cuts, cuts_of
from chainrule.inspect.reasons.reason import Reason, is_written, reason_at
from chainrule.inspect.reasons.stop import Stop
from chainrule.inspect.scene import Spot, numbered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.inspect.scene import Scene

__all__ = ["why_gradient_zero"]


@cause("CD521", "nothing reads it", "warning")
def unread(stop: Stop) -> Reason | None:
    """A number that the loss is not computed from.

    It sees a value without a consumer, or entries of one that a slice or an index never takes.

    For example a layer that is made in ``__init__`` and forgotten in ``forward``, or the row of
    an embedding for a word that the batch does not hold.

    Use it, or take it out; a row of an embedding gets its gradient from other batches.
    """
    scene, cut = stop.scene, stop.cut
    if cut.node < 0:
        return stop.told("CD521", f"Nothing reads {scene.names[cut.source]}.")
    if 0 in stop.node.shape:
        shape = list(stop.node.shape)
        return stop.told("CD521", f"{scene.names[cut.node]} has no entries: its shape is {shape}.")
    if stop.node.op is None or stop.node.op.derivative.kind != "linear":
        return None
    return stop.told("CD521", f"{scene.word(cut.node)} does not take {_entries_of(stop)}.")


@cause("CD522", "cut by an op without a derivative", "warning")
def without_derivative(stop: Stop) -> Reason | None:
    """A route that goes through rounding, a comparison, argmax or ``stop_gradient``.

    It sees a node that has no derivative, or an operand of one that has none (a mask, an index).

    For example ``np.round(h)`` between two layers, or a loss computed from ``np.argmax(p)``.

    Leave the op out of the way to the loss, or put something smooth in its place: a sigmoid for
    a step, a softmax for argmax.
    """
    cut = stop.cut
    op = stop.node.op if cut.node >= 0 else None
    if op is None or (op.differentiable and not op.is_flat(cut.k)):
        return None
    why = getattr(op.derivative, "reason", "") or f"its operand {op.operand_names(cut.k + 1)[-1]} "
    why = why if not why.startswith("its operand") else why + "has no derivative"
    return stop.told("CD522", f"{op.name} passes no gradient: {why}.")


@cause("CD523", "switched off by a mask", "note")
def masked(stop: Stop) -> Reason | None:
    """A branch that a condition did not take.

    It sees a node with a mask or an index among its operands whose slope is zero at the entry:
    ``np.where`` that took the other branch, dropout that dropped it.

    For example padding that a mask keeps out of the loss.

    That is what a mask is for. If all examples are masked, look at the condition.
    """
    op = stop.node.op
    if op is None or not op.flat or isinstance(op.form, Gathered | Scattered):
        return None
    if stop.passes(own=True):  # it was not the mask
        return None
    mask = next(iter(sorted(op.flat)))
    return stop.told("CD523", f"{op.name} took the other branch (its {mask}) in {stop.count()}.")


@cause("CD524", "factor of zero", "note")
def zero_factor(stop: Stop) -> Reason | None:
    """A product whose other factor is zero.

    It sees a slope of zero that is none if another operand is: a weight whose inputs are all 0,
    or an input that meets weights of 0.

    For example the weight of a pixel that is black in every image of the batch: dW = Σ x dz, and
    every x is 0.

    A constant column of zeros can be left out. Weights that start at zero in two layers in a row
    never leave it: draw them at random.
    """
    node, k = stop.node, stop.cut.k
    for other, i in enumerate(node.inputs):
        x = np.asarray(stop.scene.walk.numbers[i])
        if other == k or x.dtype.kind not in "fiub" or node.op.is_flat(other) or np.all(x != 0):
            continue
        if stop.passes(other=other):
            name = stop.scene.names[i] if is_written(stop.scene, i) else "a constant"
            zero = "False" if x.dtype.kind == "b" else "0"
            return stop.told(
                "CD524",
                f"In {stop.scene.word(stop.cut.node)}, {stop.scene.label(stop.spot)} is "
                f"multiplied by entries of {name}, which are {zero}.",
            )
    return None


@cause("CD525", "unit off", "warning")
def off(stop: Stop) -> Reason | None:
    """A rectifier whose input is not positive: its output is 0, and so is its slope.

    It sees an elementwise function with a kink whose slope is 0 here and not elsewhere, and whose
    output is the same 0 for all of the entries. If that is so in every example of a batch, no
    example moves the weights before it.

    For example a ReLU after a bias that one step with a large learning rate made -20.

    Where it is off for all examples of the training set the unit is dead: lower the learning
    rate, take a leaky ReLU, or draw its weights anew. Off for some examples is how ReLU works.
    """
    if not _has_kink(stop) or np.any(stop.outputs() != 0):
        return None
    x = stop.operands()
    return stop.told(
        "CD525",
        f"{stop.scene.word(stop.cut.node)} is off in {stop.count()}: its input there lies from "
        f"{numbered(np.min(x))} to {numbered(np.max(x))}.",
        advice="Off for every example, it never learns: a smaller learning rate, a leaky ReLU, "
        "or new weights.",
    )


@cause("CD526", "clipped", "warning")
def clipped(stop: Stop) -> Reason | None:
    """A number beyond the bounds of a clip, where the result does not change with it.

    It sees an elementwise function with a kink whose slope is 0 here and not elsewhere, and whose
    output is a bound, which is a constant.

    For example probabilities clipped to 1e-7 … 1 - 1e-7 before a logarithm: a wrong answer that
    is certain gets no gradient at all, which is the one that would need it most.

    Compute the loss from logits instead of clipping, or widen the bounds.
    """
    if not _has_kink(stop) or _follows_another(stop):
        return None
    x, bounds = stop.operands(), np.unique(stop.outputs())
    held = [numbered(float(bound)) for bound in bounds]
    at = " and ".join(held) if len(held) < 3 else f"{len(held)} bounds, {held[0]} to {held[-1]}"
    return stop.told(
        "CD526",
        f"{stop.scene.word(stop.cut.node)} holds {stop.count()} at {at}: its input there lies "
        f"from {numbered(np.min(x))} to {numbered(np.max(x))}.",
    )


def _follows_another(stop: Stop) -> bool:
    """Return whether another operand was chosen that is no bound, but computed or learned."""
    walk = stop.scene.walk
    return any(
        walk.active[i] and np.size(walk.numbers[i]) > 1
        for k, i in enumerate(stop.node.inputs)
        if k != stop.cut.k
    )


def _has_kink(stop: Stop) -> bool:
    op = stop.node.op
    if op is None or op.kink is None or not len(stop.outputs()) or not stop.passes(own=True):
        return False
    return not (stop.passes(by=1e-3) and stop.passes(by=-1e-3))  # as |x| does at 0


@cause("CD527", "saturated", "warning")
def saturated(stop: Stop) -> Reason | None:
    """A smooth function so far out that its slope is zero in floating point.

    It sees a slope of 0 that stays 0 when the operand moves a little, and is none nearer to the
    origin: sigmoid(40) is 1 and its slope 4e-18; at 800 it is exactly 0.

    For example a sigmoid on scores of thousands, as inputs make them that are not scaled.

    Scale the inputs, start from smaller weights, or compute the loss from the logits.
    """
    op = stop.node.op
    if op is None or op.kink is not None:
        return None
    if stop.passes(by=1e-3) or not stop.passes(own=True):
        return None
    if not len(stop.outputs()) and stop.passes(wide=True):
        return None
    x = stop.operands()
    is_loss = not len(stop.outputs())
    return stop.told(
        "CD527",
        f"{op.name} is flat in {stop.count()}: its input there lies from "
        f"{numbered(np.min(x))} to {numbered(np.max(x))}.",
        advice="A loss that is 0 is at rest; else scale the inputs, or start from smaller weights."
        if is_loss
        else "Scale the inputs, start from smaller weights, or compute the loss from logits.",
    )


@cause("CD528", "flat point", "note")
def stationary(stop: Stop) -> Reason | None:
    """A function at the point where its slope is zero: the square at 0.

    It sees a slope of 0 that is none a little beside it.

    For example the squared error of a prediction that is exact, or a penalty on a weight of 0.

    There is nothing to do: the loss is at rest there.
    """
    op = stop.node.op
    if op is None or not (stop.passes(by=1e-3) or stop.passes(by=-1e-3)):
        return None
    at = numbered(stop.operands().flat[0])
    return stop.told("CD528", f"The slope of {op.name} at {at} is 0, and is not beside it.")


def too_small(stop: Stop) -> Reason | None:
    """Return that a slope is zero in this type alone; a value that is has the same code."""
    node = stop.node
    if stop.cut.is_lost:
        least = np.finfo(node.dtype).smallest_subnormal
        return stop.told(
            "CD533",
            f"What {stop.scene.word(stop.cut.node)} passes on to {_entries_of(stop)}, its slope "
            f"times the gradient that arrives, is below {least:.2g}, the smallest {node.dtype}.",
        )
    if not stop.passes(wide=True):
        return None
    return stop.told(
        "CD533",
        f"The slope of {stop.scene.word(stop.cut.node)} by {_entries_of(stop)} is below "
        f"{np.finfo(node.dtype).smallest_subnormal:.2g}, the smallest {node.dtype}.",
    )


@cause("CD529", "not chosen", "note")
def not_chosen(stop: Stop) -> Reason | None:
    """An entry that a function of several did not choose: all but the largest of a maximum.

    It sees a slope of 0 of a function of whole arrays, which other numbers would change.

    For example max pooling: all gradient goes to the largest of each window.

    That is how such functions work.
    """
    op = stop.node.op
    name = op.name if op is not None else "what reads it"
    return stop.told("CD529", f"{name} does not depend on {_entries_of(stop)} as the numbers are.")


def _entries_of(stop: Stop) -> str:
    """Return the entries in words."""
    more = len(stop.cut.entries) - 1
    return stop.scene.label(stop.spot) + (f" and {more} more entries" if more else "")


RULES = (
    without_derivative,
    masked,
    unread,
    zero_factor,
    off,
    clipped,
    saturated,
    too_small,
    stationary,
    not_chosen,
)


@cause("CD530", "contributions cancel", "note")
def cancelled(scene: Scene, spot: Spot, cuts: Cuts) -> Reason | None:
    """Contributions that are not zero and sum to it.

    It sees routes that lead to the loss with slopes and gradients that are not 0.

    For example a bias before batch norm, which subtracts it again; or the same number added to
    all scores before a softmax, which does not change with it.

    Take such a parameter out; it does nothing.
    """
    if not cuts.cancels:
        return None
    first = cuts.cancels[0]
    same = [cancel for cancel in cuts.cancels if cancel.source == first.source]
    count = sum(cancel.count for cancel in same)
    through = list(dict.fromkeys(scene.names[cancel.node] for cancel in same))
    listed = ", ".join(through[:3]) + (", …" if len(through) > 3 else "")
    one = count == 1
    return reason_at(
        scene,
        "CD530",
        spot,
        f"{count} contribution{'' if one else 's'} to {scene.names[first.source]} through "
        f"{listed} {'is' if one else 'are'} not zero, and {'its' if one else 'their'} sum is.",
        line=scene.line(first.node),
    )


def why_gradient_zero(scene: Scene, spot: Spot) -> Reason:
    """Return why the gradient of an entry is zero: the cut that holds most of its routes."""
    cuts = cuts_of(scene, spot)
    if not cuts.found or (cuts.cancels and not cuts.found[0].met):
        found = cancelled(scene, spot, cuts)
        if found is not None:
            return found
    stops = [Stop(scene, cut) for cut in cuts.found]
    reasons = [_kind(stop) for stop in stops]
    first, *others = reasons
    return _with_others(first, others)


def _kind(stop: Stop) -> Reason:
    alone = unread if stop.cut.node < 0 else too_small if stop.cut.is_lost else None
    for rule in RULES if alone is None else (alone,):
        found: Reason | None = rule(stop)
        if found is not None:
            return found
    raise AssertionError("the last rule always holds")


def _with_others(first: Reason, others: Sequence[Reason]) -> Reason:
    """Return the first reason, with what else ends routes."""
    if not others:
        words = "every route to the loss is cut there"
    else:
        kinds = {f"{r.code} {r.cause} at {r.where}" for r in others}
        kinds -= {f"{first.code} {first.cause} at {first.where}"}
        if not kinds:
            words = "every route to the loss is cut so"
        else:
            words = "every route is cut; the others by " + "; ".join(sorted(kinds)[:4])
    return _replaced(first, evidence=(*first.evidence, words))


def _replaced(reason: Reason, **fields: Any) -> Reason:
    return type(reason)(**{**reason.__dict__, **fields})
