"""A network that returns its output, and gradients of a loss that it never computes.

``forward(X) → (out, cache)`` and ``compute_gradients(out, cache)`` leave open which loss is
meant. Known ones are tried: cross-entropy of a sigmoid or a softmax, squared errors with and
without a ½, summed over examples, or averaged over columns, rows or all. The one whose derivative
agrees best with what is claimed nearest to the output is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.inspect.targets.claims import claims_of
from chainrule.inspect.targets.stage import copied
from chainrule.inspect.targets.tracing import traced
from chainrule.transform import pull_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chainrule.inspect.probe import Claim
    from chainrule.inspect.targets.stage import Stage
    from chainrule.inspect.targets.tracing import Traced

__all__ = ["Candidate", "Choice", "candidates", "chosen", "one_hot_like"]

TINY = 1e-300
TOLERANCE = 1e-6
"""Relative to the largest entry of a gradient."""


@dataclass(frozen=True)
class Candidate:
    """A loss that may be meant.

    Attributes
    ----------
    name
        In words.
    function
        ``(out, Y) → number``.
    """

    name: str
    function: Callable[[Any, Any], Any]


def candidates(out: Any, Y: Any) -> Iterator[Candidate]:
    """Iterate over the losses that an output and its labels allow, the likeliest first."""
    for base, function in _bases(out, Y):
        for words, axes in _averages(np.shape(out)):
            yield Candidate(f"{base}, {words}", _divided(function, axes))


def _bases(out: Any, Y: Any) -> Iterator[tuple[str, Callable[[Any, Any], Any]]]:
    target = one_hot_like(Y, out)
    if target is None:
        return
    is_share = bool(np.min(out) >= 0 and np.max(out) <= 1)
    sums = [np.allclose(np.sum(out, axis=axis), 1) for axis in range(np.ndim(out))]
    if is_share and any(s and n > 1 for s, n in zip(sums, np.shape(out), strict=True)):
        yield "softmax cross-entropy", _cross_entropy
    if is_share:
        yield "binary cross-entropy", _binary_cross_entropy
    yield "half the squared error", lambda A, Y: np.sum((A - Y) ** 2) / 2
    yield "squared error", lambda A, Y: np.sum((A - Y) ** 2)


def _averages(shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Iterate over the axes whose lengths a sum may be divided by, the longest first.

    Of those that are equally long here, such as all of a single row, one is enough.
    """
    every = tuple(range(len(shape)))
    single = sorted(every, key=lambda axis: -shape[axis])
    words = {0: "rows", 1: "columns"} if len(shape) == 2 else {}
    ways: list[tuple[str, tuple[int, ...]]] = [
        (f"averaged over {words.get(a, f'axis {a}')}", (a,)) for a in single
    ]
    ways += [("averaged over all", every), ("summed", ())]
    seen: set[int] = set()
    for name, axes in ways:
        count = int(np.prod([shape[a] for a in axes]))
        if count not in seen:
            seen.add(count)
            yield name, axes


def _divided(
    function: Callable[[Any, Any], Any], axes: tuple[int, ...]
) -> Callable[[Any, Any], Any]:
    def loss(A: Any, Y: Any) -> Any:
        return function(A, one_hot_like(Y, A)) / int(np.prod([np.shape(A)[a] for a in axes]))

    return loss


def _cross_entropy(A: Any, Y: Any) -> Any:
    return -np.sum(Y * np.log(A + TINY))


def _binary_cross_entropy(A: Any, Y: Any) -> Any:
    return -np.sum(Y * np.log(A + TINY) + (1 - Y) * np.log(1 - A + TINY))


def one_hot_like(Y: Any, out: Any) -> Any:
    """Return labels or targets in the shape of an output; None if they do not fit.

    Examples
    --------
    >>> one_hot_like(np.array([0, 2]), np.zeros((3, 2)))
    array([[1., 0.],
           [0., 0.],
           [0., 1.]])
    """
    shape = np.shape(out)
    if np.shape(Y) == shape:
        return Y
    Y = np.asarray(Y) if not hasattr(Y, "dtype") else Y
    if Y.size == int(np.prod(shape)):
        return np.reshape(Y, shape)
    if len(shape) != 2 or Y.dtype.kind not in "iu" or Y.size not in shape:
        return None
    flat = np.ravel(Y)
    if flat.size == shape[0]:
        return np.eye(shape[1])[flat] if np.max(flat) < shape[1] else None
    return np.eye(shape[0])[flat].T if np.max(flat) < shape[0] else None


class Choice(NamedTuple):
    """The loss that was taken.

    Attributes
    ----------
    candidate
        The loss.
    agrees
        Whether its derivative is what is claimed nearest to the output.
    """

    candidate: Candidate
    agrees: bool


def chosen(stage: Stage, values: Sequence[Any]) -> Choice | None:
    """Return the loss whose derivative agrees best with what is claimed nearest to the output.

    None where there are no labels, or nothing to compare with.
    """
    target = stage.target
    with stage.set():
        ran = target.forward(copied(values))
        out, labels = np.asarray(ran.output), target.labels(ran)
        if labels is None:
            return None
        with np.errstate(all="ignore"):
            stated = target.stated(target.backward(ran, None), ran)
    best: tuple[tuple[int, float], Candidate] | None = None
    own = target.own_loss()
    ways = [Candidate("its own", own)] if own is not None else []
    for candidate in [*ways, *candidates(out, labels)]:
        target.implicit = candidate.function
        found = traced(stage, values)
        target.implicit = None
        fit, is_whole = (0, np.inf), False
        if found is not None and found.output is not None:
            claims, _ = claims_of(stated, target.slots, values, found)
            fit, is_whole = _fit(found, found.output, list(claims.values()))
        if best is None or fit < best[0]:
            best = fit, candidate
        if is_whole:
            break
    if best is None:
        return None
    (minus_count, distance), candidate = best
    return Choice(candidate, bool(minus_count) or distance <= TOLERANCE)


def _fit(found: Traced, output: int, claims: Sequence[Claim]) -> tuple[tuple[int, float], bool]:
    """Return how well a loss fits, the least for the best, and whether all parameters agree.

    First counts how many parameters have this gradient, then how far the one nearest to the
    output is off. Values between may carry a factor m, and count where there is nothing else.
    """
    walk = found.walk
    gradients = pull_back(walk.graph, walk.numbers, walk.active, {output: np.float64(1.0)})
    known = [c for c in claims if c.node in gradients]
    own = [c for c in known if c.kind == "argument"] or known
    apart = [_apart(c.array, gradients[c.node or 0]) for c in own]
    users = [max(k for k, n in enumerate(walk.graph.nodes) if c.node in n.inputs) for c in own]
    nearest = max(range(len(own)), key=users.__getitem__, default=None)
    agreeing = sum(distance <= TOLERANCE for distance in apart)
    distance = np.inf if nearest is None else apart[nearest]
    return (-agreeing, distance), bool(own) and agreeing == len(own)


def _apart(claimed: Any, expected: Any) -> float:
    if np.shape(claimed) != np.shape(expected):
        return np.inf
    scale = float(np.max(np.abs(expected), initial=0.0)) or 1.0
    return float(np.max(np.abs(claimed - expected), initial=0.0)) / scale
