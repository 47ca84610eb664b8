"""What can go wrong in the object, whose hidden layers are a loop."""

from mutants.suite import Edits

E = Edits("sigmoid_object")
SQUARE = {"m": 5, "d": 5, "h": 5, "k": 5}
head = 'grads[f"Z{last}"] = out - Y'
W_last = 'np.dot(grads[f"Z{last}"], cache[f"A{last - 1}"].T) / m'
B_last = 'np.sum(grads[f"Z{last}"], axis=1, keepdims=True) / m'
A_last = 'np.dot(self.params[f"W{last}"].T, grads[f"Z{last}"])'
Z_i = 'grads[f"A{i}"] * A * (1 - A)'
W_i = 'np.dot(grads[f"Z{i}"], cache[f"A{i - 1}"].T) / m'
B_i = 'np.sum(grads[f"Z{i}"], axis=1, keepdims=True) / m'
A_i = 'np.dot(self.params[f"W{i}"].T, grads[f"Z{i}"])'

E.wrong("wrong sign at the head", "201", "Z3", (head, 'grads[f"Z{last}"] = Y - out'))
E.wrong("wrong sign of a weight", "201", "W2", (W_i, f"-{W_i}"))
E.wrong("wrong sign of a bias", "201", "B3", (B_last, f"-{B_last}"))
E.wrong("wrong sign inside", "201", "Z2", (Z_i, 'grads[f"A{i}"] * A * (A - 1)'))
E.wrong("factor 2", "202", "Z3", (head, 'grads[f"Z{last}"] = 2 * (out - Y)'))
E.wrong("1/m missing at one weight", "203", "W3", (W_last, W_last[:-4]))
E.wrong("1/m missing at one weight", "203", "W2", (W_i, W_i[:-4]))
E.wrong("bias summed instead of averaged", "203 223", "B2", (B_i, B_i[:-4]))
E.wrong("1/m missing everywhere", "203 222", "A3 Z3 W3 B3", ("m = Y.shape[1]", "m = 1"))
E.wrong("1/m twice at one weight", "204", "W2", (W_i, f"{W_i} / m"))
E.wrong("1/m twice at the head", "204", "A3 Z3 W3 B3", (head, 'grads[f"Z{last}"] = (out - Y) / m'))
E.wrong("1/k for 1/m", "205", "W3", (W_last, f"{W_last[:-1]}Y.shape[0]"))
E.wrong("rows counted for examples", "205", "Z3 A3 W3 B3", ("m = Y.shape[1]", "m = Y.shape[0]"))
E.wrong("transpose missing, any size", "207", "A1", (A_i, A_i.replace(".T", "")))
E.wrong("transpose missing, square", "207", "A2", (A_last, A_last.replace(".T", "")), sizes=SQUARE)
E.wrong(
    "transposed result",
    "207 208",
    "W3",
    (W_last, 'np.dot(cache[f"A{last - 1}"], grads[f"Z{last}"].T) / m'),
)
E.wrong(
    "elementwise for product",
    "209",
    "W3",
    (W_last, W_last.replace("dot", "multiply")),
    sizes=SQUARE,
)
E.wrong(
    "product for elementwise",
    "210",
    "Z2",
    (Z_i, 'np.dot(grads[f"A{i}"], A * (1 - A))'),
    sizes=SQUARE,
)
E.wrong("bias not summed", "211", "B3", (B_last, 'grads[f"Z{last}"] / m'))
E.wrong("bias summed over the wrong axis", "212", "B2", (B_i, B_i.replace("axis=1", "axis=0")))
E.wrong("bias averaged", "213 204", "B3", (B_last, B_last.replace("sum", "mean")))
E.wrong("activation derivative missing", "214", "Z2", (Z_i, 'grads[f"A{i}"]'))
E.wrong(
    "derivative formula at the pre-activation",
    "215",
    "Z2",
    ('A = cache[f"A{i}"]', 'A = cache[f"Z{i}"]'),
)
E.wrong(
    "derivative at the activation",
    "215",
    "Z2",
    ('A = cache[f"A{i}"]', 'A = sigmoid(cache[f"A{i}"])'),
)
E.wrong("derivative of tanh", "216", "Z2", (Z_i, 'grads[f"A{i}"] * (1 - A * A)'))
E.wrong(
    "derivative of another layer",
    "217",
    "Z2",
    ('A = cache[f"A{i}"]', 'A = cache[f"A{max(i - 1, 1)}"]'),
)
E.wrong("upstream ignored", "218", "Z2", (Z_i, "A * (1 - A)"))
E.wrong("target not subtracted", "219", "Z3", (head, 'grads[f"Z{last}"] = out.copy()'))
E.wrong(
    "the head of another loss",
    "219 243",
    "Z3",
    (head, 'grads[f"Z{last}"] = (out - Y) * out * (1 - out)'),
)
E.wrong(
    "updated weights, in place",
    "227",
    "A1",
    (
        f'grads[f"A{{i - 1}}"] = {A_i}',
        (
            f'self.params[f"W{{i}}"] = self.params[f"W{{i}}"] - 0.3 * grads[f"W{{i}}"]\n'
            f'                grads[f"A{{i - 1}}"] = {A_i}'
        ),
    ),
    also_setup=True,
)
E.wrong(
    "stale cache",
    "228",
    "W3",
    (
        "        cache = {",
        "        if not hasattr(self, 'seen'):\n            self.seen = {}\n        cache = {",
    ),
    ('cache[f"A{i}"] = A\n', 'cache[f"A{i}"] = self.seen.setdefault(f"A{i}", A)\n'),
    stale=True,
)
E.wrong("clipped", "229", "W2", (W_i, f"np.clip({W_i}, -0.01, 0.01)"))
E.wrong("masked", "229", "A2", (A_last, f"np.maximum({A_last}, 0)"))
E.wrong("never set", "239", "B3", (B_last, 'np.zeros_like(self.params[f"B{last}"])'))
E.right("derivative in another order", (Z_i, '(A - A * A) * grads[f"A{i}"]'))
E.right("float32 inside", (Z_i, f"np.float32({Z_i})"), note="235")
E.right("mean for sum and 1/m", (B_i, 'np.mean(grads[f"Z{i}"], axis=1).reshape(-1, 1)'))

MUTANTS = E.mutants
