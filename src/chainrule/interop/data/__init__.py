"""Tables: files and data frames, from columns to a trained model and its predictions.

Needs the extra ``data``: ``pip install "chainrule[data]"``. Names are loaded when they are first
asked for, so that importing chainrule costs nothing of polars.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chainrule.interop.data.fitting import fit_preprocessing
    from chainrule.interop.data.model import TableModel, read_model
    from chainrule.interop.data.opening import open_table
    from chainrule.interop.data.picture import draw_training
    from chainrule.interop.data.preprocessing import Preprocessing
    from chainrule.interop.data.settings import Settings
    from chainrule.interop.data.tensorboard import EventFile
    from chainrule.interop.data.training import Trained, train_table
    from chainrule.interop.data.writing import require_writable, write_predictions

__all__ = [
    "EventFile",
    "Preprocessing",
    "Settings",
    "TableModel",
    "Trained",
    "draw_training",
    "fit_preprocessing",
    "open_table",
    "read_model",
    "require_writable",
    "train_table",
    "write_predictions",
]

_HOMES = {
    "EventFile": "tensorboard",
    "Preprocessing": "preprocessing",
    "Settings": "settings",
    "TableModel": "model",
    "Trained": "training",
    "draw_training": "picture",
    "fit_preprocessing": "fitting",
    "open_table": "opening",
    "read_model": "model",
    "require_writable": "writing",
    "train_table": "training",
    "write_predictions": "writing",
}


def __getattr__(name: str) -> Any:
    """Load the module that a name lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
