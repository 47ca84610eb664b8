"""From the losses of many examples to one number: their mean, their sum, or none of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import SettingError, ShapeError
from chainrule.graph import Value, describe
from chainrule.nn.given import chosen, numbers
from chainrule.nn.labels import placed

__all__ = ["REDUCTIONS", "beside", "reduced", "share_of"]

REDUCTIONS = ("mean", "sum", "none")


def reduced(losses: Any, reduction: str, weights: Any = None, shares: Any = None) -> Any:
    """Return losses as one number.

    Parameters
    ----------
    losses
        One for each entry of the output; examples along the first axis.
    reduction
        "mean", "sum" or "none".
    weights
        One for each example (N,), or for each loss. The mean is divided by their sum, so that
        weights of one change nothing and a weight of 2 is the example twice.
    shares
        What each loss counts in the mean, of the losses' shape, if not 1; they are in the
        losses already.

    Raises
    ------
    SettingError
        If there is no such reduction, or weights are negative, not finite, or leave no example
        that counts.
    ShapeError
        If weights do not fit, or there is nothing to take the mean of.

    Notes
    -----
    Where weights are traced and no example counts, the mean is 0, and so is its gradient.
    """
    chosen("reduction", reduction, REDUCTIONS)
    if weights is not None:
        weights = _weighed(weights, losses.shape)
        if type(weights) is not Value and weights.size and not np.any(weights):
            raise SettingError("weights are all 0, so that no example counts.")
        weights = np.astype(weights, losses.dtype)
        losses = losses * weights
        shares = weights if shares is None else shares * weights
    if reduction == "none":
        return losses
    if reduction == "sum":
        return np.sum(losses)
    if losses.size == 0:
        raise ShapeError(
            f"the mean loss needs at least one example, got losses {describe(losses)}."
        )
    if shares is None:
        return np.mean(losses)
    total = np.sum(np.broadcast_to(shares, losses.shape))
    if type(total) is Value:  # what it is made of is not known yet: a program has no errors
        return np.sum(losses) / np.where(np.equal(total, 0), 1, total)
    if total == 0:
        raise SettingError("the weights of these examples and classes sum to 0: there is no mean.")
    return np.sum(losses) / total


def share_of(shape: tuple[int, ...], weights: Any = None, shares: Any = None) -> Any:
    """Return what the mean of losses of a shape is divided by; see `reduced`."""
    share: Any = np.float64(1) if shares is None else np.astype(shares, np.float64)
    if weights is not None:
        share = share * np.astype(_weighed(weights, shape), np.float64)
    total = np.sum(np.broadcast_to(share, shape))
    return total if type(total) is Value else float(total)


def _weighed(weights: Any, shape: tuple[int, ...]) -> Any:
    """Return weights of examples in a shape that broadcasts to that of the losses."""
    weights = numbers(weights, "weights")
    if type(weights) is not Value:
        wrong = ~(np.isfinite(weights) & (weights >= 0))
        if np.any(wrong):
            raise SettingError(
                f"weights have to be finite and at least 0, got {placed(weights, wrong)}.",
                advice="0 leaves an example out, and 2 counts it twice.",
            )
    if weights.shape not in {shape, shape[:1]}:
        raise ShapeError(
            f"weights needs one number for each example, {list(shape[:1])}, or for each "
            f"loss, {list(shape)}; got {list(weights.shape)}."
        )
    return np.reshape(weights, weights.shape + (1,) * (len(shape) - weights.ndim))


def beside(name: str, x: Any, target: Any) -> tuple[Any, Any]:
    """Return an output and its target, which have to have the same shape.

    The target takes the type of the output, so that a network in single precision stays so.

    Raises
    ------
    ShapeError
        With both shapes: nothing is broadcast.
    """
    x, target = numbers(x, "input"), numbers(target, "target")
    if x.dtype.kind != "f":
        x = np.astype(x, np.float64)
    if x.shape != target.shape:
        raise ShapeError(
            f"{name} needs a target of the input's shape, got input {list(x.shape)} and target "
            f"{list(target.shape)}.",
            f"input: {describe(x)}",
            f"target: {describe(target)}",
            advice=_reshaping(x.shape, target.shape),
        )
    return x, np.astype(target, x.dtype)


def _reshaping(x: tuple[int, ...], target: tuple[int, ...]) -> str:
    if x == (*target, 1):
        return "Nothing is broadcast: pass target[:, None], or input[:, 0]."
    if (*x, 1) == target:
        return "Nothing is broadcast: pass target[:, 0], or input[:, None]."
    return "Nothing is broadcast: give both the same shape."
