"""What can go wrong in ReLU with softmax, rows and indices."""

# ruff: noqa: N816 - a line is called by what it sets: dW1

from mutants.suite import Edits

E = Edits("relu_softmax")
SQUARE = {"n": 5, "d": 5, "h": 5, "c": 5}
HEAD = "    dy2 = probs\n    dy2[range(N), y] -= 1\n    dy2 /= N\n"
dW2, db2, dh1 = "dW2 = h1.T.dot(dy2)", "db2 = np.sum(dy2, axis=0)", "dh1 = dy2.dot(W2.T)"
dy1, dW1, db1 = "dy1 = dh1 * (y1 > 0)", "dW1 = X.T.dot(dy1)", "db1 = np.sum(dy1, axis=0)"
INSTEAD = "    dy2 = np.zeros_like(probs)\n"

E.wrong("wrong sign at the head", "201", "y2 scores", (HEAD, f"{HEAD}    dy2 = -dy2\n"))
E.wrong("wrong sign of a weight", "201", "W2", (dW2, "dW2 = -h1.T.dot(dy2)"))
E.wrong("wrong sign of a bias", "201", "b1", (db1, "db1 = -np.sum(dy1, axis=0)"))
E.wrong("wrong sign inside", "201", "h1", (dh1, "dh1 = -dy2.dot(W2.T)"))
E.wrong("wrong sign inside", "201", "y1", (dy1, "dy1 = -dh1 * (y1 > 0)"))
E.wrong("1/m missing at the head", "203 222", "y2 scores", ("    dy2 /= N\n", ""))
E.wrong("1/m twice at the head", "204", "y2 scores", ("    dy2 /= N\n", "    dy2 /= N**2\n"))
E.wrong("1/m twice at one weight", "204", "W1", (dW1, f"{dW1} / N"))
E.wrong("1/k for 1/m", "205", "y2 scores", ("dy2 /= N", "dy2 /= dy2.shape[1]"))
E.wrong("1/features for 1/m", "205", "y2 scores", ("dy2 /= N", "dy2 /= X.shape[1]"))
E.wrong("1/(m k) for 1/m", "205 206 223", "y2 scores", ("dy2 /= N", "dy2 /= dy2.size"))
E.wrong("1/(m k) too much", "206", "W2", (dW2, f"{dW2} / dy2.size"))
E.wrong("factor 2", "202", "h1", (dh1, "dh1 = 2 * dy2.dot(W2.T)"))
E.wrong("factor one half", "202", "W1", (dW1, "dW1 = 0.5 * X.T.dot(dy1)"))
E.wrong("transpose missing, square", "207", "h1", (dh1, "dh1 = dy2.dot(W2)"), sizes=SQUARE)
E.wrong("transpose missing, square", "207", "W2", (dW2, "dW2 = h1.dot(dy2)"), sizes=SQUARE)
E.wrong("transpose missing, square", "207", "W1", (dW1, "dW1 = X.dot(dy1)"), sizes=SQUARE)
E.wrong("transpose extra, square", "207", "W1", (dW1, "dW1 = X.T.dot(dy1.T)"), sizes=SQUARE)
E.wrong("transposed result", "207 208", "W2", (dW2, "dW2 = dy2.T.dot(h1)"))
E.wrong("transposed result, square", "207 208", "W1", (dW1, "dW1 = dy1.T.dot(X)"), sizes={"d": 5})
E.wrong("operands swapped", "208", "h1", (dh1, "dh1 = W2.T.dot(dy2)"), sizes=SQUARE)
E.wrong("operands swapped", "208", "W1", (dW1, "dW1 = dy1.dot(X.T)"), sizes=SQUARE)
E.wrong("elementwise for product", "209", "W2", (dW2, "dW2 = h1.T * dy2"), sizes=SQUARE)
E.wrong("elementwise for product", "209", "h1", (dh1, "dh1 = dy2 * W2.T"), sizes=SQUARE)
E.wrong("product for elementwise", "210", "y1", (dy1, "dy1 = dh1.dot(y1 > 0)"), sizes=SQUARE)
E.wrong("bias not summed", "211", "b2", (db2, "db2 = dy2"))
E.wrong("bias not summed", "211", "b1", (db1, "db1 = dy1"))
E.wrong("bias summed over the wrong axis", "212", "b2", (db2, "db2 = np.sum(dy2, axis=1)"))
E.wrong(
    "bias summed over the wrong axis, square",
    "212",
    "b1",
    (db1, "db1 = np.sum(dy1, axis=1)"),
    sizes={"n": 5, "h": 5},
)
E.wrong("bias averaged", "213 204 223", "b1", (db1, "db1 = np.mean(dy1, axis=0)"))
E.wrong("bias averaged", "213 204 223", "b2", (db2, "db2 = dy2.mean(axis=0)"))
E.wrong("activation derivative missing", "214", "y1", (dy1, "dy1 = dh1"))
E.wrong("derivative of tanh", "216", "y1", (dy1, "dy1 = dh1 * (1 - h1**2)"))
E.wrong("derivative of sigmoid", "216", "y1", (dy1, "dy1 = dh1 * h1 * (1 - h1)"))
E.wrong("derivative of another layer", "217", "y1", (dy1, "dy1 = dh1 * (y2 > 0)"), sizes={"c": 5})
E.wrong("pre-activation in a product", "242", "W2", (dW2, "dW2 = y1.T.dot(dy2)"))
E.wrong("penalty in the gradient alone", "245", "W1", (dW1, f"{dW1} + 1e-2 * W1"))
E.wrong("upstream ignored", "218", "y1", (dy1, "dy1 = (y1 > 0) * 1.0"))
E.wrong("upstream ones", "218", "h1", (dh1, "dh1 = np.ones_like(dy2).dot(W2.T)"))
E.wrong("target not subtracted", "219", "y2 scores", ("    dy2[range(N), y] -= 1\n", ""))
E.wrong(
    "softmax's derivative left out",
    "214 219",
    "y2 scores",
    (HEAD, f"{INSTEAD}    dy2[range(N), y] = -1 / probs[range(N), y] / N\n"),
)
E.wrong(
    "softmax as its diagonal",
    "220",
    "y2 scores",
    (HEAD, f"{INSTEAD}    dy2[range(N), y] = (probs[range(N), y] - 1) / N\n"),
)
E.wrong(
    "softmax twice",
    "221",
    "y2 scores",
    ("dy2 = probs\n", "dy2 = np.exp(probs) / np.sum(np.exp(probs), axis=1, keepdims=True)\n"),
)
E.wrong(
    "softmax over the wrong axis",
    "230",
    "y2 scores",
    ("dy2 = probs\n", "dy2 = np.exp(y2) / np.sum(np.exp(y2), axis=0)\n"),
)
E.wrong("updated weights, a copy", "227", "h1", (dh1, f"W2 = W2 - 0.5 * dW2\n    {dh1}"))
E.wrong(
    "updated weights, in place", "227", "h1", (dh1, f"W2 -= 0.5 * dW2\n    {dh1}"), also_setup=True
)
E.wrong(
    "stale cache",
    "228",
    "W2",
    ("def forward", "MEMORY = {}\n\n\ndef forward"),
    ("y1, h1, y2, probs)\n", 'y1, MEMORY.setdefault("h1", h1), y2, probs)\n'),
    stale=True,
)
E.wrong(
    "stale cache",
    "228",
    "y1",
    ("def forward", "MEMORY = {}\n\n\ndef forward"),
    (
        "W2, y1, h1, y2, probs)\n    return",
        "W2, MEMORY.setdefault(0, y1), h1, y2, probs)\n    return",
    ),
    stale=True,
)
E.wrong("clipped", "229", "h1", (dh1, f"{dh1}.clip(-0.01, 0.01)"))
E.wrong("clipped", "229", "W1", (dW1, f"dW1 = np.clip({dW1[6:]}, -0.02, 0.02)"))
E.wrong(
    "clipped by norm",
    "229",
    "b2",
    (db2, f"{db2}\n    db2 *= 0.01 / max(0.01, np.sqrt(np.sum(db2**2)))"),
)
E.wrong("masked", "229 216", "y2 scores", (HEAD, f"{HEAD}    dy2 = dy2 * (y2 > 0)\n"))
E.wrong("masked", "229", "h1", (dh1, f"{dh1}\n    dh1[np.abs(dh1) < 0.02] = 0"))
E.wrong("never set", "239", "W1", (dW1, "dW1 = np.zeros_like(W1)"))
E.wrong("never set", "239", "b1", (db1, "db1 = np.zeros(W1.shape[1])"))
E.wrong(
    "swapped",
    "241",
    "W1 W2",
    ("return dW1, db1, dW2, db2", "return dW2, db1, dW1, db2"),
    sizes=SQUARE,
)
E.wrong(
    "swapped",
    "241",
    "b1 b2",
    ("return dW1, db1, dW2, db2", "return dW1, db2, dW2, db1"),
    sizes={"c": 5},
)
E.wrong(
    "not a gradient", "236", "W2", (dW2, "dW2 = np.roll(W2, 1, axis=1) - np.roll(W2, -1, axis=1)")
)
E.right("at or above the kink", (dy1, dy1.replace(">", ">=")), note="234")
E.right("mask at the activation", (dy1, "dy1 = dh1 * (h1 > 0)"))
E.right("no alias", ("dy2 = probs\n", "dy2 = probs.copy()\n"))
E.right("mask in place", (dy1, "dy1 = dh1\n    dy1[y1 < 0] = 0"), note="234")
E.right(
    "float32 inside", ("    dy2 /= N\n", "    dy2 = (dy2 / N).astype(np.float32)\n"), note="235"
)
E.right(
    "target as one-hot",
    (HEAD, "    dy2 = (probs - np.eye(probs.shape[1])[y]) / N\n"),
)

MUTANTS = E.mutants
