"""One run of a hand-written backward pass, as a probe.

Forward is traced on the numbers, with the names of its variables; then it runs as it is, once
on other numbers and once on these, and backward after it, line by line under watch. A forward
pass that cannot be traced, or whose trace gives other numbers, is differentiated by differences.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from chainrule.inspect.probe import Probe
from chainrule.inspect.targets.claims import claims_of
from chainrule.inspect.targets.differences import difference
from chainrule.inspect.targets.handwritten import is_floating
from chainrule.inspect.targets.stage import copied
from chainrule.inspect.targets.tracing import agrees, traced
from chainrule.inspect.targets.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chainrule.inspect.probe import Claim
    from chainrule.inspect.targets.handwritten import Forward, Handwritten
    from chainrule.inspect.targets.stage import Stage
    from chainrule.inspect.targets.tracing import Traced

__all__ = ["Draw", "Outcome", "cotangent_for", "outcome_of"]


@dataclass(frozen=True)
class Draw:
    """Numbers to run on.

    Attributes
    ----------
    values
        For each slot.
    sizes
        The lengths behind the letters.
    given
        Whether they are the user's own.
    """

    values: list[Any]
    sizes: Mapping[str, int] = field(default_factory=dict)
    given: bool = False


@dataclass(frozen=True)
class Outcome:
    """A probe, and what was seen while it was made.

    Attributes
    ----------
    probe
        For the diagnosis.
    unknown
        Keys of gradients that name no value, and the nearest names.
    ran
        What forward left.
    returned
        What backward returned.
    traced
        The traced forward pass, where there is one.
    """

    probe: Probe
    unknown: dict[str, list[str]]
    ran: Forward
    returned: Any
    traced: Traced | None

    @property
    def claims(self) -> dict[str, Claim]:
        """The claims of the probe, as they can be taken out of it."""
        return cast("dict[str, Claim]", self.probe.claims)


def cotangent_for(target: Handwritten, ran: Forward, rng: np.random.Generator) -> Any:
    """Return what is handed to backward: 1 for a loss, and else numbers drawn at random."""
    loss = target.loss(ran.output, ran)
    return rng.normal(size=np.shape(loss)) if np.ndim(loss) else 1.0


def outcome_of(stage: Stage, draw: Draw, before: Draw | None, rng: np.random.Generator) -> Outcome:
    """Run forward and backward on a draw, after a forward pass on another one."""
    target = stage.target
    found = traced(stage, draw.values)
    earlier = traced(stage, before.values) if before is not None else None
    with stage.set():
        if before is not None:
            target.forward(copied(before.values))
            target.rewind()
            stage.frozen.restore()
        watcher = Watcher()
        with watcher if target.watches_forward else nullcontext():
            ran = target.forward(copied(draw.values))
        loss = np.array(target.loss(ran.output, ran))[()]  # backward may write to it
        cotangent = cotangent_for(target, ran, rng)
        with nullcontext() if target.watches_forward else watcher:
            returned = target.backward(ran, np.array(cotangent)[()])
        stated = target.stated(returned, ran)
    if found is not None and not agrees(found.walk, loss):
        found = None
    claims, unknown = claims_of(stated, target.slots, draw.values, found)
    output = found.output if found is not None else None
    has_walk = found is not None and output is not None
    return Outcome(
        Probe(
            walk=found.walk if found is not None and has_walk else None,
            output=output if output is not None else -1,
            cotangent=cotangent,
            claims=claims,
            observed=tuple(watcher.observed),
            sizes=draw.sizes,
            batch=target.batch(draw.values, draw.sizes),
            before=earlier.walk if earlier is not None else None,
            differences={} if has_walk else _differences(stage, draw, cotangent, claims),
            above=target.above(ran),
            given=draw.given,
            again=_again(stage, draw, cotangent),
        ),
        unknown,
        ran,
        returned,
        found,
    )


def _again(stage: Stage, draw: Draw, cotangent: Any) -> Callable[[str, Any], Any]:
    """Return a function that runs both passes with other numbers for one argument."""
    target = stage.target
    places = {slot.name: k for k, slot in enumerate(target.slots)}

    def run(name: str, array: Any) -> Any:
        values = copied(draw.values)
        values[places[name]] = array
        with stage.set(), np.errstate(all="ignore"):
            ran = target.forward(values)
            stated = target.stated(target.backward(ran, np.array(cotangent)[()]), ran)
        claims, _ = claims_of(stated, target.slots, values, None)
        return claims[name].array

    return run


def _differences(
    stage: Stage, draw: Draw, cotangent: Any, claims: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the gradients of the claimed arguments by central differences."""
    target = stage.target

    def f(*values: Any) -> Any:
        with stage.set():
            ran = target.forward(copied(values))
            y = target.loss(ran.output, ran)
        return np.sum(np.asarray(y) * cotangent)

    found = {}
    for k, slot in enumerate(target.slots):
        if slot.name in claims and is_floating(draw.values[k]):
            by = difference(f, draw.values, k)
            if by is not None:
                found[slot.name] = by.gradient
    return found
