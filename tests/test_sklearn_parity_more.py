"""The regressor goes the way of scikit-learn's, and both go on as theirs do."""

import numpy as np
import pytest
from beside_theirs import SOLVERS, TARGETS, X, assert_alike, both
from sklearn import neural_network

import chainrule

# Few epochs are enough to see whether two trainings go the same way.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_a_regressor_learns_what_scikit_learns_learns(loss, solver):
    y = np.round(np.exp(X[:, 0])) if loss == "poisson" else X[:, 0] * X[:, 1]
    settings = {"learning_rate_init": 0.02} | SOLVERS[solver]
    if solver in {"invscaling", "adaptive"}:
        settings["learning_rate_init"] = 0.05
    theirs, ours = both("MLPRegressor", X, y, loss=loss, **settings)
    assert_alike(theirs, ours, rtol=1e-6 if solver == "lbfgs" else 1e-9)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-7)


def test_single_precision_stays_single():
    X32 = X.astype(np.float32)
    theirs, ours = both("MLPClassifier", X32, TARGETS["multiclass"])
    assert {c.dtype for c in ours.coefs_} == {np.dtype(np.float32)}
    assert ours.predict_proba(X32).dtype == np.float32
    for a, b in zip(theirs.coefs_, ours.coefs_, strict=True):
        np.testing.assert_allclose(b, a, atol=1e-4)


def test_no_hidden_layer_and_a_number_of_units():
    assert_alike(*both("MLPClassifier", X, TARGETS["binary"], hidden_layer_sizes=6))
    linear = chainrule.MLPClassifier((), solver="lbfgs", random_state=0).fit(X, TARGETS["binary"])
    assert [c.shape for c in linear.coefs_] == [(5, 1)]
    assert linear.score(X, TARGETS["binary"]) > 0.85


def test_several_outputs_have_one_mean_in_loss_and_gradient():
    """Two equal outputs: the loss and every step are those of one of them."""
    y = X[:, 0] * X[:, 1]
    settings = {"hidden_layer_sizes": (), "solver": "sgd", "alpha": 0.0, "max_iter": 3}
    one = chainrule.MLPRegressor(**settings, random_state=0).fit(X, y)
    two = chainrule.MLPRegressor(**settings, random_state=0, warm_start=True)
    two.max_iter = 1
    two.fit(X, np.stack([y, y], axis=1))
    loss = np.mean((np.stack([y, y], axis=1) - two.predict(X)) ** 2) / 2
    after = two.fit(X, np.stack([y, y], axis=1)).loss_
    assert after == pytest.approx(loss, rel=1e-9)
    assert one.n_outputs_ == 1


def test_partial_fit_goes_their_way():
    y = TARGETS["multiclass"]
    settings = {"random_state": 1, "hidden_layer_sizes": (6,), "batch_size": 10}
    theirs = neural_network.MLPClassifier(**settings)
    ours = chainrule.MLPClassifier(**settings)
    for start in (0, 30, 60):
        rows = slice(start, start + 30)
        theirs.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
        ours.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    assert_alike(theirs, ours)
    assert ours.loss_curve_ == pytest.approx(theirs.loss_curve_)


def test_a_warm_start_goes_on_as_theirs():
    y = TARGETS["multiclass"]
    settings = {"random_state": 1, "hidden_layer_sizes": (6,), "max_iter": 4, "warm_start": True}
    theirs = neural_network.MLPClassifier(**settings).fit(X, y).fit(X, y)
    ours = chainrule.MLPClassifier(**settings).fit(X, y).fit(X, y)
    assert_alike(theirs, ours)
    assert len(ours.loss_curve_) == len(theirs.loss_curve_) == 8
