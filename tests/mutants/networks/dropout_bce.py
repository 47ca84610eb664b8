"""ReLU layers with inverted dropout, a sigmoid at the end, cross-entropy averaged over all."""

# ruff: noqa: RUF059 - a learner unpacks all that there is
import numpy as np


def forward(X, T, W1, b1, W2, b2, W3, b3, keep=0.7, seed=3):
    rng = np.random.default_rng(seed)
    z1 = X @ W1 + b1
    h1 = np.maximum(z1, 0.0)
    mask1 = (rng.random(h1.shape) < keep) / keep
    d1 = h1 * mask1
    z2 = d1 @ W2 + b2
    h2 = np.maximum(z2, 0.0)
    mask2 = (rng.random(h2.shape) < keep) / keep
    d2 = h2 * mask2
    z3 = d2 @ W3 + b3
    p = 1 / (1 + np.exp(-z3))
    loss = -np.mean(T * np.log(p) + (1 - T) * np.log(1 - p))
    cache = (X, T, W1, W2, W3, z1, h1, mask1, d1, z2, h2, mask2, d2, z3, p, keep)
    return loss, cache


def backward(cache):
    X, T, W1, W2, W3, z1, h1, mask1, d1, z2, h2, mask2, d2, z3, p, keep = cache
    g = {}
    dz3 = (p - T) / T.size
    g["W3"] = d2.T @ dz3
    g["b3"] = dz3.sum(0)
    dd2 = dz3 @ W3.T
    dh2 = dd2 * mask2
    dz2 = dh2.copy()
    dz2[z2 <= 0] = 0
    g["W2"] = d1.T @ dz2
    g["b2"] = dz2.sum(0)
    dd1 = dz2 @ W2.T
    dh1 = dd1 * mask1
    dz1 = dh1.copy()
    dz1[z1 <= 0] = 0
    g["W1"] = X.T @ dz1
    g["b1"] = dz1.sum(0)
    return g


def loss(X, T, W1, b1, W2, b2, W3, b3):
    value, cache = forward(X, T, W1, b1, W2, b2, W3, b3)
    return value, backward(cache)
