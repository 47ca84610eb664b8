"""Linear layers and embeddings, and layers that reshape or drop."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import ops
from chainrule.errors import InputTypeError, SettingError, ShapeError
from chainrule.graph import describe
from chainrule.nn.given import numbers, size
from chainrule.nn.initialise import generator, initial
from chainrule.nn.labels import require_below
from chainrule.nn.module import Module
from chainrule.nn.parameters import Parameter, recording

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["Dropout", "Embedding", "Flatten", "Linear"]


class Linear(Module):
    """y = x Wᵀ + b, with W of shape (out, in).

    Parameters
    ----------
    in_features, out_features
        The length of the last axis before and after.
    bias
        Whether there is a b.
    initialiser
        A name of `chainrule.nn.INITIALISERS` for W; b is uniform within ±1/√in_features.
    seed
        A number or generator that the weights are drawn from.

    Examples
    --------
    >>> layer = Linear(3, 2, seed=0)
    >>> layer(np.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        initialiser: str = "fan_in_uniform",
        seed: int | Generator | None = None,
        dtype: Any = np.float64,
    ) -> None:
        self.in_features = size(in_features, "in_features")
        self.out_features = size(out_features, "out_features")
        rng = generator(seed)
        shape = (self.out_features, self.in_features)
        self.weight = Parameter(initial(initialiser, shape, rng, dtype))
        self.bias: Any = None
        if bias:
            bound = 1 / np.sqrt(self.in_features)
            self.bias = Parameter(rng.uniform(-bound, bound, self.out_features).astype(dtype))

    def forward(self, x: Any) -> Any:
        """Return x Wᵀ + b for x of shape (…, in)."""
        x = numbers(x, "the input of Linear")
        if x.ndim < 1 or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"Linear({self.in_features} → {self.out_features}) needs a last axis of "
                f"{self.in_features}, got {describe(x)}.",
                advice="It takes features along the last axis, and examples before it.",
            )
        y = x @ np.transpose(self.weight)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        """Return the sizes."""
        sizes = f"{self.in_features}, {self.out_features}"
        return sizes if self.bias is not None else f"{sizes}, bias=False"


class Embedding(Module):
    """A learned row for each index: y[…] = W[x[…]], with W of shape (count, width).

    Where the input of a network is itself learned, as in the cached network, each example has
    an index and its row is what is learned.

    Parameters
    ----------
    num_embeddings
        The number of rows; indices are 0 … num_embeddings - 1.
    embedding_dim
        The length of a row. Rows start normal with variance 1.
    padding_idx
        A row that starts at 0 and gets no gradient.
    seed
        A number or generator that the rows are drawn from.

    Examples
    --------
    >>> layer = Embedding(4, 2, padding_idx=0)
    >>> layer(np.array([[0, 3, 1]])).shape
    (1, 3, 2)
    >>> layer.backward(np.ones((1, 3, 2)))
    >>> layer.grad["weight"]
    array([[0., 0.],
           [1., 1.],
           [0., 0.],
           [1., 1.]])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        seed: int | Generator | None = None,
        dtype: Any = np.float64,
    ) -> None:
        self.num_embeddings = size(num_embeddings, "num_embeddings")
        self.embedding_dim = size(embedding_dim, "embedding_dim")
        rows = generator(seed).normal(size=(self.num_embeddings, self.embedding_dim))
        if padding_idx is not None:
            if not -self.num_embeddings <= padding_idx < self.num_embeddings:
                raise SettingError(
                    f"padding_idx has to name one of the {self.num_embeddings} rows, got "
                    f"{padding_idx}."
                )
            padding_idx %= self.num_embeddings
            rows[padding_idx] = 0
        self.padding_idx = padding_idx
        self.weight = Parameter(rows.astype(dtype))

    def forward(self, indices: Any) -> Any:
        """Return the rows at the indices: shape (…,) gives (…, width)."""
        indices = numbers(indices, "the input of Embedding")
        if indices.dtype.kind not in "iu":
            raise InputTypeError(
                f"Embedding takes indices, which are integers, got {describe(indices)}.",
                advice="Pass x.astype(int) if these are indices.",
            )
        require_below(indices, self.num_embeddings, "indices", "row")
        y = ops.embedding(self.weight, indices)
        if self.padding_idx is None:
            return y
        return np.where((indices == self.padding_idx)[..., None], ops.stop_gradient(y), y)

    def extra_repr(self) -> str:
        """Return the sizes."""
        sizes = f"{self.num_embeddings}, {self.embedding_dim}"
        return sizes if self.padding_idx is None else f"{sizes}, padding_idx={self.padding_idx}"


class Flatten(Module):
    """The axes from ``start_dim`` to ``end_dim`` as one; the examples' axis stays.

    Examples
    --------
    >>> Flatten()(np.ones((5, 3, 4))).shape
    (5, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Any) -> Any:
        """Return x of shape (N, …) as (N, product)."""
        x = numbers(x, "the input of Flatten")
        first, last = (d % x.ndim if -x.ndim <= d < x.ndim else x.ndim for d in self._ends)
        if max(first, last) == x.ndim or first > last:
            raise ShapeError(
                f"Flatten({self.start_dim}, {self.end_dim}) needs these axes, got {describe(x)}."
            )
        joined = math.prod(x.shape[first : last + 1])
        return np.reshape(x, (*x.shape[:first], joined, *x.shape[last + 1 :]))

    @property
    def _ends(self) -> tuple[int, int]:
        return self.start_dim, self.end_dim


_SITES = itertools.count()


class Dropout(Module):
    """While training, a random part of the input is set to 0 and the rest scaled up by 1/(1 - p).

    Backward drops what forward dropped. In a `functional_call` with a key, the key decides.

    Parameters
    ----------
    p
        The probability of dropping an entry, 0 ≤ p < 1.
    seed
        Layers with equal seeds drop alike; by default each has its own, the number of layers made
        before it.

    Examples
    --------
    >>> layer = Dropout(0.5, seed=0)
    >>> y = layer(np.ones(1000))
    >>> sorted(set(y.tolist()))
    [0.0, 2.0]
    >>> np.array_equal(layer.backward(np.ones(1000)), y)
    True
    """

    def __init__(self, p: float = 0.5, *, seed: int | None = None) -> None:
        if not 0 <= p < 1:
            raise SettingError(f"dropout needs 0 ≤ p < 1, got {p}.")
        self.p = p
        self.seed = next(_SITES) if seed is None else seed
        self.draws = 0

    def forward(self, x: Any) -> Any:
        """Return x with entries dropped while training, else x."""
        if not self.training or self.p == 0:
            return x
        current = recording()
        if current is not None and current.key is not None:
            return ops.dropout(x, current.next_key(), self.p)
        self.draws += 1
        return ops.dropout(x, np.array([self.seed, self.draws]), self.p)

    def extra_repr(self) -> str:
        """Return the probability."""
        return f"p={self.p}"
