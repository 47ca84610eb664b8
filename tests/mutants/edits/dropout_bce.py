"""What can go wrong with dropout masks that forward draws."""

from mutants.suite import Edits

E = Edits("dropout_bce")
SQUARE = {"n": 6, "d": 6, "h": 6, "g": 6, "k": 6}
dz3 = "dz3 = (p - T) / T.size\n"
W3, W2, W1 = 'g["W3"] = d2.T @ dz3\n', 'g["W2"] = d1.T @ dz2\n', 'g["W1"] = X.T @ dz1\n'
b3, b2, b1 = (f'g["b{i}"] = dz{i}.sum(0)\n' for i in (3, 2, 1))
dd2, dd1 = "dd2 = dz3 @ W3.T\n", "dd1 = dz2 @ W2.T\n"
dh2, dh1 = "dh2 = dd2 * mask2\n", "dh1 = dd1 * mask1\n"
dz2, dz1 = "    dz2[z2 <= 0] = 0\n", "    dz1[z1 <= 0] = 0\n"
ANEW = "(np.random.default_rng(8).random({}.shape) < keep) / keep"

E.wrong("wrong sign at the head", "201", "z3", (dz3, "dz3 = (T - p) / T.size\n"))
E.wrong("wrong sign of a weight", "201", "W1", (W1, 'g["W1"] = -X.T @ dz1\n'))
E.wrong("wrong sign inside", "201", "d2", (dd2, "dd2 = -dz3 @ W3.T\n"))
E.wrong("factor 2", "202", "z3", (dz3, "dz3 = 2 * (p - T) / T.size\n"))
E.wrong("the loss's own mean missing", "222 206", "z3", (dz3, "dz3 = p - T\n"))
E.wrong("1/m missing at the head", "203 222 223", "z3", (dz3, "dz3 = (p - T) / T.shape[1]\n"))
E.wrong("1/k missing at the head", "205 223", "z3", (dz3, "dz3 = (p - T) / len(T)\n"))
E.wrong("1/m twice at one weight", "204", "W2", (W2, 'g["W2"] = d1.T @ dz2 / len(X)\n'))
E.wrong("1/m twice at the head", "204", "z3", (dz3, "dz3 = (p - T) / T.size / len(T)\n"))
E.wrong("1/(m k) too much", "206", "z3", (dz3, "dz3 = (p - T) / T.size**2\n"))
E.wrong("transpose missing, square", "207", "d2", (dd2, "dd2 = dz3 @ W3\n"), sizes=SQUARE)
E.wrong("transpose missing, square", "207", "d1", (dd1, "dd1 = dz2 @ W2\n"), sizes={"h": 6})
E.wrong("transposed result", "207 208", "W3", (W3, 'g["W3"] = dz3.T @ d2\n'))
E.wrong("operands swapped", "208", "d1", (dd1, "dd1 = W2.T @ dz2\n"), sizes=SQUARE)
E.wrong("elementwise for product", "209", "W3", (W3, 'g["W3"] = d2.T * dz3\n'), sizes=SQUARE)
E.wrong("product for elementwise", "210", "h2", (dh2, "dh2 = dd2 @ mask2\n"), sizes=SQUARE)
E.wrong("bias not summed", "211", "b3", (b3, 'g["b3"] = dz3\n'))
E.wrong("bias summed over the wrong axis", "212", "b1", (b1, 'g["b1"] = dz1.sum(1)\n'))
E.wrong("bias averaged", "213 204 223", "b2", (b2, 'g["b2"] = dz2.mean(0)\n'))
E.wrong("activation derivative missing", "214", "z2", (dz2, ""))
E.wrong("activation derivative missing", "214", "z1", (dz1, ""))
E.wrong("derivative of sigmoid", "216", "z2", (dz2, "    dz2 *= h2 * (1 - h2)\n"))
E.wrong("derivative of tanh", "216", "z1", (dz1, "    dz1 *= 1 - h1**2\n"))
E.wrong("derivative of another layer", "217", "z2", (dz2, "    dz2[z1 <= 0] = 0\n"), sizes={"g": 8})
E.wrong("upstream ignored", "218", "z2", (dz2, "    dz2 = (z2 > 0).astype(float)\n"))
E.wrong("upstream ignored", "218", "h1", (dh1, "dh1 = mask1\n"))
E.wrong("target not subtracted", "219", "z3", (dz3, "dz3 = p / T.size\n"))
E.wrong(
    "the head of another loss", "219 243", "z3", (dz3, "dz3 = (p - T) * p * (1 - p) / T.size\n")
)
E.wrong("dropout mask drawn anew", "232", "h2", (dh2, f"dh2 = dd2 * {ANEW.format('h2')}\n"))
E.wrong("dropout mask drawn anew", "232", "h1", (dh1, f"dh1 = dd1 * ({ANEW.format('h1')})\n"))
E.wrong(
    "dropout mask drawn anew, another each time",
    "232 116",
    "h1 W1 b1",
    (dh1, "dh1 = dd1 * (np.random.default_rng().random(dd1.shape) < keep) / keep\n"),
    random=True,
)
E.wrong("dropout mask of another layer", "232", "h2", (dh2, "dh2 = dd2 * mask1\n"), sizes={"g": 8})
E.wrong("dropout mask missing", "233", "h2", (dh2, "dh2 = dd2\n"))
E.wrong("dropout mask missing", "233", "h1", (dh1, "dh1 = dd1\n"))
E.wrong("dropout mask not scaled", "233", "h2", (dh2, "dh2 = dd2 * (mask2 > 0)\n"))
E.wrong("dropout mask not scaled", "233", "h1", (dh1, "dh1 = dd1 * (mask1 * keep)\n"))
E.wrong("dropout mask scaled twice", "233 202", "h1", (dh1, "dh1 = dd1 * mask1 / keep\n"))
E.wrong("weight by what was not dropped", "233 242", "W2", (W2, 'g["W2"] = h1.T @ dz2\n'))
E.wrong("updated weights, a copy", "227", "d1", (dd1, 'dd1 = dz2 @ (W2 - 0.5 * g["W2"]).T\n'))
E.wrong(
    "stale cache",
    "228",
    "W2",
    ("def forward", "stored = {}\n\n\ndef forward"),
    (
        "mask1, d1, z2, h2, mask2, d2, z3, p, keep)\n    return",
        'mask1, stored.setdefault("d1", d1), z2, h2, mask2, d2, z3, p, keep)\n    return',
    ),
    stale=True,
)
E.wrong("clipped", "229", "d1", (dd1, f"{dd1}    dd1 = np.clip(dd1, -0.01, 0.01)\n"))
E.wrong("masked", "229 216", "z3", (dz3, f"{dz3}    dz3[z3 <= 0] = 0\n"))
E.wrong("never set", "239", "b3", (b3, 'g["b3"] = np.zeros(len(W3.T))\n'))
E.wrong(
    "not a gradient",
    "236",
    "W1",
    (W1, 'g["W1"] = np.roll(W1, 1, axis=0) - np.roll(W1, -1, axis=0)\n'),
)
E.right("below the kink", (dz2, "    dz2[z2 < 0] = 0\n"), note="234")
E.right("at or above the kink", (dz1, "    dz1 = dz1 * (z1 >= 0)\n"), note="234")
E.right("mask of the dropped", (dz1, "    dz1 *= d1 > 0\n"))
E.right("float32 inside", (dd2, "dd2 = (dz3 @ W3.T).astype(np.float32)\n"), note="235")
E.right("overwrites the cache", (dz3, "dz3 = p\n    dz3 -= T\n    dz3 /= T.size\n"), note="237")

MUTANTS = E.mutants
