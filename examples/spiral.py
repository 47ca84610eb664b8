"""A spiral of three arms, and a forward pass in plain NumPy that is differentiated as it stands.

The matrix calculus, where examples are rows: one hidden layer of relu, softmax cross-entropy, and
gradients that come out as products of matrices. Below it is written twice, once as a reader
writes it and once as `DNN`, and the derivatives agree.
"""

import numpy as np

import chainrule as cr
from chainrule.nn import DNN

D, H, C = 2, 64, 3


def spiral(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return n points of each arm as rows, and the arm that each is on."""
    radius = np.tile(np.linspace(0, 1, n), C)
    arm = np.repeat(np.arange(C), n)
    angle = 4 * radius + 2 * np.pi / C * arm + rng.normal(scale=0.2, size=C * n)
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1), arm


def loss(W1, b1, W2, b2, X, y):  # noqa: ANN001, ANN201 - as a reader writes it
    """Return the mean cross-entropy, in plain NumPy."""
    N = len(X)
    y1 = X.dot(W1) + b1
    h1 = np.maximum(0, y1)
    y2 = h1.dot(W2) + b2
    exp_scores = np.exp(y2 - np.max(y2, axis=1, keepdims=True))
    probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    return np.sum(-np.log(probs[range(N), y])) / N


rng = np.random.default_rng(0)
X, y = spiral(100, rng)
network = DNN([D, H, C], hidden="relu", output="softmax", layout="rows", seed=0)
print(f"{network!r} on {len(X)} points")

# No rule for `loss` is written anywhere. Its derivatives follow from those of its lines.
by_engine = cr.grad(loss, argnums=(0, 1, 2, 3))(*network.parameters.values(), X, y)

# The same on paper: dy2 = (p - 1[y]) / N, dW2 = h1ᵀ dy2, db2 = Σ dy2, dy1 = dh1 ∗ 1[y1 > 0], …
on_paper = network.compute_gradients(*network.forward(X, y))
pairs = zip(by_engine, network.parameters, strict=True)
apart = max(np.max(np.abs(g - on_paper[name])) for g, name in pairs)
print(f"\nby the engine and on paper differ by at most {apart:.0e}")

print("\nsteps   loss")
for steps in (500, 1000, 1500, 2000):  # each call goes on where the last one ended
    losses = network.fit(X, y, learning_rate=1, epochs=500)
    print(f"{steps:5}   {losses[-1]:.3f}")

X_new, y_new = spiral(100, rng)
print(f"\naccuracy on the points it learned from:  {np.mean(network.predict(X) == y):.3f}")
print(f"accuracy on points it has not seen:      {np.mean(network.predict(X_new) == y_new):.3f}\n")

# The plane as the network divides it.
across, up = np.meshgrid(np.linspace(-1.2, 1.2, 64), np.linspace(1.2, -1.2, 28))
classes = network.predict(np.stack([across.ravel(), up.ravel()], axis=1)).reshape(across.shape)
print("\n".join("".join("#+·"[k] for k in row) for row in classes))
