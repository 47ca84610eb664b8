"""Three layers, tanh and the mean squared error; one delta that is changed in place all the way."""

# ruff: noqa: C408, F841 - a learner unpacks all that there is
import numpy as np


def forward(x, target, w1, b1, w2, b2, w3, b3):
    z1 = x @ w1
    z1 += b1
    a1 = np.tanh(z1)
    z2 = a1 @ w2
    z2 += b2
    a2 = np.tanh(z2)
    pred = a2 @ w3
    pred += b3
    loss = np.mean((pred - target) ** 2)
    return loss, dict(x=x, target=target, z1=z1, a1=a1, z2=z2, a2=a2, pred=pred, w2=w2, w3=w3)


def backward(cache):
    x, target, pred = cache["x"], cache["target"], cache["pred"]
    z1, a1, z2, a2 = cache["z1"], cache["a1"], cache["z2"], cache["a2"]
    w2, w3 = cache["w2"], cache["w3"]
    grads = {}

    delta = pred - target
    delta *= 2 / delta.size
    grads["w3"] = a2.T @ delta
    grads["b3"] = delta.sum(axis=0)

    delta = delta @ w3.T
    delta *= 1 - a2**2
    grads["w2"] = a1.T @ delta
    grads["b2"] = delta.sum(axis=0)

    delta = delta @ w2.T
    delta *= 1 - a1**2
    grads["w1"] = x.T @ delta
    grads["b1"] = delta.sum(axis=0)
    return grads


def objective(x, target, w1, b1, w2, b2, w3, b3):
    value, cache = forward(x, target, w1, b1, w2, b2, w3, b3)
    return value, backward(cache)
