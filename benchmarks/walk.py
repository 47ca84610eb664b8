"""The overhead of walking: one gradient of a small network, nothing compiled.

The network is two layers of 64 units and a softmax over 10 classes, written as a reader writes
it in NumPy, with 32 examples of 64 numbers in float64.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import autograd
import autograd.numpy as autograd_numpy
import numpy as np

import chainrule
from benchmarks.harness import Comparison, compare
from benchmarks.report import store

if TYPE_CHECKING:
    from benchmarks.options import Options

N, D, H, C = 32, 64, 64, 10


def network(xp, X, y):
    """Return the loss as a function of the parameters, in NumPy or a peer's NumPy."""

    def loss(W1, b1, W2, b2):
        y1 = xp.dot(X, W1) + b1
        h1 = xp.maximum(0, y1)
        y2 = xp.dot(h1, W2) + b2
        exp_scores = xp.exp(y2)
        probs = exp_scores / xp.sum(exp_scores, axis=1, keepdims=True)
        return xp.sum(-xp.log(probs[range(N), y])) / N

    return loss


def measure(rounds: int) -> list[Comparison]:
    """Time one gradient by all four parameters against HIPS autograd."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(N, D)), rng.integers(0, C, N)
    parameters = (
        0.1 * rng.normal(size=(D, H)),
        np.zeros(H),
        0.1 * rng.normal(size=(H, C)),
        np.zeros(C),
    )
    ours = chainrule.grad(network(np, X, y), (0, 1, 2, 3))
    theirs = autograd.grad(network(autograd_numpy, X, y), (0, 1, 2, 3))
    for a, b in zip(ours(*parameters), theirs(*parameters), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)
    return [
        compare(
            f"one gradient, {N} × {D}-{H}-{C}",
            lambda: ours(*parameters),
            "HIPS autograd",
            lambda: theirs(*parameters),
            rounds,
        )
    ]


def main(options: Options) -> None:
    """Measure, print and store."""
    comparisons = measure(options.times(101))
    for comparison in comparisons:
        print(comparison)
    if not options.quick:
        store("walk", {"comparisons": [asdict(comparison) for comparison in comparisons]})
