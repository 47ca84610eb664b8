"""Losses on numbers, as functions of (input, target): squared, absolute, Huber, Poisson, binary.

Input and target have the same shape; nothing is broadcast. ``weights`` are of examples, and the
weighted mean is divided by their sum.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule import ops
from chainrule.errors import LabelError, SettingError
from chainrule.graph import Value
from chainrule.nn.given import numbers
from chainrule.nn.labels import placed
from chainrule.nn.reduction import beside, reduced

__all__ = [
    "binary_cross_entropy_with_logits",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "poisson_nll_loss",
]


def mse_loss(input: Any, target: Any, *, reduction: str = "mean", weights: Any = None) -> Any:  # noqa: A002 - PyTorch's name
    """Return the squared error (x - t)², by default its mean over all elements; there is no ½.

    Parameters
    ----------
    input, target
        x and t, of the same shape.
    reduction
        "mean", "sum" or "none".
    weights
        One for each example.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    np.float64(2.0)
    """
    x, t = beside("mse_loss", input, target)
    return reduced(np.square(x - t), reduction, weights)


def l1_loss(input: Any, target: Any, *, reduction: str = "mean", weights: Any = None) -> Any:  # noqa: A002 - PyTorch's name
    """Return the absolute error |x - t|; see `mse_loss`.

    Examples
    --------
    >>> l1_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    np.float64(1.0)
    """
    x, t = beside("l1_loss", input, target)
    return reduced(np.abs(x - t), reduction, weights)


def huber_loss(
    input: Any,  # noqa: A002 - PyTorch's name
    target: Any,
    *,
    delta: float = 1.0,
    reduction: str = "mean",
    weights: Any = None,
) -> Any:
    """Return ½ d² where d = |x - t| is at most δ, else δ (d - ½ δ) (Huber, 1964); see `mse_loss`.

    Examples
    --------
    >>> huber_loss(np.array([1.0, 2.0]), np.array([1.5, 4.0]), reduction="none")
    array([0.125, 1.5  ])
    """
    if not delta > 0:
        raise SettingError(f"delta has to be positive, got {delta}.")
    x, t = beside("huber_loss", input, target)
    d = np.abs(x - t)
    return reduced(np.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta)), reduction, weights)


def poisson_nll_loss(
    input: Any,  # noqa: A002 - PyTorch's name
    target: Any,
    *,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
    weights: Any = None,
) -> Any:
    """Return the negative logarithm of a Poisson distribution at counts t; see `mse_loss`.

    It is λ - t log λ, without log t!, which no network changes.

    Parameters
    ----------
    input
        log λ, or with ``log_input=False`` λ itself, to which ``eps`` is added in the logarithm.
    target
        t, at least 0.
    full
        Whether to add Stirling's t log t - t + ½ log 2πt in place of log t! where t > 1.

    Examples
    --------
    >>> poisson_nll_loss(np.zeros(2), np.array([1.0, 3.0]))
    np.float64(1.0)
    """
    x, t = beside("poisson_nll_loss", input, target)
    _require_between(t, 0, np.inf, "counts have to be at least 0")
    losses = np.exp(x) - t * x if log_input else x - t * np.log(x + eps)
    if full:
        large = np.where(t > 1, t, 1)
        stirling = large * np.log(large) - large + 0.5 * np.log(2 * math.pi * large)
        losses = losses + np.where(t > 1, stirling, 0)
    return reduced(losses, reduction, weights)


def binary_cross_entropy_with_logits(
    input: Any,  # noqa: A002 - PyTorch's name
    target: Any,
    *,
    weight: Any = None,
    pos_weight: Any = None,
    reduction: str = "mean",
    weights: Any = None,
) -> Any:
    """Return -t log σ(x) - (1 - t) log(1 - σ(x)) of logits x, without overflow; see `mse_loss`.

    Parameters
    ----------
    input
        x, the log-odds.
    target
        t, of the same shape: 0, 1, or probabilities between.
    weight
        Factors of the losses, which broadcast; as in PyTorch, the mean is not divided by them,
        and they may have any sign.
    pos_weight
        Factors of the first term: more than 1 for classes that are rare.
    weights
        One for each example; the mean is divided by their sum.

    Examples
    --------
    >>> binary_cross_entropy_with_logits(np.array([0.0, 800.0]), np.array([1, 1])).round(3)
    np.float64(0.347)
    """
    x, t = beside("binary_cross_entropy_with_logits", input, target)
    _require_between(t, 0, 1, "targets have to lie between 0 and 1")
    if pos_weight is None:
        losses = ops.binary_cross_entropy(x, t)
    else:
        p = _factor(pos_weight, "pos_weight", x)
        losses = p * t * ops.softplus(-x) + (1 - t) * ops.softplus(x)
    if weight is not None:
        losses = losses * _factor(weight, "weight", x)
    return reduced(losses, reduction, weights)


def _factor(factor: Any, name: str, x: Any) -> Any:
    """Return a factor that broadcasts to x and does not widen it."""
    factor = numbers(factor, name)
    try:
        fits = np.broadcast_shapes(factor.shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        raise SettingError(
            f"{name} has to broadcast to the input {list(x.shape)}, got {list(factor.shape)}."
        )
    return np.astype(factor, x.dtype)


def _require_between(t: Any, low: float, high: float, sentence: str) -> None:
    """Refuse concrete targets outside of bounds, with their places."""
    if type(t) is Value:
        return
    wrong = ~((t >= low) & (t <= high))
    if np.any(wrong):
        raise LabelError(f"{sentence}, got {placed(t, wrong)}.")
