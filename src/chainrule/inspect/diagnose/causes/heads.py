"""The end of the network, where the derivative of output and loss is one closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.diagnose.account import close
from chainrule.inspect.diagnose.causes.activations import is_constant, known, slope
from chainrule.inspect.diagnose.guessing import GUESSES, Guess, also, guesses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.inspect.diagnose.sites import Site


@dataclass(frozen=True, eq=False)
class Head:
    """An output and what it is compared with: the loss has the gradient (p - t)·w at z.

    Attributes
    ----------
    p, t
        The output, and the targets.
    weight
        What the difference is multiplied by: mostly 1/m.
    axis
        Along which softmax sums to 1; None for sigmoid and for no activation.
    is_linear
        Whether the output is the value itself, compared by its square.
    node
        The node of the targets, where there is one of their shape.
    """

    p: Any
    t: Any
    weight: float
    axis: int | None
    is_linear: bool = False
    node: int | None = None

    @property
    def at_p(self) -> Any:
        """The gradient at the probabilities themselves."""
        with np.errstate(all="ignore"):
            if self.axis is None:
                return self.weight * (self.p - self.t) / (self.p * (1 - self.p))
            return np.where(self.t == 0, 0.0, -self.weight * self.t / self.p)


def softmax(z: Any, axis: int) -> Any:
    """Return softmax along an axis."""
    e = np.exp(z - np.max(z, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def sigmoid(z: Any) -> Any:
    """Return the logistic function."""
    return 0.5 * (1 + np.tanh(0.5 * z))


def heads(site: Site) -> Iterator[Head]:
    """Yield what a value is the logits of, judged by its gradient alone."""
    z, g = site.number, site.true
    if np.ndim(z) not in {1, 2} or np.shape(g) != np.shape(z):
        return
    linear = _compared(site)
    if linear is not None:
        yield linear
        return
    weights = {s.key: s.number for s in site.account.symbols}
    tried = [weights[key] for key in ("1/m", "1/(m*k)", "1/k") if key in weights]
    for exact in (True, False):  # targets of 0 and 1 first: shares fit under several weights
        for weight in [*tried, 1.0] if exact else [*tried[:1], 1.0]:
            found = _with_weight(z, g, weight, exact)
            if found is not None:
                yield found
                return


def _with_weight(z: Any, g: Any, weight: float, exact: bool) -> Head | None:
    """Return what logits are compared with under a weight, if that makes targets of it."""
    for axis in range(np.ndim(z)):
        p = softmax(z, axis)
        t = p - g / weight
        total = np.sum(t, axis=axis)
        if z.shape[axis] > 1 and close(total, np.ones_like(total)) and _targets(t, exact):
            return Head(p, _tidy(t), weight, axis)
    if not exact:  # any gradient of this size would fit
        return None
    p = sigmoid(z)
    t = p - g / weight
    return Head(p, _tidy(t), weight, None) if _targets(t, exact) else None


def _compared(site: Site) -> Head | None:
    """Return what a value is compared with by the square of their difference, if it is."""
    account, z, g = site.account, site.number, site.true
    for consumer in account.consumers.get(site.value, []):
        for i in account.graph.nodes[consumer].inputs:
            t = account.numbers[i]
            if i == site.value or account.relevant[i] or np.shape(t) != np.shape(z):
                continue
            difference = z - t
            length = float(np.sum(difference**2))
            weight = float(np.sum(difference * g)) / length if length else 0.0
            if weight > 0 and close(difference * weight, g):
                return Head(z, t, weight, None, is_linear=True, node=i)
    return None


def _targets(t: Any, exact: bool) -> bool:
    """Return whether numbers may be targets: 0 and 1, or at least between them."""
    off = np.minimum(np.abs(t), np.abs(t - 1)) if exact else np.maximum(-t, t - 1)
    return bool(np.all(off < 1e-7))


def _tidy(t: Any) -> Any:
    """Return targets without the rounding of having been found by a difference."""
    whole = np.rint(t)
    return np.where(np.abs(t - whole) < 1e-7, whole, t)


@guesses("CD219", "loss differentiated wrongly", "whole", rank=3)
def wrong_loss(site: Site) -> Iterator[Guess]:
    """The closed form at the end of the network is another one than the loss has.

    What it sees
        Probabilities from which no target was subtracted, to which it was added, or that were
        compared in another way than the loss compares them.

    Why it matters
        Everything before starts from this gradient.

    Example
        ``dscores = probs / N`` without ``dscores[range(N), y] -= 1``.

    What to do
        For softmax or sigmoid with cross-entropy the gradient at the logits is (p − t)/m.
    """
    for head in heads(site):
        p, t, w = head.p, head.t, head.weight
        yield Guess(w * p, "p", "the targets were not subtracted")
        yield Guess(w * (p + t), "p + t", "the targets were added")
        yield Guess(-w * t, "-t", "the probabilities are not there")
        yield Guess(w * (p - 1), "p - 1", "1 was subtracted everywhere")
        z = site.number
        yield Guess(w * (z - t), "z - t", "the targets were subtracted from the logits")
        yield Guess(w * (p - t) ** 2, "square", "the difference was squared")
        yield Guess(w * np.abs(p - t), "absolute", "the sign of the difference is lost")
        yield Guess(w * np.sign(p - t), "sign", "the size of the difference is lost")
        if head.is_linear:
            for op in known():
                if not is_constant(slope(op, z)):
                    words = f"the slope of {op.name} is in it, which the output does not have"
                    yield Guess(w * (p - t) * slope(op, z), f"slope {op.name}", words)
                    yield Guess(w * (p - t) * slope(op, z, z), f"formula {op.name}", words)
            ce = w * (p - t) / (p * (1 - p))
            yield Guess(ce, "cross-entropy", "it is that of cross-entropy")
        else:
            yield Guess(w * (p - t) * p * (1 - p), "squared", "it is that of the squared error")
        if head.axis is not None:
            yield Guess(
                w * (p - np.flip(t, head.axis)), "flipped", "the targets are of other classes"
            )


@also(GUESSES, "CD214", "whole")
def head_derivative_missing(site: Site) -> Iterator[Guess]:
    """Yield the gradient at the probabilities, handed on to the logits as it is."""
    for head in heads(site):
        if head.is_linear:
            continue
        yield Guess(head.at_p, "head", "the slope of the last activation is not there")


@also(GUESSES, "CD243", "whole")
def head_derivative_twice(site: Site) -> Iterator[Guess]:
    """Yield p - t with a slope that is in it already."""
    for head in heads(site):
        if head.is_linear:
            continue
        p = head.p
        yield Guess(
            site.true * p * (1 - p), "head", "the slope of the last activation is there twice"
        )


@guesses("CD220", "softmax Jacobian taken as its diagonal", "whole", rank=3)
def diagonal(site: Site) -> Iterator[Guess]:
    """The derivative of softmax is taken as p(1 − p), which is the diagonal of its Jacobian alone.

    What it sees
        The gradient at the probabilities times p(1 − p), where every logit moves every
        probability.

    Why it matters
        The logits of the wrong classes get no gradient, or a wrong one.

    Example
        ``dz = dp * p * (1 - p)`` for softmax.

    What to do
        The Jacobian is diag(p) − p pᵀ: ``dz = p * (dp - np.sum(dp * p, axis=1, keepdims=True))``;
        with cross-entropy, ``dz = (p - t) / m``.
    """
    for head in heads(site):
        if head.axis is not None:
            p = head.p
            yield Guess(head.at_p * p * (1 - p), "diagonal", "p(1 - p) stands for the Jacobian")
            yield Guess(head.weight * p * (1 - p), "alone", "p(1 - p) stands for everything")
            yield Guess(site.true * p * (1 - p), "on p - t", "p(1 - p) multiplies p - t")
            yield Guess(head.at_p * p, "p", "p stands for the Jacobian")
    for p, _, g in soft(site):
        yield Guess(g * p * (1 - p), "given", "p(1 - p) stands for the Jacobian")


@guesses("CD221", "softmax applied twice", "whole", rank=3)
def softmax_twice(site: Site) -> Iterator[Guess]:
    """Softmax, or sigmoid, is applied to probabilities.

    What it sees
        The closed form of the gradient, with softmax of the probabilities in place of them.

    Why it matters
        Probabilities of probabilities are nearly equal, so the network learns slowly and no
        loss falls far.

    Example
        ``dscores = softmax(probs)`` where ``probs`` is softmax of the scores.

    What to do
        Apply it once.
    """
    for head in heads(site):
        if head.is_linear:
            continue
        twice = sigmoid(head.p) if head.axis is None else softmax(head.p, head.axis)
        yield Guess(head.weight * (twice - head.t), "", "the probabilities went through it again")


@guesses("CD230", "softmax over the wrong axis", "whole", rank=3)
def softmax_axis(site: Site) -> Iterator[Guess]:
    """Softmax in the backward pass goes over the wrong axis.

    What it sees
        The closed form of the gradient, with probabilities that sum to 1 over the examples.

    Why it matters
        It is a number between 0 and 1 either way, and only the loss shows it.

    Example
        ``np.exp(scores) / np.sum(np.exp(scores), axis=0)`` where rows are examples.

    What to do
        Sum over the classes.
    """
    for head in heads(site):
        if head.axis is None or np.ndim(site.number) != 2:
            continue
        p = softmax(site.number, 1 - head.axis)
        yield Guess(head.weight * (p - head.t), "other", "the probabilities sum to 1 over examples")
        e = np.exp(site.number - np.max(site.number))
        yield Guess(head.weight * (e / np.sum(e) - head.t), "all", "they sum to 1 over everything")
    for p, axis, g in soft(site):
        if np.ndim(p) == 2:
            total = np.sum(g * p, axis=1 - axis, keepdims=True)
            yield Guess(
                p * (g - total), "jacobian", "the sum in its Jacobian is over the other axis"
            )


def soft(site: Site) -> Iterator[tuple[Any, int, Any]]:
    """Yield values that are softmax of this one, with their axis and gradient."""
    account, z = site.account, site.number
    if np.ndim(z) not in {1, 2}:
        return
    for axis in range(np.ndim(z)):
        p = softmax(z, axis)
        for index, node in enumerate(account.graph.nodes):
            if (
                index in account.adjoints
                and node.shape == np.shape(z)
                and index != site.value
                and close(account.numbers[index], p)
            ):
                yield p, axis, account.gradient(index)
                break
