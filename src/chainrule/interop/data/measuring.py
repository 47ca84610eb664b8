"""How good predictions are: gathered block by block, so that any number of rows can be judged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Classified", "Measured"]

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_KEPT = 100_000


class Classified:
    """Predicted classes beside the true ones.

    Parameters
    ----------
    labels
        The classes as they are shown.

    Examples
    --------
    >>> found = Classified(["no", "yes"])
    >>> found.take(np.log([[0.8, 0.2], [0.4, 0.6], [0.9, 0.1]]), np.array([0, 1, 1]))
    >>> round(found.metrics()["accuracy"], 4), found.confusion.tolist()
    (0.6667, [[1, 0], [1, 1]])
    """

    def __init__(self, labels: list[str]) -> None:
        self.labels = labels
        self.confusion = np.zeros((len(labels), len(labels)), np.int64)
        self._surprise = 0.0

    def take(self, logits: NDArray[Any], y: NDArray[Any]) -> None:
        """Add rows: logits (N, classes) and class numbers (N,)."""
        n = len(self.labels)
        guess = np.argmax(logits, axis=1)
        self.confusion += np.bincount(y * n + guess, minlength=n * n).reshape(n, n)
        logits = logits.astype(np.float64)
        top = np.max(logits, axis=1)
        total = top + np.log(np.sum(np.exp(logits - top[:, None]), axis=1))
        self._surprise += float(np.sum(total - logits[np.arange(len(y)), y]))

    def metrics(self) -> dict[str, float]:
        """Return accuracy, accuracy over classes alike, mean F1 and log loss."""
        right = np.diag(self.confusion).astype(float)
        rows, columns = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        count = int(rows.sum())
        there = rows > 0
        f1 = 2 * right / np.maximum(rows + columns, 1)
        return {
            "rows": count,
            "accuracy": float(right.sum() / count),
            "balanced accuracy": float(np.mean(right[there] / rows[there])),
            "mean F1": float(np.mean(f1[there | (columns > 0)])),
            "log loss": self._surprise / count,
        }

    def details(self) -> dict[str, Any]:
        """Return the confusion matrix: a row a true class, a column a predicted one."""
        return {"classes": self.labels, "confusion": self.confusion.tolist()}


class Measured:
    """Predicted numbers beside the true ones.

    Examples
    --------
    >>> found = Measured()
    >>> found.take(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    >>> {name: round(x, 4) for name, x in found.metrics().items()}
    {'rows': 3, 'R²': 0.5, 'root mean squared error': 0.5774, 'mean absolute error': 0.3333}
    """

    def __init__(self) -> None:
        self._count = 0
        self._squares = self._sizes = 0.0
        self._mean = self._spread = 0.0
        self._residuals: list[NDArray[Any]] = []
        self._kept = 0

    def take(self, predicted: NDArray[Any], y: NDArray[Any]) -> None:
        """Add rows: numbers (N,) as they were predicted and as they are."""
        residual = y.astype(np.float64) - predicted
        self._squares += float(residual @ residual)
        self._sizes += float(np.sum(np.abs(residual)))
        count, mean = len(y), float(np.mean(y))
        spread = float(np.sum((y - mean) ** 2))
        total = self._count + count
        self._spread += spread + (mean - self._mean) ** 2 * self._count * count / total
        self._mean += (mean - self._mean) * count / total
        self._count = total
        if self._kept < _KEPT:
            self._residuals.append(residual[: _KEPT - self._kept])
            self._kept += len(self._residuals[-1])

    def metrics(self) -> dict[str, float]:
        """Return R², the root of the mean squared and the mean absolute error."""
        explained = 1 - self._squares / self._spread if self._spread else math.nan
        return {
            "rows": self._count,
            "R²": explained,
            "root mean squared error": math.sqrt(self._squares / self._count),
            "mean absolute error": self._sizes / self._count,
        }

    def details(self) -> dict[str, Any]:
        """Return quantiles of true minus predicted, of the first 100,000 rows."""
        residuals = np.concatenate(self._residuals)
        values = np.quantile(residuals, _QUANTILES)
        return {
            "residuals": {f"{q:.0%}": float(x) for q, x in zip(_QUANTILES, values, strict=True)}
        }
