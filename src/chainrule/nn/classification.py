"""Losses on classes, as functions of (input, target): cross-entropy on logits, and NLL.

Classes lie along axis 1 of the input, shape (N, C) or (N, C, …), or along the only axis of one
example. Targets are labels, shape (N) or (N, …), or for the cross-entropy probabilities of the
input's shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import ops
from chainrule.errors import InputTypeError, LabelError, SettingError, ShapeError
from chainrule.graph import Value, describe
from chainrule.nn.given import numbers
from chainrule.nn.labels import placed, require_below
from chainrule.nn.reduction import reduced, share_of

__all__ = ["cross_entropy", "nll_loss", "share_of_labels"]


def cross_entropy(
    input: Any,  # noqa: A002 - PyTorch's name
    target: Any,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    weights: Any = None,
) -> Any:
    """Return -Σ t log softmax(x) over the classes, without overflow.

    Parameters
    ----------
    input
        x, logits: shape (N, C), (N, C, …) or (C,).
    target
        Labels 0 … C - 1, the input's shape without classes; or probabilities t, the input's
        shape.
    weight
        A factor for each class, shape (C,). For labels, the mean is divided by the factors of
        the labels, as in PyTorch, where they may have any sign; for probabilities by the number
        of examples.
    ignore_index
        The label of examples that do not count.
    label_smoothing
        ε: t becomes (1 - ε) t + ε/C (Szegedy et al., 2016).
    reduction
        "mean", "sum" or "none".
    weights
        One for each example; the mean is divided by their sum.

    Raises
    ------
    LabelError
        If a label names no class (with its row), or all are ignored.
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> cross_entropy(np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([0, 1])).round(4)
    np.float64(0.41)
    """
    if not 0 <= label_smoothing < 1:
        raise SettingError(f"label_smoothing has to lie in 0 ≤ ε < 1, got {label_smoothing}.")
    logits = _classes_last("cross_entropy", input)
    factors = _factors(weight, logits)
    target = numbers(target, "target")
    if target.dtype.kind == "f":
        t = _probabilities(input, target, logits)
        t = t * (1 - label_smoothing) + label_smoothing / logits.shape[-1] if label_smoothing else t
        t = t if factors is None else t * factors
        return reduced(-np.sum(t * ops.log_softmax(logits), axis=-1), reduction, weights)
    labels, counts = _labels("cross_entropy", input, target, ignore_index)
    losses = ops.softmax_cross_entropy(logits, labels)
    shares = _shares(labels, counts, factors, logits)
    losses = losses if shares is None else losses * shares
    if label_smoothing:
        evenly = -ops.log_softmax(logits)
        evenly = evenly if factors is None else evenly * factors
        evenly = np.sum(evenly, axis=-1) / logits.shape[-1]
        evenly = evenly if counts is None else np.where(counts, evenly, 0)
        losses = (1 - label_smoothing) * losses + label_smoothing * evenly
    return reduced(losses, reduction, weights, shares)


def nll_loss(
    input: Any,  # noqa: A002 - PyTorch's name
    target: Any,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    weights: Any = None,
) -> Any:
    """Return -x[label], for x the logarithms of probabilities, as of `LogSoftmax`.

    The parameters are those of `cross_entropy`.

    Examples
    --------
    >>> nll_loss(np.log(np.array([[0.5, 0.5], [0.25, 0.75]])), np.array([0, 0])).round(4)
    np.float64(1.0397)
    """
    x = _classes_last("nll_loss", input)
    factors = _factors(weight, x)
    labels, counts = _labels("nll_loss", input, numbers(target, "target"), ignore_index)
    losses = -np.take_along_axis(x, np.expand_dims(labels, -1), axis=-1)[..., 0]
    shares = _shares(labels, counts, factors, x)
    losses = losses if shares is None else losses * shares
    return reduced(losses, reduction, weights, shares)


def share_of_labels(
    target: Any, weight: Any = None, ignore_index: int = -100, weights: Any = None
) -> Any:
    """Return what the mean over labels is divided by; 0 if none of them counts.

    Parameters
    ----------
    target, weight, ignore_index, weights
        As for `cross_entropy`; the target is labels.
    """
    labels = numbers(target, "target")
    if labels.dtype.kind == "f":
        raise InputTypeError(
            f"labels are integers, got {describe(labels)}.", advice="Pass target.astype(int)."
        )
    counts = labels != ignore_index
    if weight is None:
        return share_of(labels.shape, weights, counts)
    of_classes = numbers(weight, "weight")
    require_below(labels, len(of_classes), "labels", "row", but=ignore_index)
    of_labels = ops.take(of_classes, np.where(counts, labels, 0).astype(np.int64))
    return share_of(labels.shape, weights, np.where(counts, of_labels, 0))


def _classes_last(name: str, x: Any) -> Any:
    """Return the input with its classes along the last axis."""
    x = numbers(x, "input")
    if x.ndim == 0 or x.shape[min(1, x.ndim - 1)] == 0:
        raise ShapeError(
            f"{name} needs an input of shape (N, C), (N, C, …) or (C,), got {describe(x)}."
        )
    if x.dtype.kind != "f":
        x = np.astype(x, np.float64)
    return np.moveaxis(x, 1, -1) if x.ndim > 2 else x


def _factors(weight: Any, x: Any) -> Any:
    """Return the factor of each class, in the type of the input, or None."""
    if weight is None:
        return None
    weight = numbers(weight, "weight")
    if weight.shape != x.shape[-1:]:
        raise ShapeError(
            f"weight needs a factor for each of {x.shape[-1]} classes, got {describe(weight)}."
        )
    return np.astype(weight, x.dtype)


def _probabilities(x: Any, target: Any, like: Any) -> Any:
    """Return a target of probabilities with its classes last, in the type of the input."""
    if target.shape != np.shape(x):
        raise _misfit("cross_entropy", x, target)
    if type(target) is not Value:
        wrong = ~(np.isfinite(target) & (target >= 0))
        if np.any(wrong):
            raise LabelError(
                f"probabilities have to be finite and at least 0, got {placed(target, wrong)}.",
                f"target: {describe(target)}",
            )
    target = np.moveaxis(target, 1, -1) if target.ndim > 2 else target
    return np.astype(target, like.dtype)


def _labels(name: str, x: Any, target: Any, ignored: int) -> tuple[Any, Any]:
    """Return labels, where those to ignore are 0, and which count; None if all do."""
    shape = np.shape(x)
    classes_at = min(1, len(shape) - 1)
    if target.shape != (*shape[:classes_at], *shape[classes_at + 1 :]) or target.dtype.kind == "f":
        raise _misfit(name, x, target)
    target = np.astype(target, np.int64)
    require_below(target, shape[classes_at], "labels", "row", but=ignored)
    counts = target != ignored
    if type(target) is not Value:
        if target.size and not np.any(counts):
            raise LabelError(
                f"all {target.size} labels are {ignored}, the one to ignore.",
                f"target: {describe(target)}",
                advice="Leave such a batch out, or set ignore_index to a number that is no label.",
            )
        if np.all(counts):
            return target, None
    return np.where(counts, target, 0), counts


def _misfit(name: str, x: Any, target: Any) -> ShapeError:
    shape = np.shape(x)
    at = min(1, len(shape) - 1)
    labels = [*shape[:at], *shape[at + 1 :]]
    advice = "Labels are integers, one for each example."
    if list(target.shape) == labels:
        advice = "Labels are integers: pass target.astype(int)."
    elif list(target.shape) == [*labels, 1]:
        advice = "Nothing is broadcast: pass target[:, 0]."
    elif target.shape == shape:
        advice = "One-hot targets are floating-point: pass target.astype(float), or the labels."
    wanted = f"labels {labels}" + (f" or probabilities {list(shape)}" if name != "nll_loss" else "")
    return ShapeError(
        f"{name} needs {wanted} for an input {list(shape)}, got {describe(target)}.",
        f"input: {describe(x)}",
        f"target: {describe(target)}",
        advice=advice,
    )


def _shares(labels: Any, counts: Any, factors: Any, x: Any) -> Any:
    """Return what each loss counts: the factor of its label, 0 if it is ignored; None if 1."""
    if factors is None:
        return None if counts is None else np.astype(counts, x.dtype)
    shares = ops.take(factors, labels)
    return shares if counts is None else np.where(counts, shares, 0)
