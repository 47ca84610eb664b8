"""What an estimator learns from: examples as arrays, in batches, and some of them aside."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.model_selection import train_test_split

from chainrule.errors import DataError
from chainrule.interop.sklearn.warned import warn

__all__ = ["Examples", "batch_size_of", "identities", "rounded", "split"]

_DENSE = 1 << 28
"""Bytes up to which sparse examples are laid out whole, and not batch by batch."""


class Examples(NamedTuple):
    """Examples, what they should give, and how much each counts.

    Attributes
    ----------
    X
        Shape (N, features); sparse where all of it would not fit into memory.
    y
        Targets as the loss takes them.
    weights
        Shape (N,), above 0; None if all count alike.
    rows
        Shape (N,): what decides which activations are dropped for an example; None without
        dropout.
    """

    X: Any
    y: Any
    weights: Any = None
    rows: Any = None

    @property
    def size(self) -> int:
        """How many there are."""
        return int(self.X.shape[0])

    @property
    def is_sparse(self) -> bool:
        """Whether they lie sparse."""
        return bool(sparse.issparse(self.X))

    @property
    def inputs(self) -> Any:
        """What the network is called with."""
        return self.X if self.rows is None else (self.X, self.rows)

    def at(self, places: Any) -> Examples:
        """Return the examples at some places."""
        return Examples(*[None if x is None else x[places] for x in self])

    def dense(self) -> Examples:
        """Return the same, laid out in rows."""
        X = self.X.toarray() if self.is_sparse else self.X
        return self._replace(X=np.ascontiguousarray(X))

    def with_room(self, rows: int) -> Examples:
        """Return the same in arrays of so many rows, the last of which are of weight 0.

        Programs are made for shapes: with room, a few examples more or fewer run the same one.
        """
        weights = np.ones(self.size, self.X.dtype) if self.weights is None else self.weights
        whole = self._replace(weights=weights)
        if rows == self.size:
            return whole
        return Examples(*[None if x is None else _lengthened(x, rows) for x in whole])

    @property
    def bytes(self) -> int:
        """How much memory they take when they are laid out in rows."""
        return int(self.X.shape[0] * self.X.shape[1] * self.X.dtype.itemsize)

    def laid_out(self) -> Examples:
        """Return the same, laid out in rows if memory allows for it."""
        if self.is_sparse and self.bytes > _DENSE:
            return self._replace(X=self.X.tocsr())
        return self.dense()


def _lengthened(x: Any, rows: int) -> Any:
    """Return an array with zeros behind it."""
    longer = np.zeros((rows, *x.shape[1:]), x.dtype)
    longer[: len(x)] = x
    return longer


def rounded(n: int) -> int:
    """Return a number of rows that is at least n, and one of eight between powers of two.

    Examples
    --------
    >>> [rounded(n) for n in (3, 32, 33, 135, 1437, 1438)]
    [8, 32, 40, 144, 1536, 1536]
    """
    step = max(8, 1 << max(0, (n - 1).bit_length() - 4))
    return -(-n // step) * step


def identities(X: Any) -> Any:
    """Return a whole number for each row that follows from its numbers alone.

    Equal rows have equal ones. With dropout drawn by them, an example twice is the same as one of
    weight 2, and leaving others out changes nothing for those that stay.
    """
    if sparse.issparse(X):
        X = X.tocsr()
        return np.concatenate(
            [identities(X[k : k + 1024].toarray()) for k in range(0, X.shape[0], 1024)]
        )
    bits = (np.ascontiguousarray(X, np.float64) + 0.0).view(np.uint64)  # -0.0 becomes 0.0
    odd = np.random.default_rng(0).integers(
        1 << 62, size=bits.shape[1], dtype=np.uint64
    ) * np.uint64(2) + np.uint64(1)
    with np.errstate(over="ignore"):
        mixed = (bits ^ (bits >> np.uint64(32))) * odd
        return np.sum(mixed ^ (mixed >> np.uint64(29)), axis=1, dtype=np.uint64).view(np.int64)


def batch_size_of(wanted: Any, n: int) -> int:
    """Return how many examples a step takes."""
    if isinstance(wanted, str):
        return min(200, n)
    if wanted > n:
        warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
    return min(int(wanted), n)


def split(examples: Examples, fraction: float, rng: Any, strata: Any) -> tuple[Any, Any]:
    """Return the places to train on and those kept aside, as scikit-learn draws them.

    Parameters
    ----------
    examples
        All of them.
    fraction
        How much to keep aside.
    rng
        A RandomState.
    strata
        Classes of which each part gets as much as there are; None for none.
    """
    try:
        train, aside = train_test_split(
            np.arange(examples.size), test_size=fraction, random_state=rng, stratify=strata
        )
    except ValueError as error:
        raise DataError(f"no examples can be kept aside: {error}", advice=_PARTS) from error
    if len(aside) < 2:
        raise DataError(
            f"The validation set is too small: {len(aside)} of {examples.size} examples.",
            advice=_LARGER,
        )
    return train, aside


_LARGER = "Increase 'validation_fraction' or the size of your dataset."
_PARTS = (
    "Choose a validation_fraction that leaves examples to both parts, and have two of each class "
    "at least; or set early_stopping=False."
)
