"""A function that returns a loss and its gradients, as SciPy's optimisers take it.

Forward and backward are one body of plain code. Only its loss is differentiated; what it does
afterwards is the backward pass that is checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from chainrule.graph import parameter_names
from chainrule.inspect.targets.handwritten import Forward, Stated
from chainrule.inspect.targets.pairs import Pair, slots_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Closure", "NoPair", "closure_of"]


class NoPair(Exception):  # noqa: N818 - it becomes a finding
    """A function did not return a loss together with gradients.

    Attributes
    ----------
    got
        What it returned.
    """

    def __init__(self, got: Any) -> None:
        super().__init__()
        self.got = got


@dataclass
class Closure(Pair):
    """One function with two results.

    Attributes
    ----------
    single
        Whether it has one argument, whose gradient is returned as it is.
    """

    watches_forward: ClassVar[bool] = True
    single: bool = field(default=False)

    def forward(self, values: Sequence[Any]) -> Forward:
        """Run all of it."""
        y = self.run_forward(*self.together(values))
        if not isinstance(y, tuple | list) or len(y) < 2:
            raise NoPair(y)
        if len(y) == 2 and isinstance(y[0], dict) and _may_be_loss(y[1]):
            y = y[::-1]  # return gradients, cost
        if not _may_be_loss(y[0]):
            raise NoPair(y)
        gradients = y[1] if len(y) == 2 else tuple(y[1:])
        return Forward(y[0], (), values, gradients)

    def backward(self, ran: Forward, cotangent: Any) -> Any:
        """Return what was computed beside the loss."""
        del cotangent
        return ran.gradients

    def takes_cotangent(self, ran: Forward) -> bool:
        """Return False: a loss needs no gradient from above."""
        del ran
        return False

    def stated(self, returned: Any, ran: Forward) -> list[Stated]:
        """Return the gradients; those of one argument are in its structure."""
        if isinstance(returned, list | tuple):
            is_one_array = len(self.slots) == 1 and np.ndim(ran.values[0]) == 1
            if is_one_array and all(np.ndim(g) == 0 for g in returned):
                return [Stated("gradient", np.array(returned), 0)]
            returned = tuple(returned)
        return super().stated(returned, ran)


def _may_be_loss(x: Any) -> bool:
    """Return whether something may be a loss, or an output: not a container of several arrays."""
    if x is None or isinstance(x, dict | str):
        return False
    if not isinstance(x, list | tuple):
        return True
    return not any(isinstance(part, dict | list | tuple) or np.ndim(part) for part in x)


def closure_of(
    function: Callable[..., Any], arguments: Sequence[Any], names: Sequence[str] | None = None
) -> Closure:
    """Return a function that returns (loss, gradients) in the form that is run."""
    said = list(names or parameter_names(function, len(arguments)))
    return Closure(
        "closure",
        getattr(function, "__name__", "loss"),
        slots_of(arguments, said),
        [function],
        run_forward=function,
        run_backward=function,
        arguments=tuple(arguments),
        names=tuple(said),
    )
