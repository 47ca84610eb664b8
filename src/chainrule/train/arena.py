"""Many arrays in few pieces of memory: what an optimiser goes through in one walk.

An `Arena` says where each array of a list lies in one flat array for its dtype, each from the
start of a cache line. The arrays themselves are views, of numbers as of traced values.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Arena"]

_LINE = 64


class _Part(NamedTuple):
    """Where one array lies: in which flat array, from where on, and its shape."""

    flat: int
    start: int
    shape: tuple[int, ...]


class Arena:
    """Where arrays lie in flat ones.

    Parameters
    ----------
    arrays
        Arrays, or what has their shapes and dtypes.

    Examples
    --------
    >>> arena = Arena([np.ones((2, 3)), np.zeros(2)])
    >>> (flat,) = arena.flats([np.ones((2, 3)), np.zeros(2)])
    >>> flat.size  # 6 and 2 numbers, each begins at a multiple of 8
    10
    >>> [x.shape for x in arena.views([flat])]
    [(2, 3), (2,)]
    """

    def __init__(self, arrays: Sequence[Any]) -> None:
        self.dtypes: list[np.dtype[Any]] = []
        self.parts: list[_Part] = []
        self.sizes: list[int] = []
        for x in arrays:
            dtype = np.dtype(x.dtype)
            if dtype not in self.dtypes:
                self.dtypes.append(dtype)
                self.sizes.append(0)
            k = self.dtypes.index(dtype)
            line = _LINE // dtype.itemsize
            start = -(-self.sizes[k] // line) * line
            self.parts.append(_Part(k, start, tuple(x.shape)))
            self.sizes[k] = start + math.prod(x.shape)

    def flats(self, arrays: Sequence[Any]) -> list[Any]:
        """Return new flat arrays with the numbers of arrays in them."""
        flats = [_aligned(n, dtype) for n, dtype in zip(self.sizes, self.dtypes, strict=True)]
        for view, x in zip(self.views(flats), arrays, strict=True):
            view[...] = x
        return flats

    def views(self, flats: Sequence[Any]) -> list[Any]:
        """Return the arrays that lie in flat ones, which may be traced values."""
        return [
            np.reshape(flats[k][start : start + math.prod(shape)], shape)
            for k, start, shape in self.parts
        ]

    def packed(self, values: Sequence[Any]) -> list[Any]:
        """Return flat values that are made of traced ones, with zeros between them."""
        pieces: list[list[Any]] = [[] for _ in self.dtypes]
        ends = [0] * len(self.dtypes)
        for (k, start, shape), x in zip(self.parts, values, strict=True):
            if start > ends[k]:
                pieces[k].append(np.zeros(start - ends[k], self.dtypes[k]))
            pieces[k].append(np.reshape(x, (-1,)))
            ends[k] = start + math.prod(shape)
        return [np.concatenate(some) for some in pieces]


def _aligned(count: int, dtype: np.dtype[Any]) -> Any:
    """Return zeros that begin at a cache line."""
    memory = np.zeros(count * dtype.itemsize + _LINE, np.uint8)
    start = -memory.ctypes.data % _LINE
    return memory[start : start + count * dtype.itemsize].view(dtype)
