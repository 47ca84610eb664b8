"""To and from other software; each neighbour is loaded when its name is first asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chainrule.interop.onnx import to_onnx

__all__ = ["to_onnx"]

_HOMES = {"to_onnx": "chainrule.interop.onnx"}


def __getattr__(name: str) -> Any:
    """Load the module that a name lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
