"""Two layers, ReLU and softmax cross-entropy, one example a row, labels as indices."""

# ruff: noqa: RUF059 - a learner unpacks all that there is
import numpy as np


def forward(W1, b1, W2, b2, X, y):
    N = X.shape[0]
    y1 = X.dot(W1) + b1
    h1 = np.maximum(0, y1)
    y2 = h1.dot(W2) + b2
    scores = y2
    exp_scores = np.exp(scores)
    probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    correct_logprobs = -np.log(probs[range(N), y])
    loss = np.sum(correct_logprobs) / N
    cache = (X, y, W1, W2, y1, h1, y2, probs)
    return loss, cache


def backward(cache):
    X, y, W1, W2, y1, h1, y2, probs = cache
    N = X.shape[0]

    dy2 = probs
    dy2[range(N), y] -= 1
    dy2 /= N

    dW2 = h1.T.dot(dy2)
    db2 = np.sum(dy2, axis=0)
    dh1 = dy2.dot(W2.T)

    dy1 = dh1 * (y1 > 0)
    dW1 = X.T.dot(dy1)
    db1 = np.sum(dy1, axis=0)
    return dW1, db1, dW2, db2


def loss_and_gradients(W1, b1, W2, b2, X, y):
    loss, cache = forward(W1, b1, W2, b2, X, y)
    return loss, backward(cache)
