"""The networks that are timed: their data, their first parameters, and what a step must give.

Everybody starts from the same numbers. The losses that everybody has to find are computed here,
in float64 and without regard for time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Parameters = list[tuple[Array, Array]]

__all__ = ["STEPS", "Network", "require_epoch", "require_losses"]

TOLERANCE = 1e-4
"""How far a loss in float32 may be from the loss in float64, as a part of it."""


@dataclass(frozen=True)
class Network:
    """A dense network with a softmax cross-entropy, trained by Adam with its default settings.

    ``sizes`` are the widths from the input to the classes.
    """

    sizes: tuple[int, ...]
    batch: int
    activation: str = "relu"

    def __str__(self) -> str:
        return f"{'-'.join(map(str, self.sizes))}, batch {self.batch}"

    def data(self, rows: int | None = None) -> tuple[Array, NDArray[np.int64]]:
        """Return inputs and a class for each, of a size that keeps every loss small.

        scikit-learn reports no loss of an example above 16.
        """
        rng = np.random.default_rng(1)
        rows = rows or self.batch
        X = rng.standard_normal((rows, self.sizes[0]), dtype=np.float32) * np.float32(0.25)
        return X, rng.integers(0, self.sizes[-1], rows)

    def parameters(self) -> Parameters:
        """Return W of shape (in, out) and b of each layer, fresh arrays each time."""
        rng = np.random.default_rng(2)
        pairs = zip(self.sizes, self.sizes[1:], strict=False)
        return [
            (
                rng.standard_normal((a, b), dtype=np.float32) * np.float32((2 / a) ** 0.5),
                rng.standard_normal(b, dtype=np.float32) * np.float32(0.1),
            )
            for a, b in pairs
        ]

    def directions(self) -> Parameters:
        """Return something to multiply the Hessian by, shaped as the parameters."""
        rng = np.random.default_rng(3)
        return [
            tuple(rng.standard_normal(part.shape, dtype=np.float32) for part in layer)  # type: ignore[misc]
            for layer in self.parameters()
        ]

    @property
    def count(self) -> int:
        """How many parameters there are."""
        return sum(a * b + b for a, b in zip(self.sizes, self.sizes[1:], strict=False))


STEPS = (
    Network((2, 3, 3, 2), 4),
    Network((64, 64, 64, 10), 32),
    Network((784, 256, 128, 10), 128),
    Network((784, 1024, 1024, 10), 512),
)
"""The networks of the table of steps."""


def require_losses(network: Network, step: Callable[[], object], steps: int = 3) -> None:
    """Require that the losses before each of the first steps, and after them, are the true ones."""
    X, y = network.data()
    expected = _losses(network, [(X, y)] * (steps + 1))
    found = [float(step()) for _ in expected]  # type: ignore[arg-type]
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE)


def require_epoch(
    network: Network,
    epoch: Callable[[NDArray[np.int64]], object],
    X: Array,
    y: NDArray[np.int64],
    order: NDArray[np.int64],
) -> None:
    """Require that the mean loss of the first epoch, each example counted once, is the true one."""
    starts = range(0, len(order), network.batch)
    parts = [order[start : start + network.batch] for start in starts]
    losses = _losses(network, [(X[part], y[part]) for part in parts])
    expected = np.average(losses, weights=[len(part) for part in parts])
    np.testing.assert_allclose(float(epoch(order)), expected, rtol=TOLERANCE)  # type: ignore[arg-type]


def _losses(
    network: Network, batches: Sequence[tuple[Array, NDArray[np.int64]]]
) -> list[np.float64]:
    """Return the loss of each batch, a step of Adam after each."""
    p = [part.astype(np.float64) for layer in network.parameters() for part in layer]
    m, v = [np.zeros_like(x) for x in p], [np.zeros_like(x) for x in p]
    losses = []
    for t, (X, y) in enumerate(batches, start=1):
        loss, gradients = _gradients(network, p, X.astype(np.float64), y)
        losses.append(loss)
        for i, g in enumerate(gradients):
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g * g
            p[i] -= 1e-3 * (m[i] / (1 - 0.9**t)) / (np.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)
    return losses


def _gradients(network, p, X, y):
    """Return the mean loss and its gradients."""
    A = [X]
    for i in range(0, len(p), 2):
        Z = A[-1] @ p[i] + p[i + 1]
        last = i == len(p) - 2
        A.append(Z if last else np.tanh(Z) if network.activation == "tanh" else np.maximum(Z, 0))
    rows = np.arange(len(y))
    shifted = A[-1] - A[-1].max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    D = np.exp(logs)
    D[rows, y] -= 1
    D /= len(y)
    gradients = []
    for i in range(len(p) - 2, -1, -2):
        a = A[i // 2]
        gradients[:0] = [a.T @ D, D.sum(axis=0)]
        slope = 1 - a * a if network.activation == "tanh" else a > 0
        D = (D @ p[i].T) * slope
    return -logs[rows, y].mean(), gradients
