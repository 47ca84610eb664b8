"""What kind of thing a user handed over to be checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.errors import InputTypeError
from chainrule.graph import describe
from chainrule.inspect.targets.closures import closure_of
from chainrule.inspect.targets.handwritten import Handwritten
from chainrule.inspect.targets.held import held_of
from chainrule.inspect.targets.several import pair_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["recognised"]

_BACKWARDS = ("compute_gradients", "gradients", "backward", "backprop", "backpropagate", "grad")


def recognised(
    target: Any, arguments: Sequence[Any], *, argnames: Sequence[str] | None = None
) -> Handwritten:
    """Return a target in the form that is run.

    Raises
    ------
    InputTypeError
        If it is none that is known.
    """
    if isinstance(target, Handwritten):
        return target
    if isinstance(target, tuple | list) and len(target) == 2 and all(map(callable, target)):
        owners = [getattr(f, "__self__", None) for f in target]
        if owners[0] is not None and owners[0] is owners[1]:
            names = (target[0].__name__, target[1].__name__)
            return held_of(owners[0], names, arguments, argnames)
        return pair_of(target[0], target[1], arguments, argnames)
    backwards = [name for name in _BACKWARDS if callable(getattr(target, name, None))]
    if callable(getattr(target, "forward", None)) and backwards:
        if isinstance(target, type):
            forward = getattr(target, "forward")  # noqa: B009 - of a class that is not known
            return pair_of(forward, getattr(target, backwards[0]), arguments, argnames)
        return held_of(target, ("forward", backwards[0]), arguments, argnames)
    if callable(target):
        return closure_of(target, arguments, argnames)
    raise InputTypeError(
        f"check needs a backward pass that somebody wrote, got {describe(target)}.",
        advice="Pass (forward, backward), a function that returns (loss, gradients), an object "
        "with forward and compute_gradients, or an nn.Module with its own backward.",
    )
