"""Adam over one flat arena in NumPy, for the peers that bring no optimiser of their own.

Ten passes instead of thirteen: the moments are kept without their factors (1 − β), which move into
the step's two scalars. Large arenas are updated in pieces that stay in a cache.
"""

from __future__ import annotations

import numpy as np

PIECE = 65536
"""Numbers a piece; what was fastest of 4096, 16384, 65536 and all at once."""


class FlatAdam:
    """Adam with default settings; ``p`` and ``g`` are the arenas.

    ``layers`` and ``gradients`` are their views, (W, b) a layer.
    """

    def __init__(self, parameters):
        count = sum(W.size + b.size for W, b in parameters)
        self.p = np.empty(count, np.float32)
        self.g = np.zeros(count, np.float32)
        self.t = 0
        self.layers, self.gradients = cut(self.p, parameters), cut(self.g, parameters)
        for (W, b), (first_W, first_b) in zip(self.layers, parameters, strict=True):
            W[:], b[:] = first_W, first_b
        m, v = np.zeros(count, np.float32), np.zeros(count, np.float32)
        scratch = np.empty(min(count, PIECE), np.float32)
        cuts = [slice(i, i + PIECE) for i in range(0, count, PIECE)]
        self.pieces = [
            (self.p[cut], self.g[cut], m[cut], v[cut], scratch[: self.p[cut].size]) for cut in cuts
        ]

    def update(self):
        """Change the parameters by the gradients in ``g``."""
        self.t += 1
        scale = ((1 - 0.999**self.t) / 0.001) ** 0.5
        rate = np.float32(1e-3 * 0.1 / (1 - 0.9**self.t) * scale)
        eps = np.float32(1e-8 * scale)
        b1, b2 = np.float32(0.9), np.float32(0.999)
        multiply, add = np.multiply, np.add
        for p, g, m, v, s in self.pieces:
            multiply(m, b1, m)
            add(m, g, m)
            multiply(v, b2, v)
            multiply(g, g, s)
            add(v, s, v)
            np.sqrt(v, s)
            add(s, eps, s)
            np.divide(m, s, s)
            multiply(s, rate, s)
            np.subtract(p, s, p)


def cut(arena, parameters):
    """Return views of an arena, shaped as the parameters."""
    found, start = [], 0
    for W, b in parameters:
        middle = start + W.size
        end = middle + b.size
        found.append((arena[start:middle].reshape(W.shape), arena[middle:end]))
        start = end
    return found
