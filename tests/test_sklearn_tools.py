"""The estimators inside scikit-learn's tools, in other processes, and in files."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chainrule import MLPClassifier, MLPRegressor, nn, train

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = load_iris(return_X_y=True)
SETTINGS = {"max_iter": 20, "learning_rate_init": 0.02, "random_state": 0, "batch_size": 30}


@pytest.fixture
def fitted():
    return MLPClassifier(**SETTINGS).fit(X, y)


def test_in_a_pipeline():
    model = make_pipeline(StandardScaler(), MLPClassifier(**SETTINGS)).fit(X, y)
    assert model.score(X, y) > 0.9


def test_in_a_search_of_which_every_fit_says_the_same_alone():
    search = GridSearchCV(
        MLPClassifier(**SETTINGS), {"alpha": [1e-4, 100.0], "dropout": [0.0, 0.2]}, cv=3
    ).fit(X, y)
    assert search.best_params_["alpha"] == 1e-4
    again = clone(search.best_estimator_).fit(X, y)
    assert np.array_equal(again.coefs_[0], search.best_estimator_.coefs_[0])


def test_cross_validation_in_two_processes_gives_the_same_bits():
    here = cross_val_score(MLPClassifier(**SETTINGS), X, y, cv=4)
    there = cross_val_score(MLPClassifier(**SETTINGS), X, y, cv=4, n_jobs=2)
    assert np.array_equal(here, there)
    assert np.mean(here) > 0.9


def test_a_fitted_estimator_goes_to_other_processes(fitted):
    found = Parallel(n_jobs=2)(delayed(fitted.predict_proba)(X[k::2]) for k in range(2))
    assert np.array_equal(found[1], fitted.predict_proba(X[1::2]))


def test_in_an_ensemble_with_weights():
    model = BaggingClassifier(MLPClassifier(**SETTINGS), n_estimators=2, random_state=0)
    assert model.fit(X, y, sample_weight=np.ones(150)).score(X, y) > 0.85


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])  # noqa: S301 - our own
def test_a_copy_predicts_the_same_and_goes_on_the_same(copied):
    model = MLPClassifier(**SETTINGS).partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
    twin = copied(model)
    assert np.array_equal(model.predict_proba(X), twin.predict_proba(X))
    model.partial_fit(X, y)
    twin.partial_fit(X, y)  # with the memory of Adam, and its step
    assert np.array_equal(model.coefs_[0], twin.coefs_[0])


@pytest.mark.parametrize(
    "model",
    [
        MLPClassifier(max_iter=5),
        MLPRegressor(max_iter=5, solver="adamw", dropout=0.1),
        MLPClassifier(solver=train.Lion(lr=1e-3), activation=["tanh"], max_iter=3),
    ],
)
def test_skops_stores_and_loads(model, tmp_path):
    model.fit(X, y)
    path = tmp_path / "model.skops"
    skops.io.dump(model, path)
    unknown = skops.io.get_untrusted_types(file=path)
    assert all(name.startswith("chainrule.") for name in unknown)
    loaded = skops.io.load(path, trusted=unknown)
    assert np.array_equal(loaded.predict(X), model.predict(X))


def test_a_clone_is_not_fitted_and_has_the_parameters(fitted):
    twin = clone(fitted)
    assert not hasattr(twin, "coefs_")
    assert twin.get_params() == fitted.get_params()


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_names_of_a_data_frame_are_kept(frame):
    wine = load_wine()
    data = frame(dict(zip(wine.feature_names, wine.data.T, strict=True)))
    model = MLPClassifier(max_iter=2, random_state=0).fit(data, wine.target)
    assert list(model.feature_names_in_) == wine.feature_names
    assert model.predict(data).shape == (178,)
    assert model.input_gradients(data).shape == (178, 13)


def test_labels_of_a_series_are_words():
    for names in (
        pd.Series(["a", "b", "c"])[y],
        pd.Series(pd.Categorical.from_codes(y, ["a", "b", "c"])),
    ):
        model = MLPClassifier(**SETTINGS).fit(X, names.reset_index(drop=True))
        assert set(model.predict(X)) == {"a", "b", "c"}
        assert model.score(X, names) > 0.9


def test_importing_the_package_loads_no_scikit_learn():
    code = "import sys, chainrule; print('sklearn' in sys.modules)"
    code += "; print('MLPClassifier' in dir(chainrule), chainrule.MLPClassifier.__name__)"
    found = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert found.stdout.split() == ["False", "True", "MLPClassifier"]


def test_without_scikit_learn_the_error_names_the_extra():
    code = "import sys; sys.modules['sklearn'] = None\nimport chainrule\n"
    code += "try:\n    chainrule.MLPClassifier\nexcept ImportError as e:\n    print(e)"
    found = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert found.stdout.startswith("CR001 MissingExtraError")
    assert "chainrule[sklearn]" in found.stdout


def test_parameters_may_be_objects():
    model = MLPClassifier(
        solver=train.Lion(lr=1e-3), activation=[nn.LeakyReLU(0.1)], loss=nn.CrossEntropyLoss()
    )
    assert clone(model).fit(X, y).score(X, y) > 0.5
