"""Layers that give numbers mean 0 and variance 1: over the examples, or within each example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import ops
from chainrule.errors import SettingError, ShapeError
from chainrule.graph import describe
from chainrule.nn.given import numbers, size
from chainrule.nn.module import Module
from chainrule.nn.parameters import Buffer, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BatchNorm1d", "LayerNorm"]


class BatchNorm1d(Module):
    """Each feature with mean 0 and variance 1 over the batch, then scaled and shifted.

    y = (x - mean) / √(variance + ε) · weight + bias (Ioffe and Szegedy, 2015). While training,
    mean and variance are the batch's, and running ones follow them; in evaluation the running
    ones are used.

    Parameters
    ----------
    num_features
        C of an input of shape (N, C) or (N, C, L).
    eps
        ε.
    momentum
        The weight of the new batch in the running numbers; None for the plain average of all
        batches so far.
    affine
        Whether there are a weight and a bias.
    track_running_stats
        Whether there are running numbers; without them the batch's are used always.
    bias
        Whether there is a bias beside the weight.

    Notes
    -----
    The variance that normalises divides by n, the one that is remembered by n - 1. A batch with
    one number for a feature has no variance, which is an error while training.

    Examples
    --------
    >>> layer = BatchNorm1d(2)
    >>> layer(np.array([[1.0, 10.0], [3.0, 30.0]])).round(3)
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> layer.running_mean
    array([0.2, 2. ])
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        bias: bool = True,
        *,
        dtype: Any = np.float64,
    ) -> None:
        self.num_features = size(num_features, "num_features")
        if momentum is not None and not 0 <= momentum <= 1:
            raise SettingError(f"momentum has to lie between 0 and 1, got {momentum}.")
        self.eps = _positive(eps)
        self.momentum = momentum
        self.track_running_stats = track_running_stats
        self.weight: Any = None
        self.bias: Any = None
        self.running_mean: Any = None
        self.running_var: Any = None
        self.num_batches_tracked: Any = None
        if affine:
            self.weight = Parameter(np.ones(num_features, dtype))
            if bias:
                self.bias = Parameter(np.zeros(num_features, dtype))
        if track_running_stats:
            self.running_mean = Buffer(np.zeros(num_features, dtype))
            self.running_var = Buffer(np.ones(num_features, dtype))
            self.num_batches_tracked = Buffer(np.int64(0))

    @property
    def mixes_examples(self) -> bool:
        """Whether the batch's own mean and variance are used."""
        return self.training or not self.track_running_stats

    def forward(self, x: Any) -> Any:
        """Return x of shape (N, C) or (N, C, L), normalised for each of the C."""
        x = numbers(x, "the input of BatchNorm1d")
        if x.ndim not in {2, 3} or x.shape[1] != self.num_features:
            raise ShapeError(
                f"BatchNorm1d({self.num_features}) needs the shape (N, {self.num_features}) or "
                f"(N, {self.num_features}, L), got {describe(x)}."
            )
        if not self.mixes_examples:
            mean, variance = self.running_mean, self.running_var
        else:
            mean, variance = self._of_batch(x)
        return ops.batch_norm(x, self.weight, self.bias, mean, variance, self.eps)

    def _of_batch(self, x: Any) -> tuple[Any, Any]:
        """Return mean and variance of the batch; the running ones follow while training."""
        n = x.size // self.num_features
        if self.training and n < 2:
            raise ShapeError(
                "BatchNorm1d needs more than one number for each feature while training: of "
                f"{n} there is no variance. Got {describe(x)}.",
                advice="Pass larger batches (leave out a last one of 1), or call eval() first.",
            )
        axes = (0, *range(2, x.ndim))
        mean, variance = np.mean(x, axis=axes), np.var(x, axis=axes)
        if self.training and self.track_running_stats:
            count = self.num_batches_tracked + 1
            share = 1 / count if self.momentum is None else self.momentum
            self.num_batches_tracked = count
            self.running_mean = _moved(self.running_mean, mean, share)
            self.running_var = _moved(self.running_var, variance * (n / (n - 1)), share)
        return mean, variance

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


def _moved(running: Any, new: Any, share: Any) -> Any:
    """Return the running number, moved by a share of the way to the new one."""
    new = np.astype(ops.stop_gradient(new), running.dtype)
    return np.astype((1 - share) * running + share * new, running.dtype)


class LayerNorm(Module):
    """Each example with mean 0 and variance 1 over its last axes, then scaled and shifted.

    y = (x - mean) / √(variance + ε) · weight + bias (Ba, Kiros and Hinton, 2016).

    Parameters
    ----------
    normalized_shape
        The lengths of the last axes, or that of the last one.
    eps
        ε.
    elementwise_affine
        Whether there are a weight and a bias, of the normalised shape.
    bias
        Whether there is a bias beside the weight.

    Examples
    --------
    >>> LayerNorm(2)(np.array([[1.0, 3.0], [10.0, 30.0]])).round(3)
    array([[-1.,  1.],
           [-1.,  1.]])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = np.float64,
    ) -> None:
        lengths = (
            normalized_shape if isinstance(normalized_shape, list | tuple) else [normalized_shape]
        )
        self.normalized_shape = tuple(size(n, "normalized_shape") for n in lengths)
        self.eps = _positive(eps)
        self.weight: Any = None
        self.bias: Any = None
        if elementwise_affine:
            self.weight = Parameter(np.ones(self.normalized_shape, dtype))
            if bias:
                self.bias = Parameter(np.zeros(self.normalized_shape, dtype))

    def forward(self, x: Any) -> Any:
        """Return x of shape (…, *normalized_shape), each example normalised."""
        x = numbers(x, "the input of LayerNorm")
        axes = len(self.normalized_shape)
        if x.shape[x.ndim - axes :] != self.normalized_shape or x.ndim < axes:
            raise ShapeError(
                f"LayerNorm needs {list(self.normalized_shape)} as the last axes, got "
                f"{describe(x)}."
            )
        return ops.layer_norm(x, self.weight, self.bias, tuple(range(-axes, 0)), self.eps)

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"{self.normalized_shape}, eps={self.eps}"


def _positive(eps: float) -> float:
    if not eps > 0:
        raise SettingError(f"eps has to be positive, got {eps}.")
    return eps
