"""Networks as machine code: loss, gradient and whole steps of training are NumPy's to rounding."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import optree
import pytest
from natively import HOST, TARGETS, agree, check_plan, largest, nudged, run

from chainrule import nn, train
from chainrule.execute import Program
from chainrule.execute.answers import REFUSED, SPOILT, STOPPED
from chainrule.execute.native.program import NativeProgram
from chainrule.graph import Spec, trace
from chainrule.train.data import Batch
from chainrule.train.step import Learned, Recipe
from chainrule.transform import simplify

RNG = np.random.default_rng(0)
N = 13


def drawn(*shape):
    return RNG.normal(size=shape).astype(np.float32).astype(float)


class Case(NamedTuple):
    """A model in double precision, its loss and its examples."""

    model: Any
    loss: Any
    X: Any
    y: Any
    weights: Any = None
    optimiser: Any = None


LABELS = RNG.integers(0, 5, N)
SOME = np.where(np.arange(N) % 4, LABELS, 3)
CHANCES = np.abs(drawn(N, 5)) / 4
ONES = (drawn(N, 5) > 0).astype(float)
WEIGHTS = np.abs(drawn(N))
CLASSES = np.array([1.0, 0.5, 2.0, 0.25, 1.5])


def mlp(activation="tanh", *, sizes=(7, 17, 9, 5), **more):
    return nn.MLP(list(sizes), activation, seed=1, **more)


def residual():
    inner = nn.Sequential(nn.Linear(7, 7, seed=2), nn.Tanh())
    return nn.Sequential(nn.Residual(inner), nn.Residual(nn.Linear(7, 7, seed=3)), mlp())


def shared():
    again = nn.Linear(7, 7, seed=2)
    return nn.Sequential(again, nn.GELU(), again, nn.SiLU(), again, mlp())


def images(*layers, channels=3, out):
    return nn.Sequential(
        nn.Conv2d(2, channels, 3, padding=1, seed=1),
        *layers,
        nn.Flatten(),
        nn.Linear(out, 5, seed=2),
    )


X7, PICTURES = drawn(N, 7), drawn(N, 2, 6, 5)
WORDS = RNG.integers(0, 11, (N, 3))
entropy = nn.CrossEntropyLoss

CASES = {
    **{
        f"dense with {name}": Case(mlp(name), entropy(), X7, LABELS)
        for name in sorted(nn.ACTIVATIONS)
    },
    "without bias": Case(
        nn.Sequential(nn.Linear(7, 16, bias=False, seed=0), nn.ReLU(), nn.Linear(16, 5, seed=0)),
        entropy(label_smoothing=0.1),
        X7,
        LABELS,
    ),
    "classes count differently": Case(mlp(), entropy(CLASSES, label_smoothing=0.2), X7, LABELS),
    "some labels are ignored": Case(mlp(), entropy(CLASSES, ignore_index=3), X7, SOME, WEIGHTS),
    "the sum of losses": Case(mlp(), entropy(reduction="sum"), X7, LABELS),
    "chances": Case(mlp(), entropy(), X7, CHANCES),
    "log softmax": Case(nn.Sequential(mlp(), nn.LogSoftmax()), nn.NLLLoss(CLASSES), X7, LABELS),
    "softmax": Case(nn.Sequential(mlp(), nn.Softmax(0)), nn.MSELoss(), X7, CHANCES),
    "binary": Case(mlp(), nn.BCEWithLogitsLoss(pos_weight=CLASSES), X7, ONES, WEIGHTS),
    "squares": Case(mlp(), nn.MSELoss(), X7, drawn(N, 5), WEIGHTS),
    "distances": Case(mlp(), nn.L1Loss(), X7, drawn(N, 5)),
    "huber": Case(mlp(), nn.HuberLoss(delta=0.4), X7, drawn(N, 5)),
    "counts": Case(mlp(), nn.PoissonNLLLoss(full=True), X7, np.ceil(CHANCES * 8)),
    "batch norm": Case(
        nn.Sequential(
            nn.Linear(7, 9, seed=0), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 5, seed=0)
        ),
        entropy(),
        X7,
        LABELS,
    ),
    "batch norm along": Case(
        nn.Sequential(nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(24, 5, seed=0)),
        entropy(),
        drawn(N, 4, 6),
        LABELS,
    ),
    "layer norm": Case(
        nn.Sequential(nn.LayerNorm(7), mlp(), nn.LayerNorm([5])), entropy(), X7, LABELS
    ),
    "a long layer norm": Case(
        nn.Sequential(nn.LayerNorm(1100), nn.Linear(1100, 5, seed=0)),
        entropy(),
        drawn(N, 1100),
        LABELS,
    ),
    "dropout": Case(mlp("relu", dropout=0.3), entropy(), X7, LABELS),
    "embedding": Case(
        nn.Sequential(nn.Embedding(11, 7, 2, seed=0), nn.Flatten(), nn.Linear(21, 5, seed=0)),
        entropy(),
        WORDS,
        LABELS,
    ),
    "shortcuts": Case(residual(), entropy(), X7, LABELS),
    "a layer used again": Case(shared(), entropy(), X7, LABELS),
    "convolution": Case(images(nn.ReLU(), out=90), entropy(), PICTURES, LABELS),
    "largest of windows": Case(
        images(nn.Tanh(), nn.MaxPool2d(2, 2, padding=1), out=36), entropy(), PICTURES, LABELS
    ),
    "means of windows": Case(
        images(nn.AvgPool2d(2, 1, padding=1, count_include_pad=False), out=126),
        entropy(),
        PICTURES,
        LABELS,
    ),
    "groups of channels": Case(
        images(nn.Conv2d(4, 6, (2, 3), dilation=2, groups=2, seed=0), channels=4, out=24),
        entropy(),
        PICTURES,
        LABELS,
    ),
    "adam": Case(mlp(), entropy(), X7, LABELS, None, train.Adam()),
    "adamw": Case(mlp("gelu"), entropy(), X7, LABELS, WEIGHTS, train.AdamW(weight_decay=0.1)),
    "amsgrad": Case(mlp(), entropy(), X7, LABELS, None, train.Adam(amsgrad=True)),
    "rmsprop": Case(mlp(), nn.MSELoss(), X7, CHANCES, None, train.RMSprop(momentum=0.5)),
    "adagrad": Case(mlp(), entropy(), X7, LABELS, None, train.Adagrad()),
    "nesterov": Case(
        mlp(), entropy(), X7, LABELS, None, train.SGD(0.1, momentum=0.9, nesterov=True)
    ),
    "lion": Case(mlp(), entropy(), X7, LABELS, None, train.Lion()),
}


class Made(NamedTuple):
    """A step of training as a graph, and what it starts from."""

    graph: Any
    given: list[Any]
    learned: int
    outputs: int

    @property
    def donated(self) -> dict[int, int]:
        """Parameters, buffers and state take the memory of what they were."""
        return {self.outputs - self.learned + k: k for k in range(self.learned)}


def step_of(case: Case, dtype: Any) -> Made:
    """Return a whole step: forward, backward, clipped and updated."""

    def typed(x):
        x = np.array(x)
        return x.astype(np.float32).astype(dtype) if x.dtype.kind == "f" else x

    optimiser = case.optimiser or train.SGD(0.1, momentum=0.5, weight_decay=0.01)
    recipe = Recipe(case.model.train(), case.loss, optimiser, 1e3, None, None)
    parameters = {k: typed(p.data) for k, p in case.model.named_parameters()}
    buffers = {k: typed(b.data) for k, b in case.model.named_buffers()}
    learned = Learned(parameters, buffers, optimiser.init(parameters), None)
    weights = None if case.weights is None else typed(case.weights)
    batch = Batch(typed(case.X), typed(case.y), weights)
    given, structure = optree.tree_flatten((learned, np.array([3, 1]), np.float64(0.01), batch))

    def flat(*leaves):
        return optree.tree_leaves(recipe.step(*optree.tree_unflatten(structure, leaves)))

    given = [np.asarray(x)[()] for x in given]
    graph = simplify(trace(flat, *[Spec(x.shape, x.dtype) for x in given]))
    return Made(graph, given, len(optree.tree_leaves(learned)), len(graph.outputs))


def numbered():
    return pytest.mark.parametrize(("k", "name"), list(enumerate(CASES)), ids=list(CASES))


def check(name, dtype, target, *, donated):
    """Require two steps to be NumPy's to rounding."""
    made, wide = (step_of(CASES[name], d) for d in (dtype, np.float64))
    taken = made.donated if donated else {}
    guards, watched = ((0, 1), (2,)) if donated else ((), ())
    program = NativeProgram(made.graph, taken, guards, watched, target)
    check_plan(program.plan)
    given, exact = made.given, wide.given
    for _ in range(2):
        with np.errstate(all="ignore"):
            exactly = wide.graph.evaluate(*exact)
            wanted = Program(made.graph)(*given)
            means = made.graph.evaluate(*given)
            moved = made.graph.evaluate(*nudged(given))
        for a, b in zip(wanted, means, strict=True):
            np.testing.assert_array_equal(a, b)
        found = run(program, given)
        assert found.answer == 0
        agree(found.results, wanted, exactly, 0.0, dtype, moved)
        for out, of in taken.items():
            assert found.results[out] is found.inputs[of]
        fresh = [np.asarray(x)[()] for x in wanted[made.outputs - made.learned :]]
        given = [*fresh, *given[made.learned :]]
        exact = [
            *[x.astype(y.dtype)[()] for x, y in zip(fresh, exact, strict=False)],
            *exact[made.learned :],
        ]


@numbered()
def test_a_step_is_what_numpy_computes(k, name):
    others = [t._replace(checked=c) for t in TARGETS for c in (True, False)]
    if k % 2 or not name.startswith("dense with"):
        check(name, np.float64, HOST, donated=bool(k % 2))
    if k % 2 == 0 or not name.startswith("dense with"):
        check(name, np.float32, others[k % len(others)], donated=not k % 2)


@pytest.mark.slow
@numbered()
def test_a_step_on_every_target(k, name):
    for target in (t._replace(checked=c) for t in TARGETS for c in (True, False)):
        for dtype in (np.float64, np.float32):
            for donated in (True, False):
                check(name, dtype, target, donated=donated)


@pytest.mark.parametrize("layout", ["columns", "rows"])
@pytest.mark.parametrize(("hidden", "output"), [("relu", "softmax"), ("tanh", "linear")])
def test_the_gradients_of_a_dnn(layout, hidden, output):
    network = nn.DNN([7, 17, 5], hidden, output, layout, seed=0)
    names, arrays = list(network.parameters), list(network.parameters.values())
    x = X7 if layout == "rows" else X7.T.copy()
    y = LABELS if output == "softmax" else drawn(*((N, 5) if layout == "rows" else (5, N)))

    def f(x, y, *own):
        out, cache = network._forward(dict(zip(names, own, strict=True)), x, None)
        return [out, *optree.tree_leaves(network.compute_gradients(out, cache, y))]

    given = (x, y, *arrays)
    graph = simplify(trace(f, *[Spec(a.shape, a.dtype) for a in given]))
    numbers = graph.walk(*given)
    wanted = graph.results(numbers)
    for target in (HOST, TARGETS[1]._replace(checked=True)):
        found = run(NativeProgram(graph, target=target), given)
        agree(found.results, wanted, wanted, largest(numbers))


# ------------------------------------------------------------------ what must not be learned


def broken(case, change, guards=(0, 1), watched=(2,)):
    """Run a step on changed inputs; return its answer, what it was given, and what is there."""
    made = step_of(case, np.float64)
    given = change(made)
    program = NativeProgram(made.graph, made.donated, guards, watched)
    found = run(program, given)
    return found.answer, given[: made.learned], found.inputs[: made.learned]


def places(made, kind, shape):
    """Return where among the inputs of a step an array of a kind and shape is."""
    return next(k for k, x in enumerate(made.given) if x.dtype.kind == kind and x.shape == shape)


def unchanged(before, after):
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("label", [5, -1, 2**40])
def test_a_label_out_of_range_is_refused_before_anything_is_written(label):
    def change(made):
        given = list(made.given)
        k = places(made, "i", (N,))
        given[k] = given[k].copy()
        given[k][-1] = label
        return given

    for optimiser in (None, train.Adam()):
        case = CASES["dense with relu"]._replace(optimiser=optimiser)
        answer, before, after = broken(case, change)
        assert answer == REFUSED
        unchanged(before, after)


@pytest.mark.parametrize("place", [11, -12])
def test_a_word_out_of_range_is_refused_before_anything_is_written(place):
    def change(made):
        given = list(made.given)
        k = places(made, "i", (N, 3))
        given[k] = given[k].copy()
        given[k][4, 1] = place
        return given

    answer, before, after = broken(CASES["embedding"], change)
    assert answer == REFUSED
    unchanged(before, after)


def test_a_loss_that_is_not_finite_leaves_what_was_learned():
    def change(made):
        k = places(made, "f", (N, 7))
        return [np.full_like(x, np.nan) if i == k else x for i, x in enumerate(made.given)]

    answer, before, after = broken(CASES["adam"], change)
    assert answer == STOPPED
    unchanged(before, after)


def test_what_is_spoilt_is_said():
    def change(made):
        return [
            np.float64(np.inf) if x.shape == () and x.dtype == np.float64 and x == 0.01 else x
            for x in made.given
        ]

    answer, _, _ = broken(CASES["adam"], change)
    assert answer == SPOILT
