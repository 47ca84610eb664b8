"""Programs whose plans are held in tests/golden/plans; the first stands on lines that stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np


def regression(W: Any, b: Any, X: Any, Y: Any) -> Any:
    scores = X @ W + b
    scores = scores - np.max(scores, axis=1, keepdims=True)
    likely = np.exp(scores) / np.sum(np.exp(scores), axis=1, keepdims=True)
    loss = -np.sum(Y * np.log(likely), axis=1)
    return np.mean(loss) + 0.01 * np.sum(W * W)


# ruff: noqa: E402 - the lines above are named in a golden file
import itertools
from types import MappingProxyType

import optree

from chainrule import grad, hvp, jacobian, nn, train, value_and_grad, vmap
from chainrule.compile import plan
from chainrule.execute.native.ability import able
from chainrule.graph import Graph, Spec, parameter_names, trace
from chainrule.train.data import Batch
from chainrule.train.step import Learned, Recipe
from chainrule.transform import simplify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainrule.compile import Plan


class Program(NamedTuple):
    """A traced function, and how its plan is wanted."""

    graph: Graph
    options: Mapping[str, Any] = MappingProxyType({})
    lines: bool = False

    def plan(self) -> Plan:
        return plan(self.graph, able=able, **self.options)


def _program(function: Callable[..., Any], *arguments: Any, lines: bool = False) -> Program:
    """Return the program of a function of arrays, named as its parameters are, or of containers."""
    leaves, structure = optree.tree_flatten(arguments)

    def flat(*leaves: Any) -> Any:
        return optree.tree_leaves(function(*optree.tree_unflatten(structure, leaves)))

    specs = [Spec(np.shape(x), np.asarray(x).dtype) for x in leaves]
    graph = simplify(trace(flat, *specs))
    names = _names(arguments, parameter_names(function, len(arguments)))
    for i, name in zip(graph.inputs, names, strict=True):
        graph.nodes[i] = graph.nodes[i]._replace(name=name)
    return Program(graph, lines=lines)


def _names(arguments: tuple[Any, ...], given: Sequence[str]) -> list[str]:
    """Return for each array the end of its path that no other has: ``mean.0.weight``."""
    paths = [
        [given[first.entry], *[str(getattr(e, "field", e.entry)) for e in rest]]
        for first, *rest in optree.tree_accessors(arguments)
    ]
    ends = [[".".join(path[-k:]) for path in paths] for k in range(1, max(map(len, paths)) + 1)]
    return [next(end[k] for end in ends if end.count(end[k]) == 1) for k in range(len(paths))]


def _step(model: nn.Module, loss: nn.Module, optimiser: Any, X: Any, y: Any) -> Program:
    """Return the program of a training step that updates what is learned where it lies."""
    recipe = Recipe(model, loss, optimiser, None, None, None)
    parameters = {name: p.data.astype(np.float32) for name, p in model.named_parameters()}
    learned = Learned(parameters, {}, optimiser.init(parameters), None)
    made = _program(recipe.step, learned, np.array([0, 1]), np.float64(1e-3), Batch(X, y))
    count = len(optree.tree_leaves(learned))
    donated = {k + 3: k for k in range(count)}
    return made._replace(options={"donated": donated, "guards": (0, 1), "watched": (2,)})


def _network(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for m, n in itertools.pairwise(sizes):
        layers += [nn.Linear(m, n), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def training_step() -> Program:
    X, y = np.zeros((32, 64), np.float32), np.zeros(32, int)
    return _step(_network(64, 64, 32, 10), nn.CrossEntropyLoss(), train.Adam(), X, y)


def softmax_regression() -> Program:
    arguments = [np.zeros(s) for s in ((20, 5), (5,), (100, 20), (100, 5))]
    return _program(value_and_grad(regression, (0, 1)), *arguments, lines=True)


def _small(w: Any, x: Any) -> Any:
    return np.sum(np.tanh(np.tanh(x @ w["W1"] + w["b1"]) @ w["W2"]) ** 2)


def _weights() -> dict[str, Any]:
    return {"W1": np.zeros((6, 8)), "W2": np.zeros((8, 3)), "b1": np.zeros(8)}


def hessian_times_vector() -> Program:
    x = np.zeros((16, 6))
    return _program(lambda w, dw: hvp(lambda v: _small(v, x), (w,), (dw,)), _weights(), _weights())


def jacobians() -> Program:
    def outputs(x: Any, W: Any) -> Any:
        return np.tanh(W @ np.sin(x))

    return _program(vmap(jacobian(outputs), in_axes=(0, None)), np.zeros((8, 4)), np.zeros((3, 4)))


def convolution_step() -> Program:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10)
    )
    X, y = np.zeros((8, 1, 8, 8), np.float32), np.zeros(8, int)
    return _step(model, nn.CrossEntropyLoss(), train.SGD(0.1), X, y)


def least_squares() -> Program:
    def residual(X: Any, y: Any) -> Any:
        w = np.linalg.solve(X.T @ X + 0.1 * np.eye(5), X.T @ y)
        return np.sum((X @ w - y) ** 2)

    return _program(grad(residual, (0, 1)), np.zeros((30, 5)), np.zeros(30))


def prediction() -> Program:
    model = nn.Sequential(
        nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(64, 10), nn.Softmax(),
    )  # fmt: skip
    model.eval()

    def predicted(x: Any) -> Any:
        return model(x)

    return _program(predicted, np.zeros((256, 64)))


def normalisation() -> Program:
    norm, activation = nn.LayerNorm(24), nn.GELU()

    def block(x: Any, W: Any) -> Any:
        return np.mean(activation(norm(x) @ W))

    return _program(value_and_grad(block, (0, 1)), np.zeros((40, 24)), np.zeros((24, 24)))


ZOO: dict[str, Callable[[], Program]] = {
    made.__name__: made
    for made in (
        training_step,
        softmax_regression,
        hessian_times_vector,
        jacobians,
        convolution_step,
        least_squares,
        prediction,
        normalisation,
    )
}
