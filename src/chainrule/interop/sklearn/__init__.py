"""scikit-learn's multilayer perceptrons, on the compiled engine."""

from __future__ import annotations

import importlib.util

from chainrule.errors import MissingExtraError

if importlib.util.find_spec("sklearn") is None:
    raise MissingExtraError(
        "the estimators need the package scikit-learn, which is not installed.",
        advice='Run: pip install "chainrule[sklearn]"',
    )

from chainrule.interop.sklearn.classifier import MLPClassifier
from chainrule.interop.sklearn.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
