"""At equal settings and seeds the classifier goes the way of scikit-learn's, step for step."""

import numpy as np
import pytest
from beside_theirs import SOLVERS, TARGETS, WEIGHTS, X, assert_alike, both
from sklearn import neural_network
from sklearn.datasets import make_multilabel_classification

import chainrule

# Few epochs are enough to see whether two trainings go the same way.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", TARGETS)
def test_a_classifier_learns_what_scikit_learns_learns(kind, solver):
    theirs, ours = both("MLPClassifier", X, TARGETS[kind], **SOLVERS[solver])
    assert_alike(theirs, ours, rtol=1e-6 if solver == "lbfgs" else 1e-9)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-8)
    np.testing.assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), atol=1e-5)
    assert ours.score(X, TARGETS[kind]) == theirs.score(X, TARGETS[kind])


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_every_activation_of_theirs_starts_and_goes_alike(activation):
    assert_alike(*both("MLPClassifier", X, TARGETS["multiclass"], activation=activation))


def test_curves_are_theirs():
    theirs, ours = both("MLPClassifier", X, TARGETS["binary"], early_stopping=True)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-12)
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_)
    assert ours.best_validation_score_ == theirs.best_validation_score_
    assert ours.best_loss_ is None
    assert theirs.best_loss_ is None


@pytest.mark.parametrize("solver", ["adaptive", "early stopping"])
def test_what_is_printed_is_what_theirs_prints(solver, capsys):
    texts = []
    for package in (neural_network, chainrule):
        settings = {"random_state": 3, "max_iter": 40, "batch_size": 30} | SOLVERS[solver]
        package.MLPClassifier((4,), **settings, verbose=True).fit(X, TARGETS["multiclass"])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert "Iteration 2, loss = " in texts[1]
    assert "improve" in texts[1]


def test_weights_of_examples_count_as_theirs_do():
    settings = {"alpha": 1.0, "batch_size": 90}
    assert_alike(*both("MLPClassifier", X, TARGETS["multiclass"], WEIGHTS, **settings))
    theirs, ours = both("MLPRegressor", X, X[:, 0], WEIGHTS, **settings)
    assert_alike(theirs, ours)
    # Of batches with different weights our epoch's loss is the weighted mean, theirs is not.


def test_labels_that_go_together_from_sparse_targets():
    data, y = make_multilabel_classification(
        60, 6, n_classes=3, return_indicator="sparse", random_state=0
    )
    settings = {"max_iter": 5, "random_state": 0}
    theirs = neural_network.MLPClassifier(**settings).fit(data, y)
    ours = chainrule.MLPClassifier(**settings).fit(data, y)
    assert (ours.predict(data) != theirs.predict(data)).nnz == 0
