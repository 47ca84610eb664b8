"""What can go wrong where one delta is changed in place all the way back."""

from mutants.suite import Edits

E = Edits("tanh_mse")
SQUARE = {"n": 5, "d": 5, "h": 5, "k": 5}
difference, scale = "delta = pred - target\n", "delta *= 2 / delta.size\n"
w3, b3 = 'grads["w3"] = a2.T @ delta\n', 'grads["b3"] = delta.sum(axis=0)\n'
w2, b2 = 'grads["w2"] = a1.T @ delta\n', 'grads["b2"] = delta.sum(axis=0)\n'
w1, b1 = 'grads["w1"] = x.T @ delta\n', 'grads["b1"] = delta.sum(axis=0)\n'
to_a2, to_a1 = "delta = delta @ w3.T\n", "delta = delta @ w2.T\n"
to_z2, to_z1 = "delta *= 1 - a2**2\n", "delta *= 1 - a1**2\n"

E.wrong("wrong sign at the head", "201", "pred", (difference, "delta = target - pred\n"))
E.wrong("wrong sign of a weight", "201", "w1", (w1, 'grads["w1"] = -x.T @ delta\n'))
E.wrong("wrong sign inside", "201", "z2", (to_z2, "delta *= a2**2 - 1\n"))
E.wrong("wrong sign inside", "201", "a1", (to_a1, "delta = delta @ -w2.T\n"))
E.wrong("factor one half", "202", "pred", (scale, "delta /= delta.size\n"))
E.wrong("factor 2", "202", "pred", (scale, "delta *= 4 / delta.size\n"))
E.wrong("the loss's own mean missing", "222 206", "pred", (scale, "delta *= 2\n"))
E.wrong("1/m missing at the head", "203 222 223", "pred", (scale, "delta *= 2 / delta.shape[1]\n"))
E.wrong("1/k missing at the head", "205 223", "pred", (scale, "delta *= 2 / len(delta)\n"))
E.wrong("1/m twice at the head", "204", "pred", (scale, "delta *= 2 / delta.size / len(delta)\n"))
E.wrong("1/m twice at one weight", "204", "w2", (w2, 'grads["w2"] = a1.T @ delta / len(x)\n'))
E.wrong("1/(m k) too much", "206", "pred", (scale, "delta *= 2 / delta.size**2\n"))
E.wrong("1/features too much", "205", "w1", (w1, 'grads["w1"] = x.T @ delta / x.shape[1]\n'))
E.wrong("transpose missing, any size", "207", "a1", (to_a1, "delta = delta @ w2\n"))
E.wrong("transpose missing, square", "207", "a2", (to_a2, "delta = delta @ w3\n"), sizes=SQUARE)
E.wrong("transpose missing, square", "207", "w3", (w3, 'grads["w3"] = a2 @ delta\n'), sizes=SQUARE)
E.wrong("transposed result", "207 208", "w1", (w1, 'grads["w1"] = delta.T @ x\n'))
E.wrong("transposed result, square", "207 208", "w2", (w2, 'grads["w2"] = delta.T @ a1\n'))
E.wrong("operands swapped", "208", "w3", (w3, 'grads["w3"] = delta @ a2.T\n'), sizes=SQUARE)
E.wrong("operands swapped", "208", "a1", (to_a1, "delta = w2.T @ delta\n"), sizes=SQUARE)
E.wrong("elementwise for product", "209", "a1", (to_a1, "delta = delta * w2.T\n"), sizes=SQUARE)
E.wrong("elementwise for product", "209", "w2", (w2, 'grads["w2"] = a1.T * delta\n'), sizes=SQUARE)
E.wrong(
    "product for elementwise", "210", "z2", (to_z2, "delta = delta @ (1 - a2**2)\n"), sizes=SQUARE
)
E.wrong("bias not summed", "211", "b3", (b3, 'grads["b3"] = delta\n'))
E.wrong("bias summed over the wrong axis", "212", "b2", (b2, 'grads["b2"] = delta.sum(axis=1)\n'))
E.wrong("bias summed over everything", "212", "b1", (b1, 'grads["b1"] = delta.sum()\n'))
E.wrong("bias averaged", "213 204 223", "b1", (b1, 'grads["b1"] = delta.mean(axis=0)\n'))
E.wrong("activation derivative missing", "214", "z2", (f"    {to_z2}", ""))
E.wrong("activation derivative missing", "214", "z1", (f"    {to_z1}", ""))
E.wrong("derivative formula at the pre-activation", "215", "z2", (to_z2, "delta *= 1 - z2**2\n"))
E.wrong("derivative at the activation", "215", "z1", (to_z1, "delta *= 1 - np.tanh(a1) ** 2\n"))
E.wrong("derivative of sigmoid", "216", "z2", (to_z2, "delta *= a2 * (1 - a2)\n"))
E.wrong("derivative of relu", "216", "z1", (to_z1, "delta *= z1 > 0\n"))
E.wrong("derivative of another layer", "217", "z2", (to_z2, "delta *= 1 - a1**2\n"))
E.wrong("activation derivative twice", "243", "z1", (to_z1, "delta *= (1 - a1**2) ** 2\n"))
E.wrong("another layer in a product", "242", "w3", (w3, w3.replace("a2", "a1")))
E.wrong("another layer's weights", "242", "a2", (to_a2, to_a2.replace("w3", "w2")), sizes={"k": 5})
E.wrong("penalty in the gradient alone", "245", "w2", (w2, f'{w2}    grads["w2"] += 0.05 * w2\n'))
E.wrong("derivative of another layer", "217", "z1", (to_z1, "delta *= 1 - a2**2\n"))
E.wrong("upstream ignored", "218", "z2", (to_z2, "delta = 1 - a2**2\n"))
E.wrong("upstream ones", "218", "a1", (to_a1, "delta = np.ones_like(a2) @ w2.T\n"))
E.wrong("target not subtracted", "219", "pred", (difference, "delta = pred.copy()\n"))
E.wrong("the head of another loss", "219", "pred", (difference, "delta = np.sign(pred - target)\n"))
E.wrong(
    "activation derivative where there is no activation",
    "219 216",
    "pred",
    (scale, f"{scale}    delta *= 1 - np.tanh(pred) ** 2\n"),
)
E.wrong(
    "updated weights, a copy", "227", "a1", (to_a1, 'delta = delta @ (w2 - 0.5 * grads["w2"]).T\n')
)
E.wrong(
    "updated weights, in place",
    "227",
    "a2",
    (to_a2, f'w3 -= 0.5 * grads["w3"]\n    {to_a2}'),
    also_setup=True,
)
E.wrong(
    "stale cache",
    "228",
    "w2",
    ("def forward", "last = {}\n\n\ndef forward"),
    ("a1=a1,", 'a1=last.setdefault("a1", a1),'),
    stale=True,
)
E.wrong(
    "stale cache",
    "228",
    "pred",
    ("def forward", "last = {}\n\n\ndef forward"),
    ("target=target,", 'target=last.setdefault("target", target),'),
    stale=True,
)
E.wrong("clipped", "229", "pred", (scale, f"{scale}    delta = np.clip(delta, -0.1, 0.1)\n"))
E.wrong("clipped", "229", "w3", (w3, 'grads["w3"] = np.clip(a2.T @ delta, -0.1, 0.1)\n'))
E.wrong(
    "clipped by norm",
    "229",
    "w2",
    (w2, f'{w2}    grads["w2"] /= max(1, np.linalg.norm(grads["w2"]) / 0.05)\n'),
)
E.wrong("masked", "229", "a1", (to_a1, f"{to_a1}    delta[delta < 0] = 0\n"))
E.wrong("never set", "239", "w1", (w1, 'grads["w1"] = np.zeros((x.shape[1], len(w2)))\n'))
last = "    return grads\n"
E.wrong(
    "swapped",
    "241",
    "b1 b2",
    (last, f'    grads["b1"], grads["b2"] = grads["b2"], grads["b1"]\n{last}'),
)
E.wrong(
    "swapped, square",
    "241",
    "w1 w2",
    (last, f'    grads["w1"], grads["w2"] = grads["w2"], grads["w1"]\n{last}'),
    sizes={"d": 5},
)
E.wrong(
    "not a gradient",
    "236",
    "w2",
    (w2, 'grads["w2"] = np.roll(w2, 1, axis=0) - np.roll(w2, -1, axis=0)\n'),
)
E.right("in another order", (to_z2, "delta -= delta * a2 * a2\n"))
E.right("derivative from the pre-activation", (to_z1, "delta /= np.cosh(z1) ** 2\n"))
E.right("float32 inside", (scale, f"{scale}    delta = delta.astype(np.float32)\n"), note="235")
E.right("overwrites the cache", (difference, "pred -= target\n    delta = pred\n"), note="237")

MUTANTS = E.mutants
