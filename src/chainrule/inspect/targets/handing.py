"""What a backward pass is handed: read off the names of its parameters, then off their order.

``backward(dout, cache)``, ``backward(cache)``, ``backward(X, y, cache)``, ``gradients(out, cache,
Y)``, ``backward(dout)``: each parameter is one of forward's arguments, the cache, the output, the
labels, or the gradient from above.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainrule.inspect.targets.handwritten import Forward

__all__ = ["LABELS", "Handed", "handed", "positional"]

CACHES = frozenset(
    [
        "cache",
        "cached",
        "caches",
        "memory",
        "ctx",
        "context",
        "saved",
        "stash",
        "tape",
        "forward_cache",
    ]
)
OUTPUTS = frozenset(
    [
        "out",
        "output",
        "outputs",
        "loss",
        "AL",
        "y_hat",
        "yhat",
        "Y_hat",
        "Yhat",
        "y_pred",
        "Y_pred",
        "pred",
    ]
)
LABELS = frozenset(
    [
        "Y",
        "y",
        "labels",
        "label",
        "target",
        "targets",
        "t",
        "T",
        "y_true",
        "Y_true",
        "y_batch",
        "Y_batch",
    ]
)


class Handed(NamedTuple):
    """What backward is called with.

    Attributes
    ----------
    arguments
        By position.
    options
        By name.
    takes_cotangent
        Whether the gradient from above is among them.
    """

    arguments: list[Any]
    options: dict[str, Any]
    takes_cotangent: bool


def positional(function: Callable[..., Any]) -> tuple[list[str], list[str]] | None:
    """Return the parameters that have to be given and those that may; None if there is no end."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    named = [p for p in parameters if p.kind <= p.POSITIONAL_OR_KEYWORD]
    return (
        [p.name for p in named if p.default is p.empty],
        [p.name for p in named if p.default is not p.empty],
    )


def handed(
    backward: Callable[..., Any],
    ran: Forward,
    cotangent: Any,
    inputs: Mapping[str, Any],
    labels: Any = None,
) -> Handed:
    """Return what backward is called with after a forward pass.

    Parameters
    ----------
    backward
        The user's.
    ran
        What forward left.
    cotangent
        The gradient from above.
    inputs
        The arguments by their names: forward's, and those that only backward takes.
    labels
        What the labels are, if that is known from elsewhere.
    """
    parameters = positional(backward)
    rest = list(ran.rest)
    if parameters is None:
        return Handed([cotangent, *ran.rest], {}, True)
    names, optional = parameters
    found: dict[str, Any] = {}
    for name in names:
        if name.lower() in CACHES and rest:
            found[name] = _together(rest)
            rest = []
        elif name in inputs:
            found[name] = inputs[name]
        elif name in OUTPUTS:
            found[name] = ran.output
        elif name in LABELS and labels is not None:
            found[name] = labels
    if rest and len(names) == 2 and len(found) == 1 and names[1] in found and is_upstream(names[0]):
        found = {names[1]: _together(rest)}  # relu_backward(dout, x), whose cache is called x
        rest = []
    places = [name for name in names if name not in found]
    if len(places) == 1 and all(part is None for part in rest):
        rest = []  # forward returns (out, None), and backward takes no cache
    takes = _takes(places, rest)
    queue = [cotangent] * takes + rest
    if rest and len(places) == takes + 1:
        queue = [cotangent] * takes + [_together(rest)]
    found |= dict(zip(places, queue, strict=False))
    options = {name: inputs[name] for name in optional if name in inputs}
    return Handed([found[name] for name in names if name in found], options, takes)


def _takes(places: Sequence[str], rest: Sequence[Any]) -> bool:
    """Return whether the first of the parameters that are left is the gradient from above."""
    if not places:
        return False
    if not rest:
        return True
    if len(places) == 1:
        return is_upstream(places[0])
    return len(places) != len(rest) or is_upstream(places[0])


def _together(rest: Sequence[Any]) -> Any:
    return rest[0] if len(rest) == 1 else tuple(rest)


def is_upstream(name: str) -> bool:
    """Return whether a parameter is called like a gradient from above.

    Examples
    --------
    >>> [name for name in ("dout", "grad_y", "g", "x", "delta", "c") if is_upstream(name)]
    ['dout', 'grad_y', 'g', 'delta']
    """
    return (
        name in {"d", "g", "gy", "gz", "upstream", "top"}
        or "grad" in name.lower()
        or "delta" in name.lower()
        or (name.startswith("d") and len(name) > 1 and name not in {"data", "dim", "dims"})
    )
