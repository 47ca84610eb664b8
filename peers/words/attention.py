"""Attention: products, a mask, and softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import ops
from peers.words.table import UnsayableError, word


@word("nn.functional.scaled_dot_product_attention")
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
) -> Any:
    """Mix the values by the softmax of scaled products of query and key."""
    if dropout_p:
        message = "what is dropped is drawn by PyTorch's own generator"
        raise UnsayableError(message)
    scores = query @ np.swapaxes(key, -1, -2) / np.sqrt(query.shape[-1])
    if is_causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    if attn_mask is not None:
        scores = scores + attn_mask
    return ops.softmax(scores, axis=-1) @ value
