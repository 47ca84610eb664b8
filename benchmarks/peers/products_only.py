"""The matrix products of a step and nothing else: what a step cannot cost less than.

Twice the same products: through ``np.matmul(out=)`` and through Numba's ``np.dot``, whose call
costs less. The faster of the two is the limit. The gradient by the inputs is not computed.
"""

from __future__ import annotations

import itertools

import numba
import numpy as np

from benchmarks.harness import LIMIT, Contestant

__all__ = ["limits"]

LINE = 16
"""Numbers in a cache line; every matrix begins on one."""


def limits(network):
    """Return both as contestants."""
    return [
        Contestant("products, np.matmul", with_matmul(network), kind=LIMIT),
        Contestant("products, Numba's np.dot", with_dot(network), kind=LIMIT),
    ]


def with_matmul(network):
    """Return the products of a step through NumPy."""
    arrays = Arrays(network)
    forward = list(zip(arrays.A, arrays.W, arrays.A[1:], strict=False))
    backward = []
    for i in range(len(arrays.W) - 1, -1, -1):
        backward.append((arrays.A[i].T, arrays.D[i], arrays.dW[i]))
        if i:
            backward.append((arrays.D[i], arrays.W[i].T, arrays.D[i - 1]))
    products = forward + backward

    def step():
        for a, b, out in products:
            np.matmul(a, b, out)

    return step


def with_dot(network):
    """Return the products of a step as one compiled function."""
    arrays = Arrays(network)
    arguments = (arrays.arena, np.array(network.sizes), network.batch, *arrays.starts)
    products(*arguments)
    return lambda: products(*arguments)


class Arrays:
    """Layers, weights and their gradients, cut out of one arena."""

    def __init__(self, network):
        n, sizes = network.batch, network.sizes
        weights = list(itertools.pairwise(sizes))
        groups = [[(n, s) for s in sizes], [(n, s) for s in sizes[1:]], weights, weights]
        self.starts, end = [], 0
        for shapes in groups:
            at = []
            for a, b in shapes:
                at.append(end)
                end += -(-a * b // LINE) * LINE
            self.starts.append(np.array(at))
        self.arena = aligned(end)
        self.arena[:] = np.random.default_rng(0).uniform(0, 1e-3, end)
        self.A, self.D, self.W, self.dW = (
            [self.arena[at : at + a * b].reshape(a, b) for at, (a, b) in zip(ats, s, strict=True)]
            for ats, s in zip(self.starts, groups, strict=True)
        )


def aligned(count):
    """Return zeros that begin on a cache line."""
    room = np.zeros(count + LINE, np.float32)
    skip = -room.ctypes.data // room.itemsize % LINE
    return room[skip : skip + count]


@numba.njit
def products(arena, sizes, n, A, D, W, dW):
    """Multiply as a step does."""
    for i in range(len(W)):
        k, m = sizes[i], sizes[i + 1]
        a = arena[A[i] : A[i] + n * k].reshape((n, k))
        w = arena[W[i] : W[i] + k * m].reshape((k, m))
        np.dot(a, w, arena[A[i + 1] : A[i + 1] + n * m].reshape((n, m)))
    for i in range(len(W) - 1, -1, -1):
        k, m = sizes[i], sizes[i + 1]
        a = arena[A[i] : A[i] + n * k].reshape((n, k))
        d = arena[D[i] : D[i] + n * m].reshape((n, m))
        np.dot(a.T, d, arena[dW[i] : dW[i] + k * m].reshape((k, m)))
        if i:
            w = arena[W[i] : W[i] + k * m].reshape((k, m))
            np.dot(d, w.T, arena[D[i - 1] : D[i - 1] + n * k].reshape((n, k)))
