"""Norms of vectors and matrices, and distances."""

from __future__ import annotations

from typing import Any

import numpy as np

from peers.words.axes import axes
from peers.words.table import UnsayableError, word


@word("linalg.vector_norm")
def vector_norm(input: Any, ord: float = 2, dim: Any = None, keepdim: bool = False) -> Any:
    if input.ndim == 0:
        return np.linalg.vector_norm(input[None], ord=ord)
    return np.linalg.vector_norm(input, ord=ord, axis=axes(input, dim), keepdims=keepdim)


@word("linalg.matrix_norm")
def matrix_norm(input: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False) -> Any:
    """Norms that are sums and extremes of elements; the others need singular values."""
    dim = tuple(dim)
    if ord in ("nuc", 2, -2):
        message = f"the matrix norm {ord} needs singular values"
        raise UnsayableError(message)
    return np.linalg.norm(input, ord=ord, axis=dim, keepdims=keepdim)


@word("linalg.norm", "linalg.norm/subgradients_at_zero")
def norm_of_either(input: Any, ord: Any = None, dim: Any = None, *, keepdim: bool = False) -> Any:
    """A vector's norm of one axis, a matrix's of two, of everything where ``ord`` is none."""
    if ord is None:
        return vector_norm(input, 2, dim, keepdim)
    if dim is None:
        dim = tuple(range(input.ndim))
    one = not isinstance(dim, (tuple, list)) or len(dim) < 2
    return vector_norm(input, ord, dim, keepdim) if one else matrix_norm(input, ord, dim, keepdim)


@word("norm", "norm/inf", "norm/fro")
def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Any:
    """The older norm, which takes every number to mean a vector's."""
    return vector_norm(input, 2 if p == "fro" else p, dim, keepdim)


@word("dist")
def dist(input: Any, other: Any, p: float = 2) -> Any:
    return vector_norm(input - other, p)


@word("cdist")
def cdist(left: Any, right: Any, p: float = 2.0, compute_mode: Any = None) -> Any:
    difference = np.expand_dims(left, -2) - np.expand_dims(right, -3)
    return np.linalg.norm(difference, ord=p, axis=-1)


@word("nn.functional.pdist")
def pdist(input: Any, p: float = 2) -> Any:
    first, second = np.triu_indices(input.shape[0], 1)
    return np.linalg.norm(input[first] - input[second], ord=p, axis=-1)


@word("nn.functional.pairwise_distance")
def pairwise_distance(
    left: Any, right: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    return np.linalg.norm(left - right + eps, ord=p, axis=-1, keepdims=keepdim)


@word("nn.functional.normalize")
def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    length = vector_norm(input, p, dim, keepdim=input.ndim > 0)
    return input / np.clip(length, eps, None)


@word("nn.functional.cosine_similarity")
def cosine_similarity(left: Any, right: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    left, right = np.broadcast_arrays(left, right)
    if left.ndim == 0:
        left, right, dim = left[None], right[None], 0
    lengths = [
        np.clip(np.linalg.norm(x, axis=dim, keepdims=True), eps, None) for x in (left, right)
    ]
    return np.sum(left / lengths[0] * (right / lengths[1]), axis=dim)


@word("renorm")
def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """Shrink each slice to ``maxnorm``; the small number is PyTorch's own guard."""
    others = tuple(a for a in range(input.ndim) if a != dim % input.ndim)
    length = vector_norm(input, p, others, keepdim=True)
    return input * np.where(length > maxnorm, maxnorm / (length + 1e-7), 1.0)
