"""Other people's gradients, held against the derivative of the loss that they say they minimise."""

from __future__ import annotations

import importlib.util

from chainrule.errors import MissingExtraError

if importlib.util.find_spec("sklearn") is None:
    raise MissingExtraError(
        "to audit scikit-learn, it has to be installed.",
        advice='Run: pip install "chainrule[sklearn]"',
    )

from chainrule.interop.audit.survey import Audit, Row, audit_sklearn

__all__ = ["Audit", "Row", "audit_sklearn"]
