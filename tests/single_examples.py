"""Programs of examples, and their gradients by a loop that differentiates one at a time."""

from __future__ import annotations

import numpy as np

from chainrule import grad, nn, ops

N, D, H, C = 6, 5, 4, 3


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def parameters(seed=0, **shapes):
    """Return arrays of random numbers by name."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


X = numbers(N, D, seed=1)
LABELS = np.array([0, 2, 1, 1, 0, 2])
SEQUENCES = numbers(N, 7, 3, seed=2)
WORDS = np.random.default_rng(3).integers(0, 8, (N, 7))
DENSE = parameters(W1=(D, H), b1=H, W2=(H, C), b2=C)


def one_at_a_time(f, p, *data, axis=0):
    """Return the gradient of each example's own loss, by differentiating it alone."""
    alone = [
        grad(f)(p, *[np.take(x, [i], axis=axis) for x in data]) for i in range(data[-1].shape[axis])
    ]
    return {name: np.stack([g[name] for g in alone]) for name in p}


def dense(p, x, y):
    h = np.maximum(0, x @ p["W1"] + p["b1"])
    return np.mean(ops.softmax_cross_entropy(h @ p["W2"] + p["b2"], y))


def written_out(p, x, y):
    h = np.maximum(0, np.dot(x, p["W1"]) + p["b1"])
    scores = np.dot(h, p["W2"]) + p["b2"]
    exp_scores = np.exp(scores)
    probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    return np.sum(-np.log(probs[range(len(y)), y])) / len(y)


def decayed(p, x, y):
    return dense(p, x, y) + 0.1 * np.sum(p["W1"] ** 2) + 0.3 * np.sum(p["b2"] ** 2)


def normalised(p, x, y):
    h = ops.layer_norm(x @ p["W1"] + p["b1"], p["scale"], p["shift"])
    return np.mean(ops.softmax_cross_entropy(h @ p["W2"], y))


def residual(p, x, y):
    h = np.tanh(x @ p["W1"])
    h = h + np.tanh(h @ p["R"])
    h = h + np.tanh(h @ p["R"].T)  # used again, transposed
    return np.mean(ops.softmax_cross_entropy(h @ p["W2"], y))


def recurrent(p, s, y):
    h = np.zeros((s.shape[0], 4))
    for t in range(s.shape[1]):
        h = np.tanh(s[:, t] @ p["U"] + h @ p["V"] + p["b"])
    return np.mean(ops.softmax_cross_entropy(h, y))


def attention(p, s, y):
    q, k, v = (np.einsum("ntd,de->nte", s, p[name]) for name in "QKV")
    weights = ops.softmax(np.einsum("nte,nse->nts", q, k) / np.sqrt(4))
    h = np.einsum("nts,nse->nte", weights, v)
    scores = np.reshape(h, (-1, 4)) @ p["W"]  # examples and steps along one axis
    return np.mean(ops.softmax_cross_entropy(scores, np.repeat(y, s.shape[1])))


def with_token(p, s, y):
    token = np.broadcast_to(p["token"], (s.shape[0], 1, 3))
    h = np.concatenate([token, s], axis=1) + p["place"][np.arange(s.shape[1] + 1)]
    return np.mean(ops.softmax_cross_entropy(np.tanh(h[:, 0] * h[:, 1]) @ p["W"], y))


def embedded(p, words, y):
    h = np.mean(np.tanh(p["E"][words] @ p["W"]), axis=1)
    return np.mean(ops.softmax_cross_entropy(h, y))


def tied(p, words, y):
    h = np.mean(p["E"][words] @ p["W"], axis=1)
    return np.mean(ops.softmax_cross_entropy(h @ p["E"].T, y))


def one_hot_words(p, words, y):
    return np.mean(ops.softmax_cross_entropy(np.eye(8)[words[:, 0]] @ p["E"] @ p["W"], y))


def reparametrised(p, x, y):
    weight = np.exp(p["V"]) / np.sum(np.exp(p["V"]), axis=0)
    return np.mean(ops.softmax_cross_entropy(x @ weight, y))


def solved(p, x, y):
    a = np.eye(D) + p["A"] @ p["A"].T
    z = np.linalg.solve(a, x[:, :, None])[:, :C, 0]
    return np.mean(ops.softmax_cross_entropy(z, y))


def summed_up(p, x, y):
    return np.mean(ops.softmax_cross_entropy(np.cumsum(x @ p["W1"] + p["b1"], axis=1), y))


def regression(p, x, t):
    return np.mean((x @ p["w"] + p["c"] - t) ** 2)


def normalising():
    return nn.Sequential(
        nn.Linear(D, H, seed=0),
        nn.BatchNorm1d(H),
        nn.GELU(),
        nn.Dropout(0.5),
        nn.Linear(H, C, seed=1),
    )


PROGRAMS = [
    (dense, DENSE, X),
    (written_out, DENSE, X),
    (decayed, DENSE, X),
    (normalised, parameters(W1=(D, H), b1=H, scale=H, shift=H, W2=(H, C)), X),
    (residual, parameters(W1=(D, H), R=(H, H), W2=(H, C)), X),
    (recurrent, parameters(U=(3, 4), V=(4, 4), b=4), SEQUENCES),
    (attention, parameters(Q=(3, 4), K=(3, 4), V=(3, 4), W=(4, C)), SEQUENCES),
    (with_token, parameters(token=3, place=(8, 3), W=(3, C)), SEQUENCES),
    (embedded, parameters(E=(8, H), W=(H, C)), WORDS),
    (tied, parameters(E=(8, H), W=(H, H)), WORDS),
    (reparametrised, parameters(V=(D, C)), X),
    (solved, parameters(A=(D, D)), X),
    (summed_up, parameters(W1=(D, H), b1=H), X),
]
"""A function, its parameters and its data, for all sorts of layers."""
