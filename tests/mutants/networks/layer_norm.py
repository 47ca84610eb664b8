"""Layer norm written out by hand between two layers, a way around the second, a logistic loss."""

# ruff: noqa: RUF059 - a learner unpacks all that there is
import numpy as np


def forward(X, W1, b1, gamma, beta, W2, b2, W3, b3, y):
    n = X.shape[0]
    pre1 = X @ W1 + b1
    mu = np.mean(pre1, axis=1, keepdims=True)
    centred = pre1 - mu
    var = np.mean(centred**2, axis=1, keepdims=True)
    inv_std = 1 / np.sqrt(var + 1e-5)
    normed = centred * inv_std
    scaled = gamma * normed + beta
    act1 = np.tanh(scaled)
    pre2 = act1 @ W2 + b2
    act2 = 1 / (1 + np.exp(-pre2))
    mixed = act1 + act2
    logits = mixed @ W3 + b3
    loss = np.sum(np.log(1 + np.exp(logits)) - y * logits) / n
    stored = (X, W1, gamma, W2, W3, y, pre1, centred, inv_std, normed, scaled, act1)
    return loss, (stored, (pre2, act2, mixed, logits))


def backward(cache):
    X, W1, gamma, W2, W3, y, pre1, centred, inv_std, normed, scaled, act1 = cache[0]
    pre2, act2, mixed, logits = cache[1]
    n, H = pre1.shape
    dlogits = (1 / (1 + np.exp(-logits)) - y) / n
    dW3 = mixed.T @ dlogits
    db3 = np.sum(dlogits, axis=0)
    dmixed = dlogits @ W3.T

    dpre2 = dmixed * act2 * (1 - act2)
    dW2 = act1.T @ dpre2
    db2 = np.sum(dpre2, axis=0)
    dact1 = dmixed + dpre2 @ W2.T

    dscaled = dact1 * (1 - act1**2)
    dgamma = np.sum(dscaled * normed, axis=0)
    dbeta = np.sum(dscaled, axis=0)
    dnormed = dscaled * gamma
    dvar = -0.5 * np.sum(dnormed * centred, axis=1, keepdims=True) * inv_std**3
    dmu = -np.sum(dnormed * inv_std, axis=1, keepdims=True)
    dpre1 = dnormed * inv_std + dvar * 2 * centred / H + dmu / H

    dW1 = X.T @ dpre1
    db1 = np.sum(dpre1, axis=0)
    dX = dpre1 @ W1.T
    return dX, dW1, db1, dgamma, dbeta, dW2, db2, dW3, db3


def loss(X, W1, b1, gamma, beta, W2, b2, W3, b3, y):
    value, cache = forward(X, W1, b1, gamma, beta, W2, b2, W3, b3, y)
    return value, backward(cache)
