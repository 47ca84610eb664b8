"""One run of a hand-written backward pass on chosen numbers, in one form.

A module, a pair of functions, a dictionary of gradients, a closure: whatever a user checks is
run a few times, and each run becomes a `Probe`: what forward computed (traced, with every number
kept), what backward claims the gradients to be, and what could be watched on the way. The
diagnosis reads probes and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from chainrule.graph import Where
    from chainrule.inspect.walking import Walk

    Array = NDArray[Any]

__all__ = ["Claim", "Observed", "Probe"]


@dataclass(frozen=True, eq=False)
class Claim:
    """What a backward pass says that one gradient is.

    Attributes
    ----------
    name
        Of the value that it is the gradient of: ``W1``, ``y2``.
    key
        As the backward pass calls it: ``dW1``; or ``gradient 2`` in a tuple.
    array
        The claimed numbers, as they were returned: of any shape and dtype.
    node
        The node of the walk that it is the gradient of; None where forward was not traced.
    kind
        ``argument`` for what an optimiser or the layer before is given, which has to be right;
        ``intermediate`` for what stands between, which may carry a scale of its own.
    """

    name: str
    key: str
    array: Array
    node: int | None
    kind: Literal["argument", "intermediate"] = "argument"


@dataclass(frozen=True, eq=False)
class Observed:
    """An array that a line of the backward pass left in a variable.

    Attributes
    ----------
    name
        The variable (``dy2``), or the key of a dictionary of gradients (``grads['W1']``).
    array
        A copy of its numbers after the line.
    where
        The line.
    text
        Its source.
    """

    name: str
    array: Array
    where: Where
    text: str = ""


@dataclass(frozen=True, eq=False)
class Probe:
    """One run, forward and backward.

    Attributes
    ----------
    walk
        The forward pass, traced in float64 with every number kept; None where it could not be.
    output
        The node of the walk that was differentiated.
    cotangent
        What backward was given at the output; 1 for a loss. The derivative to compare with is
        of ``sum(cotangent * output)``.
    claims
        By the name of the value, in the order in which backward returned them.
    observed
        In the order in which backward ran.
    sizes
        The lengths of axes by their letter, where shapes were said: ``{"n": 7, "h": 5}``.
    batch
        How many examples there are; None if that cannot be seen.
    before
        The walk of another batch that forward ran on just before, with nothing in between.
    differences
        The gradient of each claimed argument by central differences, by name: all there is to
        compare with where the forward pass was not traced; else empty.
    above
        What backward calls the gradient of each of several outputs, and the entries of the
        cotangent that it is: a slice, and a shape.
    given
        Whether the numbers are the user's own, and not drawn.
    again
        ``again(name, array)`` runs forward and backward with other numbers for one argument, and
        returns its claimed gradient; None where that cannot be done.
    """

    walk: Walk | None
    output: int
    cotangent: Any
    claims: Mapping[str, Claim]
    observed: tuple[Observed, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    batch: int | None = None
    before: Walk | None = None
    differences: Mapping[str, Array] = field(default_factory=dict)
    above: Mapping[str, tuple[slice, tuple[int, ...]]] = field(default_factory=dict)
    given: bool = False
    again: Callable[[str, Array], Array] | None = None
