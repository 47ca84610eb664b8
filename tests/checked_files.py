"""Files with backward passes as people write them, and how tests let them be checked."""

from __future__ import annotations

import json
import linecache
import sys
import textwrap

import pytest

from chainrule import cli
from chainrule.interop.files import inside, outside

CALCULUS = """
import numpy as np

rng = np.random.default_rng(0)
N, D, H, C = 6, 4, 5, 3
X, y = rng.normal(size=(N, D)), rng.integers(0, C, N)
W1, b1 = rng.normal(size=(D, H)), np.zeros(H)
W2, b2 = rng.normal(size=(H, C)), np.zeros(C)


def forward(X, y, W1, b1, W2, b2):
    N = X.shape[0]
    y1 = X.dot(W1) + b1 # (N,H) + (H)
    h1 = np.maximum(0, y1)
    y2 = h1.dot(W2) + b2
    exp_scores = np.exp(y2)
    probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    loss = np.sum(-np.log(probs[range(N), y])) / N
    return loss, (X, y, y1, h1, W2, probs)


def backward(cache):
    X, y, y1, h1, W2, probs = cache
    N = X.shape[0]
    dy2 = probs
    dy2[range(N), y] -= 1
    dy2 /= N
    dW2 = h1.T.dot(dy2)
    db2 = np.sum(dy2, axis=0)
    dh1 = dy2.dot(W2.T)
    dy1 = dh1 * (y1 >= 0)
    dW1 = X.T.dot(dy1)
    db1 = np.sum(dy1, axis=0)
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}
"""

CACHED = '''
import numpy as np


def sigmoid(Z):
    return 1 / (1 + np.exp(-Z))


class Network:
    """Examples are columns."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.params = {}
        for layer, (a, b) in enumerate(zip((2, 4, 3), (4, 3, 1)), start=1):
            self.params[f"W{layer}"] = rng.normal(size=(b, a))
            self.params[f"B{layer}"] = rng.normal(size=(b, 1))

    def forward(self, X):
        cache = {"A0": X}
        for l in (1, 2, 3):
            cache[f"Z{l}"] = self.params[f"W{l}"] @ cache[f"A{l-1}"] + self.params[f"B{l}"]
            cache[f"A{l}"] = sigmoid(cache[f"Z{l}"])
        return cache["A3"], cache

    def compute_gradients(self, out, cache, Y):
        m = Y.shape[1]
        grads = {"Z3": out - Y}
        for l in (3, 2, 1):
            grads[f"W{l}"] = grads[f"Z{l}"] @ cache[f"A{l-1}"].T / m
            grads[f"B{l}"] = np.sum(grads[f"Z{l}"], axis=1, keepdims=True) / m
            if l > 1:
                A = cache[f"A{l-1}"]
                grads[f"A{l-1}"] = self.params[f"W{l}"].T @ grads[f"Z{l}"]
                grads[f"Z{l-1}"] = grads[f"A{l-1}"] * A * (1 - A)
        return grads


shapes = {"X": "2 m", "Y": "1 m"}
'''

LAYERS = '''
import numpy as np


def affine_forward(x, w, b):
    """An affine layer.

    Inputs:
    - x: A numpy array containing input data, of shape (N, D)
    - w: A numpy array of weights, of shape (D, M)
    - b: A numpy array of biases, of shape (M,)
    """
    return x.dot(w) + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout.dot(w.T), x.T.dot(dout), dout.sum(axis=0)


def relu_forward(x: "n d"):
    return np.maximum(0, x), x


def relu_backward(dout, cache):
    return dout * (cache > 0)


def softmax_loss(x, y):
    # x: (N, C), y: (N,)
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    p = e / np.sum(e, axis=1, keepdims=True)
    N = x.shape[0]
    loss = -np.sum(np.log(p[np.arange(N), y])) / N
    dx = p.copy()
    dx[np.arange(N), y] -= 1
    dx /= N
    return loss, dx
'''

MODULES = """
import numpy as np

from chainrule import nn


class Affine(nn.Module):
    def __init__(self, inputs=4, outputs=3):
        super().__init__()
        rng = np.random.default_rng(0)
        self.weight = nn.Parameter(rng.normal(size=(outputs, inputs)))

    def forward(self, x):
        self.x = x
        return x @ self.weight.T

    def backward(self, gradwrtoutput):
        self.grad["weight"] = gradwrtoutput.T @ self.x
        return gradwrtoutput @ self.weight


Affine_inputs = (np.arange(8.0).reshape(2, 4),)
"""

UNKNOWN = """
def forward(X, W):
    return X @ W, (X, W)


def backward(dout, cache):
    X, W = cache
    return dout @ W.T, X.T @ dout
"""

NETWORK = """
import numpy as np


class Net:
    def __init__(self, features=4, classes=3):
        self.params = {"W": np.random.default_rng(0).normal(size=(features, classes))}

    def loss(self, X, y=None, reg=0.0):
        W = self.params["W"]
        scores = X.dot(W)
        if y is None:
            return scores
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        N = len(y)
        loss = -np.log(p[np.arange(N), y]).mean() + reg * np.sum(W * W)
        ds = p.copy()
        ds[np.arange(N), y] -= 1
        grads = {"W": X.T.dot(ds / N) + 2 * reg * W}
        return loss, grads


Net_inputs = (np.random.default_rng(1).normal(size=(7, 4)), np.arange(7) % 3, 0.1)
"""

CLEAN = {"calculus": CALCULUS, "cached": CACHED, "layers": LAYERS, "modules": MODULES}


def import_here(monkeypatch):
    """Let files be imported in this process, which is faster than in one of their own."""

    def run(request, timeout):
        events = []

        def tell(event, **fields):
            events.append(json.loads(json.dumps({"event": event, **fields})))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "path", ["", *sys.path])
            patch.delitem(sys.modules, "net", raising=False)
            inside.main(request, tell)
            sys.modules.pop("net", None)
            linecache.clearcache()
        return outside.Ended(events, 0, "")

    monkeypatch.setattr(outside, "run", run)


def written(folder, text, name="net.py"):
    (folder / name).write_text(textwrap.dedent(text))
    return name


def said(capsys, monkeypatch, *arguments, code):
    """Run the command in this process; the file still runs in one of its own."""
    monkeypatch.setattr(sys, "argv", ["chainrule", "check", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    out, err = capsys.readouterr()
    assert left.value.code == code, out + err
    assert "Traceback" not in err
    return out + err


def line_of(text, piece):
    return next(k for k, line in enumerate(text.splitlines(), start=1) if piece in line)
