"""Three sigmoid layers and binary cross-entropy, one example a column."""

# ruff: noqa: F841 - a learner unpacks all that there is
import numpy as np


def sigmoid(Z):
    return 1 / (1 + np.exp(-Z))


def forward(X, Y, W1, B1, W2, B2, W3, B3):
    m = X.shape[1]
    Z1 = W1 @ X + B1
    A1 = sigmoid(Z1)
    Z2 = W2 @ A1 + B2
    A2 = sigmoid(Z2)
    Z3 = W3 @ A2 + B3
    A3 = sigmoid(Z3)
    loss = -np.sum(Y * np.log(A3) + (1 - Y) * np.log(1 - A3)) / m
    cache = {"A0": X, "Z1": Z1, "A1": A1, "Z2": Z2, "A2": A2, "Z3": Z3, "A3": A3, "Y": Y}
    cache.update(W1=W1, W2=W2, W3=W3)
    return loss, cache


def backward(cache):
    A0, A1, A2, A3 = cache["A0"], cache["A1"], cache["A2"], cache["A3"]
    Z1, Z2, Z3, Y = cache["Z1"], cache["Z2"], cache["Z3"], cache["Y"]
    W1, W2, W3 = cache["W1"], cache["W2"], cache["W3"]
    m = Y.shape[1]

    dZ3 = A3 - Y
    dW3 = dZ3 @ A2.T / m
    dB3 = np.sum(dZ3, axis=1, keepdims=True) / m

    dA2 = W3.T @ dZ3
    dZ2 = dA2 * A2 * (1 - A2)
    dW2 = dZ2 @ A1.T / m
    dB2 = np.sum(dZ2, axis=1, keepdims=True) / m

    dA1 = W2.T @ dZ2
    dZ1 = dA1 * A1 * (1 - A1)
    dW1 = dZ1 @ A0.T / m
    dB1 = np.sum(dZ1, axis=1, keepdims=True) / m

    return {"dW1": dW1, "dB1": dB1, "dW2": dW2, "dB2": dB2, "dW3": dW3, "dB3": dB3}
