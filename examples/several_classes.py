"""Three rings, one inside the other: more than two classes, by softmax instead of sigmoid.

What changes against two classes is the end of the network alone. Its last layer has one unit for
each class, softmax turns their scores into probabilities, and dZ at the output is A - Y as before.
"""

import numpy as np

from chainrule.nn import DNN

CLASSES = 3


def rings(m: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return m points as columns, and which ring each is of, counted from inside."""
    labels = rng.integers(0, CLASSES, m)
    radius = labels + 0.5 + rng.uniform(-0.35, 0.35, m)
    angle = rng.uniform(0, 2 * np.pi, m)
    return radius * np.stack([np.cos(angle), np.sin(angle)]), labels


rng = np.random.default_rng(0)
X, labels = rings(600, rng)
network = DNN([2, 16, CLASSES], hidden="tanh", output="softmax", layout="columns", seed=0)
print(f"{network!r} on {X.shape[1]} points")

# A column of the output holds the probabilities of one point, which sum to 1.
out, cache = network.forward(X)
print("\nbefore training, the first point is of class", labels[0], "with", out[:, 0].round(3))

# Labels and one-hot columns say the same, and A - Y is all that the loss leaves to do at the end.
gradients = network.compute_gradients(out, cache, labels)
one_hot = np.eye(CLASSES)[:, labels]
print("dZ at the output is A - Y:", np.array_equal(gradients["Z2"], out - one_hot))

losses = network.fit(X, labels, learning_rate=0.5, epochs=2000)
print(f"loss {losses[0]:.3f} at first, {losses[-1]:.3f} after {len(losses)} steps")
out, _ = network.forward(X)
print("after training, the first point is of class", labels[0], "with", out[:, 0].round(3))

X_new, labels_new = rings(600, rng)
accuracy = np.mean(network.predict(X_new) == labels_new)
print(f"\naccuracy on points it has not seen: {accuracy:.3f}\n")

# The plane as the network divides it.
x, y = np.meshgrid(np.linspace(-3, 3, 64), np.linspace(3, -3, 28))
classes = network.predict(np.stack([x.ravel(), y.ravel()])).reshape(x.shape)
print("\n".join("".join("#+·"[k] for k in row) for row in classes))
