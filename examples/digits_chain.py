"""Handwritten digits, read by a chain of modules that hand the gradient back one by one.

The module chain: ``forward`` stores its input, ``backward`` computes the gradient at that input
and passes it to the module before. Two kinds of module are written here by hand. The engine, which
could do without their ``backward``, uses it wherever they are.
"""

import numpy as np
from sklearn.datasets import load_digits

import chainrule as cr
from chainrule import nn


class Affine(nn.Module):
    """y = x Wᵀ + b."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator) -> None:
        bound = 1 / np.sqrt(inputs)
        self.W = nn.Parameter(rng.uniform(-bound, bound, (outputs, inputs)))
        self.b = nn.Parameter(rng.uniform(-bound, bound, outputs))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return x Wᵀ + b; the module keeps x as ``last_input``."""
        return x @ self.W.T + self.b

    def backward(self, gradwrtoutput: np.ndarray) -> np.ndarray:
        """Leave the gradients at W and b, and hand back the one at x."""
        (x,) = self.last_input
        self.grad["W"] = gradwrtoutput.T @ x
        self.grad["b"] = np.sum(gradwrtoutput, axis=0)
        return self.propagate_gradient(gradwrtoutput @ self.W)


class Sigma(nn.Module):
    """σ(x) = tanh x, pointwise."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return tanh x."""
        return np.tanh(x)

    def backward(self, gradwrtoutput: np.ndarray) -> np.ndarray:
        """Multiply by σ'(x) = 1 - tanh² x, element by element."""
        (x,) = self.last_input
        return self.propagate_gradient(gradwrtoutput * (1 - np.tanh(x) ** 2))


rng = np.random.default_rng(0)
X, y = load_digits(return_X_y=True)
order = rng.permutation(len(y))
X, y = X[order] / 16, y[order]
(X, X_new), (y, y_new) = np.split(X, [1437]), np.split(y, [1437])

chain = [Affine(64, 64, rng), Sigma(), Affine(64, 32, rng), Sigma(), Affine(32, 10, rng)]
loss = nn.CrossEntropyLoss()
for before, module in zip(chain, [*chain[1:], loss], strict=True):
    module.previous_module = before


def forward(x: np.ndarray) -> np.ndarray:
    """Return what comes out of the chain."""
    for module in chain:
        x = module(x)
    return x


# One call of the last module's backward runs through the whole chain, to the pixels.
value = loss(forward(X[:5]), y[:5])
at_pixels = loss.backward()
print(f"loss {value:.3f} of five images, and its gradient at their pixels {at_pixels.shape}")

# The engine differentiates the same chain by the backward passes above...
by_engine = cr.grad(lambda x: loss(forward(x), y[:5]))(X[:5])
# ... and here without them, as nobody wrote any.
built_in = nn.Sequential(
    nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10)
)
numbers = [p.data for module in chain for p in module.parameters()]
built_in.load_state_dict(dict(zip(built_in.state_dict(), numbers, strict=True)))
derived = cr.grad(lambda x: loss(built_in(x), y[:5]))(X[:5])
apart = max(np.max(np.abs(g - at_pixels)) for g in (by_engine, derived))
print(f"by hand, by the engine, and derived by it differ by at most {apart:.0e}\n")

for epoch in range(1, 31):
    total = 0.0
    for rows in np.split(rng.permutation(len(y)), range(32, len(y), 32)):
        total += float(loss(forward(X[rows]), y[rows])) * len(rows)
        loss.backward()
        for module in chain:
            for parameter in module.parameters():
                parameter.data -= 0.2 * parameter.grad
    if epoch % 5 == 0:
        print(f"epoch {epoch:2}: loss {total / len(y):.4f}")

accuracy = np.mean(np.argmax(forward(X_new), axis=1) == y_new)
print(f"\naccuracy on {len(y_new)} images it has not seen: {accuracy:.3f}")
