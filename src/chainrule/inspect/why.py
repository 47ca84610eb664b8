"""Why a number is zero, NaN, infinite, huge or tiny: back to the node, the line and the example.

`why` takes an open pass and the name of a number in it. What is not finite is followed, entry by
entry, to the first node that made it so of finite numbers; a gradient of zero along all its
routes to where each is cut; a huge or tiny one along the steps that stretched or shrank it.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from chainrule.errors import AxisError, InPlaceError, InputTypeError, SettingError
from chainrule.graph import describe
from chainrule.inspect.naming import position as placed
from chainrule.inspect.passes import Pass
from chainrule.inspect.reasons.cuts import flat_cuts
from chainrule.inspect.reasons.magnitudes import why_gradient_size, why_value_size
from chainrule.inspect.reasons.nonfinite import why_not_finite
from chainrule.inspect.reasons.slopes import why_gradient_not_finite
from chainrule.inspect.reasons.zero_values import why_value_zero
from chainrule.inspect.reasons.zeros import why_gradient_zero
from chainrule.inspect.scene import Scene, Spot, scene_of
from chainrule.inspect.walking import walk
from chainrule.transform import pull_back

if TYPE_CHECKING:
    from chainrule.inspect.programs import Program
    from chainrule.inspect.reasons.reason import Reason
    from chainrule.inspect.walking import Walk

__all__ = ["why"]

_ASKED = re.compile(r"\s*(?:(gradient|value)\s+(?:of\s+)?)?(.*?)\s*")
_ENTRY = re.compile(r"\s*\[.*\]$")


def why(opened: Pass, number: str, *, of: Literal["gradient", "value"] | None = None) -> Reason:
    """Return why a number of an open pass is what it is.

    Parameters
    ----------
    opened
        What `chainrule.open` returned.
    number
        Which number: ``"W1[3, 4]"``, or ``"W1"`` for the entry of it that is worth asking about
        (the first that is not finite, else the largest, which is 0 if all are). The name may be
        preceded by ``value`` or ``gradient``.
    of
        The gradient or the value. If neither is said, it is the value of the loss and of numbers
        that are not finite themselves, and for all else the gradient.

    Returns
    -------
    Reason
        A `Finding` with the node, entry and example that did it. It prints in a few lines.

    Raises
    ------
    UnknownNameError
        If the pass has no such name.
    AxisError
        If the array has no such entry, or none at all.
    InputTypeError
        If that is no open pass, or the name is no text.
    SettingError
        If it is of something else than the gradient or the value.

    Notes
    -----
    No op is known by name. Which operand made a result NaN is found by replacing operands and
    computing the node again; whether it overflowed, by making them smaller; what cuts a gradient,
    by asking whether other operands would let it through.

    Examples
    --------
    >>> import numpy as np
    >>> import chainrule
    >>> def loss(W, X):
    ...     A = np.maximum(X @ W, 0)
    ...     return np.mean(A)
    >>> opened = chainrule.open(loss, np.array([[-1.0, 1.0]]), np.array([[1.0], [2.0]]))
    >>> print(why(opened, "W[0, 0]"))  # doctest: +ELLIPSIS
    gradient of W[0, 0] is 0:
    ... CD525 unit off: ... relu is off in all 2 examples: its input there lies from -2 to -1.
      every route to the loss is cut there
      ...
    """
    scene = _seen(opened)
    _require(number, of)
    match = _ASKED.fullmatch(number)
    kind, name = match.groups() if match else (None, number)
    index, position = _place(opened, scene, name)
    kind = of or kind or _kind(scene, index)
    spot = Spot(index, _worth_asking(scene, index, kind) if position is None else position)
    with np.errstate(all="ignore"):  # what is tried to find the cause is bad on purpose
        found = _value(scene, spot) if kind == "value" else _gradient(scene, spot)
        if any("CD521" in text for text in (found.code, *found.evidence)):
            found = _with_flat(opened, scene, spot) or found
    amount = scene.number(spot) if kind == "value" else scene.gradient(spot)
    return replace(found, about=f"{kind} of {scene.label(spot)}", number=amount)


def _seen(opened: Any) -> Scene:
    if not isinstance(opened, Pass):
        raise InputTypeError(
            f"why needs an open pass, got {describe(opened)}.",
            advice="Pass what chainrule.open(f, *inputs) returned.",
        )
    return scene_of(opened.walk, opened.output, opened.adjoints, opened.program)


def _require(number: Any, of: Any) -> None:
    if not isinstance(number, str):
        raise InputTypeError(
            f"why takes the name of a number as text, got {number!r}.",
            advice="As in why(opened, 'W1[3, 4]').",
        )
    if of not in {None, "gradient", "value"}:
        raise SettingError(
            f"of is 'gradient' or 'value', got {of!r}.",
            advice="Leave it out: it is the value of a loss, and the gradient of all else.",
        )


def _place(opened: Pass, scene: Scene, name: str) -> tuple[int, int | None]:
    """Return the node and position that a name means; a target is a constant of the graph."""
    plain = _ENTRY.sub("", name)
    if opened.concrete(plain) is not None and plain not in opened.names:
        found = [i for i, label in enumerate(scene.names) if label == plain]
        if found:
            node = opened.graph.nodes[found[-1]]
            entry = name[len(plain) :].strip().strip("[]")
            place = tuple(int(part) for part in entry.split(",")) if entry else None
            return found[-1], None if place is None else placed(place, node.shape, plain)
    return opened.entry(name)


def _with_flat(opened: Pass, scene: Scene, spot: Spot) -> Reason | None:
    """Look once more at routes that nothing reads on, with ops without a derivative kept too.

    A pass leaves them out, since no gradient goes through them.
    """
    walked = _walked_with_flat(opened.program)
    same = _nodes_within(opened.walk, walked)
    starts = opened.start.cotangents
    if spot.node not in same or not starts.keys() <= same.keys():
        return None
    start = {same[index]: g for index, g in starts.items()}
    adjoints = pull_back(walked.graph, walked.numbers, walked.active, start)
    with_flat = scene_of(walked, same[scene.output], adjoints, opened.program)
    asked = Spot(same[spot.node], spot.position)
    if not flat_cuts(with_flat, asked.node) or with_flat.gradient(asked) != 0:
        return None
    found = why_gradient_zero(with_flat, asked)
    back = {after: before for before, after in same.items()}
    return replace(found, node=back.get(found.node, -1))


def _walked_with_flat(program: Program) -> Walk:
    """Walk a program and keep all of its ops; one that writes to its arrays a second time."""
    for in_place in (False, True):
        program.told.clear()
        try:
            return walk(
                program.run,
                program.args,
                keep_flat=True,
                in_place=in_place,
                names=program.names,
                held=program.held,
            )
        except InPlaceError:
            if in_place:
                raise
    raise AssertionError("the second walk returns or raises")


def _nodes_within(some: Walk, more: Walk) -> dict[int, int]:
    """Return for the inputs and ops of a walk which they are in a walk that left out fewer."""
    nodes, found, start = more.graph.nodes, {}, 0
    for index, node in enumerate(some.graph.nodes):
        if node.op is None and index in some.graph.constants:
            continue
        for later in range(start, len(nodes)):
            other = nodes[later]
            is_alike = (other.op, other.shape, other.where) == (node.op, node.shape, node.where)
            if is_alike and np.array_equal(
                some.numbers[index], more.numbers[later], equal_nan=True
            ):
                found[index], start = later, later + 1
                break
    return found


def _value(scene: Scene, spot: Spot) -> Reason:
    number = scene.number(spot)
    if not math.isfinite(number):
        return why_not_finite(scene, spot)
    return why_value_zero(scene, spot) if number == 0 else why_value_size(scene, spot)


def _gradient(scene: Scene, spot: Spot) -> Reason:
    number = scene.gradient(spot)
    if not math.isfinite(number):
        return why_gradient_not_finite(scene, spot)
    return why_gradient_zero(scene, spot) if number == 0 else why_gradient_size(scene, spot)


def _kind(scene: Scene, index: int) -> Literal["gradient", "value"]:
    is_finite = bool(np.all(np.isfinite(scene.walk.numbers[index])))
    return "gradient" if index != scene.output and is_finite else "value"


def _worth_asking(scene: Scene, index: int, kind: str) -> int:
    """Return the entry of an array that an answer is wanted for."""
    nothing = np.zeros(scene.nodes[index].shape)
    x = scene.walk.numbers[index] if kind == "value" else scene.adjoints.get(index, nothing)
    flat = np.ravel(np.asarray(x, np.float64))
    if not flat.size:
        name, shape = scene.names[index], list(scene.nodes[index].shape)
        raise AxisError(f"{name} has no entries to ask about: its shape is {shape}.")
    bad = np.flatnonzero(~np.isfinite(flat))
    return int(bad[0]) if bad.size else int(np.argmax(np.abs(flat)))
