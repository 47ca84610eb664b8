"""What can go wrong in fused steps, and with half of lambda times the squares."""

# ruff: noqa: N816 - a line is called by what it sets: dW1

from mutants.suite import Edits

E = Edits("mse_l2")
SQUARE = {"n": 5, "d": 5, "h": 5, "k": 5}
dout = "dout = (out - wanted) / n\n"
din2 = "din2 = np.dot(dout, V3.T) * hidden2 * (1 - hidden2)\n"
din1 = "din1 = np.dot(din2, V2.T) * hidden1 * (1 - hidden1)\n"
dV3, dV2, dV1 = "np.dot(hidden2.T, dout)\n", "np.dot(hidden1.T, din2)\n", "np.dot(inputs.T, din1)\n"
l3, l2, l1 = (f"    dV{i} += lam * V{i}\n" for i in (3, 2, 1))
dc3, dc2, dc1 = "dc3 = dout.sum(axis=0)\n", "dc2 = din2.sum(axis=0)\n", "dc1 = din1.sum(axis=0)\n"

E.wrong("wrong sign at the head", "201", "out", (dout, "dout = (wanted - out) / n\n"))
E.wrong("wrong sign inside", "201", "in1", (din1, din1.replace("(1 - hidden1)", "(hidden1 - 1)")))
E.wrong("wrong sign inside", "201", "hidden1 in1", (din1, din1.replace("np.dot", "-np.dot")))
E.wrong("wrong sign of a bias", "201", "c2", (dc2, "dc2 = -din2.sum(axis=0)\n"))
E.wrong("factor 2", "202", "out", (dout, "dout = 2 * (out - wanted) / n\n"))
E.wrong("factor one half", "202", "c1", (dc1, "dc1 = din1.sum(axis=0) * 0.5\n"))
E.wrong("1/m missing at the head", "203 222", "out", (dout, "dout = out - wanted\n"))
E.wrong("1/m twice at the head", "204", "out", (dout, "dout = (out - wanted) / n / n\n"))
E.wrong("1/m twice at a bias", "204 213", "c2", (dc2, "dc2 = din2.sum(axis=0) / n\n"))
E.wrong("1/k for 1/m", "205", "out", (dout, "dout = (out - wanted) / out.shape[1]\n"))
E.wrong("1/features for 1/m", "205", "out", (dout, "dout = (out - wanted) / inputs.shape[1]\n"))
E.wrong(
    "number of outputs too much", "205", "out", (dout, "dout = (out - wanted) / n * out.shape[1]\n")
)
E.wrong(
    "mean where sum is meant", "205 206 223", "out", (dout, "dout = (out - wanted) / out.size\n")
)
E.wrong("transpose missing, any size", "207", "hidden1 in1", (din1, din1.replace("V2.T", "V2")))
E.wrong(
    "transpose missing, square",
    "207",
    "hidden2 in2",
    (din2, din2.replace("V3.T", "V3")),
    sizes=SQUARE,
)
E.wrong("transpose missing, square", "207", "V1", (dV1, "np.dot(inputs, din1)\n"), sizes=SQUARE)
E.wrong("transposed result, square", "207 208", "V2", (dV2, "np.dot(din2.T, hidden1)\n"))
E.wrong("operands swapped", "208", "V3", (dV3, "np.dot(dout, hidden2.T)\n"), sizes=SQUARE)
E.wrong(
    "operands swapped",
    "208",
    "hidden1 in1",
    (din1, din1.replace("din2, V2.T", "V2.T, din2")),
    sizes=SQUARE,
)
E.wrong(
    "elementwise for product", "209", "V2", (dV2, "np.multiply(hidden1.T, din2)\n"), sizes=SQUARE
)
E.wrong(
    "elementwise for product",
    "209",
    "hidden2 in2",
    (din2, din2.replace("np.dot(dout, V3.T)", "dout * V3.T")),
    sizes=SQUARE,
)
E.wrong(
    "product for elementwise",
    "210",
    "in2",
    (din2, "din2 = np.dot(np.dot(dout, V3.T), hidden2 * (1 - hidden2))\n"),
    sizes=SQUARE,
)
E.wrong("bias not summed", "211", "c3", (dc3, "dc3 = dout\n"))
E.wrong("bias summed over the wrong axis", "212", "c1", (dc1, "dc1 = din1.sum(axis=1)\n"))
E.wrong("bias averaged", "213 204 223", "c3", (dc3, "dc3 = dout.mean(axis=0)\n"))
E.wrong("activation derivative missing", "214", "in2", (din2, "din2 = np.dot(dout, V3.T)\n"))
E.wrong("activation derivative missing", "214", "in1", (din1, "din1 = np.dot(din2, V2.T)\n"))
E.wrong(
    "derivative formula at the pre-activation",
    "215",
    "in2",
    (din2, "din2 = np.dot(dout, V3.T) * in2 * (1 - in2)\n"),
)
E.wrong(
    "derivative at the activation",
    "215",
    "in1",
    (din1, "din1 = np.dot(din2, V2.T) * sigma(hidden1) * (1 - sigma(hidden1))\n"),
)
E.wrong(
    "half of the derivative",
    "216 240 214 244",
    "in2",
    (din2, "din2 = np.dot(dout, V3.T) * (1 - hidden2)\n"),
)
E.wrong(
    "derivative of tanh", "216", "in1", (din1, "din1 = np.dot(din2, V2.T) * (1 - hidden1**2)\n")
)
E.wrong("derivative of relu", "216", "in2", (din2, "din2 = np.dot(dout, V3.T) * (in2 > 0)\n"))
E.wrong(
    "derivative of another layer",
    "217",
    "in2",
    (din2, "din2 = np.dot(dout, V3.T) * hidden1 * (1 - hidden1)\n"),
)
E.wrong("upstream ignored", "218", "in2 hidden2", (din2, "din2 = hidden2 * (1 - hidden2)\n"))
E.wrong(
    "upstream not from the next layer",
    "218",
    "in1 hidden1",
    (din1, "din1 = np.dot(np.ones_like(din2), V2.T) * hidden1 * (1 - hidden1)\n"),
)
E.wrong("pre-activation in a product", "242", "V3", (dV3, "np.dot(in2.T, dout)\n"))
E.wrong("target not subtracted", "219", "out", (dout, "dout = out / n\n"))
E.wrong("regularisation missing", "224", "V1", (l1, ""))
E.wrong("regularisation missing", "224", "V2", (l2, ""))
E.wrong("regularisation missing everywhere", "224", "V3 penalty", (l1, ""), (l2, ""), (l3, ""))
E.wrong("regularisation doubled", "225", "V3", (l3, "    dV3 += 2 * lam * V3\n"))
E.wrong("regularisation halved", "225", "V2", (l2, "    dV2 += lam / 2 * V2\n"))
E.wrong("regularisation of a bias", "226", "c3", (dc3, "dc3 = dout.sum(axis=0) + lam * c3\n"))
E.wrong("regularisation of a bias", "226", "c1", (dc1, f"{dc1}    dc1 += lam * c1\n"))
E.wrong("updated weights, a copy", "227", "hidden1 in1", (din1, f"V2 = V2 - 0.5 * dV2\n    {din1}"))
E.wrong(
    "updated weights, in place",
    "227",
    "hidden2 in2",
    (din2, f"V3 -= 0.5 * dV3\n    {din2}"),
    also_setup=True,
)
E.wrong(
    "stale cache",
    "228",
    "V1",
    ("def predict", "first = []\n\n\ndef predict"),
    (
        "    saved = (inputs,",
        "    first.append(inputs)\n    saved = (first[0],",
    ),
    stale=True,
)
E.wrong("clipped", "229", "in1", (din1, f"{din1}    din1 = np.clip(din1, -0.01, 0.01)\n"))
E.wrong("masked", "229 216", "out", (dout, f"{dout}    dout = np.where(out > 0, dout, 0)\n"))
E.wrong("clipped", "229", "V3", (l3, f"{l3}    dV3 = np.clip(dV3, -0.1, 0.1)\n"))
E.wrong("never set", "239", "c2", (dc2, "dc2 = np.zeros_like(c2)\n"))
E.wrong(
    "swapped",
    "241",
    "c1 c2",
    ("return dV1, dc1, dV2, dc2, dV3, dc3", "return dV1, dc2, dV2, dc1, dV3, dc3"),
)
E.wrong(
    "not a gradient",
    "236",
    "V2",
    (l2, "    dV2 = np.roll(V2, 1, axis=1) - np.roll(V2, -1, axis=1)\n"),
)
E.right("in another order", (din1, "din1 = (hidden1 - hidden1**2) * (din2 @ V2.T)\n"))
E.right("overwrites the cache", (dout, "out -= wanted\n    dout = out / n\n"), note="237")
E.right("float32 inside", (din2, f"{din2}    din2 = din2.astype(np.float32)\n"), note="235")

MUTANTS = E.mutants
