"""The open pass: everything kept and named, beside a forward and backward pass in plain NumPy.

Both walk once through 784-256-128-10 with a batch of 128 and end with the gradient of every
parameter. Plain NumPy keeps what its backward pass needs; the open pass copies what it was given,
keeps every value and gradient, and computes the gradient at the inputs too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import ours
from benchmarks.bars import judge, within
from benchmarks.harness import Contestant, race
from benchmarks.networks import Network
from benchmarks.report import show, store
from benchmarks.threads import pause, threads

if TYPE_CHECKING:
    from benchmarks.options import Options

NETWORK = Network((784, 256, 128, 10), 128)
PLAIN = "plain NumPy"
BAR = within(3, PLAIN)


def main(options: Options) -> None:
    """Time both, in either precision; print and store."""
    races, judgements = [], []
    for dtype in (np.float32, np.float64):
        layers = [(W.astype(dtype), b.astype(dtype)) for W, b in NETWORK.parameters()]
        X, y = NETWORK.data()
        X = X.astype(dtype)
        plain = Contestant(PLAIN, lambda layers=layers, X=X, y=y: by_hand(layers, X, y), 1)
        expected = plain.run()

        def check(opened, expected=expected):
            gradients = opened().gradients
            for k, (dW, db) in enumerate(expected):
                np.testing.assert_allclose(gradients[f"{2 * k}.weight"].T, dW, rtol=1e-3, atol=1e-6)
                np.testing.assert_allclose(gradients[f"{2 * k}.bias"], db, rtol=1e-3, atol=1e-6)

        us, absent = ours.contestant(lambda dtype=dtype: ours.open_pass(NETWORK, dtype), check)
        title = f"open pass, {NETWORK}, {np.dtype(dtype).name}"
        found = race(title, us, [plain], rounds=options.times(101), pause=pause())
        found = replace(found, absent=absent)
        judged = [judge(BAR, found)]
        show(found, judged)
        races.append(found.record())
        judgements += judged
    if not options.quick:
        store(f"open_pass-{threads()}", {"races": races}, judgements)


def by_hand(layers, X, y):
    """Return the gradients of the mean cross-entropy, as a reader writes them."""
    kept, last = [X], len(layers) - 1
    for k, (W, b) in enumerate(layers):
        z = kept[-1] @ W + b
        kept.append(np.maximum(z, 0) if k < last else z)
    z = kept.pop()
    g = np.exp(z - z.max(axis=1, keepdims=True))
    g /= g.sum(axis=1, keepdims=True)
    g[np.arange(len(y)), y] -= 1
    g /= len(y)
    gradients = []
    for (W, _), h in zip(reversed(layers), reversed(kept), strict=True):
        gradients.append((h.T @ g, g.sum(axis=0)))
        if h is not X:
            g = (g @ W.T) * (h > 0)
    return gradients[::-1]
