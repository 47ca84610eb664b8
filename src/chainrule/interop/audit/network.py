"""The loss of scikit-learn's multilayer perceptrons, written anew, beside the gradient they use.

`forward` is an independent text of what the estimators minimise, in plain NumPy, so that it can
be traced; `backward` asks the installed scikit-learn for its gradient at the same numbers. As a
pair they are what `check` takes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from chainrule import ops
from chainrule.errors import InputTypeError
from chainrule.graph import name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Network", "Problem"]

_HIDDEN: Mapping[str, Callable[[Any], Any]] = {
    "identity": lambda z: z,
    "logistic": ops.sigmoid,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(0, z),
}
_OUTPUT: Mapping[str, Callable[[Any], Any]] = {
    "identity": lambda z: z,
    "logistic": ops.sigmoid,
    "exp": np.exp,
    "softmax": ops.softmax,
}


@dataclass(frozen=True)
class Problem:
    """What one estimator minimises.

    Attributes
    ----------
    kind
        ``classifier`` or ``regressor``.
    activation
        Of the hidden layers.
    output
        The activation of the last layer: ``identity``, ``exp``, ``logistic`` or ``softmax``.
    loss
        ``squared_error``, ``poisson`` or ``log_loss``.
    alpha
        Of the penalty ½ alpha ΣW², divided by what the loss is divided by.
    solver
        ``lbfgs`` reads loss and gradient together, ``adam`` and ``sgd`` the gradient of a batch.
    weighted
        Whether the examples have weights.
    """

    kind: str
    activation: str
    output: str
    loss: str
    alpha: float
    solver: str
    weighted: bool


class Network:
    """Runs both sides on the same numbers: X, y, the weights of examples if any, W1, b1, W2, ….

    Parameters
    ----------
    problem
        What is minimised.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        kind = MLPClassifier if problem.kind == "classifier" else MLPRegressor
        self._estimator = kind(
            activation=problem.activation, alpha=problem.alpha, solver=problem.solver
        )
        self._estimator.loss = problem.loss  # a classifier has one, and no setting for it
        self._estimator.out_activation_ = problem.output

    @property
    def data(self) -> int:
        """How many of the arrays are no parameters."""
        return 3 if self.problem.weighted else 2

    def names(self, layers: int) -> list[str]:
        """Return what the arrays are called."""
        own = ["X", "y", "sample_weight"][: self.data]
        return own + [f"{letter}{k + 1}" for k in range(layers) for letter in "Wb"]

    def shapes(self, layers: int, outputs: int | str) -> dict[str, str]:
        """Return the axes of the arrays by letters, for a number of outputs or a letter of it."""
        sizes = ["d", *[f"h{k + 1}" for k in range(layers - 1)], str(outputs)]
        shapes = {"X": "n d", "y": f"n {outputs}"}
        if self.problem.weighted:
            shapes["sample_weight"] = "n"
        for k, (a, b) in enumerate(itertools.pairwise(sizes), start=1):
            shapes |= {f"W{k}": f"{a} {b}", f"b{k}": b}
        return shapes

    # ------------------------------------------------------------------ ours

    def forward(self, *arrays: Any) -> tuple[Any, dict[str, Any]]:
        """Return the loss, and what stands between, as ``Z1 A1 Z2 …``."""
        cache: dict[str, Any] = {}
        Ws, bs = arrays[self.data :: 2], arrays[self.data + 1 :: 2]
        A = arrays[0]
        for k, (W, b) in enumerate(zip(Ws, bs, strict=True), start=1):
            Z = A @ W + b
            is_last = k == len(Ws)
            A = _OUTPUT[self.problem.output](Z) if is_last else _HIDDEN[self.problem.activation](Z)
            cache |= {f"Z{k}": name(Z, f"Z{k}"), f"A{k}": name(A, f"A{k}")}
        cache["arrays"] = arrays
        return self._loss(arrays, A, Ws), cache

    def _loss(self, arrays: Sequence[Any], out: Any, Ws: Sequence[Any]) -> Any:
        y = arrays[1]
        per_example = self._losses(out, y)
        if self.problem.weighted:
            total = np.sum(arrays[2])
            mean = np.sum(arrays[2] * per_example) / total
        else:
            total = np.shape(y)[0]
            mean = np.mean(per_example)
        penalty = sum(np.sum(W * W) for W in Ws)
        return mean + 0.5 * self.problem.alpha * penalty / total

    def _losses(self, out: Any, y: Any) -> Any:
        """Return the loss of each example."""
        if self.problem.loss == "squared_error":
            return 0.5 * np.mean((out - y) ** 2, axis=1)
        if self.problem.loss == "poisson":
            return np.sum(y * np.log(y / out) - y + out, axis=1)
        if self.problem.output == "logistic":
            return -np.sum(y * np.log(out) + (1 - y) * np.log(1 - out), axis=1)
        return -np.sum(y * np.log(out), axis=1)

    # ------------------------------------------------------------------ theirs

    def backward(self, cache: Mapping[str, Any]) -> dict[str, Any]:
        """Return scikit-learn's gradients of the parameters, and of Z.

        What it calls deltas are those of Z before they are divided as the loss is.
        """
        arrays = [np.array(x) for x in cache["arrays"]]
        _, gradients, deltas = self.theirs(arrays)
        names = self.names(len(deltas))[self.data :]
        total = np.sum(arrays[2]) if self.problem.weighted else len(arrays[0])
        found = {f"Z{k}": d / total for k, d in enumerate(deltas, start=1)}
        return {**found, **dict(zip(names, gradients, strict=True))}

    def theirs(self, arrays: Sequence[Any]) -> tuple[float, list[Any], list[Any]]:
        """Return scikit-learn's loss, its gradients in the order W1, b1, W2, …, and its deltas.

        Raises
        ------
        InputTypeError
            If the installed release computes them in another way.
        """
        X, y, weights = arrays[0], arrays[1], arrays[2] if self.problem.weighted else None
        Ws, bs = list(arrays[self.data :: 2]), list(arrays[self.data + 1 :: 2])
        network = self._estimator
        network.coefs_, network.intercepts_, network.n_layers_ = Ws, bs, len(Ws) + 1
        deltas: list[Any] = [None] * len(Ws)
        room = (
            [X] + [None] * len(Ws),
            deltas,
            list(map(np.empty_like, Ws)),
            list(map(np.empty_like, bs)),
        )
        try:
            if self.problem.solver == "lbfgs":
                ends = np.cumsum([0] + [x.size for x in (*Ws, *bs)]).tolist()
                spans = list(itertools.pairwise(ends))
                network._coef_indptr = [(*s, W.shape) for s, W in zip(spans, Ws, strict=False)]  # noqa: SLF001 - as its fit does
                network._intercept_indptr = spans[len(Ws) :]  # noqa: SLF001 - as its fit does
                packed = np.concatenate([x.ravel() for x in (*Ws, *bs)])
                loss, flat = network._loss_grad_lbfgs(packed, X, y, weights, *room)  # noqa: SLF001 - what is audited
                parts = [flat[a:b] for a, b in spans]
                dWs = [g.reshape(W.shape) for g, W in zip(parts, Ws, strict=False)]
                dbs = parts[len(Ws) :]
            else:
                loss, dWs, dbs = network._backprop(X, y, weights, *room)  # noqa: SLF001 - what is audited
        except (AttributeError, TypeError) as error:
            raise InputTypeError(
                "this release of scikit-learn computes its gradients in another way than 1.9.",
                f"{type(error).__name__}: {error}",
                advice="Audit scikit-learn 1.9, or a later release of chainrule.",
            ) from error
        both = [g for pair in zip(dWs, dbs, strict=True) for g in pair]
        return float(loss), both, deltas
