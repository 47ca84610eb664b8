"""The same network as an object: everything in dictionaries, the hidden layers in a loop."""

import numpy as np


def sigmoid(Z):
    return 1 / (1 + np.exp(-Z))


class DNN:
    def __init__(self, sizes, seed=0):
        rng = np.random.default_rng(seed)
        self.L = len(sizes) - 1
        self.params = {}
        for i in range(1, self.L + 1):
            self.params[f"W{i}"] = rng.normal(size=(sizes[i], sizes[i - 1]))
            self.params[f"B{i}"] = rng.normal(size=(sizes[i], 1))

    def forward(self, X, Y):
        cache = {"A0": X, "Y": Y}
        A = X
        for i in range(1, self.L + 1):
            Z = np.dot(self.params[f"W{i}"], A) + self.params[f"B{i}"]
            A = sigmoid(Z)
            cache[f"Z{i}"] = Z
            cache[f"A{i}"] = A
        return A, cache

    def loss(self, out, Y):
        return -np.sum(Y * np.log(out) + (1 - Y) * np.log(1 - out)) / Y.shape[1]

    def compute_gradients(self, out, cache):
        grads = {}
        Y = cache["Y"]
        m = Y.shape[1]
        last = self.L

        # output layer
        grads[f"Z{last}"] = out - Y
        grads[f"W{last}"] = np.dot(grads[f"Z{last}"], cache[f"A{last - 1}"].T) / m
        grads[f"B{last}"] = np.sum(grads[f"Z{last}"], axis=1, keepdims=True) / m
        grads[f"A{last - 1}"] = np.dot(self.params[f"W{last}"].T, grads[f"Z{last}"])

        # hidden layers, from the last to the first
        for i in range(last - 1, 0, -1):
            A = cache[f"A{i}"]
            grads[f"Z{i}"] = grads[f"A{i}"] * A * (1 - A)
            grads[f"W{i}"] = np.dot(grads[f"Z{i}"], cache[f"A{i - 1}"].T) / m
            grads[f"B{i}"] = np.sum(grads[f"Z{i}"], axis=1, keepdims=True) / m
            if i > 1:
                grads[f"A{i - 1}"] = np.dot(self.params[f"W{i}"].T, grads[f"Z{i}"])
        return grads
