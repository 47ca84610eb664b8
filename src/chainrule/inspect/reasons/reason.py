"""What `why` answers: a finding with the node, the entry and the example that did it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chainrule.inspect.finding import CAUSES, Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.inspect.scene import Scene, Spot

__all__ = ["Reason", "is_written", "reason_at", "route_in_words"]


@dataclass(frozen=True, repr=False)
class Reason(Finding):
    """Why a number is what it is: a `Finding` with the place that did it.

    Attributes
    ----------
    about
        The number asked about, with its name: ``gradient of W1[3, 4]``.
    number
        That number.
    node
        The node that did it, by its index in the graph of the pass.
    name
        What the node is called.
    entry
        The index within the node that did it.
    example
        The example that did it, None if it is no single one.
    """

    about: str = ""
    number: float = 0.0
    node: int = -1
    name: str = ""
    entry: tuple[int, ...] = ()
    example: int | None = None

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        """Return the answer: the number, then what did it, and what is known of it."""
        return f"{self.about} is {self.number:.4g}:\n" + super().__str__()


def reason_at(
    scene: Scene, code: str, spot: Spot, message: str, evidence: Sequence[str] = (), **more: Any
) -> Reason:
    """Return the reason that lies at an entry of a node."""
    example = more.pop("example", scene.example(spot))
    where = more.pop("line", scene.line(spot.node))
    known = CAUSES[code]
    seen = (f"example: {example}",) if example is not None else ()
    return Reason(
        code,
        known.name,
        tensor=scene.label(spot),
        where=where,
        message=message,
        evidence=(*seen, *evidence),
        severity=known.severity,
        node=spot.node,
        name=scene.names[spot.node],
        entry=scene.place(spot),
        example=example,
        **more,
    )


def is_written(scene: Scene, index: int) -> bool:
    """Return whether a node is called what the program calls it, if it is a constant.

    A literal has no name, and neither have the constants of what a function of NumPy is made of.
    """
    naming = scene.walk.naming
    has_name = naming.is_given[index] or scene.names[index] != naming.labels[index]
    return has_name or index not in scene.walk.graph.constants


def route_in_words(scene: Scene, route: Sequence[Spot], most: int = 6) -> str:
    """Return ``loss ← mean ← z2[3, 0] at f.py:12``, shortened in the middle."""
    steps = [
        f"{scene.label(spot)} ({scene.line(spot.node)})" if scene.line(spot.node) else "?"
        for spot in route
    ]
    if len(steps) > most:
        half = most // 2
        steps = [*steps[:half], f"… {len(steps) - 2 * half} more", *steps[-half:]]
    return " ← ".join(steps)
