"""Reductions that pass over what a mask leaves out: it is filled with what counts for nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import ops
from peers.words.axes import at_least_one_axis, axes
from peers.words.norms import normalize, vector_norm
from peers.words.reductions import cumprod, cumsum
from peers.words.table import enter_word, word


def filled(input: Any, mask: Any, nothing: float) -> Any:
    """Return the array with ``nothing`` where the mask is false."""
    return input * 1.0 if mask is None else np.where(mask, input, nothing)


def zero_where_empty(output: Any, input: Any, mask: Any, dim: Any, keepdim: bool) -> Any:
    """Put 0 where a reduction found nothing left: the record does so before comparing."""
    if mask is None:
        return output
    whole = np.broadcast_to(mask, input.shape)
    return np.where(np.any(whole, axis=axes(input, dim), keepdims=keepdim), output, 0.0)


@word("masked.sum")
def masked_sum(input: Any, dim: Any = None, *, keepdim: bool = False, mask: Any = None) -> Any:
    return np.sum(filled(input, mask, 0.0), axis=axes(input, dim), keepdims=keepdim)


@word("masked.prod")
def masked_prod(input: Any, dim: Any = None, *, keepdim: bool = False, mask: Any = None) -> Any:
    return np.prod(filled(input, mask, 1.0), axis=axes(input, dim), keepdims=keepdim)


def masked_reduction(reduce: Any, nothing: float) -> Any:
    """Return the word of a reduction for which ``nothing`` counts for nothing."""

    def reduced(input: Any, dim: Any = None, *, keepdim: bool = False, mask: Any = None) -> Any:
        output = reduce(filled(input, mask, nothing), axis=axes(input, dim), keepdims=keepdim)
        return zero_where_empty(output, input, mask, dim, keepdim)

    return reduced


enter_word("masked.amax", masked_reduction(np.max, -np.inf))
enter_word("masked.amin", masked_reduction(np.min, np.inf))
enter_word("masked.logsumexp", masked_reduction(ops.logsumexp, -np.inf))


@word("masked.mean")
def masked_mean(input: Any, dim: Any = None, *, keepdim: bool = False, mask: Any = None) -> Any:
    total = masked_sum(input, dim, keepdim=keepdim, mask=mask)
    return zero_where_empty(total / counted(input, dim, keepdim, mask), input, mask, dim, keepdim)


def counted(input: Any, dim: Any, keepdim: bool, mask: Any) -> Any:
    """Return how many elements each result comes from, at least one."""
    ones = np.ones(input.shape) if mask is None else np.broadcast_to(mask, input.shape) * 1.0
    return np.sum(ones, axis=axes(input, dim), keepdims=keepdim)


def masked_spread(finish: Any) -> Any:
    """Return the word of the variance, or of its root."""

    def spread(
        input: Any,
        dim: Any = None,
        unbiased: Any = None,
        *,
        correction: Any = None,
        keepdim: bool = False,
        mask: Any = None,
    ) -> Any:
        if unbiased is not None:
            correction = int(unbiased)
        correction = 1 if correction is None else correction
        size = counted(input, dim, True, mask)
        centred = input - masked_sum(input, dim, keepdim=True, mask=mask) / size
        total = masked_sum(centred**2, dim, keepdim=keepdim, mask=mask)
        freedom = np.maximum(np.reshape(size, total.shape) - correction, 0.0)
        return zero_where_empty(finish(total / freedom), input, mask, dim, keepdim)

    return spread


enter_word("masked.var", masked_spread(lambda x: x))
enter_word("masked.std", masked_spread(np.sqrt))


@word("masked.norm")
def masked_norm(
    input: Any, ord: float, dim: Any = None, *, keepdim: bool = False, mask: Any = None
) -> Any:
    nothing = np.inf if ord == -np.inf else 0.0
    length = vector_norm(filled(input, mask, nothing), ord, dim, keepdim)
    return zero_where_empty(length, input, mask, dim, keepdim)


@word("masked.cumsum")
def masked_cumsum(input: Any, dim: int, *, mask: Any = None) -> Any:
    return filled(cumsum(filled(input, mask, 0.0), dim), mask, 0.0)


@word("masked.cumprod")
def masked_cumprod(input: Any, dim: int, *, mask: Any = None) -> Any:
    return filled(cumprod(filled(input, mask, 1.0), dim), mask, 0.0)


@word("masked.softmax")
def masked_softmax(input: Any, dim: int, *, mask: Any = None) -> Any:
    scores = at_least_one_axis(filled(input, mask, -np.inf))
    return filled(ops.softmax(scores, axis=dim).reshape(input.shape), mask, 0.0)


@word("masked.log_softmax")
def masked_log_softmax(input: Any, dim: int, *, mask: Any = None) -> Any:
    scores = at_least_one_axis(filled(input, mask, -np.inf))
    return filled(ops.log_softmax(scores, axis=dim).reshape(input.shape), mask, 0.0)


@word("masked.softmin")
def masked_softmin(input: Any, dim: int, *, mask: Any = None) -> Any:
    return masked_softmax(-input, dim, mask=mask)


@word("masked.normalize")
def masked_normalize(input: Any, ord: float, dim: int) -> Any:
    return normalize(input, ord, dim)


@word("masked.logaddexp")
def masked_logaddexp(
    input: Any, other: Any, *, input_mask: Any = None, other_mask: Any = None
) -> Any:
    total = np.logaddexp(filled(input, input_mask, -np.inf), filled(other, other_mask, -np.inf))
    if input_mask is None or other_mask is None:
        return total
    return filled(total, np.logical_and(input_mask, other_mask), 0.0)
