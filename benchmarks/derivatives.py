"""Derivatives of a network in NumPy code: gradient, Hessian-vector product, Jacobian.

The network is 20-64-64-10 with tanh and a softmax cross-entropy over 64 examples, in float32; the
Jacobian is that of the 10 outputs of one row, by all parameters.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import ours
from benchmarks.bars import faster, judge
from benchmarks.harness import race
from benchmarks.networks import Network
from benchmarks.peers import gather
from benchmarks.report import show, store
from benchmarks.threads import pause, threads

if TYPE_CHECKING:
    from benchmarks.options import Options

NETWORK = Network((20, 64, 64, 10), 64, "tanh")

WORKS = {
    "gradient": "compile(grad(f))",
    "hvp": "Hessian-vector product",
    "jacobian": "Jacobian of the outputs of one row",
}


def main(options: Options) -> None:
    """Time all three; print and store."""
    races, judgements = [], []
    for key, title in WORKS.items():

        def one(functions, key=key):
            return functions[key], 1

        def check(functions, key=key):
            require_derivative(key, functions[key]())

        us, absent = ours.contestant(lambda: ours.derivatives(NETWORK), check, one)
        peers, others = gather("derivatives", (NETWORK,), options.wanted, check, one)
        found = race(f"{title}, {NETWORK}", us, peers, rounds=options.times(101), pause=pause())
        found = replace(found, absent=absent | others)
        judged = [judge(faster("JAX jit", 1), found)]
        show(found, judged)
        races.append(found.record())
        judgements += judged
    if not options.quick:
        store(f"derivatives-{threads()}", {"races": races}, judgements)


def require_derivative(key, found) -> None:
    """Require that what was found, summed against a direction, is the difference quotient.

    Everything is checked by one number of each: the derivative along a direction, by central
    differences in float64.
    """
    p = [x.astype(np.float64) for layer in NETWORK.parameters() for x in layer]
    d = [x.astype(np.float64) for layer in NETWORK.directions() for x in layer]
    X, y = NETWORK.data()
    parts = [np.asarray(part, np.float64) for part in flat(found)]
    step = 1e-3 if key == "hvp" else 1e-5
    ahead, behind = ([a + s * step * b for a, b in zip(p, d, strict=True)] for s in (1, -1))
    if key == "jacobian":
        slope = (outputs(ahead, X[:1])[0] - outputs(behind, X[:1])[0]) / (2 * step)
        along = sum(
            np.tensordot(part.reshape(10, *b.shape), b, b.ndim)
            for part, b in zip(parts, d, strict=True)
        )
    elif key == "gradient":
        slope = (loss(ahead, X, y) - loss(behind, X, y)) / (2 * step)
        along = sum(np.sum(part * b) for part, b in zip(parts, d, strict=True))
    else:
        slope = (loss(ahead, X, y) - 2 * loss(p, X, y) + loss(behind, X, y)) / step**2
        along = sum(np.sum(part * b) for part, b in zip(parts, d, strict=True))
    np.testing.assert_allclose(along, slope, rtol=1e-3, atol=1e-4)


def flat(found) -> list:
    """Return the parts of nested lists and tuples, in order."""
    if isinstance(found, (list, tuple)):
        return [part for inner in found for part in flat(inner)]
    return [found]


def outputs(p, X):
    """Return the outputs in float64."""
    for i in range(0, len(p) - 2, 2):
        X = np.tanh(X @ p[i] + p[i + 1])
    return X @ p[-2] + p[-1]


def loss(p, X, y):
    """Return the mean cross-entropy in float64."""
    Z = outputs(p, X)
    return np.mean(np.log(np.exp(Z).sum(axis=1)) - Z[np.arange(len(y)), y])
