"""Backpropagation with the lid off: derivatives of NumPy code, open at every step."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from chainrule import nn, ops, train
from chainrule.execute import compile as compile  # noqa: A004 - the field's own word
from chainrule.graph import Graph, Spec, Value, name, trace
from chainrule.ops import stop_gradient
from chainrule.transform import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp, vmap

if TYPE_CHECKING:
    from chainrule.inspect.gradcheck import gradcheck
    from chainrule.inspect.lint import lint
    from chainrule.inspect.opened import open as open  # noqa: A004 - the field's own word
    from chainrule.inspect.training import diagnose_training
    from chainrule.inspect.why import why
    from chainrule.interop.checking import check
    from chainrule.interop.sklearn import MLPClassifier as MLPClassifier
    from chainrule.interop.sklearn import MLPRegressor as MLPRegressor

__version__ = "0.1.0"

__all__ = [
    "Graph",
    "Spec",
    "Value",
    "check",
    "diagnose_training",
    "grad",
    "gradcheck",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "lint",
    "name",
    "nn",
    "ops",
    "stop_gradient",
    "trace",
    "train",
    "value_and_grad",
    "vjp",
    "vmap",
    "why",
]

# A star import hides no builtin, so `compile` and `open` are not in __all__; nor are the
# estimators, for which it would load scikit-learn, which not everybody has. What a training does
# not need is loaded when it is first asked for: it takes as long as all the rest.
_HOMES = {
    "MLPClassifier": "chainrule.interop.sklearn",
    "MLPRegressor": "chainrule.interop.sklearn",
    "check": "chainrule.interop.checking",
    "diagnose_training": "chainrule.inspect",
    "gradcheck": "chainrule.inspect",
    "lint": "chainrule.inspect",
    "open": "chainrule.inspect",
    "why": "chainrule.inspect",
}


def __getattr__(name: str) -> Any:
    """Load the module that a name lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
