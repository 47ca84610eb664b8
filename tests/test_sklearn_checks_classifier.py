"""scikit-learn's own checks of the classifier as it is; none is expected to fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from chainrule import MLPClassifier


# Some checks fit for a few epochs, which is what the warning is about.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([MLPClassifier()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_checks_of_the_array_api_in_a_process_that_has_it():
    """scikit-learn and SciPy look at the variable when they are loaded."""
    files = sorted(str(path) for path in Path(__file__).parent.glob("test_sklearn_checks_*.py"))
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-k", "array_api_input", *files]
    found = subprocess.run(  # noqa: S603 - our own words
        command,
        check=False,
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout
    assert f"{len(files)} passed" in found.stdout
