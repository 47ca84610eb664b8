"""What can go wrong in sigmoid layers with cross-entropy, examples as columns."""

# ruff: noqa: N816 - a line is called by what it sets: dW1

from mutants.suite import Edits

E = Edits("sigmoid_bce")
SQUARE = {"m": 5, "d": 5, "h": 5, "k": 5}
dZ3, dZ2, dZ1 = "dZ3 = A3 - Y", "dZ2 = dA2 * A2 * (1 - A2)", "dZ1 = dA1 * A1 * (1 - A1)"
dA2, dA1 = "dA2 = W3.T @ dZ3", "dA1 = W2.T @ dZ2"
dW3, dW2, dW1 = "dW3 = dZ3 @ A2.T / m", "dW2 = dZ2 @ A1.T / m", "dW1 = dZ1 @ A0.T / m"
dB3 = "dB3 = np.sum(dZ3, axis=1, keepdims=True) / m"
dB2 = "dB2 = np.sum(dZ2, axis=1, keepdims=True) / m"
dB1 = "dB1 = np.sum(dZ1, axis=1, keepdims=True) / m"

E.wrong("wrong sign of a weight", "201", "W2", (dW2, "dW2 = -dZ2 @ A1.T / m"))
E.wrong("wrong sign of a bias", "201", "B1", (dB1, f"{dB1}\n    dB1 = -dB1"))
E.wrong("wrong sign at the head", "201", "Z3", (dZ3, "dZ3 = Y - A3"))
E.wrong("wrong sign inside", "201", "A1", (dA1, "dA1 = -W2.T @ dZ2"))
E.wrong("wrong sign inside", "201", "Z2", (dZ2, "dZ2 = dA2 * A2 * (A2 - 1)"))
E.wrong("1/m missing at one weight", "203", "W2", (dW2, "dW2 = dZ2 @ A1.T"))
E.wrong("1/m missing at one weight", "203", "W1", (dW1, "dW1 = dZ1 @ A0.T"))
E.wrong(
    "bias summed instead of averaged",
    "203 223",
    "B3",
    (dB3, "dB3 = np.sum(dZ3, axis=1, keepdims=True)"),
)
E.wrong("1/m missing everywhere", "203 222", "A3 Z3 W3 B3", ("m = Y.shape[1]", "m = 1"))
E.wrong("1/m twice at one weight", "204", "W3", (dW3, "dW3 = dZ3 @ A2.T / m / m"))
E.wrong("1/m twice at the head", "204", "A3 Z3 W3 B3", (dZ3, "dZ3 = (A3 - Y) / m"))
E.wrong("1/k for 1/m", "205", "W3", (dW3, "dW3 = dZ3 @ A2.T / len(Y)"))
E.wrong("1/features for 1/m", "205", "W1", (dW1, "dW1 = dZ1 @ A0.T / A0.shape[0]"))
E.wrong("divided by the outputs too", "205 206 223", "Z3", (dZ3, "dZ3 = (A3 - Y) / Y.shape[0]"))
E.wrong("1/(m k) too much", "206", "W3", (dW3, "dW3 = dZ3 @ A2.T / m / Y.size"))
E.wrong("factor 2", "202", "Z3", (dZ3, "dZ3 = 2 * (A3 - Y)"))
E.wrong("factor 2", "202", "W1", (dW1, "dW1 = 2 * dZ1 @ A0.T / m"))
E.wrong("factor one half", "202", "W2", (dW2, "dW2 = 0.5 * dZ2 @ A1.T / m"))
E.wrong("transpose missing, any size", "207", "A1", (dA1, "dA1 = W2 @ dZ2"))
E.wrong("transpose missing, square", "207", "A2", (dA2, "dA2 = W3 @ dZ3"), sizes=SQUARE)
E.wrong("transpose missing, square", "207", "W2", (dW2, "dW2 = dZ2 @ A1 / m"), sizes=SQUARE)
E.wrong("transpose extra, square", "207", "W3", (dW3, "dW3 = dZ3.T @ A2.T / m"), sizes=SQUARE)
E.wrong("transposed result", "207 208", "W1", (dW1, "dW1 = A0 @ dZ1.T / m"))
E.wrong("transposed result, square", "207 208", "W2", (dW2, "dW2 = A1 @ dZ2.T / m"))
E.wrong("operands swapped", "208", "A1", (dA1, "dA1 = dZ2 @ W2.T"), sizes=SQUARE)
E.wrong("operands swapped", "208", "W2", (dW2, "dW2 = A1.T @ dZ2 / m"), sizes=SQUARE)
E.wrong("elementwise for product", "209", "W2", (dW2, "dW2 = dZ2 * A1 / m"), sizes=SQUARE)
E.wrong("elementwise for product", "209", "A1", (dA1, "dA1 = W2.T * dZ2"), sizes=SQUARE)
E.wrong("product for elementwise", "210", "Z2", (dZ2, "dZ2 = dA2 @ (A2 * (1 - A2))"), sizes=SQUARE)
E.wrong("bias not summed", "211", "B2", (dB2, "dB2 = dZ2 / m"))
E.wrong(
    "bias summed over the wrong axis",
    "212",
    "B1",
    (dB1, "dB1 = np.sum(dZ1, axis=0, keepdims=True) / m"),
)
E.wrong(
    "bias summed over the wrong axis, square",
    "212",
    "B2",
    (dB2, "dB2 = np.sum(dZ2, axis=0).reshape(-1, 1) / m"),
    sizes=SQUARE,
)
E.wrong(
    "bias averaged",
    "213 204",
    "B3",
    (dB3, "dB3 = np.mean(dZ3, axis=1, keepdims=True) / m"),
)
E.wrong("activation derivative missing", "214", "Z2", (dZ2, "dZ2 = dA2"))
E.wrong("activation derivative missing", "214", "Z1", (dZ1, "dZ1 = dA1"))
E.wrong("derivative formula at the pre-activation", "215", "Z2", (dZ2, "dZ2 = dA2 * Z2 * (1 - Z2)"))
E.wrong(
    "derivative at the activation",
    "215",
    "Z1",
    (dZ1, "s = sigmoid(A1)\n    dZ1 = dA1 * s * (1 - s)"),
)
E.wrong("derivative of tanh", "216", "Z2", (dZ2, "dZ2 = dA2 * (1 - A2**2)"))
E.wrong("derivative of relu", "216", "Z1", (dZ1, "dZ1 = dA1 * (Z1 > 0)"))
E.wrong("derivative of another layer", "217", "Z2", (dZ2, "dZ2 = dA2 * A1 * (1 - A1)"))
E.wrong("derivative of another layer", "217", "Z1", (dZ1, "dZ1 = dA1 * A2 * (1 - A2)"))
E.wrong("upstream ignored", "218", "Z2", (dZ2, "dZ2 = A2 * (1 - A2)"))
E.wrong("upstream ones", "218", "A2", (dA2, "dA2 = W3.T @ np.ones_like(dZ3)"))
E.wrong("upstream added", "218", "Z1", (dZ1, "dZ1 = dA1 + A1 * (1 - A1)"))
E.wrong("target not subtracted", "219", "Z3", (dZ3, "dZ3 = A3"))
E.wrong("the head of another loss", "219 243", "Z3", (dZ3, "dZ3 = (A3 - Y) * A3 * (1 - A3)"))
E.wrong("activation derivative twice", "243", "Z2", (dZ2, f"{dZ2} * A2 * (1 - A2)"))
E.wrong("pre-activation in a product", "242", "W2", (dW2, "dW2 = dZ2 @ Z1.T / m"))
E.wrong("another layer in a product", "242", "W3", (dW3, "dW3 = dZ3 @ A1.T / m"))
E.wrong("penalty in the gradient alone", "245", "W3", (dW3, f"{dW3} + 0.1 * W3"))
E.wrong("updated weights, a copy", "227", "A1", (dA1, f"W2 = W2 - 0.5 * dW2\n    {dA1}"))
E.wrong(
    "updated weights, in place",
    "227",
    "A2",
    (dA2, f"W3 -= 0.5 * dW3\n    {dA2}"),
    also_setup=True,
)
E.wrong(
    "stale cache",
    "228",
    "W2",
    ("def forward", "kept = {}\n\n\ndef forward"),
    ('"A1": A1,', '"A1": kept.setdefault("A1", A1),'),
    stale=True,
)
E.wrong(
    "stale cache",
    "228",
    "Z3",
    ("def forward", "kept = {}\n\n\ndef forward"),
    ('"A3": A3,', '"A3": kept.setdefault("A3", A3),'),
    stale=True,
)
E.wrong("clipped", "229", "Z2", (dZ2, f"{dZ2}\n    dZ2 = np.clip(dZ2, -0.05, 0.05)"))
E.wrong(
    "clipped by norm",
    "229",
    "W2",
    (dW2, f"{dW2}\n    dW2 *= min(1, 0.01 / np.linalg.norm(dW2))"),
)
E.wrong("masked", "229", "Z1", (dZ1, f"{dZ1}\n    dZ1[dZ1 < 0] = 0"))
E.wrong("never set", "239", "B2", (dB2, "dB2 = np.zeros((len(dZ2), 1))"))
E.wrong("never set", "239", "W3", (dW3, "dW3 = np.zeros_like(W3)"))
E.wrong("swapped", "241", "B1 B2", ('"dB1": dB1', '"dB1": dB2'), ('"dB2": dB2', '"dB2": dB1'))
E.wrong(
    "swapped, square",
    "241",
    "W1 W2",
    ('"dW1": dW1', '"dW1": dW2'),
    ('"dW2": dW2', '"dW2": dW1'),
    sizes={"d": 5, "h": 5},
)
E.wrong(
    "not a gradient",
    "236",
    "W2",
    (dW2, "dW2 = np.roll(W2, 1, axis=0) - np.roll(W2, -1, axis=0)"),
)
E.right("float32 inside", (dZ2, f"{dZ2}\n    dZ2 = dZ2.astype(np.float32)"), note="235")
E.right("derivative in another order", (dZ2, "dZ2 = dA2 * (A2 - A2**2)"))
E.right("derivative through exp", (dZ1, "dZ1 = dA1 * np.exp(-Z1) / (1 + np.exp(-Z1)) ** 2"))
E.right("mean for sum and 1/m", (dB3, "dB3 = np.mean(dZ3, axis=1, keepdims=True)"))
E.right("overwrites the cache", (dZ3, "dZ3 = A3\n    dZ3 -= Y"), note="237")
E.right("overwrites the cache", (dZ1, "dZ1 = A1\n    dZ1 *= dA1 * (1 - A1)"), note="237")

MUTANTS = E.mutants
