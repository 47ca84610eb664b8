"""Loss and gradients in one function: tanh, ReLU, softmax with one-hot columns, an L2 term."""

import numpy as np


def loss_fn(params, X, Y, lam):
    W1, b1 = params["W1"], params["b1"]
    W2, b2 = params["W2"], params["b2"]
    W3, b3 = params["W3"], params["b3"]
    m = X.shape[1]

    # forward
    pre1 = W1 @ X + b1
    act1 = np.tanh(pre1)
    pre2 = W2 @ act1 + b2
    act2 = np.maximum(pre2, 0)
    pre3 = W3 @ act2 + b3
    expd = np.exp(pre3)
    P = expd / np.sum(expd, axis=0, keepdims=True)
    data_loss = -np.sum(Y * np.log(P)) / m
    reg_loss = lam / (2 * m) * (np.sum(W1**2) + np.sum(W2**2) + np.sum(W3**2))
    loss = data_loss + reg_loss

    # backward
    dP = -(Y / P) / m
    dpre3 = P * (dP - np.sum(P * dP, axis=0, keepdims=True))
    dW3 = dpre3 @ act2.T + lam / m * W3
    db3 = np.sum(dpre3, axis=1, keepdims=True)

    dact2 = W3.T @ dpre3
    dpre2 = np.where(pre2 > 0, dact2, 0)
    dW2 = dpre2 @ act1.T + lam / m * W2
    db2 = np.sum(dpre2, axis=1, keepdims=True)

    dact1 = W2.T @ dpre2
    dpre1 = dact1 * (1 - np.square(act1))
    dW1 = dpre1 @ X.T + lam / m * W1
    db1 = np.sum(dpre1, axis=1, keepdims=True)

    grads = {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2, "W3": dW3, "b3": db3}
    return loss, grads
