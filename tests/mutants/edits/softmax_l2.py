"""What can go wrong in softmax with one-hot columns and an L2 term."""

# ruff: noqa: N816 - a line is called by what it sets: dW1

from mutants.suite import Edits

E = Edits("softmax_l2")
SQUARE = {"m": 6, "d": 6, "h": 6, "g": 6, "k": 6}
dP = "dP = -(Y / P) / m"
dpre3 = "dpre3 = P * (dP - np.sum(P * dP, axis=0, keepdims=True))"
dpre2, dpre1 = "dpre2 = np.where(pre2 > 0, dact2, 0)", "dpre1 = dact1 * (1 - np.square(act1))"
dact2, dact1 = "dact2 = W3.T @ dpre3", "dact1 = W2.T @ dpre2"
dW3 = "dW3 = dpre3 @ act2.T + lam / m * W3"
dW2 = "dW2 = dpre2 @ act1.T + lam / m * W2"
dW1 = "dW1 = dpre1 @ X.T + lam / m * W1"
db3, db2, db1 = (f"db{i} = np.sum(dpre{i}, axis=1, keepdims=True)" for i in (3, 2, 1))

E.wrong("wrong sign at the head", "201", "P", (dP, "dP = (Y / P) / m"))
E.wrong("wrong sign at the head", "201", "pre3", (dpre3, f"{dpre3}\n    dpre3 = -dpre3"))
E.wrong("wrong sign inside", "201", "act1", (dact1, "dact1 = -(W2.T @ dpre2)"))
E.wrong("wrong sign of a weight", "201", "W2", (dW2, "dW2 = -(dpre2 @ act1.T + lam / m * W2)"))
E.wrong("1/m missing at the head", "203 222", "P", (dP, "dP = -(Y / P)"))
E.wrong("1/m twice at the head", "204", "P", (dP, "dP = -(Y / P) / m**2"))
E.wrong("1/k for 1/m", "205", "P", (dP, "dP = -(Y / P) / Y.shape[0]"))
E.wrong("1/(m k) for 1/m", "205 206 223", "P", (dP, "dP = -(Y / P) / Y.size"))
E.wrong("factor 2", "202", "act2", (dact2, "dact2 = 2 * W3.T @ dpre3"))
E.wrong("factor one half", "202", "b1", (db1, f"{db1} / 2"))
E.wrong("1/m twice at a bias", "204 213", "b2", (db2, f"{db2} / m"))
E.wrong("bias averaged", "213 204 223", "b3", (db3, db3.replace("np.sum", "np.mean")))
E.wrong("bias not summed", "211", "b2", (db2, "db2 = dpre2"))
E.wrong("bias summed over the wrong axis", "212", "b2", (db2, db2.replace("axis=1", "axis=0")))
E.wrong("transpose missing, square", "207", "act1", (dact1, "dact1 = W2 @ dpre2"), sizes=SQUARE)
E.wrong(
    "transpose missing, square",
    "207",
    "W1",
    (dW1, "dW1 = dpre1 @ X + lam / m * W1"),
    sizes=SQUARE,
)
E.wrong(
    "transposed result, square",
    "207 208",
    "W2",
    (dW2, "dW2 = act1 @ dpre2.T + lam / m * W2"),
    sizes=SQUARE,
)
E.wrong("operands swapped", "208", "act2", (dact2, "dact2 = dpre3 @ W3.T"), sizes=SQUARE)
E.wrong("elementwise for product", "209", "act2", (dact2, "dact2 = W3.T * dpre3"), sizes=SQUARE)
E.wrong(
    "product for elementwise",
    "210",
    "pre1",
    (dpre1, "dpre1 = dact1 @ (1 - np.square(act1))"),
    sizes=SQUARE,
)
E.wrong("activation derivative missing", "214", "pre2", (dpre2, "dpre2 = dact2"))
E.wrong("activation derivative missing", "214", "pre1", (dpre1, "dpre1 = dact1"))
E.wrong(
    "derivative formula at the pre-activation",
    "215",
    "pre1",
    (dpre1, "dpre1 = dact1 * (1 - np.square(pre1))"),
)
E.wrong(
    "derivative at the activation",
    "215",
    "pre1",
    (dpre1, "dpre1 = dact1 * (1 - np.tanh(act1) ** 2)"),
)
E.wrong("derivative of sigmoid", "216", "pre1", (dpre1, "dpre1 = dact1 * act1 * (1 - act1)"))
E.wrong("derivative of tanh", "216", "pre2", (dpre2, "dpre2 = dact2 * (1 - np.square(act2))"))
E.wrong(
    "derivative of another layer",
    "217",
    "pre2",
    (dpre2, "dpre2 = np.where(pre1 > 0, dact2, 0)"),
    sizes={"g": 6},
)
E.wrong("upstream ignored", "218", "pre2", (dpre2, "dpre2 = np.where(pre2 > 0, 1.0, 0.0)"))
E.wrong("upstream ignored", "218", "pre1", (dpre1, "dpre1 = 1 - np.square(act1)"))
E.wrong("softmax as its diagonal", "220", "pre3", (dpre3, "dpre3 = P * (1 - P) * dP"))
E.wrong("target not subtracted", "219", "pre3", (dpre3, "dpre3 = P / m"))
E.wrong(
    "softmax twice",
    "221",
    "pre3",
    (dpre3, "Q = np.exp(P) / np.sum(np.exp(P), axis=0)\n    dpre3 = (Q - Y) / m"),
)
E.wrong(
    "softmax over the wrong axis",
    "230 231",
    "pre3",
    (dpre3, "dpre3 = P * (dP - np.sum(P * dP, axis=1, keepdims=True))"),
)
E.wrong(
    "softmax over the wrong axis",
    "230",
    "pre3",
    (dpre3, "Q = expd / np.sum(expd, axis=1, keepdims=True)\n    dpre3 = (Q - Y) / m"),
)
E.wrong("activation derivative twice", "243", "pre1", (dpre1, f"{dpre1}\n    dpre1 *= 1 - act1**2"))
E.wrong("pre-activation in a product", "242", "W3", (dW3, dW3.replace("act2", "pre2")))
E.wrong("regularisation missing", "224", "W2", (dW2, "dW2 = dpre2 @ act1.T"))
E.wrong("regularisation missing", "224", "W3", (dW3, "dW3 = dpre3 @ act2.T"))
E.wrong(
    "regularisation missing everywhere",
    "224",
    "W3 reg_loss",
    *((d, d.split(" + ")[0]) for d in (dW3, dW2, dW1)),
)
E.wrong("regularisation doubled", "225", "W1", (dW1, dW1.replace("lam", "2 * lam")))
E.wrong("regularisation halved", "225", "W3", (dW3, dW3.replace("lam / m", "lam / (2 * m)")))
E.wrong("regularisation without its 1/m", "225 203", "W2", (dW2, dW2.replace("lam / m", "lam")))
E.wrong("regularisation of a bias", "226", "b1", (db1, f"{db1} + lam / m * b1"))
E.wrong("regularisation of a bias", "226", "b3", (db3, f"{db3} + lam / m * b3"))
E.wrong("updated weights, a copy", "227", "act1", (dact1, f"W2 = W2 - 0.5 * dW2\n    {dact1}"))
E.wrong(
    "updated weights, in place",
    "227",
    "act2",
    (dact2, f"W3 -= 0.5 * dW3\n    {dact2}"),
    also_setup=True,
)
E.wrong("clipped", "229", "pre1", (dpre1, f"{dpre1}\n    np.clip(dpre1, -0.01, 0.01, out=dpre1)"))
E.wrong(
    "clipped by norm",
    "229",
    "W1",
    (dW1, f"{dW1}\n    dW1 /= max(1, np.linalg.norm(dW1) / 0.05)"),
)
E.wrong("masked", "229 216", "pre3", (dpre3, f"{dpre3}\n    dpre3 = dpre3 * (pre3 > 0)"))
E.wrong("never set", "239", "b2", (db2, "db2 = np.zeros_like(b2)"))
E.wrong(
    "not a gradient", "236", "W1", (dW1, "dW1 = np.roll(W1, 1, axis=1) - np.roll(W1, -1, axis=1)")
)
E.wrong(
    "swapped",
    "241",
    "W2 W1",
    ('"W1": dW1', '"W1": dW2'),
    ('"W2": dW2', '"W2": dW1'),
    sizes={"d": 6, "g": 6},
)
E.right("at or above the kink", (dpre2, dpre2.replace(">", ">=")), note="234")
E.right("mask at the activation", (dpre2, dpre2.replace("pre2 > 0", "act2 > 0")))
E.right("the short head", (dpre3, "dpre3 = (P - Y) / m"))
E.right("float32 inside", (dact1, f"{dact1}\n    dact1 = dact1.astype('float32')"), note="235")
E.right("the stable derivative", (dpre1, "dpre1 = dact1 * (1 - act1) * (1 + act1)"))

MUTANTS = E.mutants
