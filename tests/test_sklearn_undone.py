"""A fit that fails leaves what was there; settings and lines of warnings mean what they say."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

from chainrule import MLPClassifier, MLPRegressor, errors, nn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, labels = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
SHORT = {"random_state": 0, "max_iter": 4, "hidden_layer_sizes": (5,), "batch_size": 50}
TOO_FAST = {"learning_rate_init": 1e300}


# ------------------------------------------------------------------------------ failures


@pytest.mark.parametrize("settings", [TOO_FAST, {"solver": "sgd", **TOO_FAST}])
def test_a_first_fit_that_fails_leaves_nothing_that_predicts(settings):
    model = MLPClassifier(**SHORT | settings)
    with pytest.raises(errors.DivergenceError):
        model.fit(X, labels)
    with pytest.raises(NotFittedError):
        model.predict(X)
    assert vars(model).keys() == model.get_params().keys()


def test_a_fit_on_a_table_that_is_refused_leaves_the_model_of_the_last_one():
    model = MLPClassifier(**SHORT).fit(X, labels)
    before = model.predict_proba(X)
    with pytest.raises(errors.LabelError):
        model.fit(X[:, :2], np.zeros(150))
    assert model.n_features_in_ == 4
    assert np.array_equal(model.predict_proba(X), before)
    assert model.classes_.tolist() == [0, 1, 2]


def test_a_warm_start_that_fails_leaves_what_was_noted():
    model = MLPClassifier(**SHORT, warm_start=True).fit(X, labels)
    noted = model.t_, model.n_iter_, list(model.loss_curve_), model.best_loss_
    with pytest.raises(errors.DivergenceError):
        model.set_params(**TOO_FAST).fit(X, labels)
    assert (model.t_, model.n_iter_, model.loss_curve_, model.best_loss_) == noted
    model.set_params(learning_rate_init=1e-3).fit(X, labels)
    assert model.t_ == 2 * noted[0]


def test_what_partial_fit_refuses_changes_nothing():
    model = MLPRegressor(**SHORT).partial_fit(X, labels)
    before = model.predict(X)
    with pytest.raises(errors.DivergenceError, match=r"in partial_fit") as caught:
        model.partial_fit(np.full_like(X, 1e300), labels)
    assert "StandardScaler" in str(caught.value)
    assert np.array_equal(model.predict(X), before)
    assert model.partial_fit(X, labels).t_ == 300


def test_numbers_too_large_for_lbfgs_say_what_helps():
    with pytest.raises(errors.DivergenceError, match="by lbfgs") as caught:
        MLPRegressor(**SHORT, solver="lbfgs").fit(X * 1e300, labels)
    assert "StandardScaler" in str(caught.value)


# ------------------------------------------------------------------------------ settings


@pytest.mark.parametrize("sizes", [(), (3, 3), 9])
@pytest.mark.parametrize("activation", ["relu", ["relu"]])
def test_sizes_that_are_set_after_a_fit_are_those_of_the_next(sizes, activation):
    model = MLPClassifier(**SHORT, activation=activation).fit(X, labels)
    before = model.predict_proba(X)
    model.set_params(hidden_layer_sizes=sizes)
    assert np.array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"random_state": "a"}, "random_state needs to be None, a whole number"),
        ({"random_state": -1}, "got -1"),
        ({"random_state": np.random.default_rng(0)}, "RandomState"),
        ({"dtype": "int32"}, "dtype needs to be 'float32', 'float64' or None, got 'int32'"),
        ({"dropout": 1.5}, "MLPClassifier needs dropout to be"),
        ({"initialiser": lambda rng, shape: np.zeros(3)}, "shape (5, 4), (out, in), got (3,)"),
        ({"initialiser": lambda rng, shape: None}, "got ()"),
        ({"initialiser": lambda rng, shape: np.full(shape, np.nan)}, "finite numbers"),
        ({"activation": nn.Dropout(0.5)}, "For dropout say dropout=0.2"),
        ({"activation": nn.Sequential(nn.ReLU(), nn.Dropout())}, "its input alone"),
        ({"activation": nn.BatchNorm1d(5, affine=False)}, "its input alone"),
        ({"activation": lambda z: z[:, :2]}, "got [150, 2]"),
        ({"activation": lambda z: None}, "got NoneType"),
        ({"early_stopping": True, "validation_fraction": 0.999}, "leaves examples to both parts"),
        ({"early_stopping": True, "validation_fraction": 0}, "leaves examples to both parts"),
    ],
)
def test_parameters_that_cannot_be(settings, words):
    with pytest.raises(ValueError, match=r"^CR\d\d\d") as caught:
        MLPClassifier(**SHORT | {"batch_size": 150} | settings).fit(X, labels)
    assert words in str(caught.value)


@pytest.mark.parametrize("dtype", ["f4", np.float32, np.dtype("float32"), "float32"])
def test_every_word_for_single_precision(dtype):
    assert MLPClassifier(**SHORT, dtype=dtype).fit(X, labels).coefs_[0].dtype == np.float32


def test_weights_do_not_change_their_meaning():
    model = MLPRegressor(**SHORT, warm_start=True).fit(X, labels)
    with pytest.raises(errors.SettingError, match="exponentials"):
        model.set_params(loss="poisson").fit(X, labels)
    assert model.set_params(warm_start=False).fit(X, labels).out_activation_ == "exp"
    with pytest.raises(errors.SettingError, match="exponentials"):
        model.set_params(loss="huber").partial_fit(X, labels)


# ------------------------------------------------------------------------------ warnings


def test_every_warning_names_the_line_of_the_user():
    large = SHORT | {"batch_size": 1000}
    column = labels[:, None]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        MLPClassifier(**large).fit(X, column)
        MLPClassifier(**large).partial_fit(X, column, classes=[0, 1, 2])
        MLPClassifier(**large | {"solver": "lbfgs"}).fit(X, column)
    assert len(seen) == 7  # a column and a size, twice; a column; two of which did not converge
    assert {w.filename for w in seen} == {__file__}
    assert len({w.lineno for w in seen}) == 3
