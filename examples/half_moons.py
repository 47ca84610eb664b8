"""Two half moons, told apart by a network whose every number can be looked at.

The cached network, where examples are columns: a batch of m points is a 2 × m matrix, the forward
pass keeps all that it computes in a dictionary, and the backward pass reads it from the last layer
to the first.
"""

import numpy as np

import chainrule as cr
from chainrule.nn import DNN


def half_moons(m: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return m points as columns, from two interleaved half circles, and which one each is of."""
    angle = rng.uniform(0, np.pi, m)
    Y = rng.integers(0, 2, m)
    upper = np.stack([np.cos(angle), np.sin(angle)])
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)])
    return np.where(Y == 0, upper, lower) + rng.normal(scale=0.1, size=(2, m)), Y


rng = np.random.default_rng(0)
X, Y = half_moons(400, rng)
network = DNN([2, 8, 8, 1], hidden="sigmoid", output="sigmoid", layout="columns", seed=0)
print(f"{network!r} on {X.shape[1]} points")

# Forward: Z = W A + B and A = σ(Z), three times, and nothing is thrown away.
out, cache = network.forward(X, Y)
print("\nforward keeps  ", "  ".join(f"{name} {array.shape}" for name, array in cache.items()))

# Backward: dZ3 = A3 - Y, and then the same four lines for every layer.
gradients = network.compute_gradients(out, cache)
print("\nbackward gives ", "  ".join(f"{name} {g.shape}" for name, g in gradients.items()))

# The formulas stand in a loop. The engine knows none of them and gets the same derivatives.
by_engine = cr.grad(network.mean_loss)(network.parameters, X, Y)
apart = max(np.max(np.abs(by_engine[name] - gradients[name])) for name in by_engine)
print(f"\nby hand and by the engine differ by at most {apart:.0e}")

# Training is nothing but this, again and again: W ← W - 3 dW.
losses = network.fit(X, Y, learning_rate=3, epochs=1000)
print(
    f"\nloss {losses[0]:.3f} at first, {losses[99]:.3f} after 100 steps, {losses[-1]:.3f} at last"
)

X_new, Y_new = half_moons(400, rng)
accuracy = np.mean(network.predict(X_new) == Y_new)
print(f"accuracy on points it has not seen: {accuracy:.3f}\n")

# The plane as the network divides it.
x, y = np.meshgrid(np.linspace(-1.4, 2.4, 64), np.linspace(1.4, -0.9, 20))
classes = network.predict(np.stack([x.ravel(), y.ravel()])).reshape(x.shape)
print("\n".join("".join("·#"[k] for k in row) for row in classes))
