"""What an adapter makes of something that another package made, so that it can be checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainrule.inspect.targets.handwritten import Handwritten

__all__ = ["Foreign"]


class Foreign(NamedTuple):
    """A target of another package.

    Attributes
    ----------
    target
        In the form that is run.
    shapes
        The axes of its arguments by letters, as far as they are known.
    where
        The line that findings are about, where nothing nearer is known.
    inputs
        The arguments in the form of the target.
    expected
        Codes of notes that say nothing new of such a target.
    """

    target: Handwritten
    shapes: Mapping[str, str]
    where: str
    inputs: tuple[Any, ...]
    expected: frozenset[str] = frozenset()
