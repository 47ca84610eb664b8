"""What each example adds to the gradient of one parameter, kept as the factors it is made of.

The gradient of a weight that is multiplied is a sum of products xᵢᵀ gᵢ over examples i. Its norm
for each example, its inner products and its squares follow from the factors, which are as small
as the layer's input and output, and the product need not be formed (Goodfellow, *Efficient
per-example gradient computations*, 2015). Each class here is one way in which a share is made,
and what it knows to compute without forming it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph import Value
from chainrule.ops import scatter_add

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Formed", "Picked", "Products", "Share", "joined"]

BLOCK = 1 << 22
"""How many numbers of formed gradients are held at a time, where they have to be formed."""


_FEW = 16
"""Up to how many rows all pairs are compared, which costs less than to sort them."""


class Share(ABC):
    """What each of m examples adds to the gradient of an array of some shape.

    Attributes
    ----------
    shape
        The shape of the array.
    """

    shape: tuple[int, ...]

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of examples, m."""

    @abstractmethod
    def formed(self, part: slice = slice(None)) -> Any:
        """Return the gradients of a part of the examples, shape (examples, size of the array)."""

    @abstractmethod
    def squares(self) -> Any:
        """Return the squared norm for each example, shape (m,)."""

    @abstractmethod
    def dots(self) -> Any:
        """Return the inner products of all pairs of examples, shape (m, m)."""

    @abstractmethod
    def with_common(self, common: Any) -> Any:
        """Return the inner product of each with one array of the shape, shape (m,)."""

    def sum_of_squares(self) -> Any:
        """Return Σᵢ gᵢ² entry by entry, as one row."""
        return sum(np.einsum("ij,ij->j", g, g) for g in self.blocks())

    def blocks(self) -> Iterator[Any]:
        """Yield the gradients of a few examples at a time, no more than memory is good for."""
        step = max(1, BLOCK // max(1, math.prod(self.shape)))
        for start in range(0, self.count, step):
            yield self.formed(slice(start, start + step))

    def reshaped(self, shape: tuple[int, ...]) -> Share:
        """Return the share for the array under another shape, its entries in the same order."""
        return replace(self, shape=shape)  # type: ignore[type-var]


@dataclass(frozen=True)
class Formed(Share):
    """The gradients themselves: ``array`` has the shape (m, size)."""

    array: Any
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of examples, m."""
        return int(self.array.shape[0])

    def formed(self, part: slice = slice(None)) -> Any:
        """Return the gradients of a part of the examples."""
        return self.array[part]

    def squares(self) -> Any:
        """Return the squared norm for each example."""
        return np.einsum("ij,ij->i", self.array, self.array)

    def dots(self) -> Any:
        """Return the inner products of all pairs."""
        return self.array @ self.array.T

    def with_common(self, common: Any) -> Any:
        """Return the inner product of each with one array."""
        return self.array @ np.ravel(common)


@dataclass(frozen=True)
class Products(Share):
    """The sum over t of outer products of rows of two factors, one for each stacked matrix b.

    gᵢ[b, p, q] = Σₜ left[i, b, t, p] right[i, b, t, q]. Dense layers have one t, sequences one
    for each step, convolutions one for each patch; a weight that is used several times has those
    of all its uses, and so its cross terms.
    """

    left: Any
    right: Any
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of examples, m."""
        return int(self.left.shape[0])

    @property
    def _lengths(self) -> tuple[int, int, int]:
        return self.left.shape[2], self.left.shape[3], self.right.shape[3]

    def formed(self, part: slice = slice(None)) -> Any:
        """Return the gradients of a part of the examples."""
        left, right = self.left[part], self.right[part]
        return np.reshape(left.mT @ right, (left.shape[0], -1))

    def squares(self) -> Any:
        """Return the squared norms: |x|² |g|², or for several rows ⟨X Xᵀ, G Gᵀ⟩, if it is less."""
        t, p, q = self._lengths
        if t == 1:
            return np.sum(_row_squares(self.left) * _row_squares(self.right), axis=(1, 2))
        if t * (p + q) < p * q:
            return _inner(self.left @ self.left.mT, self.right @ self.right.mT)
        return np.concatenate([np.einsum("ij,ij->i", g, g) for g in self.blocks()])

    def dots(self) -> Any:
        """Return all inner products: Σ over rows s, t of ⟨xᵢₛ, xⱼₜ⟩ ⟨gᵢₛ, gⱼₜ⟩."""
        m = self.count
        t, p, q = self._lengths
        if m * t * t * (p + q) > t * p * q + m * p * q:
            return Formed(self.formed(), self.shape).dots()
        total = 0
        for b in range(self.left.shape[1]):
            x, g = (np.reshape(f[:, b], (m * t, -1)) for f in (self.left, self.right))
            pairs = (x @ x.T) * (g @ g.T)
            total = total + (pairs if t == 1 else pairs.reshape(m, t, m, t).sum(axis=(1, 3)))
        return total

    def with_common(self, common: Any) -> Any:
        """Return the inner product of each with one array."""
        _, p, q = self._lengths
        matrices = np.reshape(common, (self.left.shape[1], p, q))
        return _inner(self.left @ matrices, self.right)

    def sum_of_squares(self) -> Any:
        """Return Σᵢ gᵢ²: (x²)ᵀ g² with one row an example."""
        if self.left.shape[2] > 1:
            return super().sum_of_squares()
        x, g = (np.moveaxis(f[:, :, 0] ** 2, 0, 1) for f in (self.left, self.right))
        return np.ravel(x.mT @ g)

    def turned(self, shape: tuple[int, ...]) -> Products:
        """Return the share for the array with each of its matrices transposed."""
        return Products(self.right, self.left, shape)


@dataclass(frozen=True)
class Picked(Share):
    """Rows of a table that each example picked, and what is added to each row's gradient.

    gᵢ[places[i, t]] += rows[i, t], for a table of ``length`` rows.
    """

    places: Any
    rows: Any
    length: int
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of examples, m."""
        return int(self.places.shape[0])

    def formed(self, part: slice = slice(None)) -> Any:
        """Return the gradients of a part of the examples."""
        places, rows = self.places[part], self.rows[part]
        m, t, width = rows.shape
        whose = np.reshape(places + self.length * np.arange(m)[:, None], (-1,))
        rows = np.reshape(rows, (m * t, width))
        return np.reshape(scatter_add(rows, whose, shape=(m * self.length, width)), (m, -1))

    def _grouped(self) -> tuple[Any, Any, Any]:
        """Return each example's distinct rows: whose they are, which, and their sums."""
        m, width = self.count, self.rows.shape[2]
        keys = np.ravel(self.places + self.length * np.arange(m)[:, None])
        distinct, group = np.unique(keys, return_inverse=True)
        sums = np.zeros((len(distinct), width), self.rows.dtype)
        np.add.at(sums, np.ravel(group), self.rows.reshape(-1, width))
        return *np.divmod(distinct, self.length), sums

    def squares(self) -> Any:
        """Return the squared norms: rows picked twice add up before they are squared."""
        if self.places.shape[1] <= _FEW or type(self.places) is Value:
            same = np.equal(self.places[:, :, None], self.places[:, None, :])
            return np.sum(np.where(same, self.rows @ self.rows.mT, 0), axis=(1, 2))
        owners, _, sums = self._grouped()
        squares = np.bincount(owners, _row_squares(sums), self.count)
        return squares.astype(self.rows.dtype)

    def dots(self) -> Any:
        """Return the inner products: two examples meet in the rows that both picked."""
        owners, places, sums = self._grouped()
        y = np.zeros((self.count, self.count), self.rows.dtype)
        order = np.argsort(places, kind="stable")
        cuts = np.flatnonzero(np.diff(places[order])) + 1
        for both in np.split(order, cuts):
            y[np.ix_(owners[both], owners[both])] += sums[both] @ sums[both].T
        return y

    def with_common(self, common: Any) -> Any:
        """Return the inner product of each with one array."""
        table = np.reshape(common, (self.length, -1))
        return _inner(table[self.places], self.rows)

    def sum_of_squares(self) -> Any:
        """Return Σᵢ gᵢ², as one row."""
        _, places, sums = self._grouped()
        y = np.zeros((self.length, sums.shape[1]), sums.dtype)
        np.add.at(y, places, sums * sums)
        return np.ravel(y)


def _row_squares(x: Any) -> Any:
    return np.einsum("...j,...j->...", x, x)


def _inner(a: Any, b: Any) -> Any:
    """Return the sums of products over all axes but the first."""
    m = a.shape[0]
    return np.einsum("ij,ij->i", np.reshape(a, (m, -1)), np.reshape(b, (m, -1)))


@dataclass(frozen=True)
class Several(Share):
    """Shares of different makes for one array: formed, since their cross terms need it."""

    parts: tuple[Share, ...]
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of examples, m."""
        return self.parts[0].count

    def formed(self, part: slice = slice(None)) -> Any:
        """Return the gradients of a part of the examples."""
        return sum(share.formed(part) for share in self.parts)

    def squares(self) -> Any:
        """Return the squared norm for each example."""
        return np.concatenate([np.einsum("ij,ij->i", g, g) for g in self.blocks()])

    def dots(self) -> Any:
        """Return the inner products of all pairs."""
        return Formed(self.formed(), self.shape).dots()

    def with_common(self, common: Any) -> Any:
        """Return the inner product of each with one array."""
        return sum(share.with_common(common) for share in self.parts)


def joined(shares: Sequence[Share]) -> Share:
    """Return the shares that one array has from several uses as one share.

    Products with the same factors' widths become one with the rows of all; picked rows and
    formed gradients likewise.
    """
    kinds: dict[Any, list[Share]] = {}
    for share in shares:
        kinds.setdefault(_kind(share), []).append(share)
    merged = [_merged(alike) for alike in kinds.values()]
    return merged[0] if len(merged) == 1 else Several(tuple(merged), merged[0].shape)


def _kind(share: Share) -> Any:
    if isinstance(share, Products):
        return share.left.shape[1], share.left.shape[3], share.right.shape[3]
    return (type(share), share.length) if isinstance(share, Picked) else type(share)


def _merged(alike: Sequence[Share]) -> Share:
    first = alike[0]
    if len(alike) == 1:
        return first
    if isinstance(first, Products):
        left, right = (
            np.concatenate([getattr(share, side) for share in alike], axis=2)
            for side in ("left", "right")
        )
        return replace(first, left=left, right=right)
    if isinstance(first, Picked):
        places, rows = (
            np.concatenate([getattr(share, side) for share in alike], axis=1)
            for side in ("places", "rows")
        )
        return replace(first, places=places, rows=rows)
    return Formed(sum(share.formed() for share in alike), first.shape)
