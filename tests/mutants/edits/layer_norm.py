"""What can go wrong in layer norm written out by hand, and with a way around a layer."""

# ruff: noqa: N816 - a line is called by what it sets: dW1

from mutants.suite import Edits

E = Edits("layer_norm")
SQUARE = {"n": 5, "d": 5, "h": 5, "k": 5}
dlogits = "dlogits = (1 / (1 + np.exp(-logits)) - y) / n\n"
dW3, db3 = "dW3 = mixed.T @ dlogits\n", "db3 = np.sum(dlogits, axis=0)\n"
dmixed = "dmixed = dlogits @ W3.T\n"
dpre2 = "dpre2 = dmixed * act2 * (1 - act2)\n"
dW2, db2 = "dW2 = act1.T @ dpre2\n", "db2 = np.sum(dpre2, axis=0)\n"
dact1 = "dact1 = dmixed + dpre2 @ W2.T\n"
dscaled = "dscaled = dact1 * (1 - act1**2)\n"
dgamma, dbeta = "dgamma = np.sum(dscaled * normed, axis=0)\n", "dbeta = np.sum(dscaled, axis=0)\n"
dnormed = "dnormed = dscaled * gamma\n"
dvar = "dvar = -0.5 * np.sum(dnormed * centred, axis=1, keepdims=True) * inv_std**3\n"
dmu = "dmu = -np.sum(dnormed * inv_std, axis=1, keepdims=True)\n"
dpre1 = "dpre1 = dnormed * inv_std + dvar * 2 * centred / H + dmu / H\n"
dW1, db1, dX = "dW1 = X.T @ dpre1\n", "db1 = np.sum(dpre1, axis=0)\n", "dX = dpre1 @ W1.T\n"

E.wrong(
    "wrong sign at the head",
    "201",
    "logits",
    (dlogits, "dlogits = (y - 1 / (1 + np.exp(-logits))) / n\n"),
)
E.wrong("wrong sign inside", "201", "mixed", (dmixed, "dmixed = -dlogits @ W3.T\n"))
E.wrong("wrong sign inside", "201", "var", (dvar, dvar.replace("-0.5", "0.5")))
E.wrong("wrong sign inside", "201", "mu", (dmu, dmu.replace("-np", "np")))
E.wrong("wrong sign of an input", "201", "X", (dX, "dX = -dpre1 @ W1.T\n"))
E.wrong("factor 2", "202", "var", (dvar, dvar.replace("-0.5 * ", "-")))
E.wrong(
    "factor one half", "202", "gamma", (dgamma, "dgamma = 0.5 * np.sum(dscaled * normed, axis=0)\n")
)
E.wrong("1/m missing at the head", "203 222", "logits", (dlogits, dlogits.replace(" / n\n", "\n")))
E.wrong("1/m twice at the head", "204", "logits", (dlogits, dlogits.replace(" / n\n", " / n**2\n")))
E.wrong("1/k for 1/m", "205", "logits", (dlogits, dlogits.replace(" / n\n", " / y.shape[1]\n")))
E.wrong(
    "1/(m k) for 1/m", "205 206 223", "logits", (dlogits, dlogits.replace(" / n\n", " / y.size\n"))
)
E.wrong("1/(m k) too much", "206", "W3", (dW3, "dW3 = mixed.T @ dlogits / y.size\n"))
E.wrong("1/features too much", "205", "W1", (dW1, "dW1 = X.T @ dpre1 / X.shape[1]\n"))
E.wrong(
    "transpose missing, square", "207", "mixed", (dmixed, "dmixed = dlogits @ W3\n"), sizes=SQUARE
)
E.wrong("transpose missing, any size", "207", "act1", (dact1, "dact1 = dmixed + dpre2 @ W2\n"))
E.wrong("transpose missing, square", "207", "X", (dX, "dX = dpre1 @ W1\n"), sizes=SQUARE)
E.wrong("transposed result, square", "207 208", "W2", (dW2, "dW2 = dpre2.T @ act1\n"))
E.wrong("operands swapped", "208", "W1", (dW1, "dW1 = dpre1 @ X.T\n"), sizes=SQUARE)
E.wrong("elementwise for product", "209", "W2", (dW2, "dW2 = act1.T * dpre2\n"), sizes=SQUARE)
E.wrong(
    "product for elementwise",
    "210",
    "scaled",
    (dscaled, "dscaled = dact1 @ (1 - act1**2)\n"),
    sizes=SQUARE,
)
E.wrong("bias not summed", "211", "beta", (dbeta, "dbeta = dscaled\n"))
E.wrong("scale not summed", "211", "gamma", (dgamma, "dgamma = dscaled * normed\n"))
E.wrong("bias summed over the wrong axis", "212", "b2", (db2, "db2 = np.sum(dpre2, axis=1)\n"))
E.wrong(
    "bias summed over the wrong axis, square",
    "212",
    "b1",
    (db1, "db1 = np.sum(dpre1, axis=1)\n"),
    sizes=SQUARE,
)
E.wrong(
    "scale summed over the wrong axis",
    "212 231",
    "gamma",
    (dgamma, dgamma.replace("axis=0", "axis=1")),
)
E.wrong("bias averaged", "213 204 223", "beta", (dbeta, "dbeta = np.mean(dscaled, axis=0)\n"))
E.wrong("activation derivative missing", "214", "pre2", (dpre2, "dpre2 = dmixed.copy()\n"))
E.wrong("activation derivative missing", "214", "scaled", (dscaled, "dscaled = dact1\n"))
E.wrong(
    "derivative formula at the pre-activation",
    "215",
    "scaled",
    (dscaled, "dscaled = dact1 * (1 - scaled**2)\n"),
)
E.wrong(
    "derivative at the activation",
    "215",
    "scaled",
    (dscaled, "dscaled = dact1 * (1 - np.tanh(act1) ** 2)\n"),
)
E.wrong(
    "derivative of sigmoid", "216", "scaled", (dscaled, "dscaled = dact1 * act1 * (1 - act1)\n")
)
E.wrong("derivative of tanh", "216", "pre2", (dpre2, "dpre2 = dmixed * (1 - act2**2)\n"))
E.wrong(
    "derivative of another layer", "217", "pre2", (dpre2, "dpre2 = dmixed * act1 * (1 - act1)\n")
)
E.wrong(
    "derivative of another layer", "217", "scaled", (dscaled, "dscaled = dact1 * (1 - act2**2)\n")
)
E.wrong("pre-activation in a product", "242", "W2", (dW2, "dW2 = scaled.T @ dpre2\n"))
E.wrong(
    "scale by what is not normed", "242", "gamma", (dgamma, dgamma.replace("normed", "centred"))
)
E.wrong("scale as a shift", "244 241", "gamma", (dgamma, "dgamma = np.sum(dscaled, axis=0)\n"))
E.wrong("upstream ignored", "218", "pre2", (dpre2, "dpre2 = act2 * (1 - act2)\n"))
E.wrong(
    "target not subtracted", "219", "logits", (dlogits, "dlogits = 1 / (1 + np.exp(-logits)) / n\n")
)
E.wrong(
    "the head of another loss",
    "219",
    "logits",
    (dlogits, "dlogits = (logits - y) / n\n"),
)
E.wrong("way around left out", "238", "act1", (dact1, "dact1 = dpre2 @ W2.T\n"))
E.wrong("way through left out", "238", "act1", (dact1, "dact1 = dmixed\n"))
E.wrong("layer norm: mean left out", "238", "pre1", (dpre1, dpre1.replace(" + dmu / H", "")))
E.wrong(
    "layer norm: variance left out",
    "238",
    "pre1 centred",
    (dpre1, dpre1.replace(" + dvar * 2 * centred / H", "")),
)
E.wrong(
    "layer norm: only the slope",
    "238",
    "pre1 centred",
    (dpre1, "dpre1 = dnormed * inv_std\n"),
)
E.wrong("layer norm: scale forgotten", "244", "normed", (dnormed, "dnormed = dscaled\n"))
E.wrong(
    "layer norm: mean over the examples",
    "231",
    "mu",
    (dmu, dmu.replace("axis=1", "axis=0")),
)
E.wrong(
    "layer norm: variance over the examples",
    "231",
    "var",
    (dvar, dvar.replace("axis=1", "axis=0")),
)
E.wrong(
    "layer norm: mean for sum",
    "223 205",
    "mu",
    (dmu, dmu.replace("np.sum", "np.mean")),
)
E.wrong("layer norm: n for H", "202 205 240", "pre1", (dpre1, dpre1.replace("dmu / H", "dmu / n")))
E.wrong(
    "layer norm: square for cube",
    "240 202 215",
    "var",
    (dvar, dvar.replace("inv_std**3", "inv_std**2")),
)
E.wrong("updated weights, a copy", "227", "act1", (dact1, f"W2 = W2 - 0.5 * dW2\n    {dact1}"))
E.wrong(
    "updated weights, in place",
    "227",
    "mixed",
    (dmixed, f"W3 -= 0.5 * dW3\n    {dmixed}"),
    also_setup=True,
)
E.wrong(
    "updated scale",
    "227",
    "normed",
    (dnormed, "gamma = gamma - 0.5 * dgamma\n    dnormed = dscaled * gamma\n"),
)
E.wrong(
    "stale cache",
    "228",
    "gamma",
    ("def forward", "seen = {}\n\n\ndef forward"),
    (
        "y, pre1, centred, inv_std, normed, scaled, act1)\n    return",
        "y, pre1, centred, inv_std, seen.setdefault(1, normed), scaled, act1)\n    return",
    ),
    stale=True,
)
E.wrong(
    "stale cache",
    "228",
    "W2",
    ("def forward", "seen = {}\n\n\ndef forward"),
    (
        "normed, scaled, act1)\n    return",
        'normed, scaled, seen.setdefault("act1", act1))\n    return',
    ),
    stale=True,
)
E.wrong("clipped", "229", "pre1", (dpre1, f"{dpre1}    dpre1 = np.clip(dpre1, -0.05, 0.05)\n"))
E.wrong(
    "clipped by norm",
    "229",
    "mixed",
    (dmixed, f"{dmixed}    dmixed *= min(1, 0.1 / np.linalg.norm(dmixed))\n"),
)
E.wrong("masked", "229", "act1", (dact1, f"{dact1}    dact1[dact1 < 0] = 0\n"))
E.wrong("never set", "239", "X", (dX, "dX = np.zeros_like(X)\n"))
E.wrong("never set", "239 238", "mu", (dmu, "dmu = np.zeros_like(inv_std)\n"))
E.wrong(
    "swapped",
    "241",
    "gamma beta",
    ("return dX, dW1, db1, dgamma, dbeta", "return dX, dW1, db1, dbeta, dgamma"),
)
E.wrong(
    "not a gradient", "236", "W2", (dW2, "dW2 = np.roll(W2, 1, axis=0) - np.roll(W2, -1, axis=0)\n")
)
E.right(
    "the short form",
    (
        dpre1,
        (
            "dpre1 = (H * dnormed - dnormed.sum(1)[:, None]"
            "- normed * np.sum(dnormed * normed, 1)[:, None]) * inv_std / H\n"
        ),
    ),
)
E.right(
    "the mean's way through the variance is 0",
    (dmu, f"{dmu}    dmu = dmu - dvar * 2 * centred.mean(axis=1, keepdims=True)\n"),
)
E.right("float32 inside", (dmixed, "dmixed = np.float32(dlogits @ W3.T)\n"), note="235")
E.right("accumulated in place", (dact1, "dact1 = dmixed.copy()\n    dact1 += dpre2 @ W2.T\n"))
E.right("accumulated over its summand", (dact1, "dact1 = dmixed\n    dact1 += dpre2 @ W2.T\n"))

MUTANTS = E.mutants
