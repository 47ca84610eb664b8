"""What can go wrong with a dropout mask that is handed in."""

from mutants.suite import Edits

E = Edits("dropout_masks")
SQUARE = {"n": 5, "d": 5, "h": 5, "k": 5}
g_lin2 = "g_lin2 = err / samples\n"
g_theta2 = "g_theta2 = np.matmul(kept1.T, g_lin2)\n"
g_kept1, g_out1 = "g_kept1 = np.matmul(g_lin2, theta2.T)\n", "g_out1 = g_kept1 * drop1\n"
g_lin1 = "g_lin1 = g_out1 * (1 - out1 * out1)\n"
g_theta1, g_bias1 = "g_theta1 = np.matmul(data.T, g_lin1)\n", "g_bias1 = g_lin1.sum(axis=0)\n"
g_bias2 = "g_bias2 = g_lin2.sum(axis=0)\n"

E.wrong("wrong sign at the head", "201", "lin2 err", (g_lin2, "g_lin2 = -err / samples\n"))
E.wrong("factor 2", "202", "lin2 err", (g_lin2, "g_lin2 = 2 * err / samples\n"))
E.wrong("factor one half", "202", "lin2 err", (g_lin2, "g_lin2 = err / (2 * samples)\n"))
E.wrong("1/m missing at the head", "203 222", "lin2 err", (g_lin2, "g_lin2 = err\n"))
E.wrong("mean where sum is meant", "205 206 223", "lin2 err", (g_lin2, "g_lin2 = err / err.size\n"))
E.wrong(
    "1/m twice at one weight",
    "204",
    "theta1",
    (g_theta1, "g_theta1 = np.matmul(data.T, g_lin1) / samples\n"),
)
E.wrong("dropout mask missing", "233", "out1", (g_out1, "g_out1 = g_kept1\n"))
E.wrong("dropout mask not scaled", "233", "out1", (g_out1, "g_out1 = g_kept1 * (drop1 != 0)\n"))
E.wrong(
    "dropout mask drawn anew",
    "232",
    "out1",
    (g_out1, "g_out1 = g_kept1 * (np.random.default_rng(1).random(out1.shape) < 0.75) / 0.75\n"),
)
E.wrong(
    "weight by what was not dropped",
    "233 242",
    "theta2",
    (g_theta2, "g_theta2 = np.matmul(out1.T, g_lin2)\n"),
)
E.wrong("activation derivative missing", "214", "lin1", (g_lin1, "g_lin1 = g_out1\n"))
E.wrong(
    "derivative at the activation",
    "215",
    "lin1",
    (g_lin1, "g_lin1 = g_out1 * (1 - np.tanh(out1) ** 2)\n"),
)
E.wrong(
    "derivative formula at the pre-activation",
    "215",
    "lin1",
    (g_lin1, "g_lin1 = g_out1 * (1 - lin1 * lin1)\n"),
)
E.wrong(
    "derivative at what was dropped",
    "215",
    "lin1",
    (g_lin1, "g_lin1 = g_out1 * (1 - kept1 * kept1)\n"),
)
E.wrong("derivative of sigmoid", "216", "lin1", (g_lin1, "g_lin1 = g_out1 * out1 * (1 - out1)\n"))
E.wrong("upstream ignored", "218", "lin1", (g_lin1, "g_lin1 = 1 - out1 * out1\n"))
E.wrong(
    "transpose missing, square",
    "207",
    "kept1",
    (g_kept1, "g_kept1 = np.matmul(g_lin2, theta2)\n"),
    sizes=SQUARE,
)
E.wrong(
    "transposed result", "207 208", "theta2", (g_theta2, "g_theta2 = np.matmul(g_lin2.T, kept1)\n")
)
E.wrong(
    "operands swapped",
    "208",
    "theta1",
    (g_theta1, "g_theta1 = np.matmul(g_lin1, data.T)\n"),
    sizes=SQUARE,
)
E.wrong("bias not summed", "211", "bias1", (g_bias1, "g_bias1 = g_lin1\n"))
E.wrong("bias averaged", "213 204 223", "bias2", (g_bias2, "g_bias2 = np.mean(g_lin2, axis=0)\n"))
E.wrong(
    "bias summed over the wrong axis", "212", "bias2", (g_bias2, "g_bias2 = g_lin2.sum(axis=1)\n")
)
E.wrong("target not subtracted", "219", "lin2 err", (g_lin2, "g_lin2 = lin2 / samples\n"))
E.wrong(
    "updated weights, a copy",
    "227",
    "kept1",
    (g_kept1, g_kept1.replace("theta2.T", "(theta2 - g_theta2).T")),
)
E.wrong(
    "clipped", "229", "kept1", (g_kept1, f"{g_kept1}    g_kept1 = np.clip(g_kept1, -0.05, 0.05)\n")
)
E.right("derivative in another order", (g_lin1, "g_lin1 = (1 - out1) * (1 + out1) * g_out1\n"))
E.right("a mask that was applied already", (g_lin1, "g_lin1 = g_kept1 * (drop1 - out1 * kept1)\n"))

MUTANTS = E.mutants
