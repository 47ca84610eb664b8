"""Backward passes as people write them: plain NumPy, in-place steps, any names. All are right."""

from __future__ import annotations

import math

import numpy as np

rng = np.random.default_rng(0)

# ------------------------------------------------------------------ rows, as in matrix calculus


def rows_forward(X, y, W1, b1, W2, b2):
    N = X.shape[0]
    y1 = X.dot(W1) + b1
    h1 = np.maximum(0, y1)
    y2 = h1.dot(W2) + b2
    scores = y2
    exp_scores = np.exp(scores)
    probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    loss = np.sum(-np.log(probs[range(N), y])) / N
    return loss, (X, y, y1, h1, W2, probs)


def rows_backward(cache):
    X, y, y1, h1, W2, probs = cache
    N = X.shape[0]
    dy2 = probs
    dy2[range(N), y] -= 1
    dy2 /= N
    dW2 = h1.T.dot(dy2)
    db2 = np.sum(dy2, axis=0)
    dh1 = dy2.dot(W2.T)
    dy1 = dh1 * (y1 >= 0)
    dW1 = X.T.dot(dy1)
    db1 = np.sum(dy1, axis=0)
    return {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2, "dy2": dy2, "dh1": dh1, "dscores": dy2}


ROWS = (
    rng.normal(size=(6, 4)),
    rng.integers(0, 3, 6),
    rng.normal(size=(4, 5)),
    np.zeros(5),
    rng.normal(size=(5, 3)),
    np.zeros(3),
)
ROWS_SHAPES = {"X": "n d", "y": "n", "W1": "d h", "b1": "h", "W2": "h c", "b2": "c"}


# ------------------------------------------------------------------ layers with upstream gradient


def affine_forward(x, w, b):
    return x.reshape(x.shape[0], -1).dot(w) + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    dx = dout.dot(w.T).reshape(x.shape)
    return dx, x.reshape(x.shape[0], -1).T.dot(dout), dout.sum(axis=0)


def chain_forward(x, w1, b1, w2, b2):
    a, first = affine_forward(x, w1, b1)
    h = np.maximum(0, a)
    mask = (np.random.rand(*h.shape) < 0.6) / 0.6  # noqa: NPY002 - as users draw
    out, second = affine_forward(h * mask, w2, b2)
    return out, (first, a, mask, second)


def chain_backward(dout, cache):
    first, a, mask, second = cache
    dh, dw2, db2 = affine_backward(dout, second)
    da = dh * mask
    da[a <= 0] = 0
    dx, dw1, db1 = affine_backward(da, first)
    return dx, dw1, db1, dw2, db2


CHAIN = (
    rng.normal(size=(5, 2, 3)),
    rng.normal(size=(6, 7)),
    rng.normal(size=7),
    rng.normal(size=(7, 3)),
    rng.normal(size=3),
)


def relu_forward(x):
    return np.maximum(0, x), x


def relu_backward(dout, x):
    return dout * (x > 0)


KEPT = {}


def kept_forward(x, w):
    KEPT["x"], KEPT["w"], KEPT["y"] = x, w, np.tanh(x @ w)
    return KEPT["y"]


def kept_backward(dout):
    d = dout * (1 - KEPT["y"] ** 2)
    return d @ KEPT["w"].T, KEPT["x"].T @ d


def conv_forward(x, w, b):
    n, _, height, width = x.shape
    f, _, k, _ = w.shape
    out = np.zeros((n, f, height - k + 1, width - k + 1))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            part = x[:, :, i : i + k, j : j + k]
            out[:, :, i, j] = np.tensordot(part, w, axes=([1, 2, 3], [1, 2, 3])) + b
    return out, (x, w)


def conv_backward(dout, cache):
    x, w = cache
    k = w.shape[2]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            d = dout[:, :, i, j]
            dx[:, :, i : i + k, j : j + k] += np.tensordot(d, w, axes=(1, 0))
            dw += np.tensordot(d, x[:, :, i : i + k, j : j + k], axes=(0, 0))
    return dx, dw, dout.sum((0, 2, 3))


def entries_forward(x, w):
    out = np.zeros(len(x))
    for i in range(len(x)):
        out[i] = math.exp(-x[i]) * w[i]
    return out, (x, w)


def entries_backward(dout, cache):
    x, w = cache
    return -dout * np.exp(-x) * w, dout * np.exp(-x)


# ------------------------------------------------------------------ objects


class Linear:
    def __init__(self, inputs, outputs):
        self.W = rng.normal(size=(inputs, outputs))
        self.b = np.zeros(outputs)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, g):
        self.dW = self.x.T @ g
        self.db = g.sum(axis=0)
        return g @ self.W.T


class Sigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, g):
        return g * self.y * (1 - self.y)


class Layers:
    def __init__(self):
        self.layers = [Linear(4, 5), Sigmoid(), Linear(5, 2)]

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, g):
        for layer in reversed(self.layers):
            g = layer.backward(g)
        return g


class Columns:
    """The cached network, whose loss is nowhere computed."""

    def __init__(self):
        sizes = [2, 4, 3, 1]
        self.params = {}
        for i in range(1, 4):
            self.params[f"W{i}"] = rng.normal(size=(sizes[i], sizes[i - 1]))
            self.params[f"B{i}"] = np.zeros((sizes[i], 1))

    def forward(self, X):
        cache = {"A0": X}
        for i in range(1, 4):
            cache[f"W{i}"] = self.params[f"W{i}"]
            cache[f"Z{i}"] = self.params[f"W{i}"] @ cache[f"A{i - 1}"] + self.params[f"B{i}"]
            cache[f"A{i}"] = 1 / (1 + np.exp(-cache[f"Z{i}"]))
        return cache["A3"], cache

    def compute_gradients(self, out, cache, Y):
        m = Y.shape[1]
        grads = {"Z3": out - Y}
        for i in range(3, 0, -1):
            grads[f"W{i}"] = grads[f"Z{i}"] @ cache[f"A{i - 1}"].T / m
            grads[f"B{i}"] = np.sum(grads[f"Z{i}"], axis=1, keepdims=True) / m
            if i > 1:
                grads[f"A{i - 1}"] = cache[f"W{i}"].T @ grads[f"Z{i}"]
                a = cache[f"A{i - 1}"]
                grads[f"Z{i - 1}"] = grads[f"A{i - 1}"] * a * (1 - a)
        return grads


XOR = (np.array([[0, 0, 1, 1, 0], [0, 1, 0, 1, 1]]), np.array([[0, 1, 1, 0, 1]]))


# ------------------------------------------------------------------ closures

DATA = rng.normal(size=(8, 3))
TARGETS = (rng.random(8) < 0.5).astype(float)


def logistic(w):
    p = 1 / (1 + np.exp(-DATA.dot(w)))
    loss = -np.mean(TARGETS * np.log(p) + (1 - TARGETS) * np.log(1 - p)) + 0.05 * w.dot(w)
    return loss, DATA.T.dot(p - TARGETS) / len(TARGETS) + 0.1 * w


def flat(theta, X, y, reg):
    W1, b1 = theta[:20].reshape(4, 5), theta[20:25]
    W2, b2 = theta[25:40].reshape(5, 3), theta[40:]
    N = len(X)
    y1 = X.dot(W1) + b1
    h1 = np.maximum(0, y1)
    y2 = h1.dot(W2) + b2
    probs = np.exp(y2 - y2.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    loss = -np.log(probs[range(N), y]).sum() / N + reg * np.sum(W1 * W1)
    dy2 = probs
    dy2[range(N), y] -= 1
    dy2 /= N
    grad = np.zeros_like(theta)
    dh1 = dy2.dot(W2.T)
    dh1[y1 <= 0] = 0
    grad[:20] = (X.T.dot(dh1) + 2 * reg * W1).ravel()
    grad[20:25] = dh1.sum(axis=0)
    grad[25:40] = h1.T.dot(dy2).ravel()
    grad[40:] = dy2.sum(axis=0)
    return loss, grad


def hinge(W, X, y, reg):
    dW, loss, n = np.zeros(W.shape), 0.0, X.shape[0]
    for i in range(n):
        scores = X[i].dot(W)
        for j in range(W.shape[1]):
            margin = scores[j] - scores[y[i]] + 1
            if j != y[i] and margin > 0:
                loss += margin
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]
    return loss / n + reg * np.sum(W * W), dW / n + 2 * reg * W


def by_name(params, X, y):
    d = X @ params["W"] + params["b"] - y
    return 0.5 * np.mean(np.sum(d * d, axis=1)), {"W": X.T @ d / len(X), "b": d.mean(axis=0)}


CORRECT = {
    "rows": ((rows_forward, rows_backward), ROWS, {}),
    "rows in primes": ((rows_forward, rows_backward), ROWS, {"shapes": ROWS_SHAPES}),
    "chain with dropout": ((chain_forward, chain_backward), CHAIN, {}),
    "relu": ((relu_forward, relu_backward), (rng.normal(size=(3, 4)),), {}),
    "cache elsewhere": ((kept_forward, kept_backward), (ROWS[0], ROWS[2]), {}),
    "convolution in loops": (
        (conv_forward, conv_backward),
        (rng.normal(size=(2, 2, 4, 4)), rng.normal(size=(3, 2, 2, 2)), rng.normal(size=3)),
        {},
    ),
    "entries by math": (
        (entries_forward, entries_backward),
        (rng.normal(size=4), rng.normal(size=4)),
        {},
    ),
    "objects in an object": (Layers(), (rng.normal(size=(3, 4)),), {}),
    "cached network": (Columns(), XOR, {}),
    "cached network in primes": (Columns(), XOR, {"shapes": {"X": "2 m", "Y": "1 m"}}),
    "logistic": (logistic, (rng.normal(size=3),), {}),
    "flat vector": (flat, (rng.normal(size=43), ROWS[0], ROWS[1], 0.1), {}),
    "hinge": (hinge, (rng.normal(size=(4, 3)), ROWS[0], ROWS[1], 0.1), {}),
    "by name": (
        by_name,
        ({"W": rng.normal(size=(4, 3)), "b": np.zeros(3)}, ROWS[0], rng.normal(size=(6, 3))),
        {},
    ),
}
"""By name: target, inputs, options of ``check``."""
