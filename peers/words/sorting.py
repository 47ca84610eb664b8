"""Order: sorting and what is read off a sorted array."""

from __future__ import annotations

from typing import Any

import numpy as np

from peers.words.axes import at_least_one_axis
from peers.words.indexing import along
from peers.words.table import word


@word("sort")
def sort(input: Any, dim: int = -1, descending: bool = False, *, stable: Any = None) -> Any:
    rising = np.sort(at_least_one_axis(input), axis=dim)
    return np.reshape(np.flip(rising, dim) if descending else rising, input.shape)


@word("msort")
def msort(input: Any) -> Any:
    return np.sort(input, axis=0)


@word("argsort")
def argsort(input: Any, dim: int = -1, descending: bool = False, stable: Any = None) -> Any:
    whole = at_least_one_axis(-input if descending else input)
    return np.reshape(np.argsort(whole, axis=dim, kind="stable"), input.shape)


@word("topk")
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, ordered: bool = True) -> Any:
    whole = at_least_one_axis(input)
    falling = sort(whole, dim, descending=largest)
    found = falling[along(whole, dim, slice(k))]
    return found if input.ndim else found[0]


@word("kthvalue")
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    whole = at_least_one_axis(input)
    found = np.sort(whole, axis=dim)[along(whole, dim, k - 1)]
    return np.expand_dims(found, dim) if keepdim and input.ndim else found


@word("median", "nanmedian")
def median(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The lower median: PyTorch takes the smaller of two middles."""
    if dim is None:
        return kthvalue(np.ravel(input), (input.size + 1) // 2, 0)
    return kthvalue(input, (at_least_one_axis(input).shape[dim] + 1) // 2, dim, keepdim)


@word("quantile", "nanquantile")
def quantile(
    input: Any, q: Any, dim: Any = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """Between the two neighbours in order; the quantiles asked for come first."""
    whole = np.ravel(input) if dim is None else at_least_one_axis(input)
    axis = 0 if dim is None else dim % whole.ndim
    rising = np.moveaxis(np.sort(whole, axis=axis), axis, 0)
    place = q * (rising.shape[0] - 1)
    below = np.floor(place).astype(np.int64)
    above = np.ceil(place).astype(np.int64)
    share = 0.5 if interpolation == "midpoint" else place - below
    share = np.reshape(share, np.shape(share) + (1,) * (rising.ndim - 1))
    found = rising[below] + share * (rising[above] - rising[below])
    return with_axis_kept(found, input, q, dim) if keepdim else found


def with_axis_kept(found: Any, input: Any, q: Any, dim: Any) -> Any:
    """Put the reduced axes of a quantile back with length 1."""
    if dim is None:
        return np.reshape(found, np.shape(q) + (1,) * input.ndim)
    return np.expand_dims(found, np.ndim(q) + dim % input.ndim) if input.ndim else found
