"""scikit-learn's own checks of the regressor with dropout and AdamW; none is expected to fail."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from chainrule import MLPRegressor


# Some checks fit for a few epochs, which is what the warning is about.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([MLPRegressor(dropout=0.1, solver="adamw")])
def test_scikit_learns_checks(estimator, check):
    check(estimator)
