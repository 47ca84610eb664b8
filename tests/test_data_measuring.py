"""Metrics that are gathered in parts are those that scikit-learn computes of the whole."""

import math

import numpy as np
import pytest
from sklearn import metrics

from chainrule.interop.data.measuring import Classified, Measured


def in_parts(found, predicted, y):
    for start in range(0, len(y), 37):
        found.take(predicted[start : start + 37], y[start : start + 37])
    return found


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_classes(classes):
    rng = np.random.default_rng(classes)
    y = rng.integers(0, classes, 400)
    logits = (rng.normal(size=(400, classes)) * 3).astype(np.float32)
    logits[np.arange(400), y] += 2
    found = in_parts(Classified([str(k) for k in range(classes)]), logits, y)
    guess = np.argmax(logits, axis=1)
    p = np.exp(logits.astype(float))
    p /= p.sum(axis=1, keepdims=True)
    assert found.metrics() == pytest.approx(
        {
            "rows": 400,
            "accuracy": metrics.accuracy_score(y, guess),
            "balanced accuracy": metrics.balanced_accuracy_score(y, guess),
            "mean F1": metrics.f1_score(y, guess, average="macro"),
            "log loss": metrics.log_loss(y, p),
        }
    )
    assert np.array_equal(found.details()["confusion"], metrics.confusion_matrix(y, guess))


def test_a_class_that_never_occurs_does_not_count():
    y, logits = np.array([0, 1, 1]), np.array([[9.0, 0, 0], [0, 9, 0], [9, 0, 0]])
    found = in_parts(Classified(["a", "b", "c"]), logits, y).metrics()
    assert found["balanced accuracy"] == 0.75
    assert found["mean F1"] == pytest.approx(metrics.f1_score(y, [0, 1, 0], average="macro"))


def test_numbers():
    rng = np.random.default_rng(0)
    y = rng.normal(1000, 3, 400)
    predicted = y + rng.normal(size=400)
    found = in_parts(Measured(), predicted, y)
    assert found.metrics() == pytest.approx(
        {
            "rows": 400,
            "R²": metrics.r2_score(y, predicted),
            "root mean squared error": metrics.root_mean_squared_error(y, predicted),
            "mean absolute error": metrics.mean_absolute_error(y, predicted),
        }
    )
    residuals = found.details()["residuals"]
    assert residuals["50%"] == pytest.approx(np.median(y - predicted))
    assert residuals["100%"] == pytest.approx(np.max(y - predicted))


def test_targets_that_are_all_the_same_have_no_share_that_is_explained():
    found = in_parts(Measured(), np.array([1.0, 2.0]), np.array([3.0, 3.0])).metrics()
    assert math.isnan(found["R²"])
