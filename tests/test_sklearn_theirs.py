"""The tests that scikit-learn has for its own estimators, run on ours."""

import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.neural_network.tests import test_mlp

NOT_OURS = {
    "test_fit": "calls private methods",
    "test_gradient": "calls private methods",
    "test_learning_rate_warmstart": "reads a private attribute",
    "test_adaptive_learning_rate": "reads a private attribute",
    "test_nonfinite_params": "compares the text of an error, which is a ValueError here too",
    "test_early_stopping_stratified": "compares the text of an error, which here names the class",
    "test_preserve_feature_names": "fits one class, which is an error here",
}
CONFTEST = """
import pytest


@pytest.fixture
def global_random_seed():
    return 42
"""


@pytest.mark.slow
def test_their_tests_pass(tmp_path):
    text = Path(test_mlp.__file__).read_text(encoding="utf-8")
    imported = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
    assert imported in text
    (tmp_path / "conftest.py").write_text(CONFTEST)
    ours = text.replace(imported, "from chainrule import MLPClassifier, MLPRegressor")
    (tmp_path / "test_theirs.py").write_text(ours, encoding="utf-8")
    options = [f"--deselect=test_theirs.py::{name}" for name in NOT_OURS]
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *options]
    found = subprocess.run(  # noqa: S603 - our own words
        command, check=False, cwd=tmp_path, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout
    assert int(found.stdout.rpartition(" passed")[0].rpartition(" ")[2].split("\n")[-1]) > 45
