"""Losses, each by its formula, with PyTorch's ways of reducing it to a number."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import ops
from peers.words.norms import pairwise_distance
from peers.words.table import word


def reduced(loss: Any, reduction: str) -> Any:
    """Return the mean, the sum, or the losses as they are."""
    return {"mean": np.mean, "sum": np.sum, "none": lambda x: x}[reduction](loss)


@word("nn.functional.mse_loss")
def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    return reduced((input - target) ** 2, reduction)


@word("nn.functional.l1_loss")
def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    return reduced(np.absolute(input - target), reduction)


@word("nn.functional.huber_loss")
def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    error = np.absolute(input - target)
    return reduced(np.where(error < delta, error**2 / 2, delta * (error - delta / 2)), reduction)


@word("nn.functional.smooth_l1_loss")
def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    error = np.absolute(input - target)
    if beta == 0:
        return reduced(error, reduction)
    return reduced(np.where(error < beta, error**2 / (2 * beta), error - beta / 2), reduction)


@word("nn.functional.binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(
    input: Any, target: Any, *, weight: Any = None, pos_weight: Any = None, reduction: str = "mean"
) -> Any:
    loss = ops.binary_cross_entropy(input, target)
    if pos_weight is not None:
        loss = loss + (pos_weight - 1) * target * ops.softplus(-input)
    return reduced(loss if weight is None else loss * weight, reduction)


@word("nn.functional.binary_cross_entropy")
def binary_cross_entropy(
    input: Any, target: Any, *, weight: Any = None, reduction: str = "mean"
) -> Any:
    loss = -(target * np.log(input) + (1 - target) * np.log(1 - input))
    return reduced(loss if weight is None else loss * weight, reduction)


@word("nn.functional.cross_entropy")
def cross_entropy(
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """Against labels, or against a distribution; the classes are on the second axis."""
    if weight is None and ignore_index < 0 and target.dtype == np.int64:
        rows = np.moveaxis(input, min(1, input.ndim - 1), -1)
        return reduced(ops.softmax_cross_entropy(rows, target), reduction)
    scores = ops.log_softmax(input, axis=min(1, input.ndim - 1))
    if target.dtype == np.int64:
        return nll_loss(scores, target, weight, ignore_index, reduction)
    classes = min(1, input.ndim - 1)
    if weight is not None:
        scores = scores * np.reshape(weight, (-1,) + (1,) * (input.ndim - 1 - classes))
    loss = -np.sum(scores * target, axis=classes)
    if reduction == "mean":
        return np.sum(loss) / max(loss.size, 1)
    return reduced(loss, reduction)


@word("nn.functional.nll_loss")
def nll_loss(
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """Minus the score of the label, weighted by class, some labels passed over."""
    classes = min(1, input.ndim - 1)
    kept = target != ignore_index
    labels = np.where(kept, target, 0)
    weights = (np.ones(input.shape[classes]) if weight is None else weight)[labels] * kept
    scores = np.take_along_axis(input, np.expand_dims(labels, classes), axis=classes)
    loss = -np.reshape(scores, labels.shape) * weights
    return np.sum(loss) / np.sum(weights) if reduction == "mean" else reduced(loss, reduction)


@word(*(f"nn.functional.linear_cross_entropy{kind}" for kind in ("", "/chunked", "/chunked_none")))
def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    options: Any = None,
    **rest: Any,
) -> Any:
    logits = np.tensordot(input, linear_weight, axes=(-1, -1))
    return cross_entropy(logits if linear_bias is None else logits + linear_bias, target, **rest)


@word("nn.functional.kl_div")
def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    if log_target:
        loss = np.exp(target) * (target - input)
    else:
        positive = target > 0
        loss = (
            np.where(positive, target * np.log(np.where(positive, target, 1.0)), 0.0)
            - target * input
        )
    if reduction == "batchmean":
        return np.sum(loss) / input.shape[0]
    return reduced(loss, reduction)


@word("nn.functional.poisson_nll_loss")
def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """Exponential or plain rate; ``full`` adds Stirling's approximation of log target!."""
    loss = np.exp(input) - target * input if log_input else input - target * np.log(input + eps)
    if full:
        large = np.where(target > 1, target, 1.0)
        stirling = large * np.log(large) - large + 0.5 * np.log(2 * np.pi * large)
        loss = loss + np.where(target > 1, stirling, 0.0)
    return reduced(loss, reduction)


@word("nn.functional.gaussian_nll_loss")
def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """The variance is clamped from below, and PyTorch does not let the clamp into the slope."""
    if np.ndim(var) < input.ndim and var.shape == input.shape[:-1]:
        var = var[..., None]
    var = np.where(var < eps, var - var + eps, var)
    loss = 0.5 * (np.log(var) + (input - target) ** 2 / var)
    return reduced(loss + 0.5 * np.log(2 * np.pi) if full else loss, reduction)


@word("nn.functional.hinge_embedding_loss")
def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, reduction: str = "mean"
) -> Any:
    near = np.where(target != 1, ops.relu(margin - input), 0.0)
    far = np.where(target != -1, input, 0.0)
    return reduced(near + far, reduction)


@word("nn.functional.cosine_embedding_loss")
def cosine_embedding_loss(
    left: Any, right: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """Similar pairs shall point the same way, and others differ by a margin."""
    length = np.sqrt((np.sum(left**2, axis=-1) + 1e-12) * (np.sum(right**2, axis=-1) + 1e-12))
    cosine = np.sum(left * right, axis=-1) / length
    loss = np.where(target == 1, 1 - cosine, 0.0) + np.where(
        target == -1, ops.relu(cosine - margin), 0.0
    )
    return reduced(loss, reduction)


@word("nn.functional.margin_ranking_loss")
def margin_ranking_loss(
    left: Any, right: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    return reduced(np.clip(-target * (left - right) + margin, 0.0, None), reduction)


@word("nn.functional.soft_margin_loss")
def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    return reduced(np.log1p(np.exp(-target * input)), reduction)


@word("nn.functional.multilabel_soft_margin_loss")
def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    loss = ops.binary_cross_entropy(input, target)
    return reduced(np.mean(loss if weight is None else loss * weight, axis=-1), reduction)


@word("nn.functional.multi_margin_loss")
def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """How far every other class comes within the margin of the label's."""
    alone = np.ndim(target) == 0
    scores = np.atleast_2d(input)
    labels = np.reshape(target, (-1, 1))
    gap = margin - np.take_along_axis(scores, labels, axis=1) + scores
    other = np.arange(scores.shape[1]) != labels
    loss = np.where(other, np.clip(gap, 0.0, None) ** p, 0.0)
    loss = loss if weight is None else loss * weight[labels]
    loss = np.sum(loss, axis=1) / scores.shape[1]
    return reduced(loss[0] if alone else loss, reduction)


@word("nn.functional.triplet_margin_loss")
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    far = pairwise_distance(anchor, negative)
    if swap:
        far = np.minimum(far, pairwise_distance(positive, negative))
    return reduced(ops.relu(pairwise_distance(anchor, positive) - far + margin), reduction)
