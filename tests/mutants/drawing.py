"""The six networks (and the further authors of three): arguments, shapes, forms."""

import numpy as np

from mutants.suite import Network


def weights(rng, *shapes):
    """Return arrays of a size at which sigmoids are neither linear nor saturated."""
    return tuple(0.8 * rng.normal(size=shape) for shape in shapes)


def onehot_columns(rng, k, m):
    labels = rng.permutation(np.arange(m) % k)
    return np.eye(k)[:, labels]


def bits(rng, *shape):
    return (rng.random(shape) < 0.5).astype(float)


# --- (a) sigmoid and binary cross-entropy, columns


def sigmoid_inputs(rng, s):
    d, h, k, m = s["d"], s["h"], s["k"], s["m"]
    parameters = weights(rng, (h, d), (h, 1), (h, h), (h, 1), (k, h), (k, 1))
    return (rng.normal(size=(d, m)), bits(rng, k, m), *parameters)


def run_sigmoid(module, inputs):
    loss, cache = module.forward(*inputs)
    return loss, module.backward(cache)


sigmoid_bce = Network(
    "sigmoid_bce",
    {"d": 4, "h": 5, "k": 3, "m": 6},
    {
        "X": "d m",
        "Y": "k m",
        "W1": "h d",
        "B1": "h 1",
        "W2": "h h",
        "B2": "h 1",
        "W3": "k h",
        "B3": "k 1",
    },
    sigmoid_inputs,
    {"pair of a dictionary": lambda module, sizes: (module.forward, module.backward)},
    run_sigmoid,
)


def object_inputs(rng, s):
    return rng.normal(size=(s["d"], s["m"])), bits(rng, s["k"], s["m"])


def made_object(module, s):
    return module.DNN([s["d"], s["h"], s["h"], s["k"]], seed=4)


def run_object(made, inputs):
    out, cache = made.forward(*inputs)
    return made.loss(out, inputs[1]), made.compute_gradients(out, cache)


sigmoid_object = Network(
    "sigmoid_object",
    {"d": 4, "h": 5, "k": 3, "m": 6},
    {"X": "d m", "Y": "k m"},
    object_inputs,
    {"object": made_object},
    run_object,
)

# --- (b) ReLU and softmax cross-entropy, rows, indices


def relu_inputs(rng, s):
    n, d, h, c = s["n"], s["d"], s["h"], s["c"]
    parameters = weights(rng, (d, h), (h,), (h, c), (c,))
    return (*parameters, rng.normal(size=(n, d)), rng.permutation(np.arange(n) % c))


def run_relu(module, inputs):
    loss, gradients = module.loss_and_gradients(*inputs)
    return loss, dict(zip(("W1", "b1", "W2", "b2"), gradients, strict=True))


relu_softmax = Network(
    "relu_softmax",
    {"n": 6, "d": 4, "h": 5, "c": 3},
    {"W1": "d h", "b1": "h", "W2": "h c", "b2": "c", "X": "n d", "y": "n"},
    relu_inputs,
    {
        "pair of a tuple": lambda module, sizes: (module.forward, module.backward),
        "closure of a tuple": lambda module, sizes: module.loss_and_gradients,
    },
    run_relu,
)

# --- (c) tanh and the mean squared error, rows


def tanh_inputs(rng, s):
    n, d, h, k = s["n"], s["d"], s["h"], s["k"]
    parameters = weights(rng, (d, h), (h,), (h, h), (h,), (h, k), (k,))
    return (rng.normal(size=(n, d)), rng.normal(size=(n, k)), *parameters)


def run_tanh(module, inputs):
    return module.objective(*inputs)


tanh_mse = Network(
    "tanh_mse",
    {"n": 6, "d": 4, "h": 5, "k": 3},
    {
        "x": "n d",
        "target": "n k",
        "w1": "d h",
        "b1": "h",
        "w2": "h h",
        "b2": "h",
        "w3": "h k",
        "b3": "k",
    },
    tanh_inputs,
    {
        "pair of a dictionary": lambda module, sizes: (module.forward, module.backward),
        "closure of a dictionary": lambda module, sizes: module.objective,
    },
    run_tanh,
)

# --- (d) with an L2 term


def l2_inputs(rng, s):
    d, h, g, k, m = s["d"], s["h"], s["g"], s["k"], s["m"]
    drawn = weights(rng, (h, d), (h, 1), (g, h), (g, 1), (k, g), (k, 1))
    names = ("W1", "b1", "W2", "b2", "W3", "b3")
    labels = onehot_columns(rng, k, m)
    return dict(zip(names, drawn, strict=True)), rng.normal(size=(d, m)), labels, 0.6


def run_l2(module, inputs):
    return module.loss_fn(*inputs)


softmax_l2 = Network(
    "softmax_l2",
    {"d": 4, "h": 6, "g": 5, "k": 3, "m": 8},
    {
        "X": "d m",
        "Y": "k m",
        "W1": "h d",
        "b1": "h 1",
        "W2": "g h",
        "b2": "g 1",
        "W3": "k g",
        "b3": "k 1",
    },
    l2_inputs,
    {"closure of a dictionary": lambda module, sizes: module.loss_fn},
    run_l2,
)


def mse_l2_inputs(rng, s):
    n, d, h, k = s["n"], s["d"], s["h"], s["k"]
    parameters = weights(rng, (d, h), (h,), (h, h), (h,), (h, k), (k,))
    return (*parameters, rng.normal(size=(n, d)), rng.normal(size=(n, k)), 0.3)


def run_mse_l2(module, inputs):
    loss, saved = module.predict_and_score(*inputs)
    names = ("V1", "c1", "V2", "c2", "V3", "c3")
    return loss, dict(zip(names, module.gradients(saved), strict=True))


mse_l2 = Network(
    "mse_l2",
    {"n": 6, "d": 4, "h": 5, "k": 3},
    {
        "V1": "d h",
        "c1": "h",
        "V2": "h h",
        "c2": "h",
        "V3": "h k",
        "c3": "k",
        "inputs": "n d",
        "wanted": "n k",
    },
    mse_l2_inputs,
    {"pair of a tuple": lambda module, sizes: (module.predict_and_score, module.gradients)},
    run_mse_l2,
)

# --- (e) with inverted dropout


def dropout_inputs(rng, s):
    n, d, h, g, k = s["n"], s["d"], s["h"], s["g"], s["k"]
    parameters = weights(rng, (d, h), (h,), (h, g), (g,), (g, k), (k,))
    return (rng.normal(size=(n, d)), bits(rng, n, k), *parameters)


def run_dropout(module, inputs):
    return module.loss(*inputs)


dropout_bce = Network(
    "dropout_bce",
    {"n": 9, "d": 4, "h": 8, "g": 6, "k": 3},
    {
        "X": "n d",
        "T": "n k",
        "W1": "d h",
        "b1": "h",
        "W2": "h g",
        "b2": "g",
        "W3": "g k",
        "b3": "k",
    },
    dropout_inputs,
    {
        "pair of a dictionary": lambda module, sizes: (module.forward, module.backward),
        "closure of a dictionary": lambda module, sizes: module.loss,
    },
    run_dropout,
)


def masks_inputs(rng, s):
    n, d, h, k = s["n"], s["d"], s["h"], s["k"]
    parameters = weights(rng, (d, h), (h,), (h, k), (k,))
    mask = (rng.random((n, h)) < 0.75) / 0.75
    return (*parameters, rng.normal(size=(n, d)), rng.normal(size=(n, k)), mask)


def run_masks(module, inputs):
    value, gradients = module.cost(*inputs)
    return value, dict(zip(("theta1", "bias1", "theta2", "bias2"), gradients, strict=True))


dropout_masks = Network(
    "dropout_masks",
    {"n": 7, "d": 4, "h": 6, "k": 3},
    {
        "theta1": "d h",
        "bias1": "h",
        "theta2": "h k",
        "bias2": "k",
        "data": "n d",
        "goal": "n k",
        "drop1": "n h",
    },
    masks_inputs,
    {"closure of a list": lambda module, sizes: module.cost},
    run_masks,
)

# --- (f) with layer norm


def norm_inputs(rng, s):
    n, d, h, k = s["n"], s["d"], s["h"], s["k"]
    first = weights(rng, (d, h), (h,))
    scale = 1 + 0.5 * rng.normal(size=h)
    rest = weights(rng, (h,), (h, h), (h,), (h, k), (k,))
    return (rng.normal(size=(n, d)), *first, scale, *rest, bits(rng, n, k))


def run_norm(module, inputs):
    value, gradients = module.loss(*inputs)
    names = ("X", "W1", "b1", "gamma", "beta", "W2", "b2", "W3", "b3")
    return value, dict(zip(names, gradients, strict=True))


layer_norm = Network(
    "layer_norm",
    {"n": 6, "d": 4, "h": 5, "k": 3},
    {
        "X": "n d",
        "W1": "d h",
        "b1": "h",
        "gamma": "h",
        "beta": "h",
        "W2": "h h",
        "b2": "h",
        "W3": "h k",
        "b3": "k",
        "y": "n k",
    },
    norm_inputs,
    {
        "pair of a tuple": lambda module, sizes: (module.forward, module.backward),
        "closure of a tuple": lambda module, sizes: module.loss,
    },
    run_norm,
)

NETWORKS = {
    network.name: network
    for network in (
        sigmoid_bce,
        sigmoid_object,
        relu_softmax,
        tanh_mse,
        softmax_l2,
        mse_l2,
        dropout_bce,
        dropout_masks,
        layer_norm,
    )
}
