"""scikit-learn's estimators and ours, fitted at equal settings and seeds, and compared."""

import numpy as np
import pytest
from sklearn import neural_network

import chainrule

rng = np.random.default_rng(0)
X = rng.normal(size=(90, 5))
NOISE = rng.normal(size=90)
TARGETS = {
    "binary": np.where(X[:, 0] + 0.3 * NOISE > 0, "yes", "no"),
    "multiclass": np.digitize(X[:, 0] * X[:, 1] + 0.1 * NOISE, [-0.3, 0.3]),
    "multilabel": (X[:, :3] + 0.2 * NOISE[:, None] > 0).astype(int),
}
WEIGHTS = rng.uniform(0.5, 2.0, size=90)


def both(name, X, y, weights=None, **settings):
    """Fit scikit-learn's estimator and ours."""
    common = {"random_state": 3, "max_iter": 12, "hidden_layer_sizes": (7, 4), "batch_size": 30}
    settings = common | settings
    theirs = getattr(neural_network, name)(**settings).fit(X, y, sample_weight=weights)
    ours = getattr(chainrule, name)(**settings).fit(X, y, sample_weight=weights)
    return theirs, ours


def assert_alike(theirs, ours, rtol=1e-9):
    for a, b in zip(theirs.coefs_, ours.coefs_, strict=True):
        np.testing.assert_allclose(b, a, rtol=rtol, atol=1e-11)
    for a, b in zip(theirs.intercepts_, ours.intercepts_, strict=True):
        np.testing.assert_allclose(b, a, rtol=rtol, atol=1e-11)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-9)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name), name


SOLVERS = {
    "adam": {},
    "adam, other betas": {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3, "batch_size": 45},
    "momentum": {"solver": "sgd", "learning_rate_init": 0.05},
    "momentum without Nesterov": {"solver": "sgd", "nesterovs_momentum": False, "momentum": 0.5},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5},
    "adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "learning_rate_init": 0.5,
        "tol": 0.5,
        "n_iter_no_change": 2,
    },
    "in order": {"shuffle": False},
    "penalty": {"alpha": 5.0, "batch_size": 45},
    # Theirs caps the loss of a probability below 2e-16, which long steps of a search can meet.
    "lbfgs": {"solver": "lbfgs", "activation": "tanh", "alpha": 1.0},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 3, "learning_rate_init": 0.05},
}
